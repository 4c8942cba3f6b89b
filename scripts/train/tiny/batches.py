"""Batches of one task each, behind that task's prompt, as tensors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scripts.train.tiny.items import Item
from scripts.train.tiny.prompts import Asked
from smallmesh.hosting.prompts.frame import Frame
from smallmesh.hosting.prompts.pack import Example

_CHUNK = 2_048
_SHOWN_CHARACTERS = 160


@dataclass(frozen=True)
class Row:
    """Tokens of a document with what stands around it, and of its answer."""

    own: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.own) + len(self.answer)


@dataclass(frozen=True)
class Batch:
    """One step's tokens.

    Attributes:
        prefix: What all rows share.
        tokens: (rows, time); padded at the end.
        answers: Which tokens are learnt, by the state before them, (rows, time).
    """

    prefix: Tensor
    tokens: Tensor
    answers: Tensor


class Task:
    """The rows of one task, again and again in another order, in batches of similar length."""

    def __init__(self, asked: Asked, items: Sequence[Item], rng: random.Random) -> None:
        """Cut ``items`` into tokens as the engine would."""
        self._asked, self._rng = asked, rng
        frame = asked.frame()
        end = asked.vocabulary.special["<|im_end|>"]
        self.rows = [encode(frame, asked, item, end) for item in items]
        self._shown = [_example(item) for item in items[:2_000] if len(item.fields["text"]) <= _SHOWN_CHARACTERS]

    def batches(self, tokens: int) -> Iterator[Batch]:
        """Yield batches of about so many tokens, their prefix not counted, for ever."""
        while True:
            order = self._rng.sample(range(len(self.rows)), len(self.rows))
            for start in range(0, len(order), _CHUNK):
                groups = list(_groups(sorted(order[start : start + _CHUNK], key=lambda index: len(self.rows[index])), self.rows, tokens))
                self._rng.shuffle(groups)
                for group in groups:
                    yield self._batch([self.rows[index] for index in group])

    def _batch(self, rows: Sequence[Row]) -> Batch:
        prefix = self._asked.frame(self._asked.varied(self._shown, self._rng)).shared
        return batch(prefix, rows, self._asked.vocabulary.special["<|endoftext|>"])


def encode(frame: Frame, asked: Asked, item: Item, end: int) -> Row:
    """Return an item's tokens."""
    first, *others = item.answer
    answer = [*frame.answer(first), *(token for piece in others for token in asked.vocabulary.tokenize(piece)), end]
    return Row(frame.prompt(item.fields).own, tuple(answer))


def batch(prefix: Sequence[int], rows: Sequence[Row], padding: int) -> Batch:
    """Return rows as tensors."""
    time = max(map(len, rows))
    tokens = torch.full((len(rows), time), padding)
    answers = torch.zeros(len(rows), time, dtype=torch.bool)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor((*row.own, *row.answer))
        answers[index, len(row.own) : len(row)] = True
    return Batch(torch.tensor(prefix), tokens, answers)


def _groups(order: Sequence[int], rows: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    group: list[int] = []
    for index in order:
        if group and (len(group) + 1) * len(rows[index]) > tokens:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _example(item: Item) -> Example:
    return Example.model_validate({**item.fields, "output": "".join(item.answer)})


def mixed(tasks: Mapping[str, Task], tokens: Mapping[str, int], steps: int) -> Iterator[dict[str, Batch]]:
    """Yield ``steps`` times a batch of each task: steps of one task alone would each undo what the others have taught."""
    streams = {name: task.batches(tokens[name]) for name, task in tasks.items()}
    for _ in range(steps):
        yield {name: next(stream) for name, stream in streams.items()}
