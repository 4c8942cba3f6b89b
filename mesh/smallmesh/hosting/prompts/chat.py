"""A GGUF's own chat template: turns of a conversation into the text that the model was trained on."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from smallmesh.hosting.card import ModelError
from smallmesh.hosting.prompts.pack import PromptPack

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

BOS, EOS = "\ue002", "\ue003"
"""Stand in the rendered text where the template puts ``bos_token`` and ``eos_token``: how these are written need not be known."""
TODAY = dt.date(2024, 7, 26)
"""What a template that asks for the date is told, every day: the same prompt has to mean the same answer."""
_ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def marker(field: str) -> str:
    """Return what stands in a turn for a field that is filled in later, as tokens."""
    return f"\ue000{field}\ue001"


def turns_of(pack: PromptPack) -> tuple[Turn, ...]:
    """Return a pack as a conversation, with markers where the fields of the last turn go."""
    shown = [Turn("system", pack.system)]
    for example in pack.examples:
        shown += [Turn("user", pack.filled(example.fields)), Turn("assistant", example.output)]
    return (*shown, Turn("user", pack.filled({field: marker(field) for field in pack.fields})))


class ChatTemplate:
    """A compiled template, run in jinja2's sandbox: it comes with a model, from anybody."""

    def __init__(self, source: str | None, owner: str) -> None:
        """Compile the template of the model called ``owner``.

        Raises:
            ModelError: There is none, or it is no template.
        """
        import jinja2  # noqa: PLC0415 - only a process that hosts an instruct model pays for it

        if not source:
            msg = (
                f"{owner} has no chat template (tokenizer.chat_template in its GGUF): no instruct model, or converted without its template"
            )
            raise ModelError(msg)
        self.sha256 = hashlib.sha256(source.encode()).hexdigest()
        self._owner = owner
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            msg = f"the chat template of {owner} cannot be read: {error}"
            raise ModelError(msg) from error

    def render(self, turns: Sequence[Turn]) -> str:
        """Return a conversation up to where the model's answer begins.

        A template that has no place for a system text gets it in front of the first user turn. Some put a space or an empty
        thought before every answer; that is part of what is returned.

        Raises:
            ModelError: The template refuses the conversation, or leaves part of it out.
        """
        try:
            return self._opened(turns)
        except ModelError:
            if turns[0].role != "system":
                raise
        return self._opened(_folded(turns))

    def _opened(self, turns: Sequence[Turn]) -> str:
        opened = self._whole(turns, opens=True)
        try:
            answered = self._whole((*turns, Turn("assistant", marker(_ANSWER))), opens=False)
        except ModelError:
            return opened
        before = answered.partition(marker(_ANSWER))[0]
        return before if before.startswith(opened) else opened

    def _whole(self, turns: Sequence[Turn], *, opens: bool) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            text = self._template.render(
                messages=messages, add_generation_prompt=opens, bos_token=BOS, eos_token=EOS, tools=None, enable_thinking=False
            )
        except Exception as error:
            msg = f"the chat template of {self._owner} refuses the conversation: {type(error).__name__}: {error}"
            raise ModelError(msg) from error
        for turn in turns:
            if turn.content not in text:
                msg = f"the chat template of {self._owner} leaves part of the conversation out: the {turn.role} turn {turn.content[:60]!r}"
                raise ModelError(msg)
        return text


def _folded(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    system, first, *others = turns
    return (Turn(first.role, f"{system.content}\n\n{first.content}"), *others)


def _environment() -> "ImmutableSandboxedEnvironment":
    """Return jinja2 as chat templates expect it: these settings, these helpers."""
    from jinja2.exceptions import TemplateError  # noqa: PLC0415 - see ChatTemplate
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - see ChatTemplate

    from smallmesh.hosting.prompts.generation import GenerationBlock  # noqa: PLC0415 - see ChatTemplate

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    # What is rendered is a prompt, no HTML: nothing is to be escaped.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, autoescape=False, extensions=["jinja2.ext.loopcontrols", GenerationBlock]
    )
    environment.filters["tojson"] = _tojson
    helpers: Mapping[str, Any] = {"raise_exception": refuse, "strftime_now": TODAY.strftime}
    environment.globals.update(helpers)
    return environment


def _tojson(value: object, indent: int | None = None, ensure_ascii: bool = False, sort_keys: bool = False) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, sort_keys=sort_keys)
