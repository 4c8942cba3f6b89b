"""The model card: what a GGUF is, and whether the file on disk is that GGUF."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

CARD_FILE = "model.toml"
EMBEDDED = "embedded"
"""The tier that lies in the agent's folder, and serves unless another was chosen."""
_SHA256 = "^[0-9a-f]{64}$"
_TIER = "^[a-z][a-z0-9_-]{0,31}$"
_RESTORE = {
    "encoder": "restore it (git checkout -- FILE) or train it again (scripts/train)",
    "instruct": "restore it, or pull it again (smallmesh models pull AGENT)",
}
_REPLACE = {
    "encoder": "Restore the file, or write the new sha256 into model.toml if the change is meant",
    "instruct": "Restore the file, or pull it again (smallmesh models pull AGENT)",
}


class ModelError(Exception):
    """A model cannot be served; the message says what to do."""


class _Described(BaseModel):
    """What a card says of a model, wherever its file comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[str, Field(min_length=1)]
    architecture: str
    quantisation: str
    window: Annotated[int, Field(ge=16, le=8192)] = 256
    n_threads: Annotated[int, Field(ge=1)] = 1
    context: Annotated[int, Field(ge=256, le=262_144)] = 4096
    slots: Annotated[int, Field(ge=1, le=64)] = 8
    ram_mb: Annotated[int, Field(gt=0)] | None = None
    ram: Literal["estimated", "measured"] = "estimated"
    languages: tuple[str, ...] = ("en",)
    licence: str = ""


class ModelCard(_Described):
    """One model and its file: the ``[model]`` table of an agent's ``model.toml``, or one of its tiers once that was pulled.

    Attributes:
        id: Named in every answer as ``model_id``.
        tier: Its place on the agent's ladder.
        file: The GGUF, relative to the agent's folder; of a tier, to the folder that it was pulled into.
        sha256: Of that file. A file with another one is never loaded.
        engine: How it answers: an encoder gives scores and vectors, an instruct model generates.
        pooling: What an encoder gives: ``rank`` label scores, ``none`` token vectors, ``mean`` text vectors.
        window: Tokens of one forward pass of an encoder, special tokens included. What an instruct model reads at a time is
            said by its prompt pack.
        n_threads: Threads of one forward pass.
        context: Tokens that all requests of an instruct model may hold together, those they share counted once.
        slots: Requests that an instruct model works on at a time.
        ram_mb: Megabytes that the model adds to a process, for people to read; what is checked is reckoned from the file.
        ram: Where that number comes from.
        languages: What the model was trained on, ISO 639-1.
    """

    tier: Annotated[str, Field(pattern=_TIER)] = EMBEDDED
    file: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=_SHA256)]
    engine: Literal["encoder", "instruct"]
    pooling: Literal["rank", "none", "mean"] | None = None

    @model_validator(mode="after")
    def _pools_as_its_engine_does(self) -> Self:
        if self.engine == "encoder" and self.pooling is None:
            raise ValueError("an encoder needs a pooling: rank, none or mean")
        if self.engine == "instruct" and self.pooling is not None:
            raise ValueError("an instruct model has no pooling")
        return self


class Tier(_Described):
    """A larger model that may answer in the place of the embedded one: one of the ``[[tiers]]`` of ``model.toml``.

    Attributes:
        tier: Its name, as ``small``. Tiers stand in the order of their size.
        repository: Where it is pulled from, as ``organisation/name`` on the hub.
        revision: The commit, so that everybody gets the same file; a branch or tag is resolved at the first pull, and kept.
        file: The GGUF's name in the repository.
        sha256: Of that file; where it is not known, that of the first pull counts from then on.
        size_bytes: Of the file, to be told before it is pulled.
    """

    tier: Annotated[str, Field(pattern=_TIER)]
    engine: Literal["instruct"]
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")] = "main"
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.gguf$")]
    sha256: Annotated[str, Field(pattern=_SHA256)] | None = None
    size_bytes: Annotated[int, Field(gt=0)] | None = None

    def card(self, sha256: str) -> ModelCard:
        """Return the card of the file that was pulled for this tier."""
        return ModelCard.model_validate({**self.model_dump(), "sha256": sha256})


def load_card(folder: Path) -> ModelCard | None:
    """Read the card of an agent's embedded model; None where the agent has none (it answers by rules).

    Raises:
        ModelError: The card is there but not valid.
    """
    described = _described(folder)
    return None if described is None else described.model


def load_tiers(folder: Path) -> tuple[Tier, ...]:
    """Read the tiers above an agent's embedded model, from the smallest.

    Raises:
        ModelError: They are there but not valid.
    """
    described = _described(folder)
    return () if described is None else described.tiers


class _ModelToml(BaseModel):
    model: ModelCard
    tiers: tuple[Tier, ...] = ()

    @field_validator("tiers")
    @classmethod
    def _are_told_apart(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        names = [EMBEDDED, *(tier.tier for tier in tiers)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one tier is called {', '.join(twice)}")
        return tiers


def _described(folder: Path) -> _ModelToml | None:
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    try:
        return _ModelToml.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        msg = f"{path} is not a valid model card: {error}"
        raise ModelError(msg) from error


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verified_file(card: ModelCard, folder: Path) -> Path:
    """Return the model's file once its sha256 is the card's.

    Raises:
        ModelError: The file is missing or another one.
    """
    path = folder / card.file
    if not path.is_file():
        msg = f"model file {path} is missing: {_RESTORE[card.engine]}"
        raise ModelError(msg)
    found = sha256_of(path)
    if found != card.sha256:
        msg = (
            f"model file {path} is not the one of its card: sha256 {found[:12]}…, the card says {card.sha256[:12]}…. "
            f"It is not loaded. {_REPLACE[card.engine]}"
        )
        raise ModelError(msg)
    return path
