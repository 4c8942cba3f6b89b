"""Agents' folders with a ladder of models: files that are told from others, and cards. No model can be loaded of them."""

import hashlib
from pathlib import Path

from smallmesh.hosting.card import CARD_FILE

_WEIGHTS = b"weights"
_EMBEDDED = """
[model]
id = "{agent}-q8"
file = "model.gguf"
sha256 = "{sha256}"
architecture = "bert"
quantisation = "Q8_0"
engine = "encoder"
pooling = "rank"
"""
_TIER = """
[[tiers]]
tier = "{tier}"
id = "{tier}-q4"
engine = "instruct"
repository = "acme/{tier}-GGUF"
file = "{tier}.gguf"
architecture = "qwen2"
quantisation = "Q4_0"
size_bytes = 4000000
ram_mb = {ram_mb}
licence = "Apache-2.0"
"""
_RAM_MB = {"small": 600, "medium": 1300}


def write_laddered(folder: Path) -> Path:
    """Write what an agent's folder has of models: its embedded one, and a tier `small` and a tier `medium` to be pulled."""
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(_WEIGHTS)
    card = _EMBEDDED.format(agent=folder.name, sha256=hashlib.sha256(_WEIGHTS).hexdigest())
    tiers = (_TIER.format(tier=tier, ram_mb=ram_mb) for tier, ram_mb in _RAM_MB.items())
    (folder / CARD_FILE).write_text(card + "".join(tiers), encoding="utf-8")
    return folder
