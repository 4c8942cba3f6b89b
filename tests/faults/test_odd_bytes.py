"""Bytes that no well-meaning client sends, on a socket of one's own: a dead letter on the first try, and nobody restarts."""

import json

import pytest

from smallmesh_contracts import Address, DataClass, ErrorCode, Lane, Status, Task, headers, subjects
from tests.faults.hamlet import ECHO, unharmed, wire_subject
from tests.faults.raw_nats import RawNats
from tests.support.client import new_address

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(10)]

GOOD = Task(text="Hello from Lisbon.", wanted=(ECHO,)).to_bytes()
EMPTY = b'{"text": ""}'


def text_of(inside: bytes) -> bytes:
    return b'{"wanted": ["echo"], "text": "Hello ' + inside + b'"}'


BODIES = {
    "invalid UTF-8": text_of(b"\xff\xfe"),
    "a surrogate in UTF-8": text_of(b"\xed\xa0\x80"),
    "an overlong zero": text_of(b"\xc0\x80"),
    "a lone surrogate, escaped": text_of(rb"\ud800"),
    "two surrogates the wrong way round": text_of(rb"\udc00\ud800"),
    "a lone surrogate as a key of the metadata": b'{"text": "Hello", "metadata": {"\\udfff": 1}}',
    "half an escape": text_of(rb"\u12"),
    "an escape that JSON has not": text_of(rb"\x41"),
    "a NUL": text_of(b"\x00"),
    "nothing but NULs": b"\x00" * 64,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte-order mark": b"\xef\xbb\xbf" + GOOD,
}
IDS = {
    "invalid UTF-8": b"\xff\xfe",
    "half a character": b"caf\xc3",
    "a surrogate in UTF-8": b"\xed\xa0\x80",
    "a NUL": b"a\x00b",
    "a vertical tab": b"a\x0bb",
    "a form feed": b"a\x0cb",
    "a next-line sign in Latin-1": b"a\x85b",
    "four thousand letters": b"x" * 3900,
    "a wildcard": b"*",
}
VERSION = b"NATS/1.0"
HEADERS = {
    "invalid UTF-8 in a value": b"Colour: \xff\xfe",
    "invalid UTF-8 in a name": b"Col\xffour: red",
    "a NUL in a value": b"Colour: re\x00d",
    "escapes that are none": rb"Colour: %ZZ\ud800\x",
    "a name with a bracket": b"Colour(main): red",
    "a name with a space": b"Colour main: red",
    "an empty name": b": red",
    "no colon": b"Colour red",
    "a line feed alone": b"Colour: red\nShape: round",
    "a carriage return alone": b"Colour: red\rShape: round",
    "a folded line": b"Colour: red\r\n  and green",
    "a status of ours": b"Status: 503\r\nNats-Pending-Messages: many",
    "a reason of ours": b"Smallmesh-Reason: \xff\r\nSmallmesh-Deliveries: -1",
    "a broken trace": b"traceparent: \xff-\x00\r\ntracestate: =,;\xff\r\nbaggage: %%%;;==",
    "sixty thousand letters": b"Colour: " + b"x" * 65_300,
    "thirty thousand bytes that are no UTF-8": b"Colour: " + b"\xff" * 30_000,
    "five thousand names": b"\r\n".join(b"Colour%d: red" % n for n in range(3000)),
}
BLOCKS = {
    "no lines": VERSION + b"\r\n\r\n",
    "not even an end": VERSION,
    "no version": b"\xff\xff\xff\xff",
    "a status": VERSION + b" 503\r\n\r\n",
    "a status that is no UTF-8": VERSION + b" \xff\xfe\xfd oh\r\n\r\n",
    "no end": VERSION + b"\r\nColour: red",
}


async def send(hamlet, subject: bytes, body: bytes, header: bytes | None = None) -> None:
    async with RawNats.connected(hamlet.url) as raw:
        assert await raw.publish(subject, body, header=header) == []


