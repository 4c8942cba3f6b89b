"""An agent in a process of its own, for as long as its cases are answered.

Its memory can be told from that of everything else, it is loaded as a replica is, and it can fall without taking others along.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from smallmesh.catalogue import CatalogueError
from smallmesh.evaluation.answers import Failed, Memory, Outcome, Ready
from smallmesh.hosting.card import ModelError
from smallmesh.settings import for_child

M = TypeVar("M", bound=BaseModel)
_ENDS_WITHIN_S = 10.0


class AgentProcess:
    """One agent that answers in its own process."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait until it is ready.

        Raises:
            CatalogueError: There is no such agent, or a setting of it is wrong.
            ModelError: Its model cannot be served.
        """
        self._name = name
        self._process = process
        self.served = self._ready().served

    def _ready(self) -> Ready:
        line = self._line()
        try:
            failed = Failed.model_validate_json(line)
        except ValidationError:
            return self._read(Ready, line)
        raise (ModelError if failed.model else CatalogueError)(failed.message)

    def answer(self, body: bytes) -> Outcome:
        """Answer one request.

        Raises:
            ModelError: The process died over it.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        try:
            self._process.stdin.write(body + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            with suppress(BrokenPipeError):  # what it was not told is still in the pipe's buffer
                self._process.stdin.close()
            raise self._died() from None
        return self._read(Outcome, self._line())

    def finish(self) -> Memory:
        """Let it end; return how much memory it took."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.close()
        return self._read(Memory, self._line())

    def _line(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        return line

    def _died(self) -> ModelError:
        status = self._process.wait()
        return ModelError(f"the process of {self._name} died (exit status {status}): is there enough memory? Its last words are above")

    def _read(self, kind: type[M], line: bytes) -> M:
        try:
            return kind.model_validate_json(line)
        except ValidationError:
            raise ModelError(f"the process of {self._name} said what is no {kind.__name__}") from None


@contextmanager
def agent_process(name: str, tier: str | None = None) -> Iterator[AgentProcess]:
    """Start an agent's process, to be finished by whoever uses it; it has ended when this is left.

    Args:
        name: The agent's.
        tier: Of its models; without it the one that serves.

    Raises:
        CatalogueError: There is no such agent, or a setting of it is wrong.
        ModelError: Its model cannot be served.
    """
    command = [sys.executable, "-P", "-m", "smallmesh.evaluation.child", name, *([tier] if tier else [])]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=for_child(secrets=False))  # noqa: S603 - this very program
    with process:
        try:
            yield AgentProcess(name, process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN_S)
        finally:
            process.kill()
