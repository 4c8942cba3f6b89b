import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smallmesh_contracts
from smallmesh_contracts import DataClass, EntityType, ErrorCode, Status, Wire, schemas, subjects

FOLDER = Path(__file__).parents[2] / "contracts" / "schemas"
PUBLIC = {
    name
    for name, value in vars(smallmesh_contracts).items()
    if inspect.isclass(value) and issubclass(value, Wire) and value is not Wire and not name.startswith("_")
}
FILES = sorted(FOLDER.glob("*.json"))


def _read(model: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{subjects.ROOT}.{model}.json").read_text(encoding="utf-8"))


def _parts(schema: object) -> Iterator[dict[str, Any]]:
    """Every schema in a schema; a map of properties is not one itself."""
    if isinstance(schema, list):
        for each in schema:
            yield from _parts(each)
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        yield from _parts(list(value.values()) if key in {"properties", "$defs"} else value)


def test_the_committed_schemas_follow_from_the_models():
    assert schemas.drifted(FOLDER) == []


def test_every_public_model_has_a_schema_file_of_its_name():
    assert {path.stem for path in FILES} == {f"{subjects.ROOT}.{name}" for name in PUBLIC}
    assert {"Task", "TaskResult", "Answer", "StepResult", "Step", "EscalationStep", "ErrorInfo"} <= PUBLIC


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_schema_is_called_as_its_file_and_says_its_dialect(path):
    schema = json.loads(path.read_text(encoding="utf-8"))

    assert schema["$id"] == path.stem
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_objects_are_open(path):
    objects = [part for part in _parts(json.loads(path.read_text(encoding="utf-8"))) if part.get("type") == "object"]

    assert objects
    assert all(part.get("additionalProperties", True) is not False for part in objects)
    assert all("additionalProperties" not in part for part in objects if "properties" in part)
    assert all("unevaluatedProperties" not in part for part in objects)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_enumeration_lets_unknown_values_pass_but_that_of_data_classes(path):
    parts = list(_parts(json.loads(path.read_text(encoding="utf-8"))))

    beside_any_string = [known for part in parts for known in part.get("anyOf", []) if {"type": "string"} in part["anyOf"]]
    for part in parts:
        assert "const" not in part
        if "enum" in part and part.get("title") != "DataClass":
            assert part in beside_any_string


@pytest.mark.parametrize(
    ("model", "name", "values"),
    [
        ("ErrorInfo", "ErrorCode", set(ErrorCode)),
        ("TaskResult", "Status", set(Status) - {"other"}),
        ("Entity", "EntityType", set(EntityType) - {"other"}),
    ],
)
def test_an_open_enumeration_lists_the_values_that_are_sent_today(model, name, values):
    known, anything = _read(model)["$defs"][name]["anyOf"]

    assert set(known["enum"]) == values
    assert anything == {"type": "string"}


def test_the_enumeration_of_data_classes_is_closed():
    assert _read("TaskResult")["$defs"]["DataClass"]["enum"] == [each.value for each in DataClass]


def test_of_a_task_only_the_text_is_required():
    assert _read("Task")["required"] == ["text"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_object_is_described(path):
    described = [part for part in _parts(json.loads(path.read_text(encoding="utf-8"))) if "properties" in part]

    assert all(part["description"].endswith((".", "!")) for part in described)
    assert "``" not in path.read_text(encoding="utf-8")


def test_attributes_are_described_by_docstrings_those_of_the_base_included():
    assert _read("Task")["properties"]["timeout_s"]["description"].startswith("Budget in seconds from the broker's arrival time")
    assert _read("SentimentResult")["properties"]["confidence"]["description"].startswith("Calibrated, 0 to 1")


def test_schemas_come_out_the_same_every_time_with_sorted_keys():
    first, second = schemas.files(), schemas.files()

    assert first == second
    assert all(list(json.loads(text)) == sorted(json.loads(text)) for text in first.values())


def test_written_files_pass_the_check_until_one_is_changed_missing_or_left_over(tmp_path, capsys):
    assert schemas.main([str(tmp_path)]) == 0
    assert schemas.main([str(tmp_path), "--check"]) == 0
    (tmp_path / "slm.v1.Task.json").write_text("{}", encoding="utf-8")
    (tmp_path / "slm.v1.Answer.json").unlink()
    (tmp_path / "slm.v1.Gone.json").write_text("{}", encoding="utf-8")
    capsys.readouterr()

    assert schemas.main([str(tmp_path), "--check"]) == 1

    named = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in named] == [str(tmp_path / f"slm.v1.{name}.json") for name in ("Answer", "Gone", "Task")]
    assert (tmp_path / "slm.v1.Task.json").read_text(encoding="utf-8") == "{}"
