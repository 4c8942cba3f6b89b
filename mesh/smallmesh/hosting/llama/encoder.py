"""A GGUF encoder, used synchronously by the one thread that owns it."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from smallmesh.hosting.gguf_meta import read_scalars
from smallmesh.hosting.llama.library import ModelLoadError, load_model, tokenize

Pooling = Literal["rank", "none", "mean"]

_POOLING: dict[Pooling, int] = {
    "none": llama_cpp.LLAMA_POOLING_TYPE_NONE,
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "rank": llama_cpp.LLAMA_POOLING_TYPE_RANK,
}
_SPECIALS = 2


class Encoder:
    """One GGUF encoder loaded in this process; owned by one thread, never shared."""

    def __init__(self, path: Path, *, pooling: Pooling, n_threads: int = 1, window: int = 256) -> None:
        """Load ``path``. ``window`` is the most tokens of one forward pass, special tokens included.

        Raises ModelLoadError where the file is missing or llama.cpp refuses it.
        """
        self._model: Any = None
        self._context: Any = None
        self.path = path
        self.pooling: Pooling = pooling
        self.window = window
        self._model = load_model(path)
        self._context = self._open(pooling, n_threads, window)
        self._vocab: Any = llama_cpp.llama_model_get_vocab(self._model)
        self._first = int(llama_cpp.llama_vocab_bos(self._vocab))
        self._last = int(llama_cpp.llama_vocab_sep(self._vocab))
        self.n_embd = int(llama_cpp.llama_model_n_embd(self._model))
        self._ids: Any = (llama_cpp.llama_token * window)(self._first)
        # Every token is an output; without the marks llama.cpp warns on each call and sets them itself.
        self._marks: Any = (ctypes.c_int8 * window)(*([1] * window))
        self._batch: Any = llama_cpp.llama_batch_get_one(self._ids, window)
        self._batch.logits = self._marks
        self.labels = self._read_labels() if pooling == "rank" else ()

    def _open(self, pooling: Pooling, n_threads: int, window: int) -> Any:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = window
        parameters.n_seq_max = 1
        parameters.n_threads = parameters.n_threads_batch = n_threads
        parameters.pooling_type = _POOLING[pooling]
        parameters.embeddings = True
        parameters.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not context:
            self.close()
            raise ModelLoadError(f"llama.cpp could not open a context of {window} tokens for {self.path}: is there enough memory?")
        return context

    def _read_labels(self) -> tuple[str, ...]:
        count = int(llama_cpp.llama_model_n_cls_out(self._model))
        labels = (llama_cpp.llama_model_cls_label(self._model, index) for index in range(count))
        return tuple((label or b"").decode() for label in labels)

    def tokenize(self, text: str) -> list[int]:
        """The token ids of ``text`` without special tokens; never truncates. Markup such as "[SEP]" is plain text."""
        return tokenize(self._vocab, text)

    def scores(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Classifier logits, one a label of ``labels``. Pooling ``rank`` only.

        Raises ValueError where the tokens with their two special tokens do not fit the window.
        """
        self._expect("rank")
        self._run(tokens)
        return self._copy(llama_cpp.llama_get_embeddings_seq(self._context, 0), len(self.labels))

    def vectors(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """One vector a token, (len(tokens), n_embd), special tokens left out. Pooling ``none`` only.

        Raises ValueError as ``scores`` does.
        """
        self._expect("none")
        count = self._run(tokens)
        flat = self._copy(llama_cpp.llama_get_embeddings(self._context), count * self.n_embd)
        return flat.reshape(count, self.n_embd)[1:-1]

    def vector(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The mean of the token vectors, scaled to length 1, (n_embd,). Pooling ``mean`` only.

        Raises ValueError as ``scores`` does.
        """
        self._expect("mean")
        self._run(tokens)
        mean = self._copy(llama_cpp.llama_get_embeddings_seq(self._context, 0), self.n_embd)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    def metadata(self) -> Mapping[str, str]:
        """The file's scalar metadata as text, for example ``smallmesh.temperature``."""
        return read_scalars(self.path)

    def close(self) -> None:
        """Free the context and the model; a second call does nothing."""
        context, self._context = self._context, None
        model, self._model = self._model, None
        if context:
            llama_cpp.llama_free(context)
        if model:
            llama_cpp.llama_model_free(model)

    def _expect(self, pooling: Pooling) -> None:
        if self.pooling != pooling:
            raise ValueError(f"this encoder pools by {self.pooling!r}, the call needs {pooling!r}")

    def _run(self, tokens: Sequence[int]) -> int:
        """One forward pass over the tokens between their special tokens; the number of tokens run."""
        if self._context is None:
            raise ValueError("the encoder is closed")
        count = len(tokens) + _SPECIALS
        if count > self.window:
            raise ValueError(f"{count} tokens do not fit the window of {self.window}")
        self._ids[1 : count - 1] = tokens
        self._ids[count - 1] = self._last
        self._batch.n_tokens = count
        status = llama_cpp.llama_encode(self._context, self._batch)
        if status != 0:
            raise RuntimeError(f"llama.cpp failed with status {status} on {count} tokens")
        return count

    @staticmethod
    def _copy(pointer: Any, size: int) -> NDArray[np.float32]:
        if not pointer:
            raise RuntimeError("llama.cpp returned no values")
        values = np.empty(size, np.float32)
        ctypes.memmove(values.ctypes.data, pointer, values.nbytes)
        return values
