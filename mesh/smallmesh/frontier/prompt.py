"""A prompt for a frontier model, from a file, with the text framed so that it cannot speak for itself."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Self


@dataclass(frozen=True, slots=True)
class FrontierPrompt:
    """A prompt file.

    Attributes:
        version: Hash of the file.
        system: What the model is to be.
        template: The message, with ``$boundary``, ``$document`` and ``$instruction``.
        default_instruction: Used where a task has none.
        max_tokens: Most that the model may answer.
    """

    version: str
    system: str
    template: Template
    default_instruction: str
    max_tokens: int

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a prompt file.

        Raises:
            KeyError: It lacks a piece.
            OSError: It cannot be read.
            tomllib.TOMLDecodeError: It is not TOML.
        """
        body = file.read_bytes()
        read = tomllib.loads(body.decode())
        template = Template(read["template"].strip())
        version = hashlib.sha256(body).hexdigest()[:12]
        return cls(version, read["system"].strip(), template, read["default_instruction"], int(read["max_tokens"]))

    def fill(self, document: str, instruction: str | None) -> str:
        """Return the message for one document.

        The boundary is a hash of the document: no document can contain its own hash,
        so none can end its own frame. What is filled in is not read for marks again.
        """
        boundary = hashlib.sha256(document.encode()).hexdigest()[:16]
        return self.template.substitute(boundary=boundary, document=document, instruction=instruction or self.default_instruction)
