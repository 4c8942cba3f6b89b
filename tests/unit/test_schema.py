"""What a schema lets a model write, as properties of whatever sequence of tokens is chosen."""

import json
import random
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from smallmesh.hosting.schema import DEFAULT_MAX_ITEMS, DEFAULT_MAX_LENGTH, Schema
from tests.support.vocabularies import HALVES, LONGER, WHOLE, SmallVocabulary

VOCABULARY = SmallVocabulary()
Short = Annotated[str, Field(max_length=3)]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    names: Annotated[list[Short], Field(max_length=2)]


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=8)]
    mood: Literal["happy", "happier", "sad", "né", "nè", 1, 12]
    age: Annotated[int, Field(ge=-3, lt=120)]
    share: Annotated[float, Field(gt=-0.5, le=1)] = 0.5
    note: Short | None = None
    known: bool | Literal["perhaps"]
    tags: Annotated[list[int | Short], Field(min_length=1, max_length=3)]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None
    size: Annotated[Annotated[int, Field(le=2)] | Annotated[float, Field(ge=0, le=2)], Field(alias="größe")]


class Sentence(RootModel[list[Short]]):
    pass


PEOPLE = Schema.of(Person, VOCABULARY)
SENTENCES = Schema.of(Sentence, VOCABULARY)

shorts = st.text(max_size=3)
shares = st.integers(-499, 1000).map(lambda thousandths: thousandths / 1000)
people = st.builds(
    Person,
    name=st.text(min_size=1, max_size=8),
    mood=st.sampled_from(["happy", "happier", "sad", "né", "nè", 1, 12]),
    age=st.integers(-3, 119),
    share=shares,
    note=st.none() | shorts,
    known=st.booleans() | st.just("perhaps"),
    tags=st.lists(st.integers(-(10**12), 10**12) | shorts, min_size=1, max_size=3),
    pet=st.none()
    | st.builds(Cat, kind=st.just("cat"), lives=st.integers(1, 9))
    | st.builds(Dog, kind=st.just("dog"), names=st.lists(shorts, max_size=2)),
    größe=st.integers(-5, 2) | shares.map(abs),
)


def canonical(model):
    return json.dumps(model.model_dump(mode="json", by_alias=True), ensure_ascii=False)


def spell(schema, tokens):
    """Whether the tokens, each allowed in its turn, make a whole document."""
    constraint = schema.begin()
    for token in tokens:
        if not constraint.allows(token):
            return False
        constraint.take(token)
    return constraint.done


def accepts(schema, text):
    return spell(schema, VOCABULARY.bytewise(text))


def allowed_bytes(constraint):
    return [byte for byte in range(256) if constraint.allows(byte)]


def walk(schema, chooser):
    """Write a document as an engine does, by tokens that the chooser picks; yields the constraint before each choice."""
    constraint, written = schema.begin(), []
    while not constraint.done:
        yield constraint, written
        tokens = VOCABULARY.tokenize_on(constraint.forced()) or [int(chooser.choice(np.flatnonzero(constraint.mask())))]
        for token in tokens:
            constraint.take(token)
            written.append(token)
    yield constraint, written


def text_of(tokens):
    return b"".join(VOCABULARY.pieces[token] for token in tokens).decode()


choosers = st.integers(0, 2**32).map(random.Random)


@pytest.mark.parametrize("schema", [PEOPLE, SENTENCES], ids=["object", "array"])
@settings(deadline=None, max_examples=25)
@given(choosers)
def test_whatever_is_chosen_ends_within_the_bound_as_a_valid_document(schema, chooser):
    *_, (constraint, tokens) = walk(schema, chooser)

    text = text_of(tokens)
    schema.validate(text)
    assert len(text) <= schema.longest
    assert constraint.forced() == ""
    assert not constraint.mask().any()


