"""A generating GGUF: many sequences in one context, evaluated together, used synchronously by the one thread that owns it."""

import ctypes
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from smallmesh.hosting.engine.port import Outcome, Row
from smallmesh.hosting.gguf_meta import read_scalars
from smallmesh.hosting.llama.library import ModelLoadError, errors, load_model, tokenize

_OK, _NO_ROOM, _ABORTED = 0, 1, 2
_LONGEST_PIECE = 64
# llama_token_to_piece's lstrip and special: all of its bytes, none for a control token.
_AS_IT_IS = (0, False)
_BEFORE = "\n"
"""Put before a text that goes on from another: some vocabularies begin a text with a space that is not in it."""


class DecodeError(RuntimeError):
    """llama.cpp failed in a way that its documentation calls fatal; the context is not to be used any more."""


class LlamaVocabulary:
    """The vocabulary of a loaded model."""

    def __init__(self, handle: Any) -> None:
        """Read from a handle that lives as long as the model."""
        self._handle = handle
        self.size = int(llama_cpp.llama_vocab_n_tokens(handle))
        self.bos = int(llama_cpp.llama_vocab_bos(handle)) if llama_cpp.llama_vocab_get_add_bos(handle) else None
        self._before = tokenize(handle, _BEFORE)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return a text's tokens; with ``special``, markup such as ``<|im_end|>`` is the token of that name."""
        return tokenize(self._handle, text, special=special)

    def tokenize_on(self, text: str) -> list[int]:
        """Return the tokens of a text that goes on from another one."""
        tokens = tokenize(self._handle, _BEFORE + text)
        return tokens[len(self._before) :] if tokens[: len(self._before)] == self._before else tokenize(self._handle, text)

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        """The bytes of every token, in order of their ids."""
        return tuple(self._read_piece(token) for token in range(self.size))

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end a generation."""
        return frozenset(token for token in range(self.size) if llama_cpp.llama_vocab_is_eog(self._handle, token))

    def _read_piece(self, token: int, length: int = _LONGEST_PIECE) -> bytes:
        buffer = ctypes.create_string_buffer(length)
        count = llama_cpp.llama_token_to_piece(self._handle, token, buffer, length, *_AS_IT_IS)
        return self._read_piece(token, -count) if count < 0 else buffer.raw[:count]


class Decoder:
    """One GGUF that generates, with the keys and values of many sequences; see :class:`smallmesh.hosting.engine.port.Decoder`.

    All sequences share one buffer of ``n_ctx`` cells, so what one of them has in common with another is kept once.
    """

    def __init__(self, path: Path, *, n_ctx: int, n_sequences: int, n_batch: int, n_threads: int = 1) -> None:
        """Load ``path``.

        Args:
            path: The GGUF.
            n_ctx: Tokens that all sequences may hold together.
            n_sequences: How many there may be at a time.
            n_batch: Most tokens of one pass.
            n_threads: Threads of one pass.

        Raises:
            ModelLoadError: The file is missing, llama.cpp refuses it, or it is no model that writes.
        """
        self._model: Any = None
        self._context: Any = None
        self._batch: Any = None
        self.path = path
        self.n_ctx, self.n_sequences, self.n_batch = n_ctx, n_sequences, n_batch
        self._model = load_model(path)
        self._context = self._open(n_threads)
        self._memory: Any = llama_cpp.llama_get_memory(self._context)
        self._check()
        # Of a sequence that has a state instead of keys and values, half a pass cannot be taken back.
        stateful = llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model)
        self._abort = None if stateful else _AbortFlag(self._context)
        self._batch = llama_cpp.llama_batch_init(n_batch, 0, n_sequences)
        self._outputs = 0
        self.vocabulary = LlamaVocabulary(llama_cpp.llama_model_get_vocab(self._model))

    def _open(self, n_threads: int) -> Any:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = self.n_ctx
        parameters.n_batch = parameters.n_ubatch = self.n_batch  # one piece, so that an aborted pass leaves nothing behind
        parameters.n_seq_max = self.n_sequences
        parameters.n_threads = parameters.n_threads_batch = n_threads
        parameters.kv_unified = True
        parameters.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not context:
            self.close()
            raise ModelLoadError(f"llama.cpp could not open a context of {self.n_ctx} tokens for {self.path}: is there enough memory?")
        return context

    def _check(self) -> None:
        """Refuse what does not write on from a prompt: it would answer, and what it says would be worth nothing."""
        if not self._memory or llama_cpp.llama_model_has_encoder(self._model):
            kind = self.metadata().get("general.architecture")
            self.close()
            raise ModelLoadError(f"{self.path} is a {kind}, and cannot be used: it keeps nothing of a prompt to write on from")

    @property
    def n_ctx_trained(self) -> int:
        """Tokens that the model was trained to have before it."""
        return int(llama_cpp.llama_model_n_ctx_train(self._model))

    @property
    def template(self) -> str | None:
        """The chat template that the GGUF carries."""
        template = llama_cpp.llama_model_chat_template(self._model, None)
        return template.decode("utf-8") if template else None

    def metadata(self) -> Mapping[str, str]:
        """The file's scalar metadata as text."""
        return read_scalars(self.path)

    def decode(self, rows: Sequence[Row]) -> Outcome:
        """Evaluate some tokens together; see :meth:`smallmesh.hosting.engine.port.Decoder.decode`."""
        batch, outputs = self._batch, 0
        batch.n_tokens = len(rows)
        for index, row in enumerate(rows):
            batch.token[index], batch.pos[index] = row.token, row.position
            batch.n_seq_id[index] = len(row.sequences)
            for place, sequence in enumerate(row.sequences):
                batch.seq_id[index][place] = sequence
            batch.logits[index] = row.wanted
            outputs += row.wanted
        if self._abort:
            self._abort.lower()
        status = llama_cpp.llama_decode(self._context, batch)
        if status == _OK:
            llama_cpp.llama_synchronize(self._context)
            self._outputs = outputs
            return Outcome.DONE
        self._outputs = 0
        if status == _NO_ROOM:
            return Outcome.NO_ROOM
        if status == _ABORTED:
            return Outcome.ABORTED
        raise DecodeError(f"llama.cpp failed with status {status} on {len(rows)} tokens")

    def logits(self) -> NDArray[np.float32]:
        """The logits of the rows that wanted them, in their order, (rows, vocabulary); valid until the next pass."""
        shape = (self._outputs, self.vocabulary.size)
        if not self._outputs:
            return np.zeros(shape, np.float32)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self._context), shape=shape)

    def share(self, source: int, target: int, end: int) -> None:
        """Let a sequence begin with the first ``end`` tokens of another, without evaluating or copying them."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def drop(self, sequence: int) -> None:
        """Forget a sequence; cells that no other one shares are free again."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def abort(self) -> None:
        """End the pass that is under way, unless the model has states; the one call that another thread may make."""
        if self._abort:
            self._abort.lift()

    def close(self) -> None:
        """Free everything; a second call does nothing."""
        batch, self._batch = self._batch, None
        context, self._context = self._context, None
        model, self._model = self._model, None
        if batch:
            llama_cpp.llama_batch_free(batch)
        if context:
            llama_cpp.llama_free(context)
        if model:
            llama_cpp.llama_model_free(model)


class _AbortFlag:
    """A byte that ends a pass once it is lifted.

    llama.cpp asks after each node of its graph, some 500 times a pass, on its own threads. A Python callback would wait for
    the interpreter's lock each time; so what it calls is C's ``strlen`` on a text of no or one letter: 0 or 1, false or true.
    """

    def __init__(self, context: Any) -> None:
        self._text = ctypes.create_string_buffer(b"", 2)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        self._kept = strlen
        llama_cpp.llama_set_abort_callback(context, strlen, ctypes.cast(self._text, ctypes.c_void_p))

    def lift(self) -> None:
        errors.muted = True
        self._text[0] = b"\x01"

    def lower(self) -> None:
        errors.muted = False
        self._text[0] = b"\x00"
