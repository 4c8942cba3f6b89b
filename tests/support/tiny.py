"""The tiny instruct model behind the shipped agents' own code."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from smallmesh.hosting.card import CARD_FILE, ModelCard, load_card
from smallmesh.hosting.prompts.pack import PACK_FILE
from tests.support.meshes import SERVICES

TINY = Path(__file__).resolve().parents[1] / "models" / "tiny-instruct"
REPOSITORY = "tests/tiny-instruct"
MODEL_AGENTS = ("sentiment", "ner", "summarizer", "complexity_router")


def tiny_card() -> ModelCard:
    """Return what the tiny model is."""
    card = load_card(TINY)
    assert card is not None
    return card


def write_tiny_agents(parent: Path, names: Iterable[str] = MODEL_AGENTS) -> Path:
    """Write folders of shipped agents whose card alone is another one: that of the tiny model. Return their folder."""
    for name in names:
        folder = parent / name
        folder.mkdir(parents=True)
        for file in ("agent.py", PACK_FILE):
            shutil.copy(SERVICES / name / file, folder)
        shutil.copy(TINY / CARD_FILE, folder)
        (folder / tiny_card().file).symlink_to(TINY / tiny_card().file)
    return parent


_TIER = """
[[tiers]]
tier = "{tier}"
id = "{card.id}"
engine = "instruct"
repository = "{repository}"
file = "{card.file}"
architecture = "{card.architecture}"
quantisation = "{card.quantisation}"
context = {card.context}
slots = {card.slots}
"""


def write_ladder(parent: Path, agent: str, tier: str) -> Path:
    """Copy a shipped agent, with the tiny model as the one other tier of its ladder. Return its folder."""
    folder = parent / agent
    shutil.copytree(SERVICES / agent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    described = folder / CARD_FILE
    embedded = described.read_text(encoding="utf-8").partition("[[tiers]]")[0]
    described.write_text(embedded + _TIER.format(tier=tier, card=tiny_card(), repository=REPOSITORY), encoding="utf-8")
    return folder
