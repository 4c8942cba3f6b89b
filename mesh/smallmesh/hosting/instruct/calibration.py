"""Probabilities that mean what they say: log-probabilities of labels by a temperature and a bias a label.

What was measured stands in the prompt pack, a table ``[[calibration]]`` for each model and version of the prompt. Where there is
none for the model at hand the probabilities are the model's own, and the record ``calibration`` of the start-up log says so:
models of this size are surer than they are right, so such a confidence is not to be compared with a calibrated one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smallmesh.hosting.prompts.pack import PromptPack

Matrix = NDArray[np.float64]
_STEPS, _RIDGE, _TOLERANCE = 50, 1e-3, 1e-9


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's log-probabilities become probabilities.

    Attributes:
        temperature: What they are divided by.
        bias: What is then added, by label; none is 0.
        measured: Whether it was measured; otherwise it changes nothing.
    """

    temperature: float = 1.0
    bias: Mapping[str, float] = field(default_factory=dict)
    measured: bool = False

    @classmethod
    def of(cls, pack: PromptPack, model_id: str) -> "Calibration":
        """Return what was measured for a model with this version of the prompt."""
        for one in pack.calibration:
            if (one.model, one.prompt) == (model_id, pack.version):
                return cls(one.temperature, one.bias, measured=True)
        return cls()

    def probabilities(self, labels: Sequence[str], log_probabilities: Sequence[float]) -> dict[str, float]:
        """Return the probability of each label; they sum to 1."""
        bias = [self.bias.get(label, 0.0) for label in labels]
        return dict(zip(labels, _softmax(np.asarray([log_probabilities]) / self.temperature + bias)[0].tolist(), strict=True))


def fit(labels: Sequence[str], log_probabilities: Sequence[Sequence[float]], truth: Sequence[str]) -> Calibration:
    """Return the temperature and biases under which the true labels of some texts are likeliest.

    The likelihood is concave in the scale (one over the temperature) and the biases, so Newton's method finds its top.

    Args:
        labels: The labels, in the order of the columns.
        log_probabilities: (texts, labels), as the model gave them; -inf is read as -50.
        truth: The true label of each text.

    Raises:
        ValueError: There is no text, or the model's scores say less than nothing: no positive temperature fits.
    """
    if not truth:
        raise ValueError("there is nothing to calibrate by")
    scores = np.maximum(np.asarray(log_probabilities, np.float64), -50.0)
    wanted = np.eye(len(labels))[[labels.index(label) for label in truth]]
    # One column of features for the scale, one for each label's bias; a little ridge holds what the data leave open.
    features = np.concatenate([scores[:, :, None], np.broadcast_to(np.eye(len(labels)), (len(truth), len(labels), len(labels)))], axis=2)
    weights = np.zeros(len(labels) + 1)
    start = weights.copy()
    start[0] = 1.0
    weights = start.copy()
    for _ in range(_STEPS):
        step = _newton_step(features, wanted, weights, start)
        weights += step
        if np.abs(step).max() < _TOLERANCE:
            break
    scale, bias = float(weights[0]), weights[1:]
    if not scale > 0:
        raise ValueError(f"the scores point away from the truth: scale {scale:.3f}")
    return Calibration(1 / scale, dict(zip(labels, bias.tolist(), strict=True)), measured=True)


def _newton_step(features: Matrix, wanted: Matrix, weights: Matrix, start: Matrix) -> Matrix:
    likely = _softmax(features @ weights)
    slope = np.einsum("nlf,nl->f", features, wanted - likely) - _RIDGE * (weights - start)
    mean = np.einsum("nlf,nl->nf", features, likely)
    bend = np.einsum("nlf,nlg,nl->fg", features, features, likely) - mean.T @ mean + _RIDGE * np.eye(len(weights))
    step: Matrix = np.linalg.solve(bend, slope)
    return step / max(1.0, float(np.abs(step).max()))


def _softmax(values: Matrix) -> Matrix:
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
