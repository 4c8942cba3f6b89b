"""Golden cases of the agents that ship: files that a person wrote, so their slips are what is looked for."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from smallmesh.catalogue import Catalogue
from smallmesh.evaluation.cases import GOLDEN_FILE, DataSet, read_cases
from smallmesh_contracts import SentimentLabel, Verdict

SERVICES = Path(__file__).parents[2] / "services"
AGENTS = {found.agent.name: found for found in Catalogue.load([SERVICES]).agents.values()}
LEAST = 60
FIRST = 20
CLASSES = {"sentiment": ("label", SentimentLabel), "complexity_router": ("verdict", Verdict)}


@cache
def golden(name: str) -> DataSet:
    return read_cases(AGENTS[name].folder / GOLDEN_FILE, AGENTS[name].agent)


def expected(name: str) -> list[str]:
    field = CLASSES[name][0]
    return [case.values[field] for case in golden(name).cases]


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_that_ships_has_golden_cases_that_can_all_be_read(name):
    data = golden(name)

    assert data.broken == ()
    assert len(data.cases) >= LEAST


@pytest.mark.parametrize("name", AGENTS)
def test_every_golden_case_has_an_id_and_a_request_of_its_own(name):
    lines = (AGENTS[name].folder / GOLDEN_FILE).read_text(encoding="utf-8").splitlines()
    cases = [json.loads(line) for line in lines if line.strip()]
    requests = Counter(json.dumps(case["request"], sort_keys=True) for case in cases)

    assert all(case.get("id") for case in cases)
    assert [request for request, times in requests.items() if times > 1] == []


@pytest.mark.parametrize("name", AGENTS)
def test_every_golden_case_says_what_is_expected(name):
    silent = [case.id for case in golden(name).cases if not (case.values or case.spans or case.references or case.contains or case.lacks)]

    assert silent == []


@pytest.mark.parametrize("name", AGENTS)
def test_some_mistake_is_named_as_a_costly_one(name):
    assert any(case.costly for case in golden(name).cases)


@pytest.mark.parametrize("name", CLASSES)
def test_a_costly_mistake_is_never_the_right_answer(name):
    contradicting = [
        case.id for case in golden(name).cases for costly in case.costly if all(case.values.get(k) == v for k, v in costly.when.items())
    ]

    assert contradicting == []


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_balanced_in_the_file_and_in_its_first_cases(name):
    classes = [value.value for value in CLASSES[name][1]]
    everywhere, first = Counter(expected(name)), Counter(expected(name)[:FIRST])

    assert set(everywhere) == set(classes)
    assert max(everywhere.values()) <= 1.2 * min(everywhere.values())
    assert all(first[value] >= FIRST // len(classes) for value in classes)


def test_requests_with_and_without_an_instruction_come_under_more_than_one_verdict():
    verdicts: dict[bool, set[str]] = {True: set(), False: set()}
    for case in golden("complexity_router").cases:
        verdicts[bool(json.loads(case.body).get("instruction"))].add(case.values["verdict"])

    assert all(found == {v.value for v in Verdict} for found in verdicts.values())
