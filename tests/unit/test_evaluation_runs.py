"""Runs that are kept, found again, compared, held against bars and shown."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from smallmesh.catalogue import Catalogue
from smallmesh.evaluation.answers import Memory, Outcome, Served
from smallmesh.evaluation.bars import BarError, measures, missed, read_bar
from smallmesh.evaluation.cases import Case, DataSet
from smallmesh.evaluation.figures import figures
from smallmesh.evaluation.lines import Costly
from smallmesh.evaluation.measure import Measured, answer_all, latency_of, sum_up
from smallmesh.evaluation.runs import CaseResult, Data, Latency, Mistake, Run, Runs, compare
from smallmesh.evaluation.tables import lines, markdown, print_run, rows
from tests.support.rules import write_agent

NOON = datetime(2025, 3, 14, 12, 0, tzinfo=UTC)


def make_run(passed=(True, False), **changed):
    """Return a run of cases that passed or did not."""
    cases = tuple(
        CaseResult(
            id=f"c{n}",
            passed=one,
            score=float(bool(one)),
            ms=10.0 * n,
            tokens=5,
            windows=1,
            sums={"share:score:got": float(bool(one)), "share:score:of": 1.0, "share:valid:got": 1.0, "share:valid:of": 1.0},
        )
        for n, one in enumerate(passed, 1)
    )
    told = {
        "agent": "judge",
        "started": NOON,
        "took_s": 2.5,
        "served": Served(model_id="judge-1", sha256="ab" * 32, prompt_version="0123"),
        "data": Data(name="golden.jsonl", sha256="cd" * 32),
        "host": {"cpus": 2, "cpu": "a processor"},
        "figures": tuple(figures([case.sums for case in cases])),
        "latency": Latency(p50=10.0, p95=20.0, p99=20.0, longest=20.0, over=0.0),
        "memory": Memory(before=40.0, ready=100.0, peak=110.4),
        "tokens": 10,
        "windows": 2,
        "cases": cases,
    }
    return Run(**{**told, **changed})


@pytest.fixture
def kept(tmp_path):
    return Runs(tmp_path)


# ---------------------------------------------------------------- keeping


def test_a_run_that_was_kept_is_found_by_its_name_and_the_last_one_by_its_agents(kept):
    first, second = make_run(), make_run(started=NOON + timedelta(seconds=1))
    kept.keep(first)
    path = kept.keep(second)

    assert kept.find(first.name) == first
    assert kept.find("judge") == second
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["nobody", "judge/20200101T000000.000000Z", "../judge", "judge/../judge", "..", ""])
def test_what_was_not_kept_is_not_found_and_a_name_leads_nowhere_else(kept, name):
    kept.keep(make_run())

    assert kept.find(name) is None


def test_a_file_that_is_no_run_is_passed_over(kept):
    path = kept.keep(make_run())
    path.with_name("20990101T000000.000000Z.json").write_text('{"version": 99}', encoding="utf-8")

    assert kept.find("judge") == make_run()


def test_the_run_before_is_the_last_earlier_one_over_the_same_cases(kept):
    same, other = make_run(), make_run(started=NOON + timedelta(hours=1), data=Data(name="mine.jsonl", sha256="ef" * 32))
    few = make_run(started=NOON + timedelta(hours=2), data=Data(name="golden.jsonl", sha256="cd" * 32, limit=5))
    now = make_run(started=NOON + timedelta(hours=3))
    for one in (same, other, few, now):
        kept.keep(one)

    assert kept.before(now) == same
    assert kept.before(same) is None


# ---------------------------------------------------------------- comparing


def test_cases_that_flipped_are_named():
    comparison = compare(make_run((True, False, True, None)), make_run((False, True, True, None)))

    assert (comparison.mended, comparison.lost) == (("c2",), ("c1",))
    assert comparison.of("score").better is None


def test_only_cases_that_both_runs_have_are_compared():
    comparison = compare(make_run((True,)), make_run((True, False)))

    assert (comparison.of("score").before, comparison.of("score").now) == (1.0, 1.0)


# ---------------------------------------------------------------- bars


@pytest.mark.parametrize(
    ("given", "at_most", "missed_"),
    [
        ("score=0.5", False, []),
        ("score=0.6", False, ["judge: score is 0.5, under 0.6"]),
        ("p95_ms=20", True, []),
        ("p95_ms=19.5", True, ["judge: p95_ms is 20, over 19.5"]),
        ("memory_mb=100", True, ["judge: memory_mb is 110.4, over 100"]),
    ],
)
def test_a_bar_is_missed_on_its_wrong_side_only(given, at_most, missed_):
    assert missed([read_bar(given, at_most=at_most)], [make_run()]) == missed_


@pytest.mark.parametrize("given", ["score", "score=", "score=high", "=", ""])
def test_a_bar_is_a_name_and_a_number(given):
    with pytest.raises(BarError, match="METRIC=VALUE"):
        read_bar(given, at_most=False)


def test_a_bar_for_what_no_run_has_says_what_there_is():
    with pytest.raises(BarError, match="p95_ms, p99_ms, score, valid"):
        missed([read_bar("f1=0.5", at_most=False)], [make_run()])


def test_a_bar_is_for_the_runs_that_have_its_figure():
    without = make_run(figures=())

    assert missed([read_bar("score=0.9", at_most=False)], [without, make_run()]) == ["judge: score is 0.5, under 0.9"]


def test_where_memory_is_not_told_there_is_no_bar_for_it():
    assert "memory_mb" not in measures(make_run(memory=Memory()))


# ---------------------------------------------------------------- summing up


class Says:
    """Says the request's text."""

    served = Served(model_id="rules", prompt_version="1")

    def answer(self, body):
        return Outcome(value={"said": body.decode(), "confidence": 0.9}, ms=float(len(body)), tokens=2, windows=1)