async def dead_on_the_first_try(hamlet, subject: bytes, body: bytes, code: ErrorCode):
    """The task has failed with this code, and is a dead letter with its payload after one delivery."""
    said = subject.decode(errors="backslashreplace")
    letter = await hamlet.letter(said, within_s=5.0)
    assert (letter.payload, letter.reason.code, letter.deliveries) == (body, code, 1)
    done = await hamlet.client.done(subjects.address_of(said), within_s=5.0)
    assert (done.status, done.error.code) == (Status.FAILED, code)
    return letter


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_no_text_is_a_dead_letter_on_the_first_try(hardy, body):
    subject = wire_subject(new_address())

    async with unharmed(hardy):
        await send(hardy, subject, body)

        await dead_on_the_first_try(hardy, subject, body, ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("task_id", IDS.values(), ids=IDS.keys())
async def test_an_id_that_is_no_text_is_a_dead_letter_on_the_first_try_and_deafens_nobody(hardy, task_id):
    subject = wire_subject(new_address(), task_id)

    async with unharmed(hardy):
        await send(hardy, subject, GOOD)

        assert await hardy.serves()
        await dead_on_the_first_try(hardy, subject, GOOD, ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("lines", HEADERS.values(), ids=HEADERS.keys())
async def test_headers_that_are_none_spoil_no_task_and_no_dead_letter(hardy, lines):
    block = VERSION + b"\r\n" + lines + b"\r\n\r\n"
    good, bad = new_address(), new_address()

    async with unharmed(hardy):
        await send(hardy, wire_subject(good), GOOD, block)
        await send(hardy, wire_subject(bad), EMPTY, block)

        assert (await hardy.client.done(good, within_s=5.0)).status is Status.COMPLETED
        await dead_on_the_first_try(hardy, wire_subject(bad), EMPTY, ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
async def test_a_block_of_headers_that_is_none_spoils_no_task_and_deafens_nobody(hardy, block):
    good, bad = new_address(), new_address()

    async with unharmed(hardy):
        await send(hardy, wire_subject(good), GOOD, block)
        await send(hardy, wire_subject(bad), EMPTY, block)

        assert await hardy.serves()
        assert (await hardy.client.done(good, within_s=5.0)).status is Status.COMPLETED
        await dead_on_the_first_try(hardy, wire_subject(bad), EMPTY, ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("subject", [b"slm.v1.ask.echo", b"$SRV.INFO", b"slm.v1.run.tests.public"])
@pytest.mark.parametrize("reply", [b"_INBOX.\xff\xfe", b"_INBOX.a\x0bb", b"_INBOX.caf\xc3"])
async def test_a_reply_address_that_is_no_text_deafens_nobody(hardy, subject, reply):
    async with unharmed(hardy):
        async with RawNats.connected(hardy.url) as raw:
            assert await raw.publish(subject, GOOD, reply=reply) == []

        assert await hardy.serves()


async def test_a_zero_that_is_escaped_as_it_must_be_is_a_character_like_any_other(hardy):
    address = new_address()

    async with unharmed(hardy):
        await send(hardy, wire_subject(address), text_of(rb"\u0000 and good-bye"))

        done = await hardy.client.done(address)
    assert done.status is Status.COMPLETED
    assert done.answers[ECHO].value["said"] == "HELLO"


async def test_a_step_whose_body_is_no_text_is_a_dead_letter_on_the_first_try(hardy):
    address = Address(new_address().tenant, DataClass.INTERNAL, "step")
    subject = subjects.work(ECHO, Lane.INTERACTIVE, address)
    body = json.dumps({"digest": "0", "timeout_s": 5.0}).encode() + b"\xff"

    async with unharmed(hardy):
        await send(hardy, subject.encode(), body)

        letter = await hardy.letter(subject)
        result, _ = await hardy.client.result(address, ECHO, ECHO)
    assert (letter.payload, letter.reason.code, letter.deliveries) == (body, ErrorCode.INVALID_REQUEST, 1)
    assert result.answer.error.code is ErrorCode.INVALID_REQUEST
    assert letter.headers[headers.ORIGIN] == subject
