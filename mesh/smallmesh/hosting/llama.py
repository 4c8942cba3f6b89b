"""The one module that loads llama.cpp: a GGUF encoder, used synchronously by the one thread that owns it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import llama_cpp
import numpy as np
from llama_cpp.llama_cpp import _base_path, _lib
from numpy.typing import NDArray

from smallmesh.hosting.gguf_meta import read_metadata

Pooling = Literal["rank", "none", "mean"]

_POOLING: dict[Pooling, int] = {
    "none": llama_cpp.LLAMA_POOLING_TYPE_NONE,
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "rank": llama_cpp.LLAMA_POOLING_TYPE_RANK,
}
# ggml's own numbers (ggml.h); the table in llama-cpp-python's logger is one off.
_LOG_ERROR, _LOG_CONTINUED = 4, 5
_SPECIALS = 2
# llama_tokenize's add_special and parse_special: neither.
_PLAIN_TEXT = (False, False)


class _ErrorsOnly:
    """A llama.cpp log callback that lets errors through to stderr and drops the rest."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, level: int, text: bytes, _user: Any) -> None:
        self._last = self._last if level == _LOG_CONTINUED else level
        if self._last == _LOG_ERROR:
            sys.stderr.write(text.decode("utf-8", "replace"))


# Held by the module: llama.cpp keeps a bare pointer to it.
_log_callback = llama_cpp.llama_log_callback(_ErrorsOnly())
llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))


def _load_backend() -> None:
    """Load the CPU code of a portable build, the best of its files for this processor; other builds have theirs linked in."""
    if _lib.ggml_backend_dev_count() == 0:  # asked of libllama's own ggml: llama_cpp._ggml is a second one, which no model uses
        _lib.ggml_backend_load_all_from_path(os.fsencode(_base_path))


_load_backend()


class ModelLoadError(RuntimeError):
    """The GGUF file is missing, or llama.cpp could not load it."""


class Encoder:
    """One GGUF encoder loaded in this process; owned by one thread, never shared."""

    def __init__(self, path: Path, *, pooling: Pooling, n_threads: int = 1, window: int = 256) -> None:
        """Load ``path``. ``window`` is the most tokens of one forward pass, special tokens included.

        Raises ModelLoadError where the file is missing or llama.cpp refuses it.
        """
        self._model: Any = None
        self._context: Any = None
        if not path.is_file():
            raise ModelLoadError(f"model file {path} is missing")
        self.path = path
        self.pooling: Pooling = pooling
        self.window = window
        self._model = self._load(path)
        self._context = self._open(pooling, n_threads, window)
        self._vocab: Any = llama_cpp.llama_model_get_vocab(self._model)
        self._first = int(llama_cpp.llama_vocab_bos(self._vocab))
        self._last = int(llama_cpp.llama_vocab_sep(self._vocab))
        self.n_embd = int(llama_cpp.llama_model_n_embd(self._model))
        self.labels = self._read_labels() if pooling == "rank" else ()

    def _load(self, path: Path) -> Any:
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_MMAP
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not model:
            raise ModelLoadError(f"llama.cpp could not load {path}")
        return model

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
            raise ModelLoadError(f"llama.cpp could not open a context of {window} tokens for {self.path}")
        return context

    def _read_labels(self) -> tuple[str, ...]:
        count = int(llama_cpp.llama_model_n_cls_out(self._model))
        labels = (llama_cpp.llama_model_cls_label(self._model, index) for index in range(count))
        return tuple((label or b"").decode() for label in labels)

    def tokenize(self, text: str) -> list[int]:
        """The token ids of ``text`` without special tokens; never truncates. Markup such as "[SEP]" is plain text."""
        raw = text.encode("utf-8", "replace")
        # A WordPiece token covers at least one byte, so the byte count is an upper bound.
        buffer = (llama_cpp.llama_token * (len(raw) + 2))()
        count = llama_cpp.llama_tokenize(self._vocab, raw, len(raw), buffer, len(buffer), *_PLAIN_TEXT)
        if count < 0:
            raise ValueError(f"the text needs {-count} tokens, more than it has bytes")
        return list(buffer[:count])

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
        scalars = read_metadata(self.path).items()
        return {key: str(value) for key, value in scalars if not isinstance(value, np.ndarray)}

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
        ids = (llama_cpp.llama_token * count)(self._first, *tokens, self._last)
        batch = llama_cpp.llama_batch_get_one(ids, count)
        # Every token is an output; without the marks llama.cpp warns on each call and sets them itself.
        batch.logits = (ctypes.c_int8 * count)(*([1] * count))
        status = llama_cpp.llama_encode(self._context, batch)
        if status != 0:
            raise RuntimeError(f"llama.cpp failed with status {status} on {count} tokens")
        return count

    @staticmethod
    def _copy(pointer: Any, size: int) -> NDArray[np.float32]:
        if not pointer:
            raise RuntimeError("llama.cpp returned no values")
        return np.ctypeslib.as_array(pointer, shape=(size,)).astype(np.float32, copy=True)
