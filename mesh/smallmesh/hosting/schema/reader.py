"""A JSON Schema, as pydantic writes it, becomes a grammar; what cannot be built is refused by name."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from smallmesh.hosting.engine.port import Vocabulary
from smallmesh.hosting.schema.errors import SchemaError
from smallmesh.hosting.schema.grammar import Array, Chain, String, Texts, Union, Value
from smallmesh.hosting.schema.numbers import LARGEST_INTEGER, LARGEST_NUMBER, MOST_DECIMALS, SIGNIFICANT_DIGITS, Number, scaled
from smallmesh.hosting.schema.tokens import Tokens

DEFAULT_MAX_LENGTH = 256
"""Characters of a string whose schema states no ``maxLength``."""

DEFAULT_MAX_ITEMS = 32
"""Items of an array whose schema states no ``maxItems``."""

_NOTES = frozenset({"$comment", "$defs", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"})
"""Keywords that allow and forbid nothing."""

_NOTING_FORMATS = frozenset({"double", "float", "int32", "int64", "password"})
"""Formats that nothing is validated by."""

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})

Json = Mapping[str, Any]


def canonical(value: object) -> str:
    """Return a value as a document writes it.

    Raises:
        ValueError: JSON has no such value.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read(name: str, document: Json, vocabulary: Vocabulary, tokens: Tokens) -> Value:
    """Return the grammar of a JSON Schema.

    Args:
        name: What errors call it.
        document: The schema.
        vocabulary: Whose tokens its texts must be made of.
        tokens: The same, arranged.

    Raises:
        SchemaError: It cannot be built.
    """
    reader = _Reader(name, document, vocabulary, tokens, {})
    value = reader.value(document, "", ())
    if not isinstance(value, Chain | Array):
        raise reader.fault("", "type", "the root has to be an object or an array")
    return value


