"""Many requests through one generating model: continuous batching over shared prefixes."""

from pathlib import Path
from typing import TYPE_CHECKING

from smallmesh.hosting.engine.engine import BatchingEngine
from smallmesh.hosting.engine.port import Choice, Constraint, Decoder, Engine, Generated, Prompt, Vocabulary

if TYPE_CHECKING:
    from smallmesh.hosting.card import ModelCard

__all__ = ["BatchingEngine", "Choice", "Constraint", "Decoder", "Engine", "Generated", "Prompt", "Vocabulary", "open_engine"]

PASS = 512
"""Most tokens of one pass: more make none faster on a processor, and an interactive request waits for it."""
BEGINNINGS = 4
"""Sequences beside the requests' own, for beginnings that they share and labels that part late."""


def open_engine(card: "ModelCard", path: Path) -> BatchingEngine:
    """Return an engine for an instruct model; ``start`` loads it."""

    def load() -> Decoder:
        from smallmesh.hosting.llama import Decoder as Llama  # noqa: PLC0415 - only a process that hosts a model pays for it

        sequences = card.slots + BEGINNINGS
        decoder = Llama(path, n_ctx=card.context, n_sequences=sequences, n_batch=min(PASS, card.context), n_threads=card.n_threads)
        _ = decoder.vocabulary.pieces, decoder.vocabulary.ends  # read now: the first request shall not wait for them
        return decoder

    return BatchingEngine(load, card.id)
