"""The inside of a JSON string, byte by byte: UTF-8, escapes, the closing quote.

An automaton whose states are small numbers, so that one table drives both a single step and whole vocabularies at once.
Surrogates are left out as bytes and as escapes: a character beyond U+FFFF is written as itself.
"""

from collections.abc import Iterable, Mapping

BETWEEN = 0
"""Between two characters; the one state in which a character may begin or the string end."""

# Bytes of a character that are still to come. The four named ones rule out overlong forms, surrogates and what is above U+10FFFF.
_ONE, _TWO, _THREE, _AFTER_E0, _AFTER_ED, _AFTER_F0, _AFTER_F4 = range(1, 8)
# After a backslash; after \u; after \ud, which must not become a surrogate; hex digits that are still to come.
_ESCAPE, _HEX, _HEX_D, _HEX_3, _HEX_2, _HEX_1 = range(8, 14)

CLOSED = 14
"""After the closing quote."""

DEAD = 15
"""After a byte that may not stand there."""

_HEX_DIGITS = b"0123456789abcdefABCDEF"

_MOVES: Mapping[int, Iterable[tuple[Iterable[int], int]]] = {
    BETWEEN: (
        (range(0x20, 0x80), BETWEEN),
        (b'"', CLOSED),
        (b"\\", _ESCAPE),
        (range(0xC2, 0xE0), _ONE),
        (range(0xE1, 0xF0), _TWO),
        (b"\xe0", _AFTER_E0),
        (b"\xed", _AFTER_ED),
        (range(0xF1, 0xF4), _THREE),
        (b"\xf0", _AFTER_F0),
        (b"\xf4", _AFTER_F4),
    ),
    _ONE: ((range(0x80, 0xC0), BETWEEN),),
    _TWO: ((range(0x80, 0xC0), _ONE),),
    _THREE: ((range(0x80, 0xC0), _TWO),),
    _AFTER_E0: ((range(0xA0, 0xC0), _ONE),),
    _AFTER_ED: ((range(0x80, 0xA0), _ONE),),
    _AFTER_F0: ((range(0x90, 0xC0), _TWO),),
    _AFTER_F4: ((range(0x80, 0x90), _TWO),),
    _ESCAPE: ((b'"\\/bfnrt', BETWEEN), (b"u", _HEX)),
    _HEX: ((_HEX_DIGITS, _HEX_3), (b"dD", _HEX_D)),
    _HEX_D: ((b"01234567", _HEX_2),),
    _HEX_3: ((_HEX_DIGITS, _HEX_2),),
    _HEX_2: ((_HEX_DIGITS, _HEX_1),),
    _HEX_1: ((_HEX_DIGITS, BETWEEN),),
    CLOSED: ((range(256), CLOSED),),
    DEAD: (),
}


def _row(moves: Iterable[tuple[Iterable[int], int]]) -> bytes:
    row = bytearray([DEAD]) * 256
    for firsts, target in moves:
        for byte in firsts:
            row[byte] = target
    return bytes(row)


STEPS = tuple(_row(_MOVES[state]) for state in sorted(_MOVES))
"""The next state, by state and byte. A later move of a state overrules an earlier one."""

FIRSTS = tuple(frozenset(byte for byte, target in enumerate(row) if target != DEAD) for row in STEPS)
"""The bytes that may come, by state."""

QUOTE = frozenset(b'"')
BEGINNINGS = FIRSTS[BETWEEN] - QUOTE
"""The bytes that a character may begin with."""
