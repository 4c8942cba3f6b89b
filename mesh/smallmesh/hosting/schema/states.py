"""Where a document is: immutable states over bytes, each of which knows what comes after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from smallmesh.hosting.schema.content import BEGINNINGS, BETWEEN, CLOSED, DEAD, FIRSTS, QUOTE, STEPS


class State(Protocol):
    """A place in a document."""

    def step(self, byte: int) -> State | None:
        """Return the place after a byte, or None where it may not come."""

    def firsts(self) -> Collection[int]:
        """Return the bytes that may come: exactly those for which ``step`` returns a place."""


class Bounds(Protocol):
    """How many characters a string has."""

    @property
    def shortest(self) -> int:
        """Least characters."""

    @property
    def most(self) -> int:
        """Most characters."""


class Repeated(Protocol):
    """What stands in brackets, some number of times."""

    def proceed(self, count: int, after: State) -> State:
        """Return the place after ``count`` items, given the place after the bracket that closes."""


class Done(NamedTuple):
    """The end of the document: nothing may follow."""

    def step(self, _byte: int) -> State | None:
        """Refuse every byte."""
        return None

    def firsts(self) -> Collection[int]:
        """Return none."""
        return ()


DONE = Done()


class Node:
    """A place in a trie of fixed texts.

    Attributes:
        children: The places after it, by byte.
        ends: Whether one of the texts ends here.
    """

    __slots__ = ("children", "ends")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.ends = False


def trie(texts: Iterable[str]) -> Node:
    """Return the root of a trie of texts, none of them empty."""
    root = Node()
    for text in texts:
        node = root
        for byte in text.encode():
            node = node.children.setdefault(byte, Node())
        node.ends = True
    return root


class Fixed(NamedTuple):
    """Within one of some fixed texts."""

    node: Node
    after: State

    def step(self, byte: int) -> State | None:
        """Go on within a text, or beyond one that ends here."""
        node = self.node.children.get(byte)
        own = None if node is None else Fixed(node, self.after) if node.children else self.after
        return join((own, self.after.step(byte))) if self.node.ends else own

    def firsts(self) -> Collection[int]:
        """Return how the texts go on, and what follows one that ends here."""
        own = self.node.children.keys()
        return own | set(self.after.firsts()) if self.node.ends else own


class Content(NamedTuple):
    """Inside the quotes of a string; ``length`` characters have begun, ``within`` is the place in the last one."""

    bounds: Bounds
    length: int
    within: int
    after: State

    def step(self, byte: int) -> State | None:
        """Go on within a character, begin one where there is room, or close the string where it is long enough."""
        within, length = STEPS[self.within][byte], self.length
        if within == DEAD:
            return None
        if within == CLOSED:
            return self.after if length >= self.bounds.shortest else None
        if self.within == BETWEEN:
            length += 1
        return Content(self.bounds, length, within, self.after) if length <= self.bounds.most else None

    def firsts(self) -> Collection[int]:
        """Return what may stand here, the quote only of a string that is long enough."""
        if self.within != BETWEEN:
            return FIRSTS[self.within]
        if self.length == self.bounds.most:
            return QUOTE
        return FIRSTS[BETWEEN] if self.length >= self.bounds.shortest else BEGINNINGS


class Items(NamedTuple):
    """After ``reached`` items of an array, or after its bracket."""

    items: Repeated
    reached: int
    after: State

    def _open(self) -> State:
        return self.items.proceed(self.reached, self.after)

    def step(self, byte: int) -> State | None:
        """Go on to the next item, or close the array."""
        return self._open().step(byte)

    def firsts(self) -> Collection[int]:
        """Return how the next item begins, and how the array ends, as far as each may."""
        return self._open().firsts()


class Either(NamedTuple):
    """Several places at a time: what was written so far may be any of them."""

    states: tuple[State, ...]

    def step(self, byte: int) -> State | None:
        """Keep the places at which the byte may come."""
        return join(state.step(byte) for state in self.states)

    def firsts(self) -> Collection[int]:
        """Return what may come at any of them."""
        return {byte for state in self.states for byte in state.firsts()}


def join(states: Iterable[State | None]) -> State | None:
    """Return one state for several; None where there is none. The same place counts once."""
    found: list[State] = []
    for state in states:
        for one in state.states if isinstance(state, Either) else (state,):
            if one is not None and one not in found:
                found.append(one)
    return Either(tuple(found)) if len(found) > 1 else found[0] if found else None
