"""What the engine itself costs: Python on its thread, the event loop beside it, the abort callback."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import llama_cpp

from scripts.benches.figures import Figure, percentile
from smallmesh.hosting.engine.port import Outcome, Row
from smallmesh.hosting.llama import Decoder

PYTHON_PERCENT = 5.0
BLOCKED_MS = 20.0
_TICK_S = 0.001
_STEPS = 60
_ABORTS = 12
_ROWS = 512
_BEFORE_ABORT_S = 0.1

_TICKER = """
import sys, threading, time
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
latest = 0.0
while not stop.is_set():
    began = time.perf_counter()
    time.sleep(0.001)
    latest = max(latest, time.perf_counter() - began - 0.001)
print(latest)
"""


@dataclass
class Share:
    """Processor time of the engine's thread, in and out of llama.cpp's own work.

    Attributes:
        inside_s: Within ``llama_decode``.
        outside_s: Between one call's end and the next one's beginning; waiting takes no processor time.
        passes: Calls.
    """

    inside_s: float = 0.0
    outside_s: float = 0.0
    passes: int = 0

    @property
    def percent(self) -> float:
        """Of the thread's processor time, how much was not llama.cpp's."""
        return 100 * self.outside_s / (self.inside_s + self.outside_s)


@contextmanager
def watched() -> Iterator[Share]:
    """Measure the thread that decodes, while the block runs."""
    share, original, ended = Share(), llama_cpp.llama_decode, 0.0

    def decode(context: Any, batch: Any) -> int:
        nonlocal ended
        began = time.thread_time()
        status = int(original(context, batch))
        now = time.thread_time()
        if share.passes:
            share.outside_s += began - ended
            share.inside_s += now - began
        share.passes += 1
        ended = now
        return status

    llama_cpp.llama_decode = decode
    try:
        yield share
    finally:
        llama_cpp.llama_decode = original


@dataclass
class Late:
    """How late ticks of the event loop came, in milliseconds.

    Attributes:
        ticks: Each of them.
        blocked: The same, less what the loop's and the engine's thread waited for a processor meanwhile: other processes' doing.
        elsewhere: The latest tick of a process beside it that does nothing else: what the operating system alone does.
    """

    ticks: list[float] = field(default_factory=list)
    blocked: list[float] = field(default_factory=list)
    elsewhere: float = 0.0


@asynccontextmanager
async def ticking() -> AsyncIterator[Late]:
    """Have the event loop wake up each millisecond while the block runs."""
    late = Late()
    beside = subprocess.Popen([sys.executable, "-c", _TICKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: ASYNC220, S603 - started once, our own words
    ticker = asyncio.create_task(_tick(late))
    try:
        yield late
    finally:
        ticker.cancel()
        said, _ = await asyncio.to_thread(beside.communicate)
        late.elsewhere = float(said) * 1000


async def _tick(late: Late) -> None:
    threads = [threading.get_native_id(), *(t.native_id for t in threading.enumerate() if t.name.startswith("engine-"))]
    files = [Path(f"/proc/self/task/{thread}/schedstat") for thread in threads]
    while True:
        began, waited_s = time.perf_counter(), _waited(files)
        await asyncio.sleep(_TICK_S)
        late_s = time.perf_counter() - began - _TICK_S
        late.ticks.append(late_s * 1000)
        late.blocked.append(max(0.0, late_s - (_waited(files) - waited_s)) * 1000)


def _waited(files: Sequence[Path]) -> float:
    """Return the seconds that threads were ready and had no processor, as Linux counts them; 0 elsewhere."""
    return sum(int(file.read_text().split()[1]) for file in files if file.exists()) / 1e9


def engine_figures(what: str, share: Share, late: Late) -> list[Figure]:
    """Return what watching and ticking found."""
    blocked = max(late.blocked)
    return [
        Figure(
            f"{what}: Python on the engine's thread, {share.passes} passes",
            share.percent,
            "% of its processor time",
            target=f"at most {PYTHON_PERCENT:g} %",
            met=share.percent <= PYTHON_PERCENT,
        ),
        Figure(
            f"{what}: event loop blocked at the longest",
            blocked,
            "ms",
            target=f"at most {BLOCKED_MS:g} ms",
            met=blocked <= BLOCKED_MS,
        ),
        Figure(f"{what}: event loop's latest tick, beside that of an idle process", max(late.ticks), "ms", late.elsewhere),
        Figure(f"{what}: event loop's ticks, p99", percentile(late.ticks, 99), "ms"),
    ]


def abort_figures(path: Path, threads: int) -> list[Figure]:
    """Return what the abort callback costs, and how soon it ends a pass. Takes a model of its own."""
    decoder = Decoder(path, n_ctx=2048, n_sequences=8, n_batch=_ROWS, n_threads=threads)
    try:
        with_s, without_s = _steps(decoder)
        returned_ms = [_abort(decoder) for _ in range(_ABORTS)]
    finally:
        decoder.close()
    return [
        Figure(
            "abort callback: a step of 8 sequences with it, beside one without", with_s * 1000, "ms", without_s * 1000, with_s / without_s
        ),
        Figure(f"from abort to return, of {_ROWS} tokens, p50", percentile(returned_ms, 50), "ms"),
        Figure("from abort to return, longest", max(returned_ms), "ms"),
    ]


def _steps(decoder: Decoder) -> tuple[float, float]:
    """Return the median of one step with the callback and of one without, taken in turn."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for position in range(_STEPS):
        called = position % 4 in (0, 3)  # in no order that a growing context would favour
        with _callback(decoder, called=called):
            took[called].append(_step(decoder, position))
    for sequence in range(8):
        decoder.drop(sequence)
    return median(took[True]), median(took[False])


@contextmanager
def _callback(decoder: Decoder, *, called: bool) -> Iterator[None]:
    if not called:
        llama_cpp.llama_set_abort_callback(decoder._context, llama_cpp.ggml_abort_callback(), None)  # noqa: SLF001 - only a benchmark goes without
    try:
        yield
    finally:
        if not called:
            decoder._abort = type(decoder._abort)(decoder._context)  # noqa: SLF001 - put back as it was


def _abort(decoder: Decoder) -> float:
    """Return the milliseconds that a long pass takes to end once it is aborted."""
    at: list[float] = []

    def abort() -> None:
        at.append(time.perf_counter())
        decoder.abort()

    timer = threading.Timer(_BEFORE_ABORT_S, abort)
    timer.start()
    outcome = decoder.decode([Row(1000 + index, index, (0,), wanted=False) for index in range(_ROWS)])
    returned = time.perf_counter()
    timer.join()
    decoder.drop(0)
    if outcome is not Outcome.ABORTED:
        raise RuntimeError("the pass was over before it was aborted")
    return (returned - at[0]) * 1000


def _step(decoder: Decoder, position: int) -> float:
    rows = [Row(1000 + sequence, position, (sequence,), wanted=True) for sequence in range(8)]
    began = time.perf_counter()
    decoder.decode(rows)
    return time.perf_counter() - began
