"""The prompt pack: what an instruct model is shown beside the document. One TOML file, ``prompt.toml``, beside ``agent.py``.

.. code-block:: toml

    system = "What to do, and the exact form of the answer."
    input = "{text}"            # one user turn; {text} once, other fields as the agent gives them
    window = 384                # most tokens of the text at a time; longer ones are read in windows

    [labels]                    # a pack either scores labels ...
    good = "yes"                # label = the exact words that are scored as the answer

    [generate]                  # ... or generates
    form = "names"              # "names": JSON under a schema, for tagging; "text": plain sentences
    max_tokens = 320            # of one answer

    [[examples]]                # three to eight
    text = "What a user says"   # every field of ``input``
    output = "yes"              # the whole answer: a label's words, JSON, or sentences

    [[calibration]]             # of labels, as it was measured; see smallmesh.hosting.instruct.calibration
    model = "the card's id"
    prompt = "PromptPack.version of the prompt it was measured with"
    temperature = 1.3
    bias = { good = -0.2 }

A conversation is made of it: the system text, each example as a user turn (``input`` filled in) and an assistant turn (``output``),
then the document as the last user turn. The GGUF's own chat template renders it (:mod:`smallmesh.hosting.prompts.chat`).
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from smallmesh.hosting.card import ModelError
from smallmesh_contracts.decode import explain

PACK_FILE = "prompt.toml"
TEXT = "text"
"""The field that the document stands in."""
_FIELD = re.compile(r"\{([a-z_]+)\}")
_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Example(BaseModel):
    """One conversation turn and its answer; what the input's fields hold are attributes beside ``output``."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, str | int] = Field(init=False)

    output: _Words

    @property
    def fields(self) -> Mapping[str, str]:
        """What the input's fields hold."""
        return {name: str(value) for name, value in (self.__pydantic_extra__ or {}).items()}


class Bounds(BaseModel):
    """How a pack generates.

    Attributes:
        form: ``names`` for JSON under the schema of tagging, ``text`` for sentences.
        max_tokens: Most tokens of one answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["names", "text"]
    max_tokens: Annotated[int, Field(ge=8, le=4096)]


class Measured(BaseModel):
    """How the labels of one model are calibrated.

    Attributes:
        model: The card's id.
        prompt: :attr:`PromptPack.version` of the pack that it was measured with.
        temperature: What log-probabilities are divided by.
        bias: What is then added, by label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    prompt: str
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    bias: dict[str, Annotated[float, Field(ge=-20, le=20)]] = {}


class PromptPack(BaseModel):
    """A prompt pack; the module's documentation says what each field means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: _Words
    input: _Words
    window: Annotated[int, Field(ge=16, le=8192)] = 384
    labels: Annotated[dict[str, _Words], Field(min_length=2)] | None = None
    generate: Bounds | None = None
    examples: Annotated[tuple[Example, ...], Field(min_length=3, max_length=8)]
    calibration: tuple[Measured, ...] = ()

    @property
    def version(self) -> str:
        """Hash of all that is shown to the model or bounds its answer: everything but the calibration."""
        return hashlib.sha256(self.model_dump_json(exclude={"calibration"}).encode()).hexdigest()[:12]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the input's fields, in order."""
        return tuple(_FIELD.findall(self.input))

    def filled(self, fields: Mapping[str, str]) -> str:
        """Return the input with its fields filled in; what is filled in is not read for fields again."""
        return _FIELD.sub(lambda match: fields[match[1]], self.input)

    @model_validator(mode="after")
    def _one_way_to_answer(self) -> Self:
        if (self.labels is None) == (self.generate is None):
            raise ValueError("a pack has either [labels] or [generate]")
        return self

    @model_validator(mode="after")
    def _input_has_its_fields(self) -> Self:
        if self.fields.count(TEXT) != 1 or len(set(self.fields)) != len(self.fields):
            raise ValueError(f"input: has {{{TEXT}}} once, and every other field once at most")
        for number, example in enumerate(self.examples):
            if set(example.fields) != set(self.fields):
                given, wanted = ", ".join(example.fields) or "none", ", ".join(self.fields)
                raise ValueError(f"examples.{number}: its fields are {given}, those of input are {wanted}")
        return self

    @model_validator(mode="after")
    def _labels_are_those_of_the_examples(self) -> Self:
        words = list((self.labels or {}).values())
        if len(set(words)) != len(words):
            raise ValueError("labels: two labels have the same words")
        for number, example in enumerate(self.examples if words else ()):
            if example.output not in words:
                raise ValueError(f"examples.{number}.output: {example.output!r} are no label's words")
        for number, measured in enumerate(self.calibration):
            if unknown := set(measured.bias) - set(self.labels or {}):
                raise ValueError(f"calibration.{number}.bias: no such label: {', '.join(sorted(unknown))}")
        return self


def load_pack(folder: Path) -> PromptPack:
    """Read the prompt pack of an agent's folder.

    Raises:
        ModelError: There is none, or it is not valid; the message names file and field.
    """
    path = folder / PACK_FILE
    try:
        return PromptPack.model_validate(_toml(path))
    except FileNotFoundError:
        msg = f"{path} is missing: an instruct model is asked by the prompts of that file (smallmesh.hosting.prompts.pack says how)"
        raise ModelError(msg) from None
    except ValidationError as error:
        msg = f"{path} is not a valid prompt pack: {explain(error)}"
        raise ModelError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not a valid prompt pack: {error}"
        raise ModelError(msg) from error


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
