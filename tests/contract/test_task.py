"""What a submission may say, and what becomes of one that says something else."""

import json
import time

import pytest

from smallmesh_contracts import DEFAULT_WANTED, Address, ContractError, DataClass, ErrorCode, Lane, Task, decode_task
from smallmesh_contracts.parts import too_many_parts

SECRET = "zq7private"
"""Stands in every bad body for what a client would not want repeated in a log."""
ADDRESS = Address("acme", DataClass.INTERNAL, "t-1")
OWN = {"id": "t-1", "tenant": "acme", "data_class": "internal", "lane": "interactive"}
KIB = 1024


def _body(**fields: object) -> bytes:
    return json.dumps({"text": f"{SECRET} a text"} | fields).encode()


def _decode(body: bytes, address: Address = ADDRESS, lane: Lane = Lane.INTERACTIVE) -> Task:
    return decode_task(body, address, lane)


def _refusal(body: bytes, address: Address = ADDRESS, lane: Lane = Lane.INTERACTIVE) -> ContractError:
    with pytest.raises(ContractError) as refused:
        _decode(body, address, lane)
    return refused.value


def _text_of(size: int) -> str:
    """A text of so many UTF-8 bytes, of two- and four-byte characters as far as they go."""
    text = "é" * (size // 4) + "\U0001f600" * (size // 8)
    return text + "a" * (size - len(text.encode()))


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


GOOD = {
    "text alone": _body(),
    "all of it": _body(wanted=["analysis"], instruction="Why?", timeout_s=2.5, metadata={"a": 1}, version="1.0"),
    "fields of a newer minor version": _body(priority=9, attachments=[{"a": None}]),
    "a newer minor version": _body(version="1.7"),
    "a major version alone": _body(version="1"),
    "its own address": _body(**OWN),
    "part of its own address": _body(tenant="acme"),
    "an address of nulls": _body(id=None, tenant=None, data_class=None, lane=None),
    "nulls for what is optional": _body(instruction=None, timeout_s=None),
    "NUL in the text": _body(text="a\x00b"),
    "a pair of surrogates": b'{"text":"\\ud83d\\ude00"}',
    "an answer nobody gives": _body(wanted=["horoscope"]),
    "64 answers": _body(wanted=[f"answer_{i}" for i in range(64)]),
    "a name of 64 characters": _body(wanted=["a" * 64]),
    "the longest budget": _body(timeout_s=7 * 24 * 3600),
    "a very short budget": _body(timeout_s=0.001),
    "an empty instruction": _body(instruction=""),
    "metadata of every kind": _body(metadata={"a": [1, 1.5, "x", None, True, {"b": {}}], "": "NUL \x00"}),
    "metadata nested 100 deep": b'{"text":"a","metadata":{"a":' + _nested(100) + b"}}",
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_a_good_body_is_a_task(body):
    task = _decode(body)

    assert task.text == json.loads(body)["text"]


def test_what_a_task_does_not_say_has_its_default():
    task = _decode(b'{"text":"a"}')

    assert task == Task(text="a", wanted=DEFAULT_WANTED, instruction=None, timeout_s=None, metadata={}, version="1.0")
    assert task.wanted == ("sentiment", "entities", "summary", "complexity")


def test_what_a_task_says_arrives_unchanged():
    said = {
        "text": "a\x00b \u200b\U0001f600\r\n",
        "wanted": ["b", "a"],
        "instruction": "ß",
        "metadata": {"k": [1, None, "\x00"]},
        "timeout_s": 2.5,
        "replay_of": "t-0",
    }

    task = _decode(json.dumps(said).encode())

    assert task.model_dump(mode="json") == said | {"version": "1.0"}


BAD = {
    # the document
    "no text": b'{"wanted":["zq7private"]}',
    "empty text": _body(text="", metadata={"a": SECRET}),
    "a text of white space": _body(text=" \n\t\u3000", metadata={"a": SECRET}),
    "a text that is a number": _body(text=7_314_159),
    "a text that is null": _body(text=None),
    "a text that is a list": _body(text=[SECRET]),
    # JSON
    "nothing": b"",
    "white space": b"  \n",
    "cut off": _body()[:-1],
    "no JSON": SECRET.encode(),
    "two bodies": _body() + _body(),
    "a list": b'["zq7private"]',
    "a string": b'"zq7private"',
    "a number": b"7314159",
    "null": b"null",
    "a byte order mark": b"\xef\xbb\xbf" + _body(),
    "UTF-16": _body().decode().encode("utf-16"),
    "invalid UTF-8": b'{"text":"zq7private \xff\xfe"}',
    "a surrogate in UTF-8": b'{"text":"zq7private \xed\xa0\x80"}',
    "UTF-8 cut off": b'{"text":"zq7private \xc3"}',
    "a raw control character": b'{"text":"zq7private \x00"}',
    "a lone high surrogate": b'{"text":"zq7private \\ud800"}',
    "a lone low surrogate": b'{"text":"zq7private \\udc00 a"}',
    "a lone surrogate in metadata": b'{"text":"a","metadata":{"a":"zq7private \\ud800"}}',
    "a lone surrogate in a key": b'{"text":"a","metadata":{"zq7private \\ud800":1}}',
    "a lone surrogate in an unknown field": b'{"text":"a","zq7private":"\\ud800"}',
    "a number of 5,000 digits": b'{"text":"a","metadata":{"zq7private":' + b"9" * 5000 + b"}}",
    "200,000 brackets": b"[" * 200_000,
    "200,000 brackets, all closed": _nested(200_000),
    "200,000 objects": b'{"zq7private":' * 200_000,
    "metadata nested 200,000 deep": b'{"text":"a","metadata":{"zq7private":' + _nested(200_000) + b"}}",
    "an unknown field nested 200,000 deep": b'{"text":"a","zq7private":' + _nested(200_000) + b"}",
    # metadata
    "NaN in metadata": b'{"text":"a","metadata":{"zq7private":[NaN]}}',
    "an infinity in metadata": b'{"text":"a","metadata":{"zq7private":-Infinity}}',
    "a number in metadata that is none": b'{"text":"a","metadata":{"zq7private":1e999}}',
    "metadata that is a list": _body(metadata=[SECRET]),
    "metadata that is a string": _body(metadata=SECRET),
    "metadata that is null": _body(metadata=None),
    # what is wanted
    "nothing wanted": _body(wanted=[]),
    "wanted that is a string": _body(wanted=SECRET),
    "wanted that is null": _body(wanted=None),
    "wanted that is an object": _body(wanted={SECRET: 1}),
    "a name with a space": _body(wanted=[f"{SECRET} x"]),
    "a name in capitals": _body(wanted=[SECRET.upper()]),
    "a name with a dot": _body(wanted=[f"{SECRET}.x"]),
    "a name with a wildcard": _body(wanted=["*"]),
    "a name that ends a line": _body(wanted=[f"{SECRET}\n"]),
    "an empty name": _body(wanted=[""]),
    "a name of 65 characters": _body(wanted=[SECRET + "a" * (65 - len(SECRET))]),
    "a name that is a number": _body(wanted=[7_314_159]),
    "65 answers": _body(wanted=[f"{SECRET}_{i}" for i in range(65)]),
    # the rest
    "an instruction that is a number": _body(instruction=7_314_159),
    "an instruction that is a list": _body(instruction=[SECRET]),
    "a budget of nothing": _body(timeout_s=0),
    "a negative budget": _body(timeout_s=-7_314_159),
    "a budget longer than a week": _body(timeout_s=7 * 24 * 3600 + 0.5),
    "a budget that is a string": _body(timeout_s=SECRET),
    "a budget that is a bool": _body(timeout_s=True),
    "a budget that is NaN": b'{"text":"zq7private","timeout_s":NaN}',
    "a budget that is infinite": b'{"text":"zq7private","timeout_s":1e999}',
    "a version that is a number": _body(version=7_314_159),
    "a version that is null": _body(version=None),
    "a version that is a text": _body(version=SECRET),
    "a version of three parts": _body(version="1.0.1"),
    "a version that only begins with a number": _body(version=f"2{SECRET}"),
    "a version of five digits": _body(version="12345.0"),
    "a version that ends a line": _body(version="1.0\n"),
    # an address that is not the subject's
    "another id": _body(**OWN | {"id": SECRET}),
    "an empty id": _body(id=""),
    "an id in other letters": _body(id="T-1"),
    "an id that is a number": _body(id=7_314_159),
    "another tenant": _body(**OWN | {"tenant": SECRET}),
    "another class": _body(**OWN | {"data_class": "public"}),
    "a class nobody knows": _body(data_class=SECRET),
    "another lane": _body(**OWN | {"lane": "bulk"}),
    "a lane nobody knows": _body(lane=SECRET),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_bad_body_is_refused_soon_and_without_repeating_it(body):
    start = time.process_time()

    refused = _refusal(body)

    assert time.process_time() - start < 1.0
    assert refused.info.code is (ErrorCode.TOO_LONG if too_many_parts(body) else ErrorCode.INVALID_REQUEST)
    assert not refused.info.retryable
    _assert_silent(refused)


def _assert_silent(refused: ContractError) -> None:
    told = refused.info.message.lower()
    assert told
    assert SECRET not in told
    assert "7314159" not in told
    assert refused.__cause__ is None
    assert refused.__suppress_context__ or refused.__context__ is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (BAD["no text"], "text"),
        (BAD["empty text"], "text"),
        (BAD["wanted that is a string"], "wanted"),
        (BAD["a name with a space"], "wanted.0"),
        (BAD["NaN in metadata"], "metadata"),
        (BAD["a budget of nothing"], "timeout_s"),
        (BAD["a version that is a text"], "version"),
        (BAD["an instruction that is a number"], "instruction"),
        (BAD["another id"], "id"),
        (BAD["another tenant"], "tenant"),
        (BAD["another class"], "data_class"),
        (BAD["a class nobody knows"], "data_class"),
        (BAD["another lane"], "lane"),
    ],
)
def test_a_refusal_names_the_field(body, field):
    assert f" {field}" in f" {_refusal(body).info.message}"


def test_a_refusal_of_many_fields_stays_short():
    refused = _refusal(_body(text=1, wanted=1, instruction=1, timeout_s="x", metadata=1, version="x"))

    assert refused.info.message.endswith("; and 1 more")


@pytest.mark.parametrize(("lane", "limit"), [(Lane.INTERACTIVE, 32 * KIB), (Lane.BULK, 512 * KIB)])
def test_a_text_may_have_as_many_bytes_as_its_lane_allows_and_not_one_more(lane, limit):
    for size in (limit - 1, limit):
        assert len(_decode(_body(text=_text_of(size)), lane=lane).text.encode()) == size

    refused = _refusal(_body(text=_text_of(limit + 1)), lane=lane)

    assert refused.info.code is ErrorCode.TOO_LONG
    assert refused.info.message == f"text has {limit + 1} bytes, the limit here is {limit}"


def test_it_is_the_texts_own_bytes_that_count_not_those_of_its_escapes():
    text = "é" * (16 * KIB)
    body = _body(text=text)

    assert len(body) > 96 * KIB
    assert _decode(body).text == text


def test_an_instruction_may_have_8_kib_and_not_one_byte_more():
    assert _decode(_body(instruction="é" * (4 * KIB))).instruction == "é" * (4 * KIB)

    refused = _refusal(_body(instruction="é" * (4 * KIB) + "a"))

    assert refused.info.code is ErrorCode.TOO_LONG
    assert refused.info.message.startswith("instruction ")


@pytest.mark.parametrize("lane", Lane)
def test_metadata_may_have_8_kib_of_compact_json_and_not_one_byte_more(lane):
    metadata = {"a": [1, 2], "b": {"c": None}, "é": ""}
    room = 8 * KIB - len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode())
    fits, over = ({**metadata, "é": SECRET + "x" * (room - len(SECRET) + more)} for more in (0, 1))

    assert _decode(_body(metadata=fits), lane=lane).metadata == fits

    refused = _refusal(_body(metadata=over), lane=lane)

    assert refused.info.code is ErrorCode.TOO_LONG
    assert refused.info.message == f"metadata has {8 * KIB + 1} bytes, the limit here is {8 * KIB}"