@dataclass(frozen=True, slots=True)
class _Reader:
    name: str
    document: Json
    vocabulary: Vocabulary
    tokens: Tokens
    definitions: dict[str, Value]

    def fault(self, pointer: str, keyword: str, reason: str) -> SchemaError:
        return SchemaError(self.name, pointer, keyword, reason)

    def value(self, schema: object, pointer: str, within: Sequence[str]) -> Value:
        """Read the schema at a pointer, which is part of the definitions ``within``."""
        if not isinstance(schema, Mapping):
            raise self.fault(pointer, str(schema), "says nothing about the value")
        if "$ref" in schema:
            self._only(schema, pointer, {"$ref"})
            return self._definition(schema["$ref"], pointer, within)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                self._only(schema, pointer, {keyword, "discriminator"})
                return self._one_of(schema, keyword, pointer, within)
        if "const" in schema or "enum" in schema:
            self._only(schema, pointer, {"const", "enum", "type"})
            return self._texts(schema, pointer)
        return self._typed(schema, pointer, within)

    def _only(self, schema: Json, pointer: str, known: Collection[str]) -> None:
        for keyword in schema:
            if keyword not in known and keyword not in _NOTES:
                raise self.fault(pointer, keyword, "is not supported here")

    def _definition(self, reference: str, pointer: str, within: Sequence[str]) -> Value:
        definitions = self.document.get("$defs", {})
        name = reference.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        if name not in definitions:
            raise self.fault(pointer, "$ref", f"{reference} is not in $defs")
        if name in within:
            raise self.fault(pointer, "$ref", f"{name} contains itself")
        if name not in self.definitions:
            self.definitions[name] = self.value(definitions[name], f"/$defs/{_escaped(name)}", (*within, name))
        return self.definitions[name]

    def _one_of(self, schema: Json, keyword: str, pointer: str, within: Sequence[str]) -> Value:
        alternatives = schema[keyword]
        if not alternatives:
            raise self.fault(pointer, keyword, "has no alternative")
        if keyword == "allOf" and len(alternatives) > 1:
            raise self.fault(pointer, keyword, "more than one cannot be brought together")
        if keyword == "oneOf" and "discriminator" not in schema:
            raise self.fault(pointer, keyword, "needs a discriminator: without one, two alternatives might both hold")
        values = [self.value(one, f"{pointer}/{keyword}/{index}", within) for index, one in enumerate(alternatives)]
        return values[0] if len(values) == 1 else Union(values)

    def _texts(self, schema: Json, pointer: str) -> Value:
        keyword = "const" if "const" in schema else "enum"
        values = [schema["const"]] if keyword == "const" else schema["enum"]
        if not values:
            raise self.fault(pointer, keyword, "has no value")
        try:
            texts = [canonical(value) for value in values]
        except (TypeError, ValueError) as error:
            raise self.fault(pointer, keyword, str(error)) from error
        return self._fixed(texts, pointer, keyword)

    def _fixed(self, texts: Sequence[str], pointer: str, keyword: str) -> Texts:
        for text in texts:
            self._check(text, pointer, keyword)
        return Texts.of(texts)

    def _check(self, text: str, pointer: str, keyword: str) -> None:
        """Refuse a text that the model cannot write, in one go or byte by byte."""
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise self.fault(pointer, keyword, "half of a surrogate pair is no character") from error
        if not all(map(self.tokens.can_write, text)):
            raise self.fault(pointer, keyword, f"the vocabulary has no tokens for each character of {text}")
        pieces = self.vocabulary.pieces
        if b"".join(pieces[token] for token in self.vocabulary.tokenize_on(text)) != raw:
            raise self.fault(pointer, keyword, f"the tokens of {text} make another text")

    def _typed(self, schema: Json, pointer: str, within: Sequence[str]) -> Value:
        match schema.get("type"):
            case "object":
                return self._object(schema, pointer, within)
            case "array":
                return self._array(schema, pointer, within)
            case "string":
                return self._string(schema, pointer)
            case "integer" | "number" as kind:
                return self._number(schema, kind, pointer)
            case "boolean":
                self._only(schema, pointer, {"type"})
                return self._fixed(["true", "false"], pointer, "type")
            case "null":
                self._only(schema, pointer, {"type"})
                return self._fixed(["null"], pointer, "type")
            case other:
                raise self.fault(pointer, "type", "says nothing about the value" if other is None else f"{other} is not supported")

    def _object(self, schema: Json, pointer: str, within: Sequence[str]) -> Value:
        self._only(schema, pointer, {"type", "properties", "required", "additionalProperties"})
        if isinstance(schema.get("additionalProperties"), Mapping):
            raise self.fault(pointer, "additionalProperties", "keys that are not known before are not supported")
        if "properties" not in schema:
            raise self.fault(pointer, "properties", "an object without any is not supported")
        parts: list[Value] = []
        for name, property_ in schema["properties"].items():
            inner = f"{pointer}/properties/{_escaped(name)}"
            parts.append(self._fixed([f"{', ' if parts else '{'}{canonical(name)}: "], inner, "name"))
            parts.append(self.value(property_, inner, within))
        return Chain([*parts, self._fixed(["}" if parts else "{}"], pointer, "type")])

    def _array(self, schema: Json, pointer: str, within: Sequence[str]) -> Value:
        self._only(schema, pointer, {"type", "items", "minItems", "maxItems"})
        fewest = schema.get("minItems", 0)
        most = schema.get("maxItems", max(DEFAULT_MAX_ITEMS, fewest))
        if fewest > most:
            raise self.fault(pointer, "minItems", f"{fewest} is above maxItems, {most}")
        self._check("[, ]", pointer, "type")
        return Array(self.value(schema.get("items", True), f"{pointer}/items", within), fewest, most)

    def _string(self, schema: Json, pointer: str) -> Value:
        self._only(schema, pointer, {"type", "minLength", "maxLength", "format"})
        self._check_format(schema, pointer)
        shortest = schema.get("minLength", 0)
        most = schema.get("maxLength", max(DEFAULT_MAX_LENGTH, shortest))
        if shortest > most:
            raise self.fault(pointer, "minLength", f"{shortest} is above maxLength, {most}")
        return String(shortest, most)

    def _number(self, schema: Json, kind: str, pointer: str) -> Value:
        self._only(schema, pointer, {"type", "format", *_BOUNDS})
        self._check_format(schema, pointer)
        bounds = {keyword: Decimal(str(schema[keyword])) for keyword in _BOUNDS if keyword in schema}
        for keyword, bound in bounds.items():
            if not bound.is_finite():
                raise self.fault(pointer, keyword, "is no number")
        number = _integer(bounds) if kind == "integer" else _decimal(bounds)
        if number.low > number.high:
            keyword = next((one for one in schema if one in bounds), "type")
            raise self.fault(
                pointer, keyword, f"no {kind} of at most {number.decimals} decimals is within the bounds, those not stated included"
            )
        return number

    def _check_format(self, schema: Json, pointer: str) -> None:
        if schema.get("format", "password") not in _NOTING_FORMATS:
            raise self.fault(pointer, "format", f"{schema['format']} is not supported")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _integer(bounds: Mapping[str, Decimal]) -> Number:
    return _bounded(bounds, LARGEST_INTEGER, 0)


def _decimal(bounds: Mapping[str, Decimal]) -> Number:
    largest = max([int(abs(bound)) for bound in bounds.values()], default=0)
    decimals = max(0, min(MOST_DECIMALS, SIGNIFICANT_DIGITS - len(str(max(largest, LARGEST_NUMBER)))))
    return _bounded(bounds, LARGEST_NUMBER * 10**decimals + 10**decimals - 1, decimals)


def _bounded(bounds: Mapping[str, Decimal], largest: int, decimals: int) -> Number:
    lows = [
        scaled(bounds[keyword], decimals, up=True, exclusive=keyword != "minimum")
        for keyword in ("minimum", "exclusiveMinimum")
        if keyword in bounds
    ]
    highs = [
        scaled(bounds[keyword], decimals, up=False, exclusive=keyword != "maximum")
        for keyword in ("maximum", "exclusiveMaximum")
        if keyword in bounds
    ]
    return Number(max(lows, default=-largest), min(highs, default=largest), decimals)
