import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smallmesh_contracts import Address, DataClass, Lane, is_subject_safe, subjects

ROOT = Path(__file__).parents[2]
ALPHABET = frozenset(string.ascii_letters + string.digits + "_-")
FORMS_SUBJECTS = ROOT / "contracts" / "smallmesh_contracts" / "subjects.py"
NAMES_SPANS = ROOT / "mesh" / "smallmesh" / "telemetry" / "names.py"
"""Span names are written as templates of subjects; nobody publishes to them."""

tokens = st.text(sorted(ALPHABET), min_size=1, max_size=64)
names = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
classes = st.sampled_from(DataClass)
lanes = st.sampled_from(Lane)
addresses = st.builds(Address, tokens, classes, tokens)
unhurried = settings(deadline=None)
"""A busy machine is no defect."""
A = Address("acme", DataClass.INTERNAL, "t-1")


def _takes(pattern: str, subject: str) -> bool:
    """Match as the broker does: ``*`` is one token."""
    wanted, given_ = pattern.split("."), subject.split(".")
    return len(wanted) == len(given_) and all(w in ("*", g) for w, g in zip(wanted, given_, strict=True))


@unhurried
@given(addresses)
def test_an_address_is_read_back_from_its_tokens(address):
    assert Address.parse(str(address)) == address
    assert address.is_valid()


@unhurried
@given(addresses, lanes, names, names)
def test_the_address_is_read_back_from_every_subject_of_a_task(address, lane, agent, answer):
    result = subjects.result(address, agent, answer)
    formed = [
        subjects.submit(lane, address),
        subjects.work(agent, lane, address),
        subjects.escalate(lane, address, answer),
        result,
        subjects.stored(result),
        subjects.done(address),
        subjects.delta(address),
    ]

    assert [subjects.address_of(subject) for subject in formed] == [address] * len(formed)


@unhurried
@given(addresses, lanes, names, names)
def test_the_lane_is_read_back_from_every_subject_that_has_one(address, lane, agent, answer):
    formed = [subjects.submit(lane, address), subjects.work(agent, lane, address), subjects.escalate(lane, address, answer)]

    assert [subjects.lane_of(subject) for subject in formed] == [lane] * len(formed)


@unhurried
@given(st.text(max_size=70) | tokens | tokens.map(lambda token: token + "\n") | st.text(sorted(ALPHABET), min_size=65, max_size=70))
@example("Az09_-" + "x" * 58)
@example("Az09_-" + "x" * 59)
def test_a_token_is_safe_exactly_if_it_keeps_to_alphabet_and_length(token):
    assert is_subject_safe(token) == (1 <= len(token) <= 64 and set(token) <= ALPHABET)


@unhurried
@given(addresses, st.sampled_from(["", ".", "*", ">", " ", "ä", "a b", "a.b", "a\n", "a\x00", "x" * 65]))
def test_an_address_with_one_unsafe_token_is_not_valid(address, unsafe):
    assert not Address(unsafe, address.data_class, address.task_id).is_valid()
    assert not Address(address.tenant, address.data_class, unsafe).is_valid()


def test_an_unsafe_id_the_broker_delivers_is_still_addressed_so_that_it_can_be_refused():
    address = subjects.address_of("slm.v1.submit.bulk.acme.public.ä ö")

    assert address == Address("acme", DataClass.PUBLIC, "ä ö")
    assert not address.is_valid()


@pytest.mark.parametrize("tokens", ["acme.secret.t-1", "acme.PUBLIC.t-1", "acme.public", "acme.public.t-1.more", "acme..t-1", "", "public"])
def test_an_unknown_class_or_another_number_of_tokens_is_no_address(tokens):
    with pytest.raises(ValueError):  # noqa: PT011 - its kind is the contract
        Address.parse(tokens)


@pytest.mark.parametrize(
    "subject",
    [
        "slm.v1.submit.bulk.acme.secret.t-1",
        "slm.v1.submit.bulk.acme.public",
        "slm.v1.submit",
        "slm.v1.audit",
        "slm.v1.ask.sentiment",
        "slm.v1.run.acme.public",
        "slm.v1.dead.public.ner",
        "slm.v2.submit.bulk.acme.public.t-1",
        "other.v1.done.acme.public.t-1",
        "done.acme.public.t-1",
        "slm.v1",
        "",
    ],
)
def test_a_subject_without_an_address_gives_none(subject):
    with pytest.raises(ValueError):  # noqa: PT011 - its kind is the contract
        subjects.address_of(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "slm.v1.submit.express.acme.public.t-1",
        "slm.v1.work.ner.BULK.acme.public.t-1",
        "slm.v1.submit",
        "slm.v1.work.ner",
        "slm.v2.submit.bulk.acme.public.t-1",
        "submit.bulk.acme.public.t-1",
        "slm.v1.done.bulk.public.t-1",
        "slm.v1.result.interactive.public.t-1.ner.entities",
        "",
    ],
)
def test_an_unknown_lane_is_refused_and_a_tenant_named_like_a_lane_is_not_taken_for_one(subject):
    with pytest.raises(ValueError):  # noqa: PT011 - its kind is the contract
        subjects.lane_of(subject)


