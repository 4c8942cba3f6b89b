"""What a rule gives."""

from __future__ import annotations

from typing import NamedTuple

from smallmesh_contracts import EntityType


class Found(NamedTuple):
    """A span of characters and what it is; ``value`` and ``currency`` as :class:`smallmesh_contracts.Entity` has them."""

    start: int
    end: int
    type: EntityType
    value: str | None = None
    currency: str | None = None
