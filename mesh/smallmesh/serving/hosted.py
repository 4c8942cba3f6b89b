"""An agent's folder, ready to answer in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from smallmesh.catalogue import AgentFolder, CatalogueError
from smallmesh.hosting.card import ModelCard
from smallmesh.hosting.ladder.in_use import card_in_use, next_card_in_use
from smallmesh.serving.answering import Answering
from smallmesh.serving.hosts import RulesHost
from smallmesh.settings import agent_settings, settings
from smallmesh_contracts.decode import explain

if TYPE_CHECKING:
    from smallmesh.hosting.instruct.model import InstructModel
    from smallmesh.hosting.model import HostedModel

    AnyHost = RulesHost | HostedModel | InstructModel


@asynccontextmanager
async def hosted(found: AgentFolder, tier: str | None = None) -> AsyncIterator[Answering]:
    """Answer for one agent: its settings applied, its rules and its models loaded; freed at the end.

    Args:
        found: The agent.
        tier: The one tier that answers, whatever was chosen for it; without it what was chosen.

    Raises:
        CatalogueError: A setting of the agent's is wrong.
        ModelError: One of its models is missing, altered or cannot be loaded.
    """
    agent = found.agent
    try:
        agent.settings = agent_settings(agent.name, agent.settings)
    except ValidationError as error:
        msg = f"a SMALLMESH_{agent.name.upper()}_… setting is wrong: {explain(error)}"
        raise CatalogueError(msg) from error
    chosen = settings()
    async with AsyncExitStack() as stack:
        first = _host(card_in_use(found.folder, chosen, tier), found)
        await asyncio.to_thread(agent.prepare)
        await _start(first, stack)
        in_use = next_card_in_use(found.folder, chosen, tier)  # asked now: memory is judged by what the first one left
        following = None if in_use is None else _host(in_use, found)
        if following is not None:
            await _start(following, stack)
        yield Answering(agent, first, found.folder, following)


async def _start(host: "AnyHost", stack: AsyncExitStack) -> None:
    await host.start()
    stack.push_async_callback(host.stop)


def _host(in_use: tuple[ModelCard, Path] | None, found: AgentFolder) -> "AnyHost":
    """Return what answers for an agent: the card of a model in use alone decides."""
    if in_use is None:
        return RulesHost()
    card, folder = in_use
    if card.engine == "instruct":
        from smallmesh.hosting.instruct.model import InstructModel  # noqa: PLC0415 - see below

        return InstructModel(card, folder, found.folder)
    from smallmesh.hosting.model import HostedModel  # noqa: PLC0415 - needs numpy, which an agent of rules has no use for

    return HostedModel(card, folder)
