"""Probabilities of labels, calibrated by what was measured."""

import math

import numpy as np
import pytest

from smallmesh.agent import Agent
from smallmesh.hosting.card import ModelError
from smallmesh.hosting.instruct.calibrate import Labelled, as_toml, calibrate
from smallmesh.hosting.instruct.calibration import Calibration, fit
from smallmesh.hosting.instruct.model import InstructModel
from smallmesh.hosting.prompts.pack import load_pack
from smallmesh_contracts import AgentRequest, AgentResult
from tests.support.instruct import LABELS, WRITES, FakeEngine, write_folder

LABELS_OF = ("good", "bad", "other")


def pack(tmp_path, table=""):
    (tmp_path / "prompt.toml").write_text(LABELS + table, encoding="utf-8")
    return load_pack(tmp_path)


def test_without_a_measurement_the_probabilities_are_the_models_own(tmp_path):
    calibration = Calibration.of(pack(tmp_path), "m")

    assert not calibration.measured
    assert calibration.probabilities(LABELS_OF, [math.log(p) for p in (0.7, 0.2, 0.1)]) == pytest.approx(
        {"good": 0.7, "bad": 0.2, "other": 0.1}
    )


def test_a_temperature_flattens_and_a_bias_moves(tmp_path):
    table = f'\n[[calibration]]\nmodel = "m"\nprompt = "{pack(tmp_path).version}"\ntemperature = 2.0\nbias = {{ bad = {math.log(2)} }}\n'

    probabilities = Calibration.of(pack(tmp_path, table), "m").probabilities(LABELS_OF, [math.log(p) for p in (0.64, 0.16, 0.2)])

    odds = {"good": 0.8, "bad": 0.4 * 2, "other": math.sqrt(0.2)}
    assert probabilities == pytest.approx({label: one / sum(odds.values()) for label, one in odds.items()})


@pytest.mark.parametrize(("model", "prompt"), [("another", None), ("m", "0" * 12)])
def test_what_was_measured_for_another_model_or_prompt_is_not_used(tmp_path, model, prompt):
    version = prompt or pack(tmp_path).version
    table = f'\n[[calibration]]\nmodel = "{model}"\nprompt = "{version}"\ntemperature = 2.0\n'

    assert not Calibration.of(pack(tmp_path, table), "m").measured


def test_fitting_finds_the_temperature_and_the_bias_that_the_scores_are_off_by():
    draw = np.random.default_rng(7)
    honest = draw.normal(scale=2.0, size=(4_000, 3))
    likely = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = [LABELS_OF[int(draw.choice(3, p=row))] for row in likely]
    off = (honest - [0.0, 0.8, 0.0]) * 3.0  # three times too sure, and too little for "bad"

    found = fit(LABELS_OF, off.tolist(), truth)

    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.bias["bad"] - found.bias["good"] == pytest.approx(0.8, abs=0.15)
    assert found.bias["other"] - found.bias["good"] == pytest.approx(0.0, abs=0.15)


def test_scores_that_point_away_from_the_truth_are_no_calibration():
    with pytest.raises(ValueError, match="away from the truth"):
        fit(("a", "b"), [[0.0, -3.0], [-3.0, 0.0]] * 20, ["b", "a"] * 20)


def test_nothing_is_no_calibration():
    with pytest.raises(ValueError, match="nothing to calibrate by"):
        fit(("a", "b"), [], [])


ASKED = {"Fine": "good", "Poor": "bad", "Odd": "other"}


class Judge(Agent[AgentRequest, AgentResult]):
    """Asks about what it is shown, without the mark at its end."""

    name = answer = "judge"
    description = "Judges"
    request = AgentRequest
    result = AgentResult

    async def respond(self, request, model):
        await model.classify(request.text.rstrip("!"))
        return AgentResult()


async def model_that_says(tmp_path, scores):
    model = InstructModel(write_folder(tmp_path, LABELS), tmp_path, tmp_path, lambda *_: FakeEngine(scores=scores))
    await model.start()
    return model


def cases(count=60):
    """Two of three are right: as much as the model below should be sure of itself."""
    words, labels = list(ASKED), list(ASKED.values())
    return [Labelled({"text": f"{words[n % 3]} {n}!"}, labels[(n + (n // 3 % 3 == 0)) % 3]) for n in range(count)]


def too_sure(text):
    said = {"good": "yes", "bad": "no", "other": "maybe"}[ASKED.get(text.split()[0], "good")]
    return {word: 0.98 if word == said else 0.01 for word in ("yes", "no", "maybe")}


async def test_a_model_that_is_too_sure_is_calibrated_by_the_agents_own_requests(tmp_path):
    model = await model_that_says(tmp_path, too_sure)

    measured = await calibrate(Judge(), model, cases())

    assert (measured.model, measured.prompt) == ("fake-instruct", pack(tmp_path).version)
    assert measured.temperature > 2
    probabilities = Calibration.of(pack(tmp_path, "\n" + as_toml(measured)), "fake-instruct").probabilities(
        LABELS_OF, [math.log(p) for p in (0.98, 0.01, 0.01)]
    )
    assert probabilities["good"] == pytest.approx(2 / 3, abs=0.08)


async def test_what_is_measured_once_is_no_part_of_the_next_measurement(tmp_path):
    first = await calibrate(Judge(), await model_that_says(tmp_path, too_sure), cases())
    (tmp_path / "again").mkdir()
    card = write_folder(tmp_path / "again", LABELS + "\n" + as_toml(first))
    model = InstructModel(card, tmp_path / "again", tmp_path / "again", lambda *_: FakeEngine(scores=too_sure))
    await model.start()

    assert await calibrate(Judge(), model, cases()) == first


@pytest.mark.parametrize(
    ("labelled", "said"),
    [
        (cases(12), "12 requests of one window each are too few"),
        ([Labelled({"text": "Fine " * 100}, "good")] * 40, "0 requests of one window each are too few"),
        ([Labelled({"text": "Fine"}, "great")], "no such label: great; the prompt pack has good, bad, other"),
        ([Labelled({"text": "Fine"}, "bad"), Labelled({"text": "Poor"}, "good")] * 20, "away from the truth"),
    ],
)
async def test_what_cannot_be_calibrated_by_is_told(tmp_path, labelled, said):
    model = await model_that_says(tmp_path, too_sure)

    with pytest.raises(ModelError, match=said):
        await calibrate(Judge(), model, labelled)


async def test_a_model_that_scores_no_labels_has_nothing_to_calibrate(tmp_path):
    model = InstructModel(write_folder(tmp_path, WRITES), tmp_path, tmp_path, lambda *_: FakeEngine())
    await model.start()

    with pytest.raises(ModelError, match="scores no labels"):
        await calibrate(Judge(), model, cases())