@settings(deadline=None, max_examples=6)
@given(choosers)
def test_the_mask_allows_what_allows_allows(chooser):
    for constraint, _ in walk(PEOPLE, chooser):
        mask = constraint.mask()

        assert mask.shape == (VOCABULARY.size,)
        assert mask.tolist() == [constraint.allows(token) for token in range(VOCABULARY.size)]


@settings(deadline=None, max_examples=6)
@given(choosers)
def test_forced_text_is_the_only_one_and_goes_as_far_as_it_can(chooser):
    for constraint, written in walk(PEOPLE, chooser):
        forced = constraint.forced()
        ahead = PEOPLE.begin()
        for token in written:
            ahead.take(token)
        for byte in forced.encode():
            assert allowed_bytes(ahead) == [byte]
            ahead.take(byte)

        assert ahead.done or len(allowed_bytes(ahead)) > 1 or _inside_a_character(ahead)


def _inside_a_character(constraint):
    (byte,) = allowed_bytes(constraint)
    return byte >= 0x80


@settings(deadline=None, max_examples=25)
@given(people)
def test_every_canonical_document_can_be_written_by_bytes_and_by_longer_tokens(person):
    text = canonical(person)

    assert spell(PEOPLE, VOCABULARY.bytewise(text))
    assert spell(PEOPLE, VOCABULARY.tokenize(text))
    assert PEOPLE.validate(text) == person
    assert len(text) <= PEOPLE.longest


@settings(deadline=None, max_examples=60)
@given(st.lists(shorts, max_size=4), st.data())
def test_no_text_is_a_document_that_does_not_validate(words, data):
    raw = bytearray(canonical(Sentence(words)).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))

    if spell(SENTENCES, raw):
        SENTENCES.validate(raw.decode())


def test_control_tokens_and_ends_of_generation_are_never_allowed():
    constraint = PEOPLE.begin()
    for token in VOCABULARY.tokenize('{"name": "'):
        constraint.take(token)

    text = "".join(VOCABULARY.pieces[token].decode() for token in VOCABULARY.ends)
    never = [*VOCABULARY.ends, *(token for token, piece in enumerate(VOCABULARY.pieces) if not piece)]
    assert spell(PEOPLE, VOCABULARY.bytewise(canonical(_person(name=text))))
    assert not any(map(constraint.allows, never))
    assert not constraint.mask()[never].any()


def _person(name):
    return Person.model_validate(
        {"name": name, "mood": "sad", "age": 1, "note": None, "known": True, "tags": [1], "pet": None, "größe": 1},
    )


def test_a_token_that_may_not_come_is_not_taken():
    constraint = PEOPLE.begin()

    with pytest.raises(ValueError, match="may not come here"):
        constraint.take(VOCABULARY.tokenize("the")[0])

    assert constraint.forced() == '{"name": "'


@pytest.mark.parametrize(
    ("before", "forced"),
    [
        ("", '{"name": "'),
        ('{"na', 'me": "'),
        ('{"name": "a', ""),
        ('{"name": "abcdefgh', '", "mood": '),
        ('{"name": "a", "mood": "s', 'ad", "age": '),
        ('{"name": "a", "mood": "happ', ""),
        ('{"name": "a", "mood": "happi', 'er", "age": '),
        ('{"name": "a", "mood": "n', ""),
        ('{"name": "a", "mood": "né", "age": 119', ', "share": '),
        ('{"name": "a", "mood": 12', ', "age": '),
    ],
)
def test_what_leaves_no_choice_is_forced(before, forced):
    constraint = PEOPLE.begin()
    for token in VOCABULARY.bytewise(before):
        constraint.take(token)

    assert constraint.forced() == forced


def test_forced_text_ends_before_a_character_that_is_not_decided():
    class Vowel(BaseModel):
        x: Literal["né", "nè"]

    assert Schema.of(Vowel, VOCABULARY).begin().forced() == '{"x": "n'


