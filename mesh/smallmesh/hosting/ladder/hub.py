"""The one place that speaks to a hub of models, through ``huggingface_hub``.

Files come over plain HTTP by :func:`huggingface_hub.file_download.http_get`: ``hf_hub_download`` begins a broken download anew
(since its version 1.5 a partial file belongs to one process), and what goes through Xet storage has no mirror.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Protocol, Self, cast

import smallmesh
from smallmesh.hosting.card import ModelError

OnProgress = Callable[[int], None]
"""Told how many bytes of a file are there."""
_SHA256 = re.compile("[0-9a-f]{64}")


class HubError(ModelError):
    """The hub does not give a file; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One version of one file on a hub.

    Attributes:
        repository: ``organisation/name``.
        file: Its name there.
        commit: Which version.
        sha256: What the hub says of its content; None where it says nothing.
        size: Its bytes, likewise.
    """

    repository: str
    file: str
    commit: str
    sha256: str | None
    size: int | None


class Hub(Protocol):
    """Where models are pulled from."""

    def look(self, repository: str, revision: str, file: str) -> Remote:
        """Return which version of a file a revision has.

        Raises:
            HubError: There is none, or the hub cannot be asked.
        """

    def fetch(self, remote: Remote, into: IO[bytes], *, on_progress: OnProgress) -> None:
        """Append what is missing of a file, from the place where ``into`` stands.

        Raises:
            HubError: The hub broke off. What came is in the file.
            OSError: It cannot be written.
        """


class HuggingFaceHub:
    """A hub that speaks Hugging Face's interface: theirs, or a mirror."""

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            endpoint: Of a mirror, as ``https://mirror.example``; without it the public hub's.
            token: For repositories that are not public.

        Raises:
            ModuleNotFoundError: ``huggingface_hub`` is not installed (the extra ``models``).
        """
        from huggingface_hub import constants  # noqa: PLC0415 - slow to load, and only a pull needs it

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what goes wrong is said here, in our words
        constants.HF_HUB_DISABLE_TELEMETRY = True  # who runs this is nobody's business, and telling it is a request of its own
        self._endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._token: str | bool = token or False  # False: no other token that may lie on this machine

    def look(self, repository: str, revision: str, file: str) -> Remote:
        """Return which version of a file a revision has; see :meth:`Hub.look`."""
        from huggingface_hub import get_hf_file_metadata  # noqa: PLC0415

        with self._told(repository, revision, file):
            found = get_hf_file_metadata(
                self._url(repository, revision, file),
                token=self._token,
                endpoint=self._endpoint,
                library_name="smallmesh",
                library_version=smallmesh.__version__,
            )
        if found.commit_hash is None:
            raise HubError(f"{self._endpoint} does not answer as a hub does (no commit is named): check HF_ENDPOINT and proxies")
        known = found.etag is not None and _SHA256.fullmatch(found.etag)
        return Remote(repository, file, found.commit_hash, found.etag if known else None, found.size)

    def fetch(self, remote: Remote, into: IO[bytes], *, on_progress: OnProgress) -> None:
        """Append what is missing of a file; see :meth:`Hub.fetch`."""
        from huggingface_hub.file_download import http_get  # noqa: PLC0415

        headers = {"User-Agent": f"smallmesh/{smallmesh.__version__}", "Accept-Encoding": "identity"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        with self._told(remote.repository, remote.commit, remote.file):
            http_get(
                self._url(remote.repository, remote.commit, remote.file),
                cast("BinaryIO", _Counted(into, on_progress)),
                resume_size=into.tell(),
                headers=headers,
                expected_size=remote.size,
                displayed_filename=remote.file,
                tqdm_class=cast("Any", _NoBar),
            )

    def _url(self, repository: str, revision: str, file: str) -> str:
        from huggingface_hub import hf_hub_url  # noqa: PLC0415

        return hf_hub_url(repository, file, revision=revision, endpoint=self._endpoint)

    @contextmanager
    def _told(self, repository: str, revision: str, file: str) -> Iterator[None]:
        """Say in our words what the hub's client raises."""
        import httpx2  # noqa: PLC0415 - comes with huggingface_hub
        from huggingface_hub import errors  # noqa: PLC0415

        try:
            yield
        except errors.GatedRepoError as error:
            raise HubError(f"{repository} asks for consent: accept its terms on its page, and set HF_TOKEN to a token of yours") from error
        except errors.RepositoryNotFoundError as error:
            raise HubError(f"{self._endpoint} has no {repository}, or it is not public: {_CHECK}, or set HF_TOKEN") from error
        except errors.RevisionNotFoundError as error:
            raise HubError(f"{repository} has no revision {revision}: {_CHECK}") from error
        except errors.RemoteEntryNotFoundError as error:
            raise HubError(f"{repository} has no {file} at {revision}: {_CHECK}") from error
        except errors.HfHubHTTPError as error:
            raise self._refused(repository, error.response.status_code) from error
        except errors.OfflineModeIsEnabled as error:
            raise HubError("HF_HUB_OFFLINE is set: nothing is pulled") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            what = str(error) or type(error).__name__
            raise HubError(f"{self._endpoint} cannot be reached, or broke off ({what}): {_AGAIN}") from error
        except OSError as error:
            if error.errno is not None:  # of this machine: a full disk, a folder that may not be written
                raise
            raise HubError(f"{self._endpoint} sent {file} in another length than it said: {_AGAIN}") from error

    def _refused(self, repository: str, status: int) -> HubError:
        if status in (401, 403):
            return HubError(f"{self._endpoint} does not give {repository} to you (HTTP {status}): set HF_TOKEN to a token that may read it")
        return HubError(f"{self._endpoint} answers with HTTP {status}: {_AGAIN}")


_CHECK = "check its name in model.toml"
_AGAIN = "pull again, it goes on where it stopped; HF_ENDPOINT names a mirror"


class _Counted:
    """A file that tells how long it is after each write."""

    def __init__(self, file: IO[bytes], on_progress: OnProgress) -> None:
        self._file = file
        self._on_progress = on_progress

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._on_progress(self._file.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _NoBar:
    """What the hub's client takes for its progress bar."""

    def __init__(self, **_: Any) -> None:
        """Take whatever a bar is told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: float) -> None:
        """Show nothing: progress is told by the file."""
