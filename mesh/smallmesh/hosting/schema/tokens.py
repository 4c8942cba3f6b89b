"""A vocabulary, arranged so that all tokens that may come at a place are found at once."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from smallmesh.hosting.engine.port import Vocabulary
from smallmesh.hosting.schema.content import BETWEEN, CLOSED, DEAD, FIRSTS, STEPS
from smallmesh.hosting.schema.grammar import String
from smallmesh.hosting.schema.numbers import DIGITS, Digits, Number
from smallmesh.hosting.schema.states import DONE, Content, Either, State

Mask = NDArray[np.bool_]
Ids = NDArray[np.intp]

_STEPS = np.frombuffer(b"".join(STEPS), np.uint8).reshape(len(STEPS), 256)
_NEVER = np.iinfo(np.uint16).max
"""Counts of characters stay below; no token has so many."""

_CONTINUING = range(0x80, 0xC0)
_LONGEST_NUMERAL = 15
"""Digits of a value that 64 bits hold; longer tokens are followed digit by digit."""

_FEW = 32
"""Bytes that may as well be tried one by one."""


class Tokens:
    """The tokens of a vocabulary that a document can be made of.

    Never allowed are control tokens, tokens that end a generation and, where the vocabulary has not all bytes that may be needed to
    end a character, tokens that end inside one.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Read the pieces of a vocabulary."""
        self._vocabulary = vocabulary  # held, so that its id stays its own
        pieces = vocabulary.pieces
        usable = [b"" if token in vocabulary.ends else piece for token, piece in enumerate(pieces)]
        single = {piece for piece in usable if len(piece) == 1}
        self._cuts = all(bytes([byte]) in single for byte in _CONTINUING)
        if not self._cuts:
            usable = [piece if _is_whole(piece) else b"" for piece in usable]
        self.usable: Sequence[bytes] = usable
        self._characters = {piece for piece in usable if _is_whole(piece)} if not self._cuts else single
        self._trie = Branch(usable)

    def can_write(self, character: str) -> bool:
        """Tell whether a character can be written wherever it may stand: alone, or byte by byte."""
        raw = character.encode()
        parts = [raw[place : place + 1] for place in range(len(raw))] if self._cuts else [raw]
        return all(part in self._characters for part in parts)

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> "Tokens":
        """Return those of a vocabulary; all schemas over one share them."""
        known = _KNOWN.get(id(vocabulary))
        if known is None:
            known = _KNOWN[id(vocabulary)] = cls(vocabulary)
        return known

    def warm(self) -> None:
        """Make what masks need inside a string and where one begins, so that no request waits for it."""
        starts = (String(0, 1).enter(DONE), Number(0, 1, 0).enter(DONE))
        for state in (*starts, *(Content(String(0, 1), 0, within, DONE) for within in range(CLOSED))):
            self.mask(state)

    def mask(self, state: State) -> Mask:
        """Return which tokens may come at a place."""
        mask = np.zeros(len(self.usable), np.bool_)
        self._trie.mark(mask, state)
        return mask


_KNOWN: WeakValueDictionary[int, Tokens] = WeakValueDictionary()


def _is_whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


class Branch:
    """Pieces that begin alike; those of the root have nothing in common. Deeper ones are made when they are first asked for."""

    def __init__(self, pieces: Sequence[bytes], ids: Ids | None = None, depth: int = 0) -> None:
        """Hold the ``ids`` of ``pieces`` that have the first ``depth`` bytes in common, sorted by piece; without ids, all."""
        self._pieces = pieces
        self._depth = depth
        self.ids: Ids = np.array(sorted(range(len(pieces)), key=pieces.__getitem__), np.intp) if ids is None else ids
        ending = next((place for place, index in enumerate(self.ids.tolist()) if len(pieces[index]) > depth), len(self.ids))
        self._ending, self._longer = self.ids[:ending], self.ids[ending:]
        self._tables: dict[int, _Table] = {}

    @cached_property
    def _children(self) -> Mapping[int, "Branch"]:
        groups = groupby(self._longer.tolist(), key=lambda index: self._pieces[index][self._depth])
        return {byte: Branch(self._pieces, np.array(list(ids), np.intp), self._depth + 1) for byte, ids in groups}

    def mark(self, mask: Mask, state: State) -> None:
        """Mark the pieces that may come at a place, which their first ``depth`` bytes have led to."""
        if self._depth:
            mask[self._ending] = True
        if isinstance(state, Either):
            for one in state.states:
                self.mark(mask, one)
        elif isinstance(state, Content):
            self._table(state.within).mark(mask, state)
        elif isinstance(state, Digits):
            numerals, others = self._numerals
            numerals.mark(mask, state)
            _descend(mask, state, others)
        else:
            _descend(mask, state, self._children)

    @cached_property
    def _numerals(self) -> tuple["_Numerals", Mapping[int, "Branch"]]:
        """The pieces that go on with digits alone, and what is under this one without them."""
        rests: dict[int, bytes] = {}
        others = dict(self._children)
        for byte in others.keys() & set(DIGITS):
            ids = others.pop(byte).ids.tolist()
            rests |= {index: rest for index in ids if _is_numeral(rest := self._pieces[index][self._depth :])}
            if left := [index for index in ids if index not in rests]:
                others[byte] = Branch(self._pieces, np.array(left, np.intp), self._depth + 1)
        return _Numerals(rests), others

    def _table(self, within: int) -> "_Table":
        table = self._tables.get(within)
        if table is None:
            ids = np.concatenate([child.ids for byte, child in self._children.items() if byte in FIRSTS[within]] or [self._longer[:0]])
            rests = [self._pieces[index][self._depth :] for index in ids.tolist()]
            table = self._tables[within] = _Table(ids, rests, within, None if self._depth else len(self._pieces))
        return table


def _descend(mask: Mask, state: State, children: Mapping[int, Branch]) -> None:
    """Mark the pieces that may come at a place, byte by byte."""
    for byte in children if len(children) < _FEW else state.firsts():
        child = children.get(byte)
        after = None if child is None else state.step(byte)
        if child is not None and after is not None:
            child.mark(mask, after)


def _is_numeral(rest: bytes) -> bool:
    return rest.isdigit() and len(rest) <= _LONGEST_NUMERAL


class _Numerals:
    """Pieces of digits, by their length and value: in some vocabularies there are a thousand."""

    def __init__(self, rests: Mapping[int, bytes]) -> None:
        """Hold what pieces go on with, by their ids."""
        self._by_length: list[tuple[int, NDArray[np.int64], Ids]] = []
        for length in sorted(set(map(len, rests.values()))):
            values = sorted((int(rest), index) for index, rest in rests.items() if len(rest) == length)
            numerals, ids = zip(*values, strict=True)
            self._by_length.append((length, np.array(numerals, np.int64), np.array(ids, np.intp)))

    def mark(self, mask: Mask, state: Digits) -> None:
        """Mark those that may come within a number."""
        for length, values, ids in self._by_length:
            for low, high in state.numerals(length):
                mask[ids[np.searchsorted(values, low) : np.searchsorted(values, high, side="right")]] = True


class _Table:
    """What each of some pieces does inside a string, from one place within a character.

    A piece stays inside, having begun so many characters, or it closes the string and goes on with a rest.
    """

    def __init__(self, ids: Ids, pieces: Sequence[bytes], within: int, size: int | None) -> None:
        """Run ``pieces``, which have these ``ids``; with a ``size``, hold a count for each of so many, which is quicker for most."""
        begun, closed_at, alive = _run(pieces, within)
        closes = np.flatnonzero(alive & (closed_at > 0))
        stays = np.where(alive & (closed_at == 0), begun, _NEVER).astype(np.uint16)
        self._ids: Ids | slice = ids if size is None else slice(None)
        self._begun = stays if size is None else _spread(stays, ids, size)
        rests = [pieces[index][closed_at[index] :] for index in closes.tolist()]
        numbers = {rest: number for number, rest in enumerate(dict.fromkeys(rests))}
        self._closing = ids[closes]
        self._closing_begun = begun[closes]
        self._closing_rest = np.array([numbers[rest] for rest in rests], np.intp)
        self._empty_rest = numbers.get(b"")
        self._n_rests = len(numbers)
        self._rests = Branch(list(numbers))

    def mark(self, mask: Mask, state: Content) -> None:
        """Mark the pieces for which there is room, and those that close a string where it may be closed."""
        room = state.bounds.most - state.length
        mask[self._ids] |= self._begun <= min(room, _NEVER - 1)
        fit = np.zeros(self._n_rests, np.bool_)
        self._rests.mark(fit, state.after)
        if self._empty_rest is not None:
            fit[self._empty_rest] = True
        begun = self._closing_begun
        allowed = fit[self._closing_rest] & (begun <= room) & (begun >= state.bounds.shortest - state.length)
        mask[self._closing[allowed]] = True


def _spread(counts: NDArray[np.uint16], ids: Ids, size: int) -> NDArray[np.uint16]:
    spread = np.full(size, _NEVER, np.uint16)
    spread[ids] = counts
    return spread


def _run(pieces: Sequence[bytes], within: int) -> tuple[Ids, Ids, Mask]:
    """Run all pieces through the inside of a string at once.

    Returns:
        Of each piece: the characters that it begins; the bytes up to and with the quote that closes the string, or 0; whether all of
        its bytes may stand there.
    """
    lengths = np.array([len(piece) for piece in pieces], np.intp)
    starts = np.cumsum(lengths) - lengths
    flat = np.frombuffer(b"".join(pieces), np.uint8)
    order = np.argsort(lengths, kind="stable")
    shorter = np.searchsorted(lengths[order], np.arange(lengths.max(initial=0)), side="right")
    states = np.full(len(pieces), within, np.uint8)
    begun, closed_at = np.zeros(len(pieces), np.intp), np.zeros(len(pieces), np.intp)
    for depth, gone in enumerate(shorter.tolist()):
        left = order[gone:]
        before = states[left]
        states[left] = after = _STEPS[before, flat[starts[left] + depth]]
        begun[left] += (before == BETWEEN) & (after < CLOSED)
        closed_at[left[(before < CLOSED) & (after == CLOSED)]] = depth + 1
    return begun, closed_at, states != DEAD
