"""What the instruct model stands on: an engine with a life of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from smallmesh.hosting.card import ModelCard
from smallmesh.hosting.engine.port import Engine


class OpenedEngine(Engine, Protocol):
    """An engine for one GGUF. Only ``start``, ``stop`` and ``abandon`` may be called before it is started."""

    @property
    def template(self) -> str | None:
        """The chat template that the GGUF carries."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The GGUF's scalar metadata as text."""

    @property
    def passes(self) -> int:
        """Passes so far: it grows only while the model makes progress."""

    @property
    def turn(self) -> int | None:
        """Number of the pass in hand; None where there is none."""

    async def start(self) -> None:
        """Load the model.

        Raises:
            RuntimeError: It cannot be loaded.
        """

    async def stop(self) -> bool:
        """Finish what is in hand and free the model; tell whether that was done in time."""

    def abandon(self, why: Exception) -> None:
        """Give up a model that does not move: whoever waits for it gets ``why``."""


OpenEngine = Callable[[ModelCard, Path], OpenedEngine]
