"""Contestants as processes, asked in turns."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NEEDED = {"torch": "torch, gguf", "onnxruntime": "onnxruntime, onnx, gguf"}
"""What a rival's environment must be able to import."""
TO_INSTALL = """\
python3 -m venv rivals
rivals/bin/pip install -r requirements/training.txt onnxruntime==1.31.1 onnx==1.23.2
rivals/bin/pip install --no-deps torch==2.13.0
scripts/bench encoders --rivals rivals/bin/python"""
"""What to do where a rival is missing; torch alone, because the registry's copy would pull CUDA."""


@dataclass
class Asked:
    """One answer of a contestant: for each text the seconds it took, and what came out."""

    seconds: list[float]
    outputs: list[list[float]]


class Contestant:
    """A worker process; see :mod:`scripts.benches.encoders.worker`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Wait until it is ready."""
        self._process = process
        self._read()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, texts: Sequence[Sequence[int]], *, wall: bool = False) -> Asked:
        """Run texts' tokens one by one; the seconds are the process's, or those of the clock on the wall."""
        self.send(texts, wall=wall)
        return self.receive()

    def send(self, texts: Sequence[Sequence[int]], *, wall: bool = False) -> None:
        """Ask without waiting."""
        if self._process.stdin is None:
            raise RuntimeError("the contestant was not started with a pipe")
        self._process.stdin.write(json.dumps({"texts": [list(text) for text in texts], "wall": wall}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Asked:
        """Return the answer to the oldest question."""
        return Asked(**self._read())

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"a contestant ended with status {self._process.wait()}; its last words stand above")
        return json.loads(line)


@contextmanager
def started(kind: str, model: Path, pooling: str, *, python: str = sys.executable, threads: int = 1) -> Iterator[Contestant]:
    """Start a contestant and end it afterwards."""
    call = [python, "-W", "ignore", "-m", "scripts.benches.encoders.worker", kind, str(model), pooling, str(threads)]
    with subprocess.Popen(call, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own worker
        try:
            yield Contestant(process)
        finally:
            process.kill()


@contextmanager
def replicas(count: int, model: Path, pooling: str, *, threads: int = 1) -> Iterator[list[Contestant]]:
    """Start our encoder in some processes at once."""
    with ExitStack() as stack:
        yield [stack.enter_context(started("ours", model, pooling, threads=threads)) for _ in range(count)]


def rivals_in(python: str) -> list[str]:
    """Return which rivals an interpreter has, of ``NEEDED``."""
    return [rival for rival, modules in NEEDED.items() if _imports(python, modules)]


def _imports(python: str, modules: str) -> bool:
    call = [python, "-c", f"import {modules}"]
    return subprocess.run(call, check=False, capture_output=True).returncode == 0  # noqa: S603 - the interpreter that was named
