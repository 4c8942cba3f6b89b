"""An agent's folder, ready to answer in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from smallmesh.catalogue import AgentFolder, CatalogueError
from smallmesh.hosting.card import load_card
from smallmesh.serving.answering import Answering, RulesHost
from smallmesh.settings import agent_settings
from smallmesh_contracts.decode import explain

if TYPE_CHECKING:
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
        yield Answering(agent, host, found.folder)
    finally:
        await host.stop()


def _host(found: AgentFolder) -> "RulesHost | HostedModel":
    card = load_card(found.folder)
    if card is None:
        return RulesHost()
    from smallmesh.hosting.model import HostedModel  # noqa: PLC0415 - needs numpy, which an agent of rules has no use for

    return HostedModel(card, found.folder)
