"""Who is asked: ours, ``Llama`` of llama-cpp-python one request at a time, and llama-server over HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_cpp import Llama
from llama_cpp.llama_grammar import LlamaGrammar

from scripts.benches.inference.jobs import CLIENTS, ENTITIES_GBNF, FREE, Entities, Jobs, label_schema, words_gbnf
from scripts.benches.inference.server import Server
from smallmesh.hosting.engine import BatchingEngine, Prompt
from smallmesh.hosting.llama import Decoder
from smallmesh.hosting.schema import Schema
from smallmesh_contracts import Lane

CONTEXT = 8192
"""Tokens that all requests of a contestant may hold together."""
LONGEST = 256
"""Tokens after which a document is cut off; none gets there."""

Ask = Callable[[Prompt], Awaitable[int]]
"""Asks about one prompt and returns how many tokens were written."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to get an answer.

    Attributes:
        name: Named in figures.
        ask: Asks.
        cpu_s: Processor seconds that its process has used.
        alone: Whether it takes one request at a time; it is asked about fewer documents, as more say no more.
    """

    name: str
    ask: Ask
    alone: bool = False
    cpu_s: Callable[[], float] = time.process_time


@asynccontextmanager
async def engine_for(path: Path, threads: int) -> AsyncIterator[BatchingEngine]:
    """Run our engine over a GGUF."""
    engine = BatchingEngine(lambda: Decoder(path, n_ctx=CONTEXT, n_sequences=CLIENTS + 4, n_batch=512, n_threads=threads), "bench")
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def ours(engine: BatchingEngine, jobs: Jobs) -> Mapping[str, Contestant]:
    """Return ours for each job."""
    schema = Schema.of(Entities, engine.vocabulary)

    async def classify(prompt: Prompt) -> int:
        await engine.choose(prompt, jobs.label_tokens, lane=Lane.INTERACTIVE)
        return 0

    async def extract(prompt: Prompt) -> int:
        found = await engine.generate(prompt, most=LONGEST, lane=Lane.INTERACTIVE, constraint=schema.begin())
        schema.validate(found.text)
        return found.tokens

    async def write(prompt: Prompt) -> int:
        return (await engine.generate(prompt, most=FREE, lane=Lane.INTERACTIVE)).tokens

    return {"classify": Contestant("ours", classify), "extract": Contestant("ours", extract), "write": Contestant("ours", write)}


class Naive:
    """``Llama`` as its documentation shows it: one request at a time, the others wait."""

    def __init__(self, path: Path, threads: int) -> None:
        """Load a GGUF."""
        self._llama: Any = Llama(str(path), n_ctx=CONTEXT, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
        self._turn = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Free the model."""
        self._turn.shutdown()
        self._llama.close()

    def ask(self, most: int, *, gbnf: str = "", schema: Mapping[str, object] | None = None, warm: bool = True) -> Ask:
        """Return how it is asked.

        Args:
            most: Most tokens to write.
            gbnf: The grammar to write under.
            schema: The JSON Schema to write under.
            warm: Whether it may begin with what it still has of the request before.
        """
        grammar: LlamaGrammar | None = None
        if schema is not None:
            grammar = LlamaGrammar.from_json_schema(json.dumps(schema), verbose=False)
        elif gbnf:
            grammar = LlamaGrammar.from_string(gbnf, verbose=False)

        def work(prompt: Prompt) -> int:
            if not warm:
                self._llama.reset()
            tokens = [*prompt.shared, *prompt.own]
            answer = self._llama.create_completion(tokens, max_tokens=most, temperature=0.0, grammar=grammar)
            return int(answer["usage"]["completion_tokens"])

        async def ask(prompt: Prompt) -> int:
            return await asyncio.get_running_loop().run_in_executor(self._turn, work, prompt)

        return ask


def naive_classifiers(llama: Naive, jobs: Jobs) -> list[Contestant]:
    """Return the ways of having ``Llama`` write a label under a grammar."""
    labels = jobs.labels
    schema = label_schema(labels)
    return [
        Contestant("Llama, JSON grammar, cold", llama.ask(LONGEST, schema=schema, warm=False), alone=True),
        Contestant("Llama, JSON grammar, warm", llama.ask(LONGEST, schema=schema), alone=True),
        Contestant(f"Llama, {jobs.label_length} tokens, no grammar, warm", llama.ask(jobs.label_length), alone=True),
        Contestant("Llama, word grammar, warm", llama.ask(LONGEST, gbnf=words_gbnf(labels)), alone=True),
    ]


def served(server: Server, **asked: object) -> Ask:
    """Return how llama-server is asked, with these fields beside the prompt."""

    async def ask(prompt: Prompt) -> int:
        body = {"prompt": [*prompt.shared, *prompt.own], "cache_prompt": True, "temperature": 0.0, **asked}
        answer = await server.ask(body)
        return int(answer["tokens_predicted"])

    return ask


def _plain(server: Server, length: int) -> Ask:
    return served(server, n_predict=length, ignore_eos=True)


def served_classifiers(server: Server, jobs: Jobs) -> list[Contestant]:
    """Return the ways of having llama-server classify."""
    labels = jobs.labels
    return [
        Contestant("llama-server, json_schema", served(server, n_predict=LONGEST, json_schema=label_schema(labels)), cpu_s=server.cpu_s),
        Contestant(f"llama-server, {jobs.label_length} tokens, no grammar", _plain(server, jobs.label_length), cpu_s=server.cpu_s),
        Contestant("llama-server, one scored token", served(server, n_predict=1, n_probs=10), cpu_s=server.cpu_s),
    ]


def extractors(llama: Naive, server: Server, length: int) -> list[Contestant]:
    """Return the others' ways of writing JSON under a schema.

    Random weights make them write more tokens than a trained model would, and have most of these refused by the grammar first.
    So they are also asked for ``length`` tokens of anything, which is less work than any document of that length.
    """
    schema = Entities.model_json_schema()
    return [
        Contestant("llama-server, json_schema", served(server, n_predict=LONGEST, json_schema=schema), cpu_s=server.cpu_s),
        Contestant("llama-server, as many tokens as ours, no grammar", _plain(server, length), cpu_s=server.cpu_s),
        Contestant("llama-server, compact grammar", served(server, n_predict=LONGEST, grammar=ENTITIES_GBNF), cpu_s=server.cpu_s),
        Contestant("Llama, compact grammar, warm", llama.ask(LONGEST, gbnf=ENTITIES_GBNF), alone=True),
    ]


def writers(llama: Naive, server: Server) -> list[Contestant]:
    """Return the others' ways of writing free text."""
    return [
        Contestant("llama-server", _plain(server, FREE), cpu_s=server.cpu_s),
        Contestant("Llama, warm", llama.ask(FREE), alone=True),
    ]
