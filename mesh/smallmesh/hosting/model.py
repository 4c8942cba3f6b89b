"""The model port over a GGUF encoder: texts in windows through one model thread."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from smallmesh.agent import Language, TaggedWord, Usage, WindowScores
from smallmesh.hosting.card import ModelCard, ModelError, verified_file
from smallmesh.hosting.languages import Languages
from smallmesh.hosting.sentences import Span, split_sentences
from smallmesh.hosting.tagging import TagHead
from smallmesh.hosting.thread import ModelThread
from smallmesh.hosting.windows import Window, Windower
from smallmesh.telemetry import logger
from smallmesh_contracts import ContractError, ErrorCode, Lane

if TYPE_CHECKING:
    from smallmesh.hosting.llama import Encoder

T = TypeVar("T")
TAG_OVERLAP = 32
"""Tokens that a tagged window repeats, so that a name at the seam is seen whole once."""
TOGETHER_FROM, TOGETHER_CHARACTERS = 4_000, 350
"""In texts from so many characters on, sentences of a line are tagged together, up to so many in one pass: a seventh less of the
processor. On 200 documents of six web sentences F1 was 0.678 so and 0.671 each sentence alone, on 78 golden cases 0.890 and 0.902."""
LONG_TEXT = 20_000
"""Characters from which a text is cut into sentences on another thread: health must answer within 100 ms."""
WARM_UP = "A short text to warm up the model."


@dataclass(slots=True)
class _Loaded:
    encoder: "Encoder"
    windower: Windower
    head: TagHead | None
    temperature: float

    def close(self) -> None:
        self.encoder.close()


class HostedModel:
    """One GGUF in this process, on its own thread."""

    template_sha256: str | None = None
    """An encoder has no chat template."""

    def __init__(self, card: ModelCard, folder: Path) -> None:
        """Prepare; :meth:`start` verifies, loads and warms up."""
        self.card = card
        self.n_embd = 0
        self._languages = Languages(card.languages)
        self._folder = folder
        self.thread: ModelThread[_Loaded] = ModelThread(self._load, card.id)

    async def start(self) -> None:
        """Verify the file, load it and pass one text through it.

        Raises:
            ModelError: The file is missing, altered or cannot be loaded.
        """
        self._languages.load()
        await self.thread.start()
        reader = self.reader(Lane.INTERACTIVE, Usage())
        if self.card.pooling == "rank":
            await reader.classify(WARM_UP)
        elif self.card.pooling == "none":
            await reader.tag(WARM_UP)
        else:
            await reader.embed([WARM_UP])

    @property
    def passes(self) -> int:
        """Forward passes and other jobs so far."""
        return self.thread.passes

    @property
    def turn(self) -> int | None:
        """Number of the pass or other job in hand; None where there is none."""
        return self.thread.turn

    @property
    def writes(self) -> bool:
        """An encoder writes nothing."""
        return False

    def abandon(self, why: Exception) -> None:
        """Give up a model that does not move: whoever waits for it gets ``why``."""
        self.thread.abandon(why)

    async def stop(self) -> None:
        """Finish what is queued and free the model."""
        if not await self.thread.stop():
            logger().error("model_abandoned", model_id=self.card.id)

    def language_of(self, text: str) -> Language:
        """Return a text's language, and whether the model supports it."""
        return self._languages.of(text)

    def reader(
        self,
        lane: Lane,
        usage: Usage,
        language: Language = Language(),  # noqa: B008 - it is frozen
        on_text: Callable[[str], None] | None = None,  # noqa: ARG002 - an encoder writes nothing
    ) -> "Reader":
        """Return the model port for one request, which counts into ``usage``."""
        return Reader(self, lane, usage, language)

    def _load(self) -> _Loaded:
        from smallmesh.hosting.llama import Encoder, ModelLoadError  # noqa: PLC0415 - only a process that hosts a model pays for it

        if (pooling := self.card.pooling) is None:
            raise ModelError(f"model {self.card.id} is no encoder")
        path = verified_file(self.card, self._folder)
        try:
            encoder = Encoder(path, pooling=pooling, n_threads=self.card.n_threads, window=self.card.window)
        except ModelLoadError as error:
            raise ModelError(str(error)) from error
        self.n_embd = encoder.n_embd
        head = TagHead.from_gguf(path) if self.card.pooling == "none" else None
        temperature = float(encoder.metadata().get("smallmesh.temperature", "1.0"))
        return _Loaded(encoder, Windower(encoder.tokenize, self.card.window), head, temperature)


