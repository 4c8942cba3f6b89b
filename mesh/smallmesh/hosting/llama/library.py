"""libllama itself: its processor code, its log, and files of models."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp.llama_cpp import _base_path, _lib

_NOTHING_ADDED = False  # llama_tokenize's add_special
# ggml's own numbers (ggml.h); the table in llama-cpp-python's logger is one off.
_LOG_ERROR, _LOG_CONTINUED = 4, 5


class _ErrorsOnly:
    """A llama.cpp log callback that lets errors through to stderr and drops the rest.

    Attributes:
        muted: Whether a pass was aborted on purpose, of which llama.cpp speaks as an error.
    """

    def __init__(self) -> None:
        self.muted = False
        self._last = 0

    def __call__(self, level: int, text: bytes, _user: Any) -> None:
        self._last = self._last if level == _LOG_CONTINUED else level
        if self._last == _LOG_ERROR and not self.muted:
            sys.stderr.write(text.decode("utf-8", "replace"))


errors = _ErrorsOnly()
# Held by the module: llama.cpp keeps a bare pointer to it.
_log_callback = llama_cpp.llama_log_callback(errors)
llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))


def _load_backend() -> None:
    """Load the CPU code of a portable build, the best of its files for this processor; other builds have theirs linked in."""
    if _lib.ggml_backend_dev_count() == 0:  # asked of libllama's own ggml: llama_cpp._ggml is a second one, which no model uses
        _lib.ggml_backend_load_all_from_path(os.fsencode(_base_path))


_load_backend()


class ModelLoadError(RuntimeError):
    """The GGUF file is missing, llama.cpp could not load it, or it is of a kind that cannot be used so."""


def load_model(path: Path) -> Any:
    """Return a handle of the model in a GGUF, mapped into memory; to be freed by ``llama_model_free``.

    Raises:
        ModelLoadError: The file is missing, or llama.cpp refuses it.
    """
    if not path.is_file():
        raise ModelLoadError(f"model file {path} is missing")
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_MMAP
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise ModelLoadError(f"llama.cpp could not load {path}: is there enough memory, and is the file whole?")
    return model


def tokenize(vocab: Any, text: str, *, special: bool = False) -> list[int]:
    """Return the ids of a text's tokens; nothing is added and nothing left out.

    Args:
        vocab: Handle of a vocabulary.
        text: The text.
        special: Whether markup such as ``<|im_end|>`` is the token of that name, and not plain text.
    """
    raw = text.encode("utf-8", "replace")
    # A token covers at least one byte, but for a space that some vocabularies put in front.
    buffer = (llama_cpp.llama_token * (len(raw) + 2))()
    count = llama_cpp.llama_tokenize(vocab, raw, len(raw), buffer, len(buffer), _NOTHING_ADDED, special)
    if count < 0:
        raise ValueError(f"the text needs {-count} tokens, more than it has bytes")
    return list(buffer[:count])
