"""llama-server: found or built, started on a free port, asked over HTTP."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from scripts.benches.inference.cache import Say, folder

_BUILD = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
_INCLUDED = Path(__file__).parent / "llama-server.cmake"
READY_S = 120.0
ANSWER_S = 600.0


def find(sources: Path, say: Say) -> Path:
    """Return llama-server: that on PATH, or one built from the sources into the cache."""
    on_path = shutil.which("llama-server")
    if on_path:
        return Path(on_path)
    build = folder() / f"llama-server-{sources.parents[1].name}"
    built = build / "bin" / "llama-server"
    if not built.is_file():
        _build(sources, build, say)
    return built


def _installed() -> Path:
    """Return the folder of the libraries that llama-cpp-python has installed."""
    found = find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("llama_cpp")
    return Path(found.origin).parent / "lib"


def _build(sources: Path, build: Path, say: Say) -> None:
    """Compile it, politely: it takes several minutes of all cores.

    Raises:
        RuntimeError: It could not be compiled; the message ends with the compiler's own.
    """
    own = (f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={_INCLUDED}", f"-DINSTALLED_LLAMA={_installed()}")
    for words, what in (
        (["cmake", "-S", str(sources), "-B", str(build), *_BUILD, *own], "configuring llama-server …"),
        (["cmake", "--build", str(build), "--target", "llama-server", "-j", str(os.cpu_count() or 1)], "compiling llama-server: minutes …"),
    ):
        say(what)
        done = subprocess.run(["nice", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - our own words
        if done.returncode:
            msg = f"llama-server could not be built:\n{(done.stdout + done.stderr)[-2000:]}"
            raise RuntimeError(msg)


class Server:
    """A llama-server that runs. Its clients are threads, as callers in other processes would have."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, clients: int) -> None:
        """Ask a process on a port."""
        self._process = process
        self._port = port
        self._callers = ThreadPoolExecutor(clients)

    @classmethod
    @asynccontextmanager
    async def running(cls, binary: Path, model: Path, *, clients: int, context: int, threads: int) -> AsyncIterator["Server"]:
        """Run one with as many slots as clients, one buffer for all of them, and its prompt cache."""
        port = _free_port()
        words = [str(binary), "--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--parallel", str(clients)]
        words += ["--ctx-size", str(context), "--kv-unified", "--threads", str(threads), "--threads-batch", str(threads)]
        words += ["--threads-http", str(clients + 2), "--no-ui", "--offline"]
        log = (folder() / "llama-server.log").open("wb")
        process = subprocess.Popen(words, stdout=log, stderr=log)  # noqa: ASYNC220, S603 - our own words; it is started once
        server = cls(process, port, clients)
        try:
            await asyncio.wait_for(server._ready(), READY_S)
            yield server
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 30)
            server._callers.shutdown()
            log.close()

    async def ask(self, body: Mapping[str, object]) -> Any:
        """Return the answer to one completion request.

        Raises:
            RuntimeError: It refused.
        """
        return await asyncio.get_running_loop().run_in_executor(self._callers, self._post, json.dumps(body).encode())

    def cpu_s(self) -> float:
        """Return the processor seconds that it has used."""
        used = psutil.Process(self._process.pid).cpu_times()
        return float(used.user + used.system)

    def _post(self, body: bytes) -> Any:
        # A connection for each: the server ends one that rests for some seconds, as it does here between two rounds.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        try:
            connection.request("POST", "/completion", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            msg = f"llama-server answers {response.status}: {answer[:500]!r}"
            raise RuntimeError(msg)
        return json.loads(answer)

    async def _ready(self) -> None:
        while not await asyncio.to_thread(self._healthy):
            if self._process.poll() is not None:
                msg = f"llama-server ended: {folder() / 'llama-server.log'} says why"
                raise RuntimeError(msg)
            await asyncio.sleep(0.2)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
