"""The transcripts before any mesh has seen them: their form, the contract's own reading of them, how they are compared."""

import json
import re

import pytest
from pydantic import ValidationError

from smallmesh.bus.layout import STREAMS, stream_of
from smallmesh_contracts import ContractError, ErrorCode, decode_task, digest_of, subjects
from tests.support.transcripts import FOLDER, Step, Transcript, filled, problems, read, transcripts

PLACES = {"id": "the-id", "tenant": "acme", "trace": "ab" * 16}
PROVOKED = {
    ErrorCode.INVALID_REQUEST,
    ErrorCode.ID_CONFLICT,
    ErrorCode.TOO_LONG,
    ErrorCode.UNSUPPORTED_VERSION,
    ErrorCode.UNSUPPORTED_LANGUAGE,
    ErrorCode.UNKNOWN_ANSWER,
    ErrorCode.EXPIRED,
    ErrorCode.CANCELLED,
}
"""What a client can bring about by itself: nothing has to break, be full or be forbidden for it."""


def codes(value: object) -> set[str]:
    """Return every error code that is expected anywhere."""
    match value:
        case {"code": str(code), **rest}:
            return {code} | codes(rest)
        case dict():
            return set().union(*map(codes, value.values()))
        case list() | tuple():
            return set().union(*map(codes, value))
    return set()


def expected_codes(transcript: Transcript) -> set[str]:
    named = set().union(*(codes(step.expect.json_) for step in transcript.steps))
    reasons = [json.dumps(step.expect.headers.get("Smallmesh-Reason")) for step in transcript.steps]
    return named | {code for reason in reasons for code in re.findall(r"code\W+:\W+(\w+)", reason)}


@pytest.fixture(params=transcripts())
def transcript(request) -> Transcript:
    return read(transcripts()[request.param], PLACES)


def test_there_are_transcripts_of_every_error_that_a_client_can_provoke():
    provoked = set().union(*(expected_codes(read(path)) for path in transcripts().values()))

    assert provoked == PROVOKED


def test_a_transcript_is_named_as_its_file_and_uses_only_words_of_the_format(transcript):
    assert transcript.name in transcripts()
    assert transcript.says.endswith(".")
    assert all(code in set(ErrorCode) for code in expected_codes(transcript))


def test_what_a_transcript_awaits_is_in_a_stream_that_keeps_its_subject(transcript):
    for step in transcript.steps:
        if step.stream:
            assert stream_of(step.subject).name == step.stream
        if step.expect.stored_in:
            assert step.expect.stored_in in {stream.name for stream in STREAMS}


def submissions(transcript: Transcript) -> list[Step]:
    return [step for step in transcript.steps if step.do == "publish" and step.expect.stored_in]


@pytest.mark.parametrize("name", [name for name, path in transcripts().items() if len(submissions(read(path))) == 1])
def test_the_contracts_own_reader_takes_and_refuses_what_the_transcript_says(name):
    transcript = read(transcripts()[name], PLACES)
    (sent,) = submissions(transcript)
    end = next(step.expect.json_ for step in transcript.steps if step.stream == "SLM_DONE")

    try:
        decode_task(sent.sent(), subjects.address_of(sent.subject), subjects.lane_of(sent.subject))
        read_as = None
    except ContractError as error:
        read_as = error.info.code

    assert (end["status"] == "failed") is (read_as is not None)
    assert read_as is None or end["error"]["code"] == read_as


def test_the_digest_expected_is_the_digest_of_the_body():
    sent, done = read(transcripts()["digest"]).steps

    assert done.expect.json_["digest"] == digest_of(sent.sent())


def test_a_repetition_has_the_digest_of_the_first_and_a_conflict_has_not():
    again, other = (
        [digest_of(step.sent()) for step in read(transcripts()[name]).steps if step.do == "publish"]
        for name in ("submit_again_afterwards", "id_conflict")
    )

    assert again[0] == again[1]
    assert other[0] != other[1]


