"""A decoder in memory: its logits follow from the tokens that a sequence holds, and from nothing else."""

import threading
import zlib
from dataclasses import dataclass, field

import numpy as np

from smallmesh.hosting.engine.port import Outcome

PIECES = (b"<end>", *(bytes([letter]) for letter in b'abcdefghijklmnopqrstuvwxyz {}":,0123456789[]'), "é".encode()[:1], "é".encode()[1:])
END = 0


class FakeVocabulary:
    """One token a letter, and an end."""

    size = len(PIECES)
    bos = None
    pieces = (b"", *PIECES[1:])
    ends = frozenset({END})

    def tokenize(self, text, *, special=False):  # noqa: ARG002 - the form is the seam's
        return [PIECES.index(bytes([byte])) for byte in text.encode()]

    tokenize_on = tokenize


@dataclass
class FakeDecoder:
    """Keeps what every sequence holds, and refuses what llama.cpp would: gaps, too many cells, unknown sequences.

    Attributes:
        passes: The rows of every pass.
        scripted: Texts that follow a history: its last letters, and what the model writes then.
        before: Called in every pass, on the engine's thread.
    """

    n_ctx: int = 64
    n_ctx_trained: int = 1024
    n_sequences: int = 8
    n_batch: int = 32
    scripted: dict = field(default_factory=dict)
    template = None

    def __post_init__(self):
        self.vocabulary = FakeVocabulary()
        self.passes = []
        self.held = {}
        self.dropped = []
        self.closed = False
        self.before = lambda: None
        self.aborted = threading.Event()
        self._logits = np.zeros((0, FakeVocabulary.size), np.float32)

    def metadata(self):
        return {}

    def decode(self, rows):
        self.aborted.clear()
        self.before()
        if self.aborted.is_set():
            return Outcome.ABORTED
        self.passes.append(list(rows))
        assert len(rows) <= self.n_batch
        logits = []
        for row in rows:
            for sequence in row.sequences:
                assert 0 <= sequence < self.n_sequences
                cells = self.held.setdefault(sequence, [])
                assert row.position == len(cells), "a sequence has a gap"
                cells.append((row.token, object()))
            first = row.sequences[0]
            for other in row.sequences[1:]:
                self.held[other][-1] = self.held[first][-1]
            if row.wanted:
                logits.append(self._after([token for token, _ in self.held[first]]))
        assert self.cells <= self.n_ctx, "more cells than there are"
        self._logits = np.array(logits, np.float32).reshape(-1, FakeVocabulary.size)
        return Outcome.DONE

    @property
    def cells(self):
        """How many cells are taken; those that sequences share count once."""
        return len({id(cell) for cells in self.held.values() for _, cell in cells})

    def logits(self):
        return self._logits

    def share(self, source, target, end):
        assert not self.held.get(target), "the target is not empty"
        assert len(self.held[source]) >= end, "more is shared than was read"
        self.held[target] = self.held[source][:end]

    def drop(self, sequence):
        self.held.pop(sequence, None)
        self.dropped.append(sequence)

    def abort(self):
        self.aborted.set()

    def close(self):
        self.closed = True

    def _after(self, tokens):
        text = b"".join(PIECES[token] for token in tokens).decode("utf-8", "replace")
        values = np.random.default_rng(zlib.crc32(text.encode())).normal(size=FakeVocabulary.size).astype(np.float32)
        for begun, goes_on in self.scripted.items():
            for length in range(len(goes_on) + 1):
                if text.endswith(begun + goes_on[:length]):
                    values[PIECES.index(goes_on[length].encode()) if length < len(goes_on) else END] = 20.0
        return values
