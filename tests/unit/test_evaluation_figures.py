"""Many cases into figures: against hand-made numbers, and against the same figures computed another way."""

import random
from math import sqrt

import numpy as np
import pytest

from smallmesh.evaluation.figures import changes, figures, formulas
from smallmesh.evaluation.metrics import bin_of, calibration_error, f1_of, macro_f1, ratio, rouge_l, span_scores

LABELS = ("negative", "neutral", "positive")


def share(name, *got):
    return [{f"share:{name}:got": float(one), f"share:{name}:of": 1.0} for one in got]


def by_name(cases):
    return {figure.name: figure for figure in figures(cases)}


def labelled(pairs):
    """Return the sums of cases of (wanted, found) labels."""
    cases = []
    for wanted, found in pairs:
        case = {f"class:label:wanted:{wanted}": 1.0, f"class:label:found:{found}": 1.0, "share:label.accuracy:of": 1.0}
        if wanted == found:
            case |= {f"class:label:hit:{wanted}": 1.0, "share:label.accuracy:got": 1.0}
        cases.append(case)
    return cases


@pytest.fixture
def pairs():
    drawn = random.Random(3)
    return [(drawn.choice(LABELS), drawn.choice(LABELS)) for _ in range(200)]


# ---------------------------------------------------------------- values


def test_a_share_is_what_was_got_of_what_there_was():
    assert by_name([*share("x.contains", 1, 0, 1), {}])["x.contains"].value == pytest.approx(2 / 3)


def test_f1_by_class_and_its_mean_are_those_of_the_labels(pairs):
    found = by_name(labelled(pairs))
    wanted, given = (np.array([LABELS.index(pair[side]) for pair in pairs]) for side in (0, 1))

    assert found["label.macro_f1"].value == pytest.approx(macro_f1(given, wanted, 3))
    assert found["label.accuracy"].value == pytest.approx(np.mean(wanted == given))
    assert found["label.accuracy"].plain == pytest.approx(np.bincount(wanted).max() / len(wanted))
    assert found["label.f1.neutral"].n == np.sum(wanted == 1)


def test_a_class_that_is_only_found_has_an_f1_of_nought_and_counts_in_the_mean():
    found = by_name(labelled([("negative", "negative"), ("negative", "positive")]))

    assert (found["label.f1.positive"].value, found["label.f1.positive"].n) == (0.0, 0)
    assert found["label.macro_f1"].value == pytest.approx((2 / 3 + 0) / 2)


def test_spans_have_an_f1_over_all_and_one_a_type():
    cases = [
        {"span:e:wanted:A": 2.0, "span:e:found:A": 1.0, "span:e:hit:A": 1.0},
        {"span:e:wanted:B": 1.0, "span:e:found:B": 2.0, "span:e:hit:B": 1.0, "span:e:found:A": 1.0},
    ]

    values = {name: figure.value for name, figure in by_name(cases).items()}

    assert values == pytest.approx({"e.f1": 4 / 7, "e.precision": 2 / 4, "e.recall": 2 / 3, "e.f1.A": 2 / 4, "e.f1.B": 2 / 3})


def test_the_calibration_error_is_that_of_the_probabilities():
    drawn = np.random.default_rng(5)
    probabilities, gold = drawn.dirichlet([1, 1, 1], 300), drawn.integers(0, 3, 300)
    cases = [
        {"bin:ece:of": 1.0, f"bin:ece:sure:{bin_of(p.max()):02}": p.max(), f"bin:ece:right:{bin_of(p.max()):02}": float(p.argmax() == g)}
        for p, g in zip(probabilities, gold, strict=True)
    ]

    error = by_name(cases)["ece"]

    assert error.value == pytest.approx(calibration_error(probabilities, gold))
    assert error.lower_is_better


def test_what_no_case_adds_to_is_no_figure():
    assert [formula.name for formula in formulas(["share:valid:of", "share:valid:got"])] == ["valid"]
    assert figures([{"share:x:got": 1.0}]) == []


def test_figures_of_whole_cases_are_read_first():
    names = [formula.name for formula in formulas([f"share:{name}:of" for name in ("a.contains", "valid", "score", "passed")])]

    assert names == ["score", "passed", "valid", "a.contains"]


# ---------------------------------------------------------------- intervals


def test_the_interval_of_a_share_is_about_as_wide_as_its_standard_error_says():
    figure = by_name(share("x", *[1, 0] * 100))["x"]

    assert figure.high - figure.low == pytest.approx(2 * 1.96 * sqrt(0.25 / 200), rel=0.1)
    assert figure.low < 0.5 < figure.high


def test_intervals_are_the_same_each_time(pairs):
    assert figures(labelled(pairs)) == figures(labelled(pairs))


def test_one_case_has_no_interval():
    assert by_name(share("x", 1))["x"].low is None


def test_a_figure_that_few_cases_add_to_has_an_interval_over_the_resamples_that_have_it():
    figure = by_name([*share("x", 1, 0), *({} for _ in range(50))])["x"]

    assert (figure.low, figure.high) == (0.0, 1.0)


# ---------------------------------------------------------------- changes


def flipped(cases, number):
    """Return the cases with the first so many right ones made wrong."""
    wrong = [place for place, case in enumerate(cases) if case["share:x:got"]][:number]
    return [{**case, "share:x:got": 0.0} if place in wrong else case for place, case in enumerate(cases)]


@pytest.mark.parametrize(
    ("number", "better"),
    [(0, None), (1, None), (3, None), (20, False)],
    ids=["nothing", "one case", "a few cases", "many cases"],
)
def test_a_change_that_would_come_and_go_with_a_few_cases_is_noise(number, better):
    before = share("x", *[1, 1, 0] * 30)

    (change,) = changes(before, flipped(before, number))

    assert change.better is better
    assert change.now - change.before == pytest.approx(-number / 90)


def test_an_error_that_falls_is_better():
    before = [{"bin:ece:of": 1.0, "bin:ece:sure:14": 1.0} for _ in range(60)]
    now = [{**case, "bin:ece:right:14": 1.0} for case in before]

    (change,) = changes(before, now)

    assert (change.before, change.now, change.better) == (1.0, 0.0, True)


def test_only_what_both_runs_measured_is_compared():
    assert [
        change.name for change in changes(share("x", 1, 0), [a | b for a, b in zip(share("x", 1, 1), share("y", 1, 1), strict=True)])
    ] == ["x"]


# ---------------------------------------------------------------- metrics


def test_a_ratio_of_nothing_is_no_number():
    assert np.isnan(ratio(np.array([1.0]), np.array([0.0]))).all()
    assert f1_of(np.array([1.0]), np.array([2.0]), np.array([2.0])).tolist() == [0.5]


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [
        ("the cat sat", "the cat sat", 1.0),
        ("the cat sat", "sat cat the", 1 / 3),
        ("The CAT, sat!", "the cat sat", 1.0),
        ("Größe über alles", "größe über", 4 / 5),
        ("", "the cat", 0.0),
        ("", "", 0.0),
    ],
)
def test_rouge_l_is_f1_of_the_longest_common_subsequence_of_words(text, reference, value):
    assert rouge_l(text, reference) == pytest.approx(value)


def test_span_scores_count_exactly_right_spans():
    assert span_scores([({(0, 1, "A"), (2, 3, "A")}, {(0, 1, "A")}), (set(), {(4, 5, "B")})]) == (0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize(("confidence", "place"), [(0.0, 0), (0.5, 7), (0.999, 14), (1.0, 14)])
def test_confidence_falls_into_one_of_fifteen_bins(confidence, place):
    assert bin_of(confidence) == place
