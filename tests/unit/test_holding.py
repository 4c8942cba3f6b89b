"""Held in hand: what the broker refuses for a while is tried again; what does not pass is raised at once."""

import pytest
from structlog.testing import capture_logs

from smallmesh.holding import Holding
from smallmesh.retry import NotYetError, RetryPolicy
from smallmesh_contracts import ContractError, ErrorCode

HOLDING = Holding(RetryPolicy(base_s=0.001, cap_s=0.001, jitter=lambda: 0.0))


class Broker:
    """Refuses with each of these errors in turn, then takes what it is given."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.tries = 0

    async def take(self):
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "taken"


def refused(code):
    return ContractError(code, "no")


@pytest.mark.parametrize("code", [ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE])
async def test_what_a_broker_refuses_for_a_while_is_tried_until_it_is_taken(code):
    broker = Broker(*[refused(code)] * 7)

    assert await HOLDING.until_done(broker.take) == "taken"
    assert broker.tries == 8


@pytest.mark.parametrize("error", [refused(ErrorCode.UNAUTHORIZED), refused(ErrorCode.INTERNAL), NotYetError("claimed", 5.0)])
async def test_what_waiting_for_the_broker_does_not_cure_is_raised_at_once(error):
    broker = Broker(error)

    with pytest.raises(ContractError) as raised:
        await HOLDING.until_done(broker.take)

    assert raised.value is error
    assert broker.tries == 1


async def test_it_is_tried_once_although_no_time_is_left():
    assert await HOLDING.until_done(Broker().take, lambda: 0.0) == "taken"


async def test_what_did_not_pass_in_the_time_left_is_raised_as_it_was():
    left = iter([0.05, 0.05, 0.02, 0.0])
    broker = Broker(*[refused(ErrorCode.OVERLOADED)] * 9)

    with pytest.raises(ContractError) as raised:
        await HOLDING.until_done(broker.take, lambda: next(left))

    assert raised.value.info.code is ErrorCode.OVERLOADED
    assert broker.tries == 2


async def test_the_first_refusal_is_logged_with_what_it_was_about_and_no_other():
    with capture_logs() as logs:
        await HOLDING.until_done(Broker(*[refused(ErrorCode.OVERLOADED)] * 3).take, subject="slm.v1.work")

    assert [(record["event"], record["subject"], record["code"]) for record in logs] == [("held", "slm.v1.work", "overloaded")]
