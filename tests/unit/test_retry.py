"""Retry: how long to wait, and what becomes of a message whose handling failed."""

import math

import pytest
from pydantic import BaseModel, ValidationError

from smallmesh.retry import GiveUp, RetryLater, RetryPolicy, error_of
from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo

PLENTY_S = 3600.0


@pytest.mark.parametrize(
    ("deliveries", "jitter", "wait_s"),
    [
        # Doubled each time …
        (1, 0.0, 0.5),
        (2, 0.0, 1.0),
        (3, 0.0, 2.0),
        (4, 0.0, 4.0),
        (6, 0.0, 16.0),
        # … up to the cap …
        (7, 0.0, 30.0),
        (8, 0.0, 30.0),
        # … for as long as the broker takes no answer, a float's range notwithstanding …
        (1_025, 0.0, 30.0),
        (100_000, 0.0, 30.0),
        # … with up to half of it added, so that many who failed together do not come back together.
        (1, 0.5, 0.625),
        (1, 1.0, 0.75),
        (7, 1.0, 45.0),
    ],
)
def test_the_wait_doubles_to_its_cap_with_up_to_half_added(deliveries, jitter, wait_s):
    assert RetryPolicy(base_s=0.5, cap_s=30.0, jitter=lambda: jitter).delay_s(deliveries) == wait_s


def test_there_always_is_a_wait_because_a_bare_refusal_burns_all_deliveries_in_milliseconds():
    policy = RetryPolicy()

    assert all(policy.delay_s(n) >= policy.base_s for n in range(1, 50))


LATER = {ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.MODEL_FAILED, ErrorCode.INTERNAL}
SILENT = {ErrorCode.EXPIRED, ErrorCode.CANCELLED}
"""Ends that nobody has to look into."""


@pytest.mark.parametrize("code", list(ErrorCode))
def test_each_code_has_one_fate_on_the_first_delivery(code):
    fate = RetryPolicy(jitter=lambda: 0.0).fate(ErrorInfo(code=code, message="m", step="ner"), 1, PLENTY_S)

    match fate:
        case RetryLater(delay_s):
            assert (code in LATER, delay_s) == (True, 0.5)
        case GiveUp(error, dead_letter):
            assert code not in LATER
            assert (error.code, error.step, dead_letter) == (code, "ner", code not in SILENT)


@pytest.mark.parametrize(
    ("deliveries", "left_s", "fate"),
    [
        (1, PLENTY_S, "later"),
        (4, PLENTY_S, "later"),
        (5, PLENTY_S, "dead letter"),  # the last of five deliveries
        (9, PLENTY_S, "dead letter"),
        (1, 0.6, "later"),  # the first wait is half a second
        (1, 0.4, "dead letter"),  # the time would be over before the wait is
        (1, 0.0, "expired"),
        (1, -1.0, "expired"),
        (9, -1.0, "expired"),
    ],
)
def test_a_failure_that_may_be_cured_is_tried_again_while_there_are_deliveries_and_time(deliveries, left_s, fate):
    policy = RetryPolicy(max_deliveries=5, base_s=0.5, jitter=lambda: 0.0)

    decided = policy.fate(ErrorInfo(code=ErrorCode.MODEL_FAILED, message="m"), deliveries, left_s)

    match decided:
        case RetryLater():
            assert fate == "later"
        case GiveUp(error, dead_letter=True):
            assert (fate, error.code) == ("dead letter", ErrorCode.MODEL_FAILED)
        case GiveUp(error, dead_letter=False):
            assert (fate, error.code) == ("expired", ErrorCode.EXPIRED)


def test_an_error_that_says_when_to_come_back_is_not_tried_sooner():
    policy = RetryPolicy(base_s=0.5, jitter=lambda: 0.0)

    later = policy.fate(ErrorInfo(code=ErrorCode.OVERLOADED, message="m", retry_after_s=5.0), 1, PLENTY_S)
    sooner = policy.fate(ErrorInfo(code=ErrorCode.OVERLOADED, message="m", retry_after_s=0.1), 1, PLENTY_S)

    assert (later, sooner) == (RetryLater(5.0), RetryLater(0.5))


def test_a_permanent_failure_after_the_deadline_is_expired_and_no_dead_letter():
    fate = RetryPolicy().fate(ErrorInfo(code=ErrorCode.INVALID_REQUEST, message="m", step="ner"), 1, 0.0)

    assert (fate.error.code, fate.error.step, fate.dead_letter) == (ErrorCode.EXPIRED, "ner", False)


def test_deliveries_over_the_limit_are_refused_and_the_last_allowed_is_not():
    policy = RetryPolicy(max_deliveries=3)

    policy.check(3)
    with pytest.raises(ContractError) as refused:
        policy.check(4)

    assert refused.value.info.code is ErrorCode.INTERNAL


class _Shape(BaseModel):
    count: int


def _misfit():
    try:
        _Shape(count="the private text")
    except ValidationError as error:
        return error


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ContractError(ErrorCode.TOO_LONG, "too long"), ErrorCode.TOO_LONG),
        (TimeoutError("the private text"), ErrorCode.EXPIRED),
        (_misfit(), ErrorCode.INVALID_OUTPUT),
        (ValueError("the private text"), ErrorCode.MODEL_FAILED),
        (MemoryError(), ErrorCode.MODEL_FAILED),
        (KeyError("the private text"), ErrorCode.MODEL_FAILED),
    ],
)
def test_whatever_is_raised_becomes_an_error_of_the_closed_list_without_its_values(raised, code):
    error = error_of(raised, "ner")

    assert (error.code, error.step) == (code, "ner")
    assert "private" not in error.message


def test_an_error_that_names_its_step_keeps_it():
    assert error_of(ContractError(ErrorCode.INTERNAL, "m", step="sentiment"), "orchestrator").step == "sentiment"


def test_the_default_jitter_stays_between_nothing_and_half():
    waits = [RetryPolicy(base_s=1.0, cap_s=1.0).delay_s(1) for _ in range(200)]

    assert 1.0 <= min(waits) <= max(waits) <= 1.5
    assert not math.isclose(min(waits), max(waits))
