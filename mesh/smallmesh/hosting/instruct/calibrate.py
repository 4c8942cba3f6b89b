"""Measuring how a model's labels are calibrated: the agent's own requests against the labels that people gave them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from smallmesh.agent import Agent, Language, TaggedWord, Usage, WindowScores
from smallmesh.hosting.card import ModelError
from smallmesh.hosting.instruct.calibration import Calibration, fit
from smallmesh.hosting.instruct.model import InstructModel
from smallmesh.hosting.instruct.reader import InstructReader
from smallmesh.hosting.prompts.pack import Measured
from smallmesh_contracts import ContractError, ErrorCode, Lane

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST = 30
"""Requests that a calibration is made of at least; with fewer it would tell more of them than of the model."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Labelled:
    """A request of an agent, as its JSON, and the label that is right."""

    request: Mapping[str, Any]
    label: str


@dataclass(slots=True)
class _Listener:
    """The model port as the agent sees it; what the model said of each window is kept."""

    reader: InstructReader
    language: Language
    writes: bool = False
    heard: list[WindowScores] = field(default_factory=list)

    async def classify(self, text: str, *, max_windows: int | None = None) -> Sequence[WindowScores]:
        windows = await self.reader.classify(text, max_windows=max_windows)
        self.heard += windows
        return windows

    async def tag(self, text: str) -> Sequence[TaggedWord]:  # noqa: ARG002 - the form is the port's
        _refuse()

    async def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":  # noqa: ARG002 - the form is the port's
        _refuse()

    async def write(self, text: str, **fields: str | int) -> str:  # noqa: ARG002 - the form is the port's
        _refuse()


async def calibrate(agent: Agent[Any, Any], model: InstructModel, cases: Sequence[Labelled]) -> Measured:
    """Return the calibration of a started model under an agent's prompts, for the pack's ``[[calibration]]``.

    Requests whose texts have more than one window are left out: their label is no window's.

    Raises:
        ModelError: The model scores no labels, there are too few requests, a label is none of the pack's, or its scores say less
            than nothing.
    """
    prepared = model.prepared
    if prepared.scoring is None:
        msg = f"model {model.card.id} scores no labels for {agent.name}: there is nothing to calibrate"
        raise ModelError(msg)
    labels = prepared.scoring.labels
    if unknown := {case.label for case in cases} - set(labels):
        msg = f"no such label: {', '.join(sorted(unknown))}; the prompt pack has {', '.join(labels)}"
        raise ModelError(msg)
    bare = replace(prepared, scoring=replace(prepared.scoring, calibration=Calibration()))
    rows, truth = [], []
    for case in cases:
        listener = _Listener(InstructReader(bare, Lane.BULK, Usage(), Language(), at_once=1), Language())
        await agent.respond(agent.request.model_validate(case.request), listener)
        if len(listener.heard) == 1:
            rows.append([math.log(max(listener.heard[0].probabilities[label], 1e-30)) for label in labels])
            truth.append(case.label)
    if len(rows) < LEAST:
        msg = f"{len(rows)} requests of one window each are too few to calibrate by: {LEAST} at least"
        raise ModelError(msg)
    return _measured(model, labels, rows, truth)


def as_toml(measured: Measured) -> str:
    """Return a calibration as it stands in a prompt pack."""
    bias = ", ".join(f'"{label}" = {value:.{_DIGITS}f}' for label, value in measured.bias.items())
    named = f'model = "{measured.model}"\nprompt = "{measured.prompt}"'
    return f"[[calibration]]\n{named}\ntemperature = {measured.temperature:.{_DIGITS}f}\nbias = {{ {bias} }}\n"


def _measured(model: InstructModel, labels: Sequence[str], rows: Sequence[Sequence[float]], truth: Sequence[str]) -> Measured:
    try:
        found = fit(labels, rows, truth)
    except ValueError as error:
        msg = f"model {model.card.id} cannot be calibrated: {error}"
        raise ModelError(msg) from error
    return Measured(model=model.card.id, prompt=model.prepared.prompt, temperature=found.temperature, bias=dict(found.bias))


def _refuse() -> NoReturn:
    raise ContractError(ErrorCode.MODEL_FAILED, "only labels are calibrated")
