"""Calibrations in a prompt pack: written beside what people wrote there, one a model."""

import shutil
from pathlib import Path

import pytest

from smallmesh.cli.calibrating import write
from smallmesh.hosting.prompts.pack import PACK_FILE, Measured, load_pack

SENTIMENT = Path(__file__).parents[2] / "services" / "sentiment"


@pytest.fixture
def folder(tmp_path):
    shutil.copy(SENTIMENT / PACK_FILE, tmp_path)
    return tmp_path


def found(folder, model, temperature):
    bias = {"negative": 0.25, "neutral": -0.5, "positive": 0.0}
    return Measured(model=model, prompt=load_pack(folder).version, temperature=temperature, bias=bias)


def test_what_was_measured_is_read_again_and_the_prompt_is_the_same_version(folder):
    version = load_pack(folder).version

    write(folder, measured := found(folder, "tiny", 1.5))

    assert load_pack(folder).calibration == (measured,)
    assert load_pack(folder).version == version


def test_a_model_that_is_measured_again_has_the_later_calibration_and_others_keep_theirs(folder):
    write(folder, found(folder, "tiny", 1.5))
    write(folder, found(folder, "other", 2.0))
    write(folder, found(folder, "tiny", 3.0))

    assert {one.model: one.temperature for one in load_pack(folder).calibration} == {"other": 2.0, "tiny": 3.0}


def test_nothing_that_people_wrote_is_lost(folder):
    before = (folder / PACK_FILE).read_text(encoding="utf-8")

    write(folder, found(folder, "tiny", 1.5))
    write(folder, found(folder, "tiny", 2.5))

    assert (folder / PACK_FILE).read_text(encoding="utf-8").startswith(before.rstrip())
