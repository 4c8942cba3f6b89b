"""The shipped encoders beside torch and onnxruntime on the same weights, documents a second of one core's time."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from scripts.benches.encoders.contestants import TO_INSTALL, Contestant, replicas, rivals_in, started
from scripts.benches.encoders.memory import weight
from scripts.benches.encoders.texts import TEXT
from scripts.benches.encoders.worker import WINDOW
from scripts.benches.figures import Figure, Report, percentile
from smallmesh.catalogue import Catalogue
from smallmesh.hosting.card import load_card
from smallmesh.settings import settings

if TYPE_CHECKING:
    from smallmesh.hosting.llama import Pooling

AGENTS = ("sentiment", "ner", "summarizer")
"""One for each kind of pooling; the router's model has the shape of sentiment's."""
LENGTHS = (12, 25, 60, 120)
"""Tokens of a text, special ones not counted: a subject line, a sentence, a paragraph, a full window."""
TEXTS = 3
"""Texts of each length, from different places of the same document."""
BAR = 0.8
AGREES = 0.999
"""Cosine with F32 arithmetic that our outputs must have: then they are those of the same weights."""
RIVALS = {"torch": ("torch-f32", "torch-int8"), "onnxruntime": ("onnxruntime-f32", "onnxruntime-int8")}
PASSES = 40
THREADS = ((1, 1), (1, 2), (2, 1), (2, 2))
"""Processes and threads of each."""
_REFERENCES = ("torch-f32", "onnxruntime-f32")
"""Rivals that compute with the file's own weights: the faster one sets the bar, the first that is there says what comes out. In
int8 the weights are rounded a second time, and something else comes out."""


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    Attributes:
        rounds: Rounds in which every contestant has its turn.
        python: Interpreter that has torch and onnxruntime.
        threads: Whether to measure processes and threads, too.
        quiet: Whether to say nothing meanwhile.
    """

    rounds: int
    python: str
    threads: bool
    quiet: bool


@dataclass(frozen=True)
class _Ran:
    """A contestant's documents a second of processor time, and what came out of each text."""

    rate: float
    outputs: list[list[float]]


async def measure(wanted: Wanted) -> Report:
    """Measure every model at every length, then replicas, then threads where wanted."""
    say = Console(stderr=True, quiet=wanted.quiet).print
    rivals = [kind for rival in rivals_in(wanted.python) for kind in RIVALS[rival]]
    if len(rivals) < sum(map(len, RIVALS.values())):
        say(f"Measured without torch, onnxruntime or both: {wanted.python} does not have them. To have them:\n{TO_INSTALL}", soft_wrap=True)
    report = Report(f"encoders: documents a second of one core's time, {wanted.rounds} rounds, one thread")
    for agent in AGENTS:
        say(f"{agent} …")
        report.figures.extend(_agent(agent, rivals, wanted))
    say("replicas …")
    report.figures.extend(_replicas())
    if wanted.threads:
        say("threads …")
        report.figures.extend(_threads())
    return report


def _model(agent: str) -> tuple[Path, "Pooling"]:
    folder = Catalogue.load(settings().agent_folders).agent(agent).folder
    card = load_card(folder)
    if card is None or card.pooling is None:
        raise RuntimeError(f"{agent} has no encoder")
    return folder / card.file, card.pooling


def _texts(model: Path, pooling: "Pooling", length: int) -> list[list[int]]:
    from smallmesh.hosting.llama import Encoder  # noqa: PLC0415 - llama.cpp is loaded by this benchmark only

    encoder = Encoder(model, pooling=pooling, window=WINDOW)
    tokens = encoder.tokenize(TEXT)
    encoder.close()
    return [tokens[start : start + length] for start in range(0, TEXTS * 20, 20)]


