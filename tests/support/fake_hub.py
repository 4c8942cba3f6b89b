"""A hub of models on this machine: as much of Hugging Face's interface as pulling one file uses, and the ways it goes wrong.

``HEAD`` and ``GET`` of ``/ORG/NAME/resolve/REVISION/FILE`` answer as theirs does: commit, digest and size in headers, and a redirect
to another host (``localhost`` beside ``127.0.0.1``), where the bytes lie and no token may be sent. ``Range`` is understood.
"""

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

COMMIT = "c" * 40
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came."""

    method: str
    host: str
    path: str
    range: str | None
    token: str | None


@dataclass(slots=True)
class FakeHub:
    """A hub that runs while it is entered.

    Attributes:
        files: Contents by repository, revision and name; a branch and its commit are two revisions.
        commits: What branches stand for.
        token: Without it nothing is given; None where all is public.
        gated: Repositories that ask for consent.
        cuts: Of each of the next downloads, the bytes after which the connection breaks.
        status: Answer every download with this error.
        served: Send these bytes in the place of those that the digest is of.
        says_digest: Whether it tells a file's sha256; a poor mirror does not.
        says_commit: Likewise its commit; what is no hub at all does not.
        asked: Every request so far.
    """

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    token: str | None = None
    gated: set[str] = field(default_factory=set)
    cuts: list[int] = field(default_factory=list)
    status: int | None = None
    served: bytes | None = None
    says_digest: bool = True
    says_commit: bool = True
    asked: list[Asked] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    def add(self, repository: str, file: str, body: bytes, *, commit: str = COMMIT, branch: str = "main") -> str:
        """Put a file on a branch, and return its sha256."""
        self.files[repository, commit, file] = body
        self.commits[branch] = commit
        return hashlib.sha256(body).hexdigest()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def _port(self) -> int:
        assert self._server is not None, "the hub does not run"
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            answers = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def downloads(self) -> list[Asked]:
        """Return the requests for bytes."""
        return [one for one in self.asked if one.path.startswith("/cdn/") and one.method == "GET"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, host = self.answers, (self.headers.get("Host") or "").partition(":")[0]
        hub.asked.append(Asked(self.command, host, self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        if self.path.startswith("/cdn/"):
            self._send_bytes(self.path.removeprefix("/cdn/"))
        elif (found := _RESOLVE.fullmatch(self.path)) is not None:
            self._resolve(*found.groups())
        else:
            self._refuse(404, "")

    def _resolve(self, repository: str, revision: str, file: str) -> None:
        hub = self.answers
        commit = hub.commits.get(revision, revision)
        if hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(401, "RepoNotFound")
        elif repository in hub.gated:
            self._refuse(403, "GatedRepo")
        elif not any(repository == name for name, _, _ in hub.files):
            self._refuse(404, "RepoNotFound")
        elif not any((repository, commit) == one[:2] for one in hub.files):
            self._refuse(404, "RevisionNotFound")
        elif (repository, commit, file) not in hub.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._redirect(commit, hub.files[repository, commit, file])

    def _redirect(self, commit: str, body: bytes) -> None:
        hub, sha256 = self.answers, hashlib.sha256(body).hexdigest()
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{hub._port}/cdn/{sha256}")
        self.send_header("X-Linked-Size", str(len(body)))
        self.send_header("X-Linked-Etag", f'"{sha256}"' if hub.says_digest else '"a-tag-of-its-own"')
        if hub.says_commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_bytes(self, sha256: str) -> None:
        hub = self.answers
        if hub.status is not None:
            self._refuse(hub.status, "")
            return
        whole = hub.served or next(body for body in hub.files.values() if hashlib.sha256(body).hexdigest() == sha256)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        cut = hub.cuts.pop(0) if hub.cuts else None
        self.wfile.write(whole[start:][:cut])
        if cut is not None:
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
