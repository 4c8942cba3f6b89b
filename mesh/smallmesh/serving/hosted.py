"""An agent's folder, ready to answer in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from smallmesh.catalogue import AgentFolder, CatalogueError
from smallmesh.hosting.ladder.in_use import card_in_use
from smallmesh.serving.answering import Answering, RulesHost
from smallmesh.settings import Settings, agent_settings
from smallmesh_contracts.decode import explain

if TYPE_CHECKING:
    from smallmesh.hosting.instruct.model import InstructModel
    from smallmesh.hosting.model import HostedModel


@asynccontextmanager
async def hosted(found: AgentFolder) -> AsyncIterator[Answering]:
    """Answer for one agent: its settings applied, its rules and its model loaded; freed at the end.

    Raises:
        CatalogueError: A setting of the agent's is wrong.
        ModelError: Its model is missing, altered or cannot be loaded.
    """
    agent = found.agent
    try:
        agent.settings = agent_settings(agent.name, agent.settings)
    except ValidationError as error:
        msg = f"a SMALLMESH_{agent.name.upper()}_… setting is wrong: {explain(error)}"
        raise CatalogueError(msg) from error
    host = _host(found)
    await asyncio.to_thread(agent.prepare)
    await host.start()
    try:
        yield Answering(agent, host, found.folder, template=host.template_sha256)
    finally:
        await host.stop()


def _host(found: AgentFolder) -> "RulesHost | HostedModel | InstructModel":
    """Return what answers for an agent: the card of its model in use alone decides."""
    in_use = card_in_use(found.folder, Settings())
    if in_use is None:
        return RulesHost()
    card, folder = in_use
    if card.engine == "instruct":
        from smallmesh.hosting.instruct.model import InstructModel  # noqa: PLC0415 - see below

        return InstructModel(card, folder, found.folder)
    from smallmesh.hosting.model import HostedModel  # noqa: PLC0415 - needs numpy, which an agent of rules has no use for

    return HostedModel(card, folder)
