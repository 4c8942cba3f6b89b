"""Conformance transcripts: read, filled in, compared and replayed. ``contracts/transcripts/README.md`` says what each word means."""

import asyncio
import base64
import contextlib
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tests.support.patience import PATIENCE_S, until

FOLDER = Path(__file__).parents[2] / "contracts" / "transcripts"
Json = Any


class Strict(BaseModel):
    """A part of a transcript: a word that its format does not have is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Refused(Strict):
    """What the broker says of a message that it does not take."""

    code: int
    err_code: int


class Expected(Strict):
    """What has to hold of an outcome; what is not named may be anything."""

    stored_in: str | None = None
    refused: Refused | None = None
    no_stream: Literal[True] | None = None
    no_responders: Literal[True] | None = None
    json_: Annotated[Json, Field(alias="json")] = None
    body_text: str | None = None
    body_base64: str | None = None
    headers: dict[str, Json] = Field(default_factory=dict)
    same_as: str | None = None


class Step(Strict):
    """One thing to do, and what to expect of it."""

    do: Literal["publish", "request", "await", "gone", "listen", "heard"]
    subject: str | None = None
    stream: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: Json = None
    body_text: str | None = None
    body_base64: str | None = None
    as_: Annotated[str | None, Field(alias="as")] = None
    on: str | None = None
    expect: Expected = Expected()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needed = {"publish": ("subject",), "request": ("subject",), "await": ("subject", "stream"), "gone": ("subject", "stream")}
        needed |= {"listen": ("subject", "as_"), "heard": ("on",)}
        missing = [name for name in needed[self.do] if getattr(self, name) is None]
        if missing:
            msg = f"{self.do} lacks {', '.join(missing)}"
            raise ValueError(msg)
        return self

    def sent(self) -> bytes:
        """Return the body's bytes."""
        if self.body_base64 is not None:
            return base64.b64decode(self.body_base64)
        return self.body_text.encode() if self.body_text is not None else json.dumps(self.body).encode()


class Transcript(Strict):
    """Steps in order, and in a sentence what they show."""

    name: str
    says: str
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


