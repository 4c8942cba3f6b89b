"""One of an agent's models as the source of answers: its host, and what its answers say of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from smallmesh.agent import Agent
from smallmesh.hosting.card import ModelCard
from smallmesh.hosting.prompts.pack import PACK_FILE
from smallmesh.serving.hosts import Host
from smallmesh.serving.movement import Movement
from smallmesh.telemetry import names

RULES = "rules"
"""``model_id`` of an agent that has no model of its own and answers by rules."""


@dataclass(frozen=True, slots=True)
class Source:
    """What answers.

    Attributes:
        host: Lends its model port.
        model_id: The model's.
        sha256: Of its file; None for rules.
        tier: Its place on the agent's ladder; None for rules.
        prompt_version: Hash of what turns a text into an answer besides the weights.
        attributes: Of every span of a call of it.
        movement: Whether it moves.
    """

    host: Host
    model_id: str
    sha256: str | None
    tier: str | None
    prompt_version: str
    attributes: Mapping[str, str]
    movement: Movement

    @classmethod
    def of(cls, agent: Agent[Any, Any], host: Host, folder: Path) -> Self:
        """Return what an agent's answers come from, once the host is started; ``folder`` is the agent's."""
        card = host.card
        model_id, sha256, tier = (card.id, card.sha256, card.tier) if card else (RULES, None, None)
        version = prompt_version(agent, card, folder, template=host.template_sha256)
        attributes = {
            names.GEN_AI_OPERATION: names.CALL_MODEL,
            names.GEN_AI_PROVIDER: names.LOCAL_PROVIDER,
            names.GEN_AI_REQUEST_MODEL: model_id,
            names.MODEL_SHA256: sha256 or "",
            names.MODEL_TIER: tier or "",
            names.PROMPT_VERSION: version,
            names.AGENT: agent.name,
        }
        return cls(host, model_id, sha256, tier, version, attributes, Movement(lambda: host.turn))


def prompt_version(agent: Agent[Any, Any], card: ModelCard | None, folder: Path, *, template: str | None = None) -> str:
    """Return the hash of what turns a text into an answer besides the weights.

    Of an instruct model that is its prompt pack, calibration included, and its chat template; an encoder is shown neither.
    """
    parts: dict[str, object] = {
        "tuning": dict(agent.tuning()),
        "window": card.window if card else None,
        "pooling": card.pooling if card else None,
        "prompt": None,
    }
    if card and card.engine == "instruct":
        parts |= {"prompt": (folder / PACK_FILE).read_text(encoding="utf-8"), "template": template}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
