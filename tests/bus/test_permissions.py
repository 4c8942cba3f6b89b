"""What a user may not publish is refused by name, at once, and never taken for a full stream or a repeated message."""

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, subjects

OWNER, SENTIMENT = "owner:secret", "sentiment:secret"
USERS = """
authorization {
  users = [
    {user: owner, password: secret}
    {user: sentiment, password: secret, permissions: {
      publish: ["slm.v1.result.*.*.*.sentiment.*", "$JS.API.DIRECT.GET.SLM_RESULTS.>"]
      subscribe: ["_INBOX.>"]
    }}
  ]
}
"""
ADDRESS = Address("Acme", DataClass.INTERNAL, "T-1")


@pytest.fixture(scope="module")
def guarded():
    """A broker with users."""
    with EmbeddedBroker.start(extra=USERS) as broker:
        yield broker


@pytest.fixture
async def connected(guarded):
    """Connect as one of them."""
    opened = []

    async def connect(user):
        opened.append(await NatsBus.connect(guarded.url.replace("//", f"//{user}@"), name=user))
        return opened[-1]

    yield connect
    for bus in opened:
        await bus.close()


async def test_a_result_of_another_agent_is_refused_by_permission_at_once_and_ones_own_is_stored(connected, soon):
    owner = await connected(OWNER)
    await owner.provision([])
    agent = await connected(SENTIMENT)

    assert await agent.store(subjects.result(ADDRESS, "sentiment", "sentiment"), b"mine") is True
    with pytest.raises(ContractError) as denied:
        await soon(agent.store(subjects.result(ADDRESS, "ner", "entities"), b"not mine"))

    assert denied.value.info.code is ErrorCode.UNAUTHORIZED
    assert await owner.read(subjects.result(ADDRESS, "ner", "entities")) is None


async def test_a_request_to_where_one_may_not_publish_is_refused_and_others_go_on(connected, soon):
    agent = await connected(SENTIMENT)

    with pytest.raises(ContractError) as denied:
        await soon(agent.request(subjects.ask("ner"), b"", timeout_s=60))

    assert denied.value.info.code is ErrorCode.UNAUTHORIZED
    assert await agent.read(subjects.result(ADDRESS, "sentiment", "nothing")) is None
