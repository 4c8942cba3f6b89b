"""Who is there, asked until nobody new answers."""

from smallmesh.bus.port import Bus, ServiceInfo

ROUNDS = 5
NEXT_MODEL_ID, NEXT_TIER = "next_model_id", "next_tier"
"""Keys under which a replica says of itself that it has a second model loaded, for what is harder."""


async def all_replicas(bus: Bus, wait_s: float) -> tuple[ServiceInfo, ...]:
    """Return every replica that answers, by name: on a busy machine one may be late for the first question."""
    found: dict[str, ServiceInfo] = {}
    for _ in range(ROUNDS):
        there = {one.id: one for one in await bus.services(wait_s)}
        if there.keys() <= found.keys():
            break
        found |= there
    return tuple(sorted(found.values(), key=lambda one: (one.name, one.id)))
