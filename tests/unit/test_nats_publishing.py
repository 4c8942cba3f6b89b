"""What becomes of the broker's refusals when a message is published."""

import json

import pytest
from nats.aio.msg import Msg

from smallmesh.bus.nats_storing import ALREADY_THERE, BEING_STORED, store
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, subjects

SUBJECT = subjects.done(Address("acme", DataClass.PUBLIC, "t-1"))


class Refusing:
    """Requests to a stream that refuses with one code after the other, and then takes the message."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.tried = 0

    async def send(self, *_):
        self.tried += 1
        told = {"error": {"code": 400, "err_code": self.codes.pop(0)}} if self.codes else {"stream": "SLM_DONE", "seq": 1}
        return Msg(_client=None, data=json.dumps(told).encode())


@pytest.mark.parametrize(("codes", "first"), [((BEING_STORED,), True), ((BEING_STORED, ALREADY_THERE), False)])
async def test_a_subject_that_a_cluster_is_storing_just_now_is_tried_again_until_it_is_known_who_was_first(codes, first):
    stream = Refusing(*codes)

    assert await store(stream, SUBJECT, b"{}", {}, None) is first
    assert stream.tried == 2


async def test_another_refusal_is_not_tried_again():
    stream = Refusing(10025)

    with pytest.raises(ContractError) as raised:
        await store(stream, SUBJECT, b"{}", {}, None)

    assert (raised.value.info.code, stream.tried) == (ErrorCode.UNAVAILABLE, 1)