def transcripts() -> dict[str, Path]:
    """Return every transcript's file by its name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def read(path: Path, places: Mapping[str, str] | None = None) -> Transcript:
    """Read a transcript with its placeholders filled in, new ones unless they are given."""
    new = {"id": uuid.uuid4().hex, "tenant": f"t{uuid.uuid4().hex[:12]}", "trace": uuid.uuid4().hex}
    return Transcript.model_validate(filled(json.loads(path.read_text(encoding="utf-8")), {**new, **(places or {})}))


def filled(value: Json, places: Mapping[str, str]) -> Json:
    """Return a value with ``{id}`` and its like replaced in every string, and ``$repeat`` carried out."""
    match value:
        case str():
            for name, place in places.items():
                value = value.replace(f"{{{name}}}", place)
            return value
        case {"$repeat": [str(piece), int(times)]}:
            return piece * times
        case dict():
            return {key: filled(each, places) for key, each in value.items()}
        case list():
            return [filled(each, places) for each in value]
    return value


# ---------------------------------------------------------------- comparing

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def problems(expected: Json, got: Json, at: str = "") -> list[str]:
    """Return where a value is not what was expected: nothing, if it is."""
    match expected:
        case dict() if [key for key in expected if key.startswith("$")]:
            return [f"{at or '.'}: {got!r} is not {name} {said!r}" for name, said in expected.items() if not _MATCHERS[name](said, got)]
        case dict():
            if not isinstance(got, dict):
                return [f"{at or '.'}: {got!r} is no object"]
            return [line for key, each in expected.items() for line in problems(each, got.get(key), f"{at}.{key}")]
        case list():
            if not isinstance(got, list) or len(got) != len(expected):
                return [f"{at or '.'}: {got!r} is no list of {len(expected)}"]
            return [line for n, each in enumerate(expected) for line in problems(each, got[n], f"{at}[{n}]")]
    same = isinstance(expected, bool) == isinstance(got, bool) and expected == got  # to Python True is 1
    return [] if same else [f"{at or '.'}: {got!r} is not {expected!r}"]


def _is_slice(text: str, got: Json) -> bool:
    return isinstance(got, dict) and text[got["start"] : got["end"]] == got["text"]


_MATCHERS = {
    "$type": lambda name, got: isinstance(got, _TYPES[name]) and (name == "boolean" or not isinstance(got, bool)),
    "$one_of": lambda values, got: any(not problems(value, got) for value in values),
    "$pattern": lambda pattern, got: isinstance(got, str) and re.search(pattern, got) is not None,
    "$between": lambda ends, got: isinstance(got, int | float) and ends[0] <= got <= ends[1],
    "$each": lambda each, got: isinstance(got, list) and all(not problems(each, one) for one in got),
    "$contains": lambda wanted, got: isinstance(got, list) and any(not problems(wanted, one) for one in got),
    "$all": lambda wanted, got: all(not problems(one, got) for one in wanted),
    "$slice_of": _is_slice,
}


# ---------------------------------------------------------------- replaying


class Replay:
    """Replays transcripts over one connection, with a plain NATS client."""

    def __init__(self, client: Client) -> None:
        """Replay over this connection."""
        self._client = client
        self._js = client.jetstream()
        self._kept: dict[str, tuple[bytes, int]] = {}
        self._listening: dict[str, Subscription] = {}

    async def all_of(self, transcript: Transcript) -> list[str]:
        """Do every step; return what was not as expected in the first step that was not."""
        try:
            for number, step in enumerate(transcript.steps, 1):
                found = await getattr(self, f"_{step.do}")(step)
                if found:
                    return [f"{transcript.name}, step {number} ({step.do}): {line}" for line in found]
            return []
        finally:
            for subscription in self._listening.values():
                await subscription.unsubscribe()

    async def _publish(self, step: Step) -> list[str]:
        expected = step.expect.model_dump(include={"stored_in", "refused", "no_stream"}, exclude_none=True)
        return problems(expected, await self._published(step))

    async def _published(self, step: Step) -> dict[str, Json]:
        try:
            stored = await self._js.publish(step.subject, step.sent(), headers=step.headers or None)
        except NoStreamResponseError:
            return {"no_stream": True}
        except APIError as error:
            return {"refused": {"code": error.code, "err_code": error.err_code}}
        return {"stored_in": stored.stream}

    async def _request(self, step: Step) -> list[str]:
        try:
            reply = await self._client.request(step.subject, step.sent(), timeout=PATIENCE_S, headers=step.headers or None)
        except nats.errors.NoRespondersError:
            return [] if step.expect.no_responders else ["nobody answers"]
        return _differences(step.expect, reply.data, reply.headers)

    async def _await(self, step: Step) -> list[str]:
        body, headers, seq = await until(lambda: self._stored(step), f"something under {step.subject}")
        if step.as_:
            self._kept[step.as_] = (body, seq)
        if step.expect.same_as and self._kept[step.expect.same_as] != (body, seq):
            return [f"not the same as {step.expect.same_as}"]
        return _differences(step.expect, body, headers)

    async def _gone(self, step: Step) -> list[str]:
        async def nothing() -> bool:
            return await self._stored(step) is None

        await until(nothing, f"nothing under {step.subject}")
        return []

    async def _stored(self, step: Step) -> tuple[bytes, dict[str, str], int] | None:
        try:
            found = await self._js.get_last_msg(step.stream, step.subject, direct=True)
        except NotFoundError:
            return None
        return found.data or b"", found.headers or {}, found.seq or 0

    async def _listen(self, step: Step) -> list[str]:
        self._listening[step.as_ or ""] = await self._client.subscribe(step.subject)
        return []

    async def _heard(self, step: Step) -> list[str]:
        """Wait for a message that is as expected; others pass by here too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                async for message in self._listening[step.on or ""].messages:
                    if not _differences(step.expect, message.data, message.headers):
                        return []
        return [f"nothing like it on {step.on} within {PATIENCE_S:.0f} s"]


def _differences(expected: Expected, body: bytes, headers: Mapping[str, str] | None) -> list[str]:
    found = problems(expected.headers, dict(headers or {}), "headers")
    if expected.json_ is not None:
        found += problems(expected.json_, _parsed(body), "json")
    if expected.body_text is not None:
        found += problems(expected.body_text, body.decode(), "body")
    if expected.body_base64 is not None:
        found += problems(expected.body_base64, base64.b64encode(body).decode(), "body")
    return found


def _parsed(body: bytes) -> Json:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
