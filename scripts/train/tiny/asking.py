"""Asks a GGUF the agents' prompts through llama.cpp, one text at a time and without a grammar. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smallmesh.hosting.engine.port import Outcome, Row
from smallmesh.hosting.llama.decoder import Decoder
from smallmesh.hosting.prompts.chat import ChatTemplate, turns_of
from smallmesh.hosting.prompts.frame import Frame, Special
from smallmesh.hosting.prompts.pack import load_pack

CONTEXT = 4096
_PREFIX, _TEXT = 0, 1


class Asker:
    """One agent's prompt in front of a loaded model; the few-shot prefix is evaluated once."""

    def __init__(self, decoder: Decoder, agent: Path) -> None:
        """Read the pack of an agent's folder and evaluate what its texts share."""
        self._decoder = decoder
        self.pack = load_pack(agent)
        template = ChatTemplate(decoder.template, str(decoder.path))
        special = Special.of(decoder.metadata(), decoder.vocabulary)
        self.frame = Frame(template.render(turns_of(self.pack)), decoder.vocabulary, special)
        decoder.drop(_PREFIX)
        self._pass(self.frame.shared, 0, _PREFIX)

    def label(self, text: str) -> str:
        """Return the likeliest label of a text; all labels have to be one token each."""
        labels = list((self.pack.labels or {}).items())
        tokens = [self.frame.answer(words) for _, words in labels]
        if any(len(one) > 1 for one in tokens):
            raise ValueError("a label has more than one token")
        logits = self._ask({"text": text})
        return labels[int(np.argmax([logits[token] for (token,) in tokens]))][0]

    def written(self, fields: Mapping[str, str], most: int) -> tuple[str, bool]:
        """Return what the model writes, always the likeliest token, and whether it came to an end within ``most`` tokens."""
        vocabulary, said = self._decoder.vocabulary, b""
        logits, at = self._ask(fields), len(self.frame.shared) + len(self.frame.prompt(fields).own)
        for count in range(most):
            token = int(np.argmax(logits))
            if token in vocabulary.ends:
                return said.decode("utf-8", "replace"), True
            said += vocabulary.pieces[token]
            logits = self._pass((token,), at + count, _TEXT)
        return said.decode("utf-8", "replace"), False

    def _ask(self, fields: Mapping[str, str]) -> np.ndarray:
        self._decoder.drop(_TEXT)
        self._decoder.share(_PREFIX, _TEXT, len(self.frame.shared))
        return self._pass(self.frame.prompt(fields).own, len(self.frame.shared), _TEXT)

    def _pass(self, tokens: Sequence[int], start: int, sequence: int) -> np.ndarray:
        """Evaluate tokens of a sequence and return the logits after the last."""
        size = self._decoder.n_batch
        for at in range(0, len(tokens), size):
            part = tokens[at : at + size]
            last = len(tokens) - at - 1
            rows = [Row(token, start + at + index, (sequence,), index == last) for index, token in enumerate(part)]
            if self._decoder.decode(rows) is not Outcome.DONE:
                raise RuntimeError("the text does not fit")
        return self._decoder.logits()[-1].copy()


def opened(path: Path) -> Decoder:
    """Load a GGUF for asking."""
    return Decoder(path, n_ctx=CONTEXT, n_sequences=2, n_batch=512)