def test_every_word_of_the_format_is_explained_and_used():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    used = "".join(path.read_text(encoding="utf-8") for path in transcripts().values())

    assert set(re.findall(r'"(\$\w+)"', used)) == set(re.findall(r'"(\$\w+)"', page))
    done = {step.do for path in transcripts().values() for step in read(path).steps}
    assert done == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


# ---------------------------------------------------------------- the reader of transcripts


def test_placeholders_are_filled_in_everywhere_and_only_they():
    given = {"subject": "a.{id}", "list": ["{tenant}", "{other}", 1, None], "{id}": "{id}{id}"}

    assert filled(given, PLACES) == {"subject": "a.the-id", "list": ["acme", "{other}", 1, None], "{id}": "the-idthe-id"}


def test_a_repeated_piece_is_written_out():
    assert filled({"text": {"$repeat": ["ab", 3]}}, {}) == {"text": "ababab"}


@pytest.mark.parametrize(
    "step",
    [
        {"do": "shout", "subject": "a"},
        {"do": "publish"},
        {"do": "await", "subject": "a"},
        {"do": "heard"},
        {"do": "request", "subject": "a", "bodi": {}},
        {"do": "request", "subject": "a", "expect": {"jsn": {}}},
    ],
)
def test_a_step_that_is_not_of_the_format_is_refused(step):
    with pytest.raises(ValidationError):
        Step.model_validate(step)


# ---------------------------------------------------------------- comparing

FITS = [
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": None}, {}),
    ({"a": 1}, {"a": 1.0}),
    ([1, {"a": 2}], [1, {"a": 2, "b": 3}]),
    ({"$type": "number"}, 1.5),
    ({"$type": "boolean"}, False),
    ({"$one_of": ["a", {"b": 1}]}, {"b": 1, "c": 2}),
    ({"$pattern": "^a.c$"}, "abc"),
    ({"$between": [0, 1]}, 1),
    ({"$each": {"$type": "string"}}, ["a", "b"]),
    ({"$each": {"$type": "string"}}, []),
    ({"$contains": 2}, [1, 2]),
    ({"$all": [{"$type": "string"}, {"$pattern": "a"}]}, "a"),
    ({"$slice_of": "🎉 Zoë!"}, {"start": 2, "end": 5, "text": "Zoë"}),
]
DIFFERS = [
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {}),
    ({"a": None}, {"a": 0}),
    ({"a": 1}, [1]),
    ({"a": 1}, {"a": True}),
    ({"a": "1"}, {"a": 1}),
    ([1], [1, 2]),
    ([1], {"0": 1}),
    ({"$type": "number"}, True),
    ({"$type": "integer"}, 1.5),
    ({"$one_of": ["a", "b"]}, "c"),
    ({"$pattern": "^b"}, "abc"),
    ({"$pattern": "1"}, 1),
    ({"$between": [0, 1]}, 1.1),
    ({"$each": {"$type": "string"}}, ["a", 1]),
    ({"$each": 1}, {}),
    ({"$contains": 2}, [1]),
    ({"$all": [{"$type": "string"}, {"$pattern": "a"}]}, "b"),
    ({"$slice_of": "🎉 Zoë!"}, {"start": 3, "end": 6, "text": "Zoë"}),
    ({"$slice_of": "Zoë"}, None),
    ({"$type": "string", "$pattern": "b"}, "a"),
]


@pytest.mark.parametrize(("expected", "got"), FITS)
def test_what_is_as_expected_has_no_problems(expected, got):
    assert problems(expected, got) == []


@pytest.mark.parametrize(("expected", "got"), DIFFERS)
def test_what_is_not_as_expected_is_told(expected, got):
    assert problems(expected, got)


def test_a_problem_says_where_it_is():
    assert problems({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "json") == ["json.a[0].b: 2 is not 1"]
