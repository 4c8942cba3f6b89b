"""The grammar of a document: what is compiled once, and entered by every generation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from smallmesh.hosting.schema.content import BETWEEN
from smallmesh.hosting.schema.states import Content, Fixed, Items, Node, State, join, trie

_ESCAPED = 6
"""Characters that one may take inside a string, as ``\\u00e9``."""

_QUOTE, _OPEN, _CLOSE, _COMMA = (trie([text]) for text in ('"', "[", "]", ", "))


class Value(Protocol):
    """A part of a document."""

    @property
    def longest(self) -> int:
        """Most characters of its text."""

    def enter(self, after: State) -> State:
        """Return the place before it, given the place after it."""


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """One of some texts."""

    root: Node
    longest: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """Return what is one of these texts."""
        return cls(trie(texts), max(map(len, texts)))

    def enter(self, after: State) -> State:
        """Return the place before the texts."""
        return Fixed(self.root, after)


@dataclass(frozen=True, slots=True)
class String:
    """A string.

    Attributes:
        shortest: Least characters.
        most: Most characters, as Python counts them: an escape is one.
    """

    shortest: int
    most: int

    @property
    def longest(self) -> int:
        """Most characters of its text, quotes and escapes included."""
        return 2 + _ESCAPED * self.most

    def enter(self, after: State) -> State:
        """Return the place before its quote."""
        return Fixed(_QUOTE, Content(self, 0, BETWEEN, after))


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """One of some values; several may begin alike."""

    values: Sequence[Value]

    @property
    def longest(self) -> int:
        """Most characters of any."""
        return max(value.longest for value in self.values)

    def enter(self, after: State) -> State:
        """Return the place before all of them."""
        state = join(value.enter(after) for value in self.values)
        if state is None:
            raise ValueError("a union of no values")
        return state


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Values one after the other: an object with its keys."""

    values: Sequence[Value]

    @property
    def longest(self) -> int:
        """Most characters of all together."""
        return sum(value.longest for value in self.values)

    def enter(self, after: State) -> State:
        """Return the place before the first."""
        return reduce(lambda state, value: value.enter(state), reversed(self.values), after)


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Values of one kind in brackets.

    Attributes:
        item: Each of them.
        fewest: Least items.
        most: Most items.
    """

    item: Value
    fewest: int
    most: int

    @property
    def longest(self) -> int:
        """Most characters, brackets and commas included."""
        return 2 + self.most * self.item.longest + 2 * max(self.most - 1, 0)

    def enter(self, after: State) -> State:
        """Return the place before its bracket."""
        return Fixed(_OPEN, Items(self, 0, after))

    def proceed(self, count: int, after: State) -> State:
        """Return the place after ``count`` items: before the next one, or before the bracket that closes it."""
        close = Fixed(_CLOSE, after) if count >= self.fewest else None
        item = self.item.enter(Items(self, count + 1, after)) if count < self.most else None
        state = join((close, Fixed(_COMMA, item) if item is not None and count else item))
        if state is None:
            raise ValueError("an array that can neither go on nor end")
        return state
