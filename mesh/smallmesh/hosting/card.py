"""The model card: what a GGUF is, and whether the file on disk is that GGUF."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

CARD_FILE = "model.toml"


class ModelError(Exception):
    """A model cannot be served; the message says what to do."""


class ModelCard(BaseModel):
    """The ``[model]`` table of an agent's ``model.toml``.

    Attributes:
        id: Named in every answer as ``model_id``.
        file: The GGUF, relative to the agent's folder.
        sha256: Of that file. A file with another one is never loaded.
        engine: How it answers.
        pooling: What the encoder gives: ``rank`` label scores, ``none`` token vectors, ``mean`` text vectors.
        window: Tokens of one forward pass, special tokens included.
        n_threads: Threads of one forward pass.
        languages: What the model was trained on, ISO 639-1.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    architecture: str
    quantisation: str
    engine: Literal["encoder"]
    pooling: Literal["rank", "none", "mean"]
    window: Annotated[int, Field(ge=16, le=8192)] = 256
    n_threads: Annotated[int, Field(ge=1)] = 1
    languages: tuple[str, ...] = ("en",)
    licence: str = ""


def load_card(folder: Path) -> ModelCard | None:
    """Read an agent's card; None where the agent has no model (it answers by rules).

    Raises:
        ModelError: The card is there but not valid.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    try:
        return ModelCard.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))["model"])
    except (tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
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
        msg = f"model file {path} is missing: restore it (git checkout -- {card.file}) or train it again (scripts/train)"
        raise ModelError(msg)
    found = sha256_of(path)
    if found != card.sha256:
        msg = (
            f"model file {path} is not the one of its card: sha256 {found[:12]}…, the card says {card.sha256[:12]}…. "
            "It is not loaded. Restore the file, or write the new sha256 into model.toml if the change is meant"
        )
        raise ModelError(msg)
    return path