@pytest.fixture
def agent(tmp_path):
    write_agent(tmp_path / "agents", "says", "words")
    return Catalogue.load([tmp_path / "agents"]).agent("says").agent


def a_case(name, body, said, *costly):
    return Case(name, body, body.decode(), {"said": said}, {}, {}, {}, {}, costly)


def test_cases_are_answered_one_after_another_and_summed_up_without_their_texts(agent):
    taken = Costly(name="taken for quagga", when={"said": "quagga"}, weight=4)
    data = DataSet("mine.jsonl", "ab" * 32, (a_case("one", b"zebra", "zebra", taken), a_case("two", b"quagga", "zebra", taken)), ())
    ticks = []

    outcomes = answer_all(Says(), data.cases, lambda: ticks.append(1))
    run = sum_up(agent, data, Measured(Says.served, outcomes, Memory(peak=50.0), NOON, 1.0))

    assert len(ticks) == 2
    assert [case.passed for case in run.cases] == [True, False]
    assert run.figure("score").value == pytest.approx(4 / 8)
    assert run.mistakes == (Mistake(name="taken for quagga", weight=4, possible=2, cases=("two",)),)
    assert (run.tokens, run.windows, run.latency.longest) == (4, 2, 6.0)
    assert "zebra" not in run.model_dump_json()


def test_percentiles_and_the_share_over_four_seconds():
    latency = latency_of([100.0] * 98 + [4000.0, 4001.0])

    assert (latency.p50, latency.p95, latency.longest, latency.over) == (100.0, 100.0, 4001.0, 0.01)
    assert 100.0 < latency.p99 < 4001.0


# ---------------------------------------------------------------- showing


def test_a_table_has_a_row_a_figure_and_says_what_changed():
    before, now = make_run([True] * 40), make_run([False] * 40)

    shown = {row.cells[0]: row for row in rows(now, compare(before, now))}

    assert shown["score"].cells[1:] == ("0.000", "0.000 to 0.000", "40", "", "1.000", "-1.000 worse")
    assert shown["valid"].cells[-1] == "none"
    assert shown["score"].better is False


def test_a_change_within_its_interval_is_called_noise():
    before, now = make_run([True, False] * 20), make_run([True, False] * 19 + [True, True])

    assert rows(now, compare(before, now))[0].cells[-1] == "+0.025 noise"


def test_what_is_no_figure_is_said_in_a_line():
    mistakes = (
        Mistake(name="number missed", weight=5, possible=9, cases=("a", "b\x1b")),
        Mistake(name="name made up", weight=2, possible=3),
    )
    run = make_run(mistakes=mistakes, errors={"too_long": 1}, data=Data(name="x.jsonl", sha256="ab" * 32, broken=2))

    assert lines(run, None) == [
        "latency: p50 10 ms, p95 20, p99 20, longest 20; none over 4 s",
        "memory: 110 MB at most, 40 of them before the agent was loaded; 10 tokens in 2 windows, 2.5 s with loading",
        "costly: number missed: 2 of 9, where it counts 5 times (a, b )",
        "costly, none: name made up (0 of 3)",
        "errors: too_long in 1 case",
        "left out: 2 broken lines of x.jsonl",
    ]


def test_terminal_and_page_show_the_same_rows_and_no_empty_columns():
    run = make_run()
    screen = StringIO()

    print_run(run, None, Console(file=screen, width=120))
    page = markdown([run], lambda _: None)

    assert "| measure | value | 95 % interval | n |\n| --- | --- | --- | --- |\n| score | 0.500 |" in page
    assert "`judge-1`, 2 cases of `golden.jsonl`, 2025-03-14, 2 cores of a processor." in page
    for text in (*(row.cells[1] for row in rows(run, None)), *lines(run, None)):
        assert text in page
        assert text in screen.getvalue()


def test_of_many_cases_the_first_are_named():
    run = make_run([True] * 20)

    (flips,) = lines(run, compare(make_run([False] * 20), run))[-1:]

    assert flips == "compared with 2025-03-14 12:00 UTC: 20 cases mended (c1, c2, c3, c4, c5, c6 and 14 more)"
