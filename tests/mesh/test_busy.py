"""Every process at once on few cores: threads that spin would show as an ask of a hundred times its own time."""

import asyncio
import time
from statistics import median

import pytest

from tests.support.meshes import shipped

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

TEXT = "Contoso opened an office in Lisbon on Monday. Anna Weber, who will lead it, says she is thrilled with the new team."
"""Two sentences, so that the summarizer's model works too."""
LONE, BUSY, WARM_UP = 15, 25, 5
"""Asks of each agent."""
WORST = 10.0
"""An ask beside all the others, in multiples of the median ask alone."""
MEASUREMENTS = 4
"""A machine that does something else just then gets another chance; spinning threads fail each of them."""


async def asks(client, name, count) -> list[float]:
    took = []
    for _ in range(count):
        began = time.perf_counter()
        answer, _ = await client.ask(name, {"text": TEXT})
        took.append((time.perf_counter() - began) * 1000)
        assert answer.error is None
    return took


async def measure(client, loops) -> dict[str, float]:
    """Return the slowest ask of each agent while all are busy, in multiples of its median ask alone."""
    alone = {}
    for name in dict.fromkeys(loops):
        await asks(client, name, WARM_UP)
        alone[name] = median(await asks(client, name, LONE))
    together = await asyncio.gather(*(asks(client, name, BUSY) for name in loops))
    return {name: max(max(took) for other, took in zip(loops, together, strict=True) if other == name) / alone[name] for name in alone}


async def test_no_ask_takes_ten_times_its_lone_median_while_all_agents_and_a_second_sentiment_are_busy(customer):
    loops = ["sentiment", *shipped()]

    measured = []
    while len(measured) < MEASUREMENTS and (not measured or max(measured[-1].values()) > WORST):
        measured.append(await measure(customer, loops))

    assert max(measured[-1].values()) <= WORST, measured
