"""JSON Schemas of everything that travels, for clients in any language.

They follow from the models: ``python -m smallmesh_contracts.schemas`` writes one
file for each public model into ``contracts/schemas``, and with ``--check`` says
which of them have drifted.

What a newer minor version may add, a client must let pass: objects are open, and
an enumeration lists the values known today beside any other string, which a
client treats as ``other``. Data classes alone are closed: a class decides how far
a text may travel, so one that a reader does not know is refused, never guessed at.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

import smallmesh_contracts
from smallmesh_contracts import DataClass, Wire
from smallmesh_contracts.subjects import ROOT

DIALECT = GenerateJsonSchema.schema_dialect
OTHER = "other"
CHECKOUT = Path(__file__).resolve().parents[1]
_FIELD = re.compile(r"^    (\w+): ((?:.|\n(?=        ))*)", re.MULTILINE)

Schema = dict[str, Any]


class _OpenSchema(GenerateJsonSchema):
    """Leaves enumerations open and takes descriptions from docstrings."""

    def enum_schema(self, schema: Any) -> Schema:
        told = super().enum_schema(schema)
        return told if schema["cls"] is DataClass else _opened(told)

    def literal_schema(self, schema: Any) -> Schema:
        return _opened(super().literal_schema(schema))

    def model_schema(self, schema: Any) -> Schema:
        told = super().model_schema(schema)
        summary, fields = _described(schema["cls"])
        for name, field in told.get("properties", {}).items():
            if name in fields:
                field["description"] = fields[name]
        return told | {"description": summary}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - a field's title would only repeat its name
        return False


def _opened(told: Schema) -> Schema:
    """Let any string pass beside the known ones. ``other`` is a reader's own word, which nobody sends."""
    known = {"type": told.pop("type"), "enum": [value for value in told.pop("enum") if value != OTHER]}
    return told | {"anyOf": [known, {"type": "string"}]}


def _described(model: type[Wire]) -> tuple[str, dict[str, str]]:
    """Return what a model's docstring says of it, and what it and its bases say of their attributes."""
    docs = [inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n") for cls in reversed(model.__mro__) if issubclass(cls, Wire)]
    fields = {name: _plain(text) for _, _, attributes in docs for name, text in _FIELD.findall(attributes)}
    return _plain(docs[-1][0]), fields


def _plain(text: str) -> str:
    """Return a docstring's text on one line, its code marked as in Markdown."""
    return " ".join(text.replace("``", "`").split())


def models() -> tuple[type[Wire], ...]:
    """Return every public model of the contract, by name."""
    public = (getattr(smallmesh_contracts, name) for name in sorted(smallmesh_contracts.__all__))
    return tuple(each for each in public if isinstance(each, type) and issubclass(each, Wire) and each is not Wire)


def schema_of(model: type[Wire]) -> Schema:
    """Return the schema of what a reader of ``model`` accepts."""
    told = model.model_json_schema(schema_generator=_OpenSchema)
    for part in told.get("$defs", {}).values():
        if "description" in part:  # an enumeration's is its docstring as it stands
            part["description"] = _plain(part["description"])
    return {"$schema": DIALECT, "$id": f"{ROOT}.{model.__name__}"} | told


def files() -> dict[str, str]:
    """Return every schema file: its name and its text."""
    schemas = [schema_of(model) for model in models()]
    return {f"{s['$id']}.json": json.dumps(s, indent=2, sort_keys=True, ensure_ascii=False) + "\n" for s in schemas}


def drifted(folder: Path) -> list[str]:
    """Return the names of files in ``folder`` that are missing, differ, or belong to no model."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    wanted = files()
    return sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schema files, or check those that are there; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m smallmesh_contracts.schemas", description="JSON Schemas of everything that travels")
    beside = CHECKOUT / "schemas" if (CHECKOUT / "pyproject.toml").is_file() else None
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=beside, help="default, in a checkout: contracts/schemas")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file has drifted from the models")
    chosen = parser.parse_args(arguments)
    if chosen.folder is None:
        parser.error("this is an installed package: name the folder of the schema files")
    if not chosen.check:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        for name, text in files().items():
            (chosen.folder / name).write_text(text, encoding="utf-8")
    bad = drifted(chosen.folder)
    sys.stdout.write("".join(f"{chosen.folder / name}: does not follow from the models\n" for name in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
