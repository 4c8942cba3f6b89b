"""What cannot be built is refused by name; what does not validate is reported without its words."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel, create_model, field_validator

from smallmesh.hosting.card import ModelError
from smallmesh.hosting.schema import OutputError, Schema, SchemaError
from smallmesh.hosting.schema.reader import read
from smallmesh.hosting.schema.tokens import Tokens
from tests.support.vocabularies import BYTES, HALVES, LONGER, WHOLE, SmallVocabulary

VOCABULARY = SmallVocabulary()


class Tree(BaseModel):
    children: list["Tree"]


class Box(BaseModel):
    tree: Tree


class Parcel(BaseModel):
    label: Annotated[str, Field(pattern="^[a-z]+$")]


def refused(kind, vocabulary=VOCABULARY):
    with pytest.raises(SchemaError) as caught:
        Schema.of(create_model("Thing", x=(kind, ...)), vocabulary)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "pointer", "keyword"),
    [
        (Annotated[str, Field(pattern="a+")], "/properties/x", "pattern"),
        (dt.date, "/properties/x", "format"),
        (uuid.UUID, "/properties/x", "format"),
        (bytes, "/properties/x", "format"),
        (Any, "/properties/x", "type"),
        (object, "/properties/x", "type"),
        (dict[str, int], "/properties/x", "additionalProperties"),
        (dict, "/properties/x", "properties"),
        (list, "/properties/x/items", "type"),
        (set[int], "/properties/x", "uniqueItems"),
        (tuple[int, str], "/properties/x", "prefixItems"),
        (Annotated[int, Field(multiple_of=5)], "/properties/x", "multipleOf"),
        (Annotated[int, Field(gt=3, lt=4)], "/properties/x", "exclusiveMaximum"),
        (Annotated[float, Field(json_schema_extra={"minimum": float("inf")})], "/properties/x", "minimum"),
        (Annotated[str, Field(min_length=5, max_length=4)], "/properties/x", "minLength"),
        (Annotated[list[int], Field(min_length=5, max_length=4)], "/properties/x", "minItems"),
        (int | Annotated[str, Field(pattern="a")], "/properties/x/anyOf/1", "pattern"),
        (list[Parcel], "/$defs/Parcel/properties/label", "pattern"),
        (Box, "/$defs/Tree/properties/children/items", "$ref"),
        (Annotated[Any, Field(json_schema_extra={"enum": ["a", "\ud800"]})], "/properties/x", "enum"),
        (Annotated[int, Field(json_schema_extra={"not": {"const": 3}})], "/properties/x", "not"),
        (Annotated[str, Field(json_schema_extra={"allOf": [{"minLength": 1}, {"maxLength": 2}]})], "/properties/x", "type"),
        (Annotated[Any, Field(json_schema_extra={"allOf": [{"type": "null"}, {"const": None}]})], "/properties/x", "allOf"),
        (Annotated[Any, Field(json_schema_extra={"oneOf": [{"type": "null"}, {"const": None}]})], "/properties/x", "oneOf"),
        (Annotated[Any, Field(json_schema_extra={"anyOf": []})], "/properties/x", "anyOf"),
        (Annotated[Any, Field(json_schema_extra={"anyOf": [True]})], "/properties/x/anyOf/0", "True"),
        (Annotated[Any, Field(json_schema_extra={"enum": []})], "/properties/x", "enum"),
        (Annotated[Any, Field(json_schema_extra={"const": float("nan")})], "/properties/x", "const"),
        (Annotated[Any, Field(json_schema_extra={"type": ["string", "null"]})], "/properties/x", "type"),
    ],
)
def test_what_cannot_be_built_is_refused_by_pointer_and_keyword(kind, pointer, keyword):
    error = refused(kind)

    assert (error.pointer, error.keyword) == (pointer, keyword)
    assert all(part in str(error) for part in ("Thing", pointer, keyword))


def test_a_model_that_cannot_be_served_is_a_model_error():
    assert issubclass(SchemaError, ModelError)


def test_a_pointer_escapes_names():
    with pytest.raises(SchemaError) as caught:
        Schema.of(create_model("Thing", x=(Any, Field(alias="a/b~c"))), VOCABULARY)

    assert caught.value.pointer == "/properties/a~1b~0c"


def test_a_type_without_a_json_schema_is_refused():
    callback = create_model("Callback", call=(type(len), ...), __config__={"arbitrary_types_allowed": True})

    with pytest.raises(SchemaError, match="Callback"):
        Schema.of(callback, VOCABULARY)


@pytest.mark.parametrize("kind", [int, str, Literal["a", "b"], int | None])
def test_a_document_without_an_end_of_its_own_is_no_root(kind):
    with pytest.raises(SchemaError, match="an object or an array"):
        Schema.of(RootModel[kind], VOCABULARY)


def test_a_model_that_contains_itself_is_refused_at_the_root_too():
    with pytest.raises(SchemaError, match="Tree contains itself"):
        Schema.of(Tree, VOCABULARY)


def test_a_reference_to_nothing_is_refused():
    with pytest.raises(SchemaError, match="Nobody is not in"):
        read("Thing", {"$ref": "#/$defs/Nobody"}, VOCABULARY, Tokens.of(VOCABULARY))


def test_notes_of_a_schema_forbid_nothing():
    class Noted(BaseModel):
        """A thing."""

        x: Annotated[
            int, Field(description="how many", examples=[1], deprecated="x", json_schema_extra={"format": "int32", "$comment": "x"})
        ] = 1

    assert Schema.of(Noted, VOCABULARY).begin().forced() == '{"x": '


def test_a_vocabulary_without_a_character_that_json_needs_is_refused():
    without = SmallVocabulary((*(piece for piece in BYTES if piece != b"}"), *LONGER, b"</s>"))

    error = refused(bool, without)

    assert error.keyword == "vocabulary"
    assert "}" in error.reason


def test_a_key_that_the_vocabulary_cannot_write_is_refused():
    whole = SmallVocabulary((*WHOLE, *LONGER, *HALVES, b"</s>"))

    assert Schema.of(create_model("Thing", é=(bool, ...)), whole).begin().forced() == '{"é": '
    with pytest.raises(SchemaError) as caught:
        Schema.of(create_model("Thing", ö=(bool, ...)), whole)
    assert (caught.value.pointer, caught.value.keyword) == ("/properties/ö", "name")


def test_a_tokenizer_that_changes_a_text_is_refused():
    class Lowering(SmallVocabulary):
        def tokenize_on(self, text):
            return self.tokenize(text.lower())

    assert refused(Literal["Yes", "No"], Lowering()).keyword == "enum"


class Person(BaseModel):
    model_config = {"extra": "forbid"}

    name: Annotated[str, Field(max_length=5)]
    ages: list[Annotated[int, Field(le=9)]]

    @field_validator("name")
    @classmethod
    def _is_known(cls, name):
        if name == "Eve":
            raise ValueError(f"{name} is not known")
        return name


PEOPLE = Schema.of(Person, VOCABULARY)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('{"name": "secret", "ages": [1, 77]}', ("/name: string_too_long", "/ages/1: less_than_equal")),
        ('{"name": "Eve", "ages": []}', ("/name: value_error",)),
        ('{"name": "a", "ages": [], "secret": 1}', ("extra_forbidden",)),
        ('{"name": "secr', ("json_invalid",)),
        ("", ("json_invalid",)),
    ],
)
def test_a_text_that_does_not_validate_says_why_without_its_words(text, reasons):
    with pytest.raises(OutputError) as caught:
        PEOPLE.validate(text)

    assert caught.value.reasons == reasons
    assert not any(word in str(caught.value) for word in ("secr", "Eve", "77"))
    assert caught.value.__cause__ is None


def test_a_text_that_validates_is_the_model():
    assert PEOPLE.validate('{"name": "a", "ages": [1]}') == Person(name="a", ages=[1])
