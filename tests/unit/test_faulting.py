"""The report of the fault suite: what was written down, read again, bounded and shown."""

import json

import pytest

from scripts.faulting.experiments import Experiment, read, under_way
from scripts.faulting.report import markdown

COUNTS = {
    "trials": 300,
    "kills": 300,
    "tasks": 4000,
    "lost": 0,
    "duplicates": 0,
    "recovery_s": [2.0, 3.0, 2.5],
    "notes": {"met": {"TAKEN": 4}},
}


@pytest.fixture
def written(tmp_path):
    """A file of outcomes, to which lines can be added."""
    path = tmp_path / "outcomes.jsonl"

    def add(*lines):
        with path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return path

    return add


def begun(test):
    return {"kind": "begun", "test": test, "title": f"title of {test}"}


def ended(test, number, result="passed", reason=""):
    title = f"title of {test}"
    return {"kind": "ended", "test": test, "experiment": number, "title": title, "result": result, "seconds": 1.5, "reason": reason}


def outcome(test, **changed):
    return {"kind": "outcome", "test": test, **COUNTS, **changed}


def experiment(result="passed", reason="", **counts):
    return Experiment(1, "an agent killed", result, 12.0, reason, {**COUNTS, **counts})


def shown(*experiments):
    return markdown(experiments, trials=300, seconds=700, used={"Python": "3.11"})


def test_experiments_come_in_the_order_of_the_list_of_faults_with_what_they_counted(written):
    path = written(begun("b"), ended("b", 13), outcome("b", trials=7), begun("a"), ended("a", 1), outcome("a"))

    assert [(one.number, one.trials) for one in read(path)] == [(1, 300), (13, 7)]
    assert [one.number for one in read(path, in_order=False)] == [13, 1]


def test_what_a_failed_test_counted_is_kept_with_its_reason(written):
    path = written(begun("a"), outcome("a"), ended("a", 1, "failed", "no broker"))

    (one,) = read(path)

    assert (one.result, one.reason, one.clean, one.counts["kills"]) == ("failed", "no broker", False, 300)


def test_what_is_under_way_is_the_last_that_began_and_has_not_ended(written, tmp_path):
    assert under_way(tmp_path / "nothing") is None
    assert under_way(written(begun("a"), ended("a", 1), begun("b"))) == "title of b"
    assert under_way(written(ended("b", 2))) is None


def test_clean_trials_bound_the_rate_of_failures_by_the_rule_of_three():
    assert experiment(trials=300).bound == pytest.approx(0.01)
    assert experiment(trials=3000).bound == pytest.approx(0.001)


@pytest.mark.parametrize("spoilt", [{"lost": 1}, {"duplicates": 1}, {"result": "failed"}, {"trials": 2}])
def test_what_lost_something_failed_or_was_hardly_tried_bounds_nothing(spoilt):
    assert experiment(**spoilt).bound is None


def test_the_report_has_a_row_an_experiment_and_says_what_the_kills_prove():
    page = shown(experiment(), experiment(kills=300))

    assert "600 processes killed or frozen under 8000 acknowledged tasks in 700 s: 0 lost, 0 seen twice." in page
    assert "less than 0.50% of cases" in page
    assert "| 1 | an agent killed | passed | 300 | 300 | 4000 | 0 | 0 |  |  |  | 2.50 / 3.00 | < 1.00% | 12.0 |" in page
    assert "- an agent killed: met: TAKEN 4" in page
    assert "Python: 3.11" in page


def test_a_report_of_a_loss_claims_nothing_and_says_what_failed():
    page = shown(experiment("failed", "assert 1 == 0", lost=1))

    assert "1 lost" in page
    assert "of cases" not in page
    assert "assert 1 == 0" in page


def test_what_was_skipped_is_named_with_its_reason():
    assert "- an agent killed: it takes minutes" in shown(Experiment(1, "an agent killed", "skipped", 0.0, "it takes minutes"))