def _agent(agent: str, rivals: Sequence[str], wanted: Wanted) -> Iterator[Figure]:
    model, pooling = _model(agent)
    with ExitStack() as stack:
        contestants = {"ours": stack.enter_context(started("ours", model, pooling))}
        for rival in rivals:
            contestants[rival] = stack.enter_context(started(rival, model, pooling, python=wanted.python))
        for length in LENGTHS:
            ran = _race(contestants, _texts(model, pooling, length), wanted.rounds)
            yield from _compared(f"{agent}, {length} tokens", ran)


def _race(contestants: dict[str, Contestant], texts: list[list[int]], rounds: int) -> dict[str, _Ran]:
    """Let everybody have the same texts in turns; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    outputs: dict[str, list[list[float]]] = {}
    for turn in range(rounds + 1):
        for name, contestant in contestants.items():
            asked = contestant.ask(texts)
            outputs[name] = asked.outputs
            if turn:
                taken[name].append(sum(asked.seconds) / len(texts))
    return {name: _Ran(1 / median(seconds), outputs[name]) for name, seconds in taken.items()}


def _compared(name: str, ran: dict[str, _Ran]) -> Iterator[Figure]:
    ours = ran["ours"]
    exact = [kind for kind in _REFERENCES if kind in ran]
    if not exact:
        yield Figure(name, ours.rate, "docs/s")
        return
    agreement = {rival: _cosine(its.outputs, ran[exact[0]].outputs) for rival, its in ran.items()}
    fastest = max(exact, key=lambda rival: ran[rival].rate)
    for rival, its in ran.items():
        if rival == "ours":
            continue
        ratio, sets_bar = ours.rate / its.rate, rival == fastest
        target = f"at least {BAR:.2f}" if sets_bar else ("" if rival in exact else f"other outputs: cosine {agreement[rival]:.3f}")
        yield Figure(f"{name}, {rival}", ours.rate, "docs/s", its.rate, ratio, target, (ratio >= BAR) if sets_bar else None)
    same = agreement["ours"]
    yield Figure(f"{name}, ours agrees with {exact[0]}", same, "cosine", target=f"at least {AGREES}", met=same >= AGREES)


def _cosine(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """Return the least cosine between two contestants' outputs for the same text."""
    pairs = ((np.array(a), np.array(b)) for a, b in zip(some, others, strict=True))
    return min(float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs)


def _replicas() -> Iterator[Figure]:
    """Weigh one and two processes that serve the same file, after full windows. The file is a copy that nobody else has mapped."""
    shipped, pooling = _model("sentiment")
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder:
        model = Path(shutil.copy(shipped, folder))
        full = _texts(model, pooling, LENGTHS[-1])
        for count in (1, 2):
            with replicas(count, model, pooling) as processes:
                for process in processes:
                    process.ask(full)
                weights = [weight(process.pid, model) for process in processes]
            name = f"{count} replica{'s' if count > 1 else ''} of sentiment, a process"
            for what, values in (
                ("RSS", [w.rss for w in weights]),
                ("PSS", [w.pss for w in weights]),
                ("its own", [w.own for w in weights]),
                ("PSS of the model's file", [w.file_pss for w in weights]),
            ):
                beside = None if what != "PSS of the model's file" else weights[0].file_rss
                mean = sum(values) / count
                yield Figure(f"{name}, {what}", mean, "MB", beside, None if beside is None else mean / beside)


def _threads() -> Iterator[Figure]:
    """Measure a sentence's time on the wall, with some processes and threads at once."""
    model, pooling = _model("sentiment")
    sentence = _texts(model, pooling, LENGTHS[1])[:1]
    for processes, threads in THREADS:
        with replicas(processes, model, pooling, threads=threads) as running:
            for process in running:
                process.ask(sentence * 3)
            for process in running:
                process.send(sentence * PASSES, wall=True)
            taken = [seconds * 1000 for process in running for seconds in process.receive().seconds]
        name = f"{processes} process{'es' if processes > 1 else ''} of {threads} thread{'s' if threads > 1 else ''}, {LENGTHS[1]} tokens"
        for percent in (50, 95):
            yield Figure(f"{name}, p{percent} on the wall", percentile(taken, percent), "ms")
