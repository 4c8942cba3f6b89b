"""What becomes of the broker's refusals when a message is published."""

import pytest
from nats.js.errors import APIError

from smallmesh.bus.nats import ALREADY_THERE, BEING_STORED, NatsBus
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, subjects

SUBJECT = subjects.done(Address("acme", DataClass.PUBLIC, "t-1"))


class Refusing:
    """A connection whose stream refuses with one code after the other, and then takes the message."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.tried = 0

    def jetstream(self, **_):
        return self

    async def publish(self, *_, **__):
        self.tried += 1
        if self.codes:
            raise APIError(code=400, err_code=self.codes.pop(0))


@pytest.mark.parametrize(("codes", "first"), [((BEING_STORED,), True), ((BEING_STORED, ALREADY_THERE), False)])
async def test_a_subject_that_a_cluster_is_storing_just_now_is_tried_again_until_it_is_known_who_was_first(codes, first):
    stream = Refusing(*codes)

    assert await NatsBus(stream).store(SUBJECT, b"{}") is first
    assert stream.tried == 2


async def test_another_refusal_is_not_tried_again():
    stream = Refusing(10025)

    with pytest.raises(ContractError) as raised:
        await NatsBus(stream).store(SUBJECT, b"{}")

    assert (raised.value.info.code, stream.tried) == (ErrorCode.UNAVAILABLE, 1)
