"""Ids of documents: given, or from their content; what comes twice, and what ended before."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.cli.intake.choices import Ids
from smallmesh.cli.intake.lines import BadLine, Ended, LineReader, Skipped, Submission
from smallmesh.cli.intake.records import Record
from smallmesh.cli.intake.seen import Place, Seen
from smallmesh_contracts import Address, DataClass, ErrorCode, Lane, decode_task, digest_of


def reader(tenant="shop", data_class=DataClass.INTERNAL, lane=Lane.BULK, **more):
    return LineReader(tenant, data_class, lane, **more)


def id_of(line, **more):
    return reader(**more).read(1, line).address.task_id


# ---------------------------------------------------------------- ids from content


def test_the_same_content_has_the_same_id_in_every_run_and_however_it_is_written():
    first = id_of(b'{"text": "hello", "wanted": ["sentiment"]}')

    assert first == id_of(b'{"wanted":["sentiment"],  "text":"hell\\u006f"}\n')
    assert Address("shop", DataClass.INTERNAL, first).is_valid()
    digest = digest_of(b'{"text":"hello","wanted":["sentiment"]}')
    assert first == hashlib.sha256(f"shop.internal.{digest}".encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    "other",
    [
        id_of(b'{"text": "hello!"}'),
        id_of(b'{"text": "hello", "wanted": ["sentiment"]}'),
        id_of(b'{"text": "hello", "metadata": {"n": 1}}'),
        id_of(b'{"text": "hello"}', tenant="other"),
        id_of(b'{"text": "hello"}', data_class=DataClass.PUBLIC),
        id_of(b'{"text": "hello"}', defaults={"instruction": "why?"}),
    ],
)
def test_other_content_or_another_owner_has_another_id(other):
    assert other != id_of(b'{"text": "hello"}')


def test_the_lane_is_no_part_of_the_content():
    assert id_of(b'{"text": "hello"}', lane=Lane.INTERACTIVE) == id_of(b'{"text": "hello"}')


def test_an_option_and_a_line_that_say_the_same_make_the_same_task():
    assert id_of(b'{"text": "hello"}', defaults={"wanted": ("summary",)}) == id_of(b'{"text": "hello", "wanted": ["summary"]}')


def test_who_wants_new_ids_gets_them_and_given_ones_stay():
    lines = reader(ids=Ids.RANDOM)

    ids = [lines.read(n, b'{"text": "hello"}').address.task_id for n in range(1, 4)]

    assert len(set(ids)) == 3
    assert lines.read(4, b'{"id": "mine", "text": "hello"}').address.task_id == "mine"


# ---------------------------------------------------------------- twice in one input


def test_a_line_that_says_what_one_above_says_is_the_same_task():
    lines = reader()
    lines.read(1, b'{"text": "x"}')
    lines.read(2, b'{"id": "a", "text": "x"}')

    assert lines.read(3, b'{"text":"x"}') == Skipped(3)
    assert lines.read(4, b'{"text": "x", "id": "a"}') == Skipped(4)
    assert isinstance(lines.read(5, b'{"text": "y"}'), Submission)


def test_an_id_with_something_else_in_it_is_an_error_that_names_the_first():
    lines = reader()
    lines.take(Record(4, b'{"id": "a", "text": "x"}', "one.jsonl"))

    again = lines.take(Record(1, b'{"id": "a", "text": "y"}', "two.jsonl"))

    assert isinstance(again, BadLine)
    assert (again.error.code, again.task_id, again.file) == (ErrorCode.ID_CONFLICT, "a", "two.jsonl")
    assert "one.jsonl line 4" in again.error.message


def test_an_id_may_come_in_each_class():
    lines = reader()
    lines.read(1, b'{"id": "a", "text": "x"}')

    assert isinstance(lines.read(2, b'{"id": "a", "text": "y", "data_class": "public"}'), Submission)


def test_the_id_of_a_bad_line_is_told_and_stays_free():
    lines = reader()

    bad = lines.read(1, json.dumps({"id": "a", "text": "x", "instruction": "y" * 9_000}).encode())

    assert (bad.error.code, bad.task_id) == (ErrorCode.TOO_LONG, "a")
    assert isinstance(lines.read(2, b'{"id": "a", "text": "y"}'), Submission)


def test_what_is_no_id_is_not_repeated():
    assert reader().read(1, b'{"id": "a b", "text": "x"}').task_id is None


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
values = st.recursive(st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | texts, lambda v: st.lists(v, max_size=3))
tasks = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "id": st.text("ab_. ", max_size=4),
        "wanted": st.lists(st.sampled_from(["summary", "Summary", ""]), max_size=2),
        "instruction": st.sampled_from(["why?", "y" * 8192, "y" * 8193, "ü" * 4097]) | texts,
        "metadata": st.dictionaries(texts, values, max_size=3) | st.sampled_from([{"a": "z" * 8184}, {"a": "z" * 8185}]),
        "timeout_s": st.sampled_from([0, 1, 0.5, 1e9]),
        "version": st.sampled_from(["1.0", "1.9", "2.0", "01", "x"]),
        "lane": st.sampled_from(["bulk", "interactive", "fast"]),
    },
)


@settings(deadline=None, max_examples=300)
@given(tasks)
def test_what_is_submitted_the_contracts_own_reader_takes(task):
    """Small bodies are not read a second time before they are submitted; what is let through must be right all the same."""
    read = reader().read(1, json.dumps(task).encode())

    if isinstance(read, Submission):
        taken = decode_task(read.body, read.address, read.lane)
        assert taken.text == task["text"]
        assert taken.metadata == task.get("metadata", {})
        assert read.digest == digest_of(read.body)


# ---------------------------------------------------------------- what ended before


@pytest.fixture
def ended():
    return Ended()


def test_what_ended_in_an_earlier_run_is_passed_over(ended):
    ended.task(Address("shop", DataClass.INTERNAL, "a"))
    ended.task(Address("shop", DataClass.INTERNAL, "b"), failed=True)
    ended.bad_line("", 3)
    lines = reader(ended=ended)

    read = [lines.read(n, line) for n, line in enumerate((b'{"id": "a", "text": "x"}', b'{"id": "b", "text": "x"}', b"no", b"no"), 1)]

    assert read[:3] == [Skipped(1, before=True), Skipped(2, before=True, failed=True), Skipped(3, before=True, failed=True)]
    assert isinstance(read[3], BadLine)
    assert (ended.met, len(ended)) == (3, 3)


def test_of_another_tenant_or_class_nothing_has_ended(ended):
    ended.task(Address("shop", DataClass.PUBLIC, "a"))
    ended.task(Address("other", DataClass.INTERNAL, "a"))

    assert isinstance(reader(ended=ended).read(1, b'{"id": "a", "text": "x"}'), Submission)


def test_the_result_of_something_else_under_the_same_id_is_no_result_of_this_one(ended):
    ended.task(Address("shop", DataClass.INTERNAL, "a"), digest_of(b'{"text":"x"}'))

    same = reader(ended=ended).read(1, b'{"id": "a", "text": "x"}')
    other = reader(ended=ended).read(1, b'{"id": "a", "text": "y"}')

    assert same == Skipped(1, before=True)
    assert isinstance(other, BadLine)
    assert other.error.code is ErrorCode.ID_CONFLICT


def test_what_was_reported_as_such_is_not_reported_again(ended):
    ended.task(Address("shop", DataClass.INTERNAL, "a"), digest_of(b'{"text":"x"}'))
    ended.bad_line("", 1)

    assert reader(ended=ended).read(1, b'{"id": "a", "text": "y"}') == Skipped(1, before=True, failed=True)


# ---------------------------------------------------------------- remembering


@settings(deadline=None)
@given(st.lists(st.tuples(texts, st.integers(0, 2**20), st.integers(0, 2**40 - 1), st.integers(0, 2**32 - 1)), max_size=60))
def test_the_first_place_of_a_name_is_remembered(names):
    seen, expected = Seen(), {}
    for name, file, line, digest in names:
        place = Place(file, line, digest)

        assert seen.add(name, place) == expected.get(name)
        expected.setdefault(name, place)

    assert {name: seen.find(name) for name in expected} == expected
    assert len(seen) == len(expected)


def test_many_names_are_all_found_and_no_others():
    seen = Seen()
    for number in range(20_000):
        assert seen.add(f"shop.internal.{number}", Place(0, number + 1)) is None

    assert all(seen.find(f"shop.internal.{number}") == Place(0, number + 1) for number in range(20_000))
    assert not any(seen.find(f"shop.public.{number}") for number in range(20_000))


def test_a_name_costs_a_few_bytes_whatever_its_length():
    seen = Seen()
    for number in range(20_000):
        seen.add(f"{number}" * 10, Place(0, number))

    held = sum(one.itemsize * len(one) for one in (seen._keys, seen._rests, seen._places))
    assert held <= 72 * 20_000