@pytest.mark.parametrize("body", [_body(text=SECRET * 4000), _body(metadata={SECRET * 1000: SECRET}), _body(instruction=SECRET * 1000)])
def test_what_is_too_long_is_not_repeated(body):
    refused = _refusal(body)

    assert refused.info.code is ErrorCode.TOO_LONG
    _assert_silent(refused)


@pytest.mark.parametrize("version", ["2.0", "2", "0.9", "10.0", f"2.{SECRET}", "2.0.1", "01.0"])
@pytest.mark.parametrize("rest", [{}, {"text": None, "document": {"body": SECRET}}], ids=["of our shape", "of another shape"])
def test_an_unknown_major_version_is_told_so_whatever_else_the_body_holds(version, rest):
    refused = _refusal(_body(**rest, version=version))

    assert refused.info.code is ErrorCode.UNSUPPORTED_VERSION
    assert refused.info.message == f"contract version {version.partition('.')[0]}.x, this mesh speaks 1.x"
    _assert_silent(refused)


@pytest.mark.parametrize("token", ["", "a b", "ä", "a*", ">", "a\n", "a.b", "x" * 65, f"{SECRET}/x"])
@pytest.mark.parametrize("which", ["tenant", "task_id"])
def test_a_tenant_or_id_that_is_not_subject_safe_is_refused(token, which):
    given = {"tenant": "acme", "data_class": DataClass.PUBLIC, "task_id": "t-1"} | {which: token}

    refused = _refusal(_body(), Address(**given))

    assert refused.info.code is ErrorCode.INVALID_REQUEST
    assert "[A-Za-z0-9_-]{1,64}" in refused.info.message
    _assert_silent(refused)


def test_what_is_wanted_twice_is_given_once_in_the_order_of_first_mention():
    assert _decode(_body(wanted=["summary", "entities", "summary", "sentiment", "entities"])).wanted == ("summary", "entities", "sentiment")


@pytest.mark.parametrize(("lane", "default"), [(Lane.INTERACTIVE, 30.0), (Lane.BULK, 86_400.0)])
def test_the_budget_is_the_lanes_unless_the_task_names_one(lane, default):
    assert _decode(b'{"text":"a"}', lane=lane).budget_s(lane) == default
    assert _decode(_body(timeout_s=7), lane=lane).budget_s(lane) == 7.0


def test_a_task_made_in_python_is_accepted_as_it_travels():
    task = Task(text="a", wanted=("entities",), metadata={"a": [1]}, timeout_s=3.0)

    assert _decode(task.to_bytes()) == task
