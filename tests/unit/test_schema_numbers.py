"""Numbers are held within their bounds while they are written."""

from decimal import Decimal
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from smallmesh.hosting.schema import LARGEST_INTEGER, LARGEST_NUMBER, OutputError, Schema
from tests.support.vocabularies import SmallVocabulary

VOCABULARY = SmallVocabulary()


def schema_of(kind, **bounds):
    return Schema.of(create_model("Counted", n=(Annotated[kind, Field(**bounds)], ...)), VOCABULARY)


def accepts(schema, number):
    constraint = schema.begin()
    for token in VOCABULARY.bytewise(f'{{"n": {number}}}'):
        if not constraint.allows(token):
            return False
        constraint.take(token)
    return constraint.done


def ends(schema, number):
    """Whether there is always a way on, to the end, from what a number begins with."""
    constraint = schema.begin()
    for token in VOCABULARY.bytewise(f'{{"n": {number}'):
        if not constraint.allows(token):
            return True
        constraint.take(token)
        assert constraint.mask().any()
    return True


@pytest.mark.parametrize(
    "bounds",
    [
        {"ge": -25, "le": 130},
        {"gt": 7, "lt": 9},
        {"ge": 0, "le": 0},
        {"ge": 95, "le": 105},
        {"ge": -120, "lt": -99},
    ],
)
def test_an_integer_can_be_written_exactly_where_it_is_within_its_bounds(bounds):
    schema = schema_of(int, **bounds)
    model = schema.model_type

    for number in range(-150, 151):
        assert accepts(schema, number) == _valid(model, str(number)), number


@pytest.mark.parametrize(
    "bounds", [{"gt": -0.25, "le": 1.1}, {"ge": 0.5, "lt": 0.6}, {"gt": 0, "le": 1}, {"ge": -1.1, "lt": -0.9}, {"gt": 9.99, "lt": 10.02}]
)
def test_a_number_can_be_written_exactly_where_it_is_within_its_bounds(bounds):
    schema = schema_of(float, **bounds)
    model = schema.model_type

    for hundredths in [*range(-130, 131), *range(990, 1010)]:
        number = str(Decimal(hundredths) / 100)
        assert accepts(schema, number) == _valid(model, number), number


def _valid(model, number):
    try:
        model.model_validate_json(f'{{"n": {number}}}')
    except ValueError:
        return False
    return True


@settings(deadline=None, max_examples=30)
@given(st.integers(-(10**6), 10**6), st.integers(0, 10**4), st.integers(-(10**7), 10**7))
def test_no_number_is_begun_that_cannot_end(low, width, number):
    schema = schema_of(int, ge=low, le=low + width)

    assert ends(schema, number)
    assert accepts(schema, number) == (low <= number <= low + width)


@pytest.mark.parametrize("number", ["00", "01", "-0", "+1", "1.", "1.0", ".5", "1e3", "1E3", "--1", "-", "", "0x1", "1 "])
def test_an_integer_has_one_form(number):
    assert not accepts(schema_of(int), number)


@pytest.mark.parametrize("number", ["-0", "-0.0", "-0.000000", "1.", ".5", "01.5", "1.5.5", "1e3", "0.1234567", "NaN", "Infinity"])
def test_a_number_has_no_exponent_and_is_never_minus_zero(number):
    assert not accepts(schema_of(float), number)


@pytest.mark.parametrize("number", ["0", "0.0", "1.50", "-0.000001", "-12", f"{LARGEST_NUMBER}.999999"])
def test_a_number_may_have_decimals(number):
    assert accepts(schema_of(float), number)


def test_what_has_no_bound_gets_the_documented_one():
    integers, numbers = schema_of(int), schema_of(float)

    assert all(accepts(integers, number) for number in (LARGEST_INTEGER, -LARGEST_INTEGER))
    assert not any(accepts(integers, number) for number in (LARGEST_INTEGER + 1, -LARGEST_INTEGER - 1))
    assert accepts(numbers, -LARGEST_NUMBER)
    assert not accepts(numbers, LARGEST_NUMBER + 1)


def test_a_stated_bound_may_be_larger_and_costs_decimals():
    schema = schema_of(float, ge=0, le=1e12)

    assert accepts(schema, "1000000000000")
    assert accepts(schema, "999999999999.99")
    assert not accepts(schema, "999999999999.999")
    assert not accepts(schema, "1000000000000.01")


def test_a_bound_may_lie_between_two_numbers():
    schema = schema_of(float, gt=0.0000005, lt=0.0000025)

    assert [accepts(schema, f"0.00000{last}") for last in range(4)] == [False, True, True, False]


def test_an_exclusive_bound_beyond_what_a_float_keeps_apart_is_left_to_validation():
    schema = schema_of(float, lt=1e17)

    assert accepts(schema, "99999999999999999")
    with pytest.raises(OutputError, match="/n: less_than"):
        schema.validate('{"n": 99999999999999999}')
    assert not accepts(schema, "100000000000000000")


def test_a_number_that_can_only_end_is_followed_by_what_is_forced():
    constraint = schema_of(int, ge=10, le=19).begin()
    for token in VOCABULARY.tokenize('{"n": '):
        constraint.take(token)

    assert constraint.forced() == "1"
    constraint.take(VOCABULARY.tokenize("1")[0])
    assert constraint.forced() == ""
    constraint.take(VOCABULARY.tokenize("5")[0])
    assert constraint.forced() == "}"


def test_the_bound_of_characters_is_that_of_the_longest_number():
    assert schema_of(int, ge=-1, le=100).longest == len('{"n": ') + len("-100") + len("}")


def test_an_integer_or_a_number_is_written_once():
    class Loose(BaseModel):
        n: list[int | float]

    schema = Schema.of(Loose, VOCABULARY)

    assert accepts(schema, "[1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11.0]")
