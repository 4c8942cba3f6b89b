"""The model port of one request over an instruct model."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, TypeVar

from smallmesh.agent import Language, TaggedWord, Usage, WindowScores
from smallmesh.hosting.engine.port import Generated, Prompt
from smallmesh.hosting.instruct.names import MOST, Names, confidences, tagged
from smallmesh.hosting.instruct.prepared import OUTPUT, PROBLEM, Prepared, Scoring, Tagging
from smallmesh.hosting.instruct.summaries import whole_sentences
from smallmesh.hosting.instruct.windows import Window
from smallmesh.hosting.prompts.pack import TEXT
from smallmesh.hosting.schema import OutputError
from smallmesh.hosting.words import iter_words
from smallmesh_contracts import ContractError, ErrorCode, Lane

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
LONG_TEXT = 5_000
"""Characters from which a text is cut into windows on another thread: health must answer within 100 ms."""
CUT_OFF = "it is too long and was cut off"


class InstructReader:
    """The :class:`smallmesh.agent.Model` of one request.

    The windows of a text are asked about together, ``at_once`` at a time. Cancelling the request ends all of them.
    """

    def __init__(  # noqa: PLR0913 - made in one place
        self,
        prepared: Prepared,
        lane: Lane,
        usage: Usage,
        language: Language,
        *,
        at_once: int,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        """Read on behalf of one request; ``on_text`` hears a summary as it is written."""
        self.language = language
        self._prepared = prepared
        self._lane = lane
        self._usage = usage
        self._at_once = at_once
        self._on_text = on_text

    @property
    def writes(self) -> bool:
        """Whether :meth:`write` can be asked."""
        return self._prepared.writes

    async def classify(self, text: str, *, max_windows: int | None = None) -> Sequence[WindowScores]:
        """Return calibrated label probabilities, window by window."""
        scoring = self._prepared.scoring
        if scoring is None:
            self._refuse("classify: its prompt pack has no [labels]")
        windows = await self._windows(text, max_windows)
        if not windows:
            raise ContractError(ErrorCode.INVALID_REQUEST, "the text has no word in it")
        return await self._each(windows, lambda window: self._score(window, scoring))

    async def tag(self, text: str) -> Sequence[TaggedWord]:
        """Return the words of all names that the model lists and that stand in the text; other words are left out."""
        tagging = self._prepared.tagging
        if tagging is None:
            self._refuse('tag: its prompt pack has no [generate] of the form "names"')
        found = await self._each(await self._windows(text), lambda window: self._tag(text, window, tagging))
        return [word for words in found for word in words]

    async def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":  # noqa: ARG002 - the form is the port's
        """Refuse: an instruct model gives no vectors."""
        self._refuse("embed: it is an instruct model")

    async def write(self, text: str, **fields: str | int) -> str:
        """Return what the model writes about a text.

        A text of several windows is written about window by window, then what was written is, until one window holds it all.
        """
        if not self.writes:
            self._refuse('write: its prompt pack has no [generate] of the form "text"')
        shown = {name: str(value) for name, value in fields.items()}
        windows = await self._windows(text)
        while len(windows) > 1:
            parts = await self._each(windows, lambda window: self._write(window, shown))
            shorter = await self._windows("\n".join(parts))
            if len(shorter) >= len(windows):  # what is no text may have more tokens as text than it had as it was written
                raise ContractError(ErrorCode.INVALID_OUTPUT, "what the model writes about parts of the text is as long as they are")
            windows = shorter
        if not windows:
            raise ContractError(ErrorCode.INVALID_REQUEST, "the text has no word in it")
        return await self._write(windows[0], shown, self._on_text)

    # ------------------------------------------------------------ one window

    async def _score(self, window: Window, scoring: Scoring) -> WindowScores:
        choice = await self._prepared.engine.choose(self._prompt({TEXT: window.shown}), scoring.tokens, lane=self._lane)
        self._usage.count(choice.tokens)
        probabilities = scoring.calibration.probabilities(scoring.labels, choice.log_probabilities)
        return WindowScores(window.start, window.end, window.tokens, probabilities)

    async def _tag(self, text: str, window: Window, tagging: Tagging) -> list[TaggedWord]:
        """Return the names of a window. One that has more than an answer holds is read again in halves."""
        generated, names = await self._names(window, tagging)
        if names is None or len(names.entities) == MOST:
            halves = self._prepared.windower.halves(text, window)
            if len(halves) > 1:
                return [word for half in halves for word in await self._tag(text, half, tagging)]
        if names is None:
            raise ContractError(ErrorCode.INVALID_OUTPUT, f"the model's list of names was not valid: {CUT_OFF}")
        return tagged(text, window.start, window.end, names.entities, confidences(generated, len(names.entities)))

    async def _names(self, window: Window, tagging: Tagging) -> tuple[Generated, Names | None]:
        """Return a window's names, or None where they were cut off. An answer that is not valid is asked for once more."""
        fields = {TEXT: window.shown}
        generated = await self._generate(self._prompt(fields), tagging)
        try:
            return generated, _read(generated, tagging)
        except OutputError as error:
            fields |= {OUTPUT: generated.text, PROBLEM: str(error)}
        generated = await self._generate(tagging.repair.prompt(fields), tagging)
        try:
            return generated, _read(generated, tagging)
        except OutputError as error:
            raise ContractError(ErrorCode.INVALID_OUTPUT, f"the model's list of names was not valid, twice: {error}") from None

    async def _generate(self, prompt: Prompt, tagging: Tagging) -> Generated:
        constraint = tagging.schema.begin()
        generated = await self._prepared.engine.generate(prompt, most=self._prepared.most, constraint=constraint, lane=self._lane)
        self._usage.count(len(prompt.own) + generated.tokens)
        return generated

    async def _write(self, window: Window, fields: dict[str, str], on_text: Callable[[str], None] | None = None) -> str:
        prompt = self._prompt({**fields, TEXT: window.shown})
        generated = await self._prepared.engine.generate(prompt, most=self._prepared.most, lane=self._lane, on_text=on_text)
        self._usage.count(len(prompt.own) + generated.tokens)
        written = whole_sentences(generated.text, generated.ended)
        if not any(map(str.isalnum, written)):
            raise ContractError(ErrorCode.INVALID_OUTPUT, "the model wrote nothing")
        return written

    # ------------------------------------------------------------ all windows

    async def _windows(self, text: str, most: int | None = None) -> list[Window]:
        if next(iter_words(text), None) is None:
            return []
        return _cut(self._prepared, text, most) if len(text) < LONG_TEXT else await asyncio.to_thread(_cut, self._prepared, text, most)

    async def _each(self, windows: Iterable[Window], work: Callable[[Window], Awaitable[T]]) -> list[T]:
        """Return what becomes of each window, in their order; some are in hand at a time, and the first failure ends all."""
        results: dict[int, T] = {}
        rest = enumerate(windows)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(_work(rest, work, results))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [results[index] for index in sorted(results)]

    def _prompt(self, fields: dict[str, str]) -> Prompt:
        return self._prepared.frame.prompt(fields)

    def _refuse(self, why: str) -> NoReturn:
        raise ContractError(ErrorCode.MODEL_FAILED, f"the model cannot {why}")


async def _work(rest: Iterator[tuple[int, Window]], work: Callable[[Window], Awaitable[T]], results: dict[int, T]) -> None:
    for index, window in rest:
        results[index] = await work(window)


def _cut(prepared: Prepared, text: str, most: int | None) -> list[Window]:
    return list(islice(prepared.windower.windows(text), most))


def _read(generated: Generated, tagging: Tagging) -> Names | None:
    return None if generated.ended == "limit" else tagging.schema.validate(generated.text)