@pytest.mark.parametrize(
    ("formed", "subject"),
    [
        (subjects.submit(Lane.BULK, A), "slm.v1.submit.bulk.acme.internal.t-1"),
        (subjects.work("ner", Lane.INTERACTIVE, A), "slm.v1.work.ner.interactive.acme.internal.t-1"),
        (subjects.escalate(Lane.BULK, A, "analysis"), "slm.v1.escalate.bulk.acme.internal.t-1.analysis"),
        (subjects.result(A, "ner", "entities"), "slm.v1.result.acme.internal.t-1.ner.entities"),
        (subjects.stored(subjects.result(A, "ner", "entities")), "slm.v1.stored.result.acme.internal.t-1.ner.entities"),
        (subjects.done(A), "slm.v1.done.acme.internal.t-1"),
        (subjects.dead(DataClass.RESTRICTED, "ner"), "slm.v1.dead.restricted.ner"),
        (subjects.AUDIT, "slm.v1.audit"),
        (subjects.delta(A), "slm.v1.delta.acme.internal.t-1"),
        (subjects.ask("ner"), "slm.v1.ask.ner"),
        (subjects.run("acme", DataClass.PUBLIC), "slm.v1.run.acme.public"),
    ],
)
def test_subjects_are_those_of_the_wire(formed, subject):
    assert formed == subject


@unhurried
@given(addresses, lanes, names, lanes, classes)
def test_a_queues_filter_takes_its_own_lane_and_class_and_no_other(address, lane, name, other_lane, other_class):
    own = (address.data_class, lane) == (other_class, other_lane)

    assert _takes(subjects.any_submit(other_lane, other_class), subjects.submit(lane, address)) == own
    assert _takes(subjects.any_work("*", other_lane, other_class), subjects.work(name, lane, address)) == own
    assert _takes(subjects.any_escalate(other_lane, other_class), subjects.escalate(lane, address, name)) == own


@unhurried
@given(addresses, names, names, classes)
def test_a_readers_filter_takes_its_own_class_and_no_other(address, agent, answer, other_class):
    own = address.data_class == other_class
    result = subjects.result(address, agent, answer)

    assert _takes(subjects.any_result(other_class), result) == own
    assert _takes(subjects.any_stored(other_class), subjects.stored(result)) == own
    assert _takes(subjects.any_done(other_class), subjects.done(address)) == own
    assert _takes(subjects.any_run(other_class), subjects.run(address.tenant, address.data_class)) == own
    assert _takes(subjects.any_dead(), subjects.dead(address.data_class, agent))


@unhurried
@given(addresses, names, names, lanes)
def test_an_agents_filter_takes_the_work_of_that_agent_alone_in_any_class(address, agent, other, lane):
    assert _takes(subjects.any_work(agent, lane), subjects.work(agent, lane, address))
    assert _takes(subjects.any_work(other, lane), subjects.work(agent, lane, address)) == (agent == other)


@unhurried
@given(addresses, tokens)
def test_a_tenants_filter_takes_the_results_of_that_tenant_alone(address, tenant):
    assert _takes(subjects.any_done(address.data_class, address.tenant), subjects.done(address))
    assert _takes(subjects.any_done(address.data_class, tenant), subjects.done(address)) == (tenant == address.tenant)


def test_subjects_are_written_in_one_file():
    sources = [path for folder in ("contracts", "mesh", "orchestrator", "services") for path in (ROOT / folder).rglob("*.py")]

    written = {path.relative_to(ROOT) for path in sources if re.search(r"slm\.v\d", path.read_text(encoding="utf-8"))}

    assert FORMS_SUBJECTS in sources
    assert NAMES_SPANS in sources
    assert written - {NAMES_SPANS.relative_to(ROOT)} == set()


def test_span_names_speak_of_the_major_version_there_is():
    assert set(re.findall(r"slm\.v\d+", NAMES_SPANS.read_text(encoding="utf-8"))) == {subjects.ROOT}