def test_another_token_than_the_one_asked_about_may_be_taken():
    constraint = SENTENCES.begin()
    bracket, bracket_and_quote = VOCABULARY.tokenize("[")[0], VOCABULARY.tokenize('["')[0]

    assert constraint.allows(bracket_and_quote)
    constraint.take(bracket)

    assert not constraint.allows(ord("a"))


def test_a_token_may_close_a_string_and_go_on_with_what_is_forced():
    (quote_and_more,) = VOCABULARY.tokenize('", "')

    assert spell(SENTENCES, [*VOCABULARY.bytewise('["a'), quote_and_more, *VOCABULARY.bytewise('b"]')])


@pytest.mark.parametrize(
    "text",
    ['["é日🙂"]', '["\\u00e9\\n\\""]', '["\\ud7ff\\uE000"]', '["\\u0000\x7f"]', "[]", '["abc"]', '["\\/\\b\\t"]'],
)
def test_strings_hold_any_character_as_itself_or_escaped(text):
    assert accepts(SENTENCES, text)
    SENTENCES.validate(text)


@pytest.mark.parametrize(
    "text",
    [
        '["abcd"]',
        '["\\u00e9\\u00e9\\u00e9\\u00e9"]',
        '["\n"]',
        '["\\x"]',
        '["\\ud83d\\ude00"]',
        '["\\uDC00"]',
        '["a","b"]',
        '["a", ]',
        '[ "a"]',
        "[1]",
    ],
)
def test_strings_hold_no_more_than_they_may(text):
    assert not accepts(SENTENCES, text)


@pytest.mark.parametrize(
    "raw", [b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b'\xc3"']
)
def test_bytes_that_are_no_utf_8_never_complete(raw):
    assert not spell(SENTENCES, b'["' + raw + b'"]')


def test_a_character_may_be_written_by_tokens_that_cut_it():
    cut = VOCABULARY.pieces.index(b"\xe6\x97")
    rest = VOCABULARY.pieces.index(b"\xa5\xe6")

    assert spell(SENTENCES, [*b'["', cut, rest, *b'\x9c\xac"]'])


def test_a_vocabulary_without_all_bytes_uses_whole_characters_only():
    vocabulary = SmallVocabulary((*WHOLE, *LONGER, *HALVES, b"</s>"))
    constraint = Schema.of(Sentence, vocabulary).begin()
    for token in vocabulary.tokenize('["'):
        constraint.take(token)

    halves = [vocabulary.pieces.index(piece) for piece in HALVES]
    assert constraint.mask()[vocabulary.pieces.index("é日".encode())]
    assert not constraint.mask()[halves].any()
    assert not any(map(constraint.allows, halves))


def test_what_has_no_bound_gets_the_documented_one():
    class Open(BaseModel):
        text: str
        numbers: list[Literal[1]]

    schema = Schema.of(Open, VOCABULARY)

    def document(length, items):
        return json.dumps({"text": "x" * length, "numbers": [1] * items})

    assert accepts(schema, document(DEFAULT_MAX_LENGTH, DEFAULT_MAX_ITEMS))
    assert not accepts(schema, document(DEFAULT_MAX_LENGTH + 1, 0))
    assert not accepts(schema, document(0, DEFAULT_MAX_ITEMS + 1))


def test_an_object_is_written_whole_in_the_order_of_its_fields():
    class Later(BaseModel):
        zebra: bool = True
        ant: None = None
        empty: "Nothing"

    class Nothing(BaseModel):
        pass

    Later.model_rebuild(_types_namespace={"Nothing": Nothing})
    schema = Schema.of(Later, VOCABULARY)

    assert accepts(schema, '{"zebra": false, "ant": null, "empty": {}}')
    assert not accepts(schema, '{"ant": null, "zebra": false, "empty": {}}')
    assert not accepts(schema, '{"zebra": false, "empty": {}}')


def test_generations_of_one_schema_do_not_touch_each_other():
    first, second = SENTENCES.begin(), SENTENCES.begin()
    first.take(VOCABULARY.tokenize("[")[0])

    assert second.forced() == "["
