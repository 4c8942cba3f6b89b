"""The page that another backend's authors read says what is so."""

import re
from pathlib import Path

import pytest

import smallmesh_contracts
from smallmesh_contracts import (
    Address,
    Answer,
    DataClass,
    EntitiesResult,
    Entity,
    EntityType,
    ErrorCode,
    ErrorInfo,
    Lane,
    Provenance,
    Status,
    TaskResult,
    decode_task,
    limits,
)

README = (Path(__file__).parents[2] / "contracts" / "README.md").read_text(encoding="utf-8")
SUBMIT, _, _, READ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_example_of_a_submission_makes_one_that_is_accepted():
    made: dict[str, object] = {}

    exec(SUBMIT, made)  # the README's own code

    task = decode_task(made["body"], Address("acme", DataClass.INTERNAL, "ticket-4711"), Lane.INTERACTIVE)
    assert task == made["task"]
    assert made["subject"] == smallmesh_contracts.subjects.submit(Lane.INTERACTIVE, made["address"])


def test_the_example_of_a_reader_prints_values_and_errors(capsys):
    made: dict[str, object] = {}
    exec(READ, made)  # the README's own code
    provenance = Provenance(model_id="m-1", prompt_version="p", answered_by="a", waited_ms=0.0, worked_ms=1.0)
    entities = EntitiesResult(entities=(Entity(start=0, end=4, text="Anna", type=EntityType.PERSON, confidence=0.9),))
    answers = {
        "sentiment": Answer(value={"label": "negative", "probabilities": {"negative": 1.0}}, provenance=provenance),
        "entities": Answer(value=entities.model_dump(mode="json"), provenance=provenance),
        "summary": Answer(error=ErrorInfo(code=ErrorCode.OVERLOADED, message="busy", retryable=True)),
    }
    whole = {"task_id": "t", "tenant": "acme", "data_class": DataClass.PUBLIC, "digest": "d", "took_ms": 1.0}

    made["read"](TaskResult(status=Status.PARTIAL, answers=answers, **whole).to_bytes())

    printed = capsys.readouterr().out.splitlines()
    assert printed == ["partial None", "negative m-1", "[('Anna', 'PERSON')]", "summary overloaded busy again later"]


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`([A-Za-z_]+)`", README.partition("## Submitting")[0])) - {"Request", "smallmesh_contracts"})
)
def test_every_name_in_the_table_is_public(name):
    assert name in smallmesh_contracts.__all__


def test_the_limits_named_are_the_limits():
    assert limits.TEXT_BYTES == {Lane.INTERACTIVE: 32 * 1024, Lane.BULK: 512 * 1024}
    assert limits.METADATA_BYTES == 8 * 1024
    assert limits.TIMEOUT_S == {Lane.INTERACTIVE: 30.0, Lane.BULK: 86_400.0}
    assert "32 KiB of text (bulk: 512), 8 KiB of metadata, 30 s (bulk: a day)" in README