class Reader:
    """The :class:`smallmesh.agent.Model` of one request.

    Every window is a job of its own, so other work gets its turn between windows
    and a cancelled request stops at the next one.
    """

    def __init__(self, model: HostedModel, lane: Lane, usage: Usage, language: Language) -> None:
        """Read on behalf of one request."""
        self.language = language
        self._model = model
        self._lane = lane
        self._usage = usage

    async def classify(self, text: str, *, max_windows: int | None = None) -> Sequence[WindowScores]:
        """Return calibrated label probabilities, window by window."""
        self._require("rank")
        with self._model.thread.reading(self._lane):
            scores = [scores async for _, scores in self._passes(text, _scores, limit=max_windows)]
        if not scores:
            raise ContractError(ErrorCode.INVALID_REQUEST, "the text has no word in it")
        return scores

    async def tag(self, text: str) -> Sequence[TaggedWord]:
        """Return every word with its label, a few sentences at a time, as the tagger was trained."""
        self._require("none")
        passages = _passages(text) if len(text) < LONG_TEXT else await asyncio.to_thread(_passages, text)
        with self._model.thread.reading(self._lane):
            return [word for passage in passages for word in await self._tag(passage)]

    async def _tag(self, passage: Span) -> list[TaggedWord]:
        tagged: list[TaggedWord] = []
        async for window, words in self._passes(passage.text, lambda m, w: _tags(m, w, passage.start), overlap=TAG_OVERLAP):
            half = window.new_from // 2  # of the repeated words the later half is better seen from this window
            if window.new_from:
                del tagged[len(tagged) - (window.new_from - half) :]
            tagged.extend(words[half:])
        return tagged

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text; a text of many windows gets their mean."""
        self._require("mean")
        with self._model.thread.reading(self._lane):
            vectors = [await self._embed(text) for text in texts]
        return np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)

    @property
    def writes(self) -> bool:
        """An encoder writes nothing."""
        return False

    async def write(self, text: str, **fields: str | int) -> str:  # noqa: ARG002 - the form is the port's
        """Refuse: an encoder writes nothing."""
        raise ContractError(ErrorCode.MODEL_FAILED, f"model {self._model.card.id} is an encoder: it writes nothing")

    async def _embed(self, text: str) -> NDArray[np.float32]:
        parts = [vector async for _, vector in self._passes(text, lambda m, w: m.encoder.vector(w.tokens))]
        if not parts:  # nothing but characters that no word is made of: nearest to nothing
            return np.zeros(self._model.n_embd, np.float32)
        mean = np.mean(parts, axis=0, dtype=np.float32)
        return np.asarray(mean / (np.linalg.norm(mean) or 1.0), np.float32)

    async def _passes(
        self, text: str, job: Callable[[_Loaded, Window], T], *, overlap: int = 0, limit: int | None = None
    ) -> AsyncIterator[tuple[Window, T]]:
        """Yield each window of a text with what a job makes of it; window and pass are one turn of the model's thread."""
        windows: Iterator[Window] | None = None
        ahead: Window | None = None

        def turn(model: _Loaded) -> tuple[Window, T] | None:
            nonlocal windows, ahead
            if windows is None:
                windows = itertools.islice(model.windower.windows(text, overlap=overlap), limit)
                ahead = next(windows, None)
            window, ahead = ahead, next(windows, None)
            return None if window is None else (window, job(model, window))

        more = True
        while more and (turned := await self._model.thread.run(turn, self._lane)) is not None:
            self._usage.count(len(turned[0].tokens))
            more = ahead is not None
            yield turned

    def _require(self, pooling: str) -> None:
        if self._model.card.pooling != pooling:
            raise ContractError(
                ErrorCode.MODEL_FAILED, f"model {self._model.card.id} has pooling {self._model.card.pooling}, not {pooling}"
            )


def _passages(text: str) -> list[Span]:
    """Return the sentences of a text, in a long one those of the same line together."""
    if len(text) < TOGETHER_FROM:
        return split_sentences(text)
    passages: list[Span] = []
    for sentence in split_sentences(text):
        before = passages[-1] if passages else None
        if before and sentence.end - before.start <= TOGETHER_CHARACTERS and "\n" not in text[before.end : sentence.start]:
            passages[-1] = Span(text[before.start : sentence.end], before.start, sentence.end)
        else:
            passages.append(sentence)
    return passages


def _scores(model: _Loaded, window: Window) -> WindowScores:
    logits = model.encoder.scores(window.tokens).astype(np.float64) / model.temperature
    odds = np.exp(logits - logits.max())
    probabilities = (odds / odds.sum()).tolist()
    return WindowScores(window.start, window.end, len(window.tokens), dict(zip(model.encoder.labels, probabilities, strict=True)))


def _tags(model: _Loaded, window: Window, base: int) -> list[TaggedWord]:
    if model.head is None:
        raise ContractError(ErrorCode.MODEL_FAILED, "the model has no head for tags")
    firsts = [first for first in window.firsts if first < len(window.tokens)]
    words = window.words[: len(firsts)]
    labelled = model.head.tag(model.encoder.vectors(window.tokens)[firsts], words)
    return [TaggedWord(base + w.start, base + w.end, label, p) for w, (label, p) in zip(words, labelled, strict=True)]
