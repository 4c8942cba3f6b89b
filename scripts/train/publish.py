"""Writes an agent's ``model.toml``: the facts that the exported file decides, so that a re-export replaces only them."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.train.cards import write_card
from scripts.train.facts import BASE_NAME, WINDOW

MODEL_FILE = "model.gguf"
TABLE_FILE = "model.toml"
MAX_BYTES = 21_000_000

_FORM = """\
[model]
id = "{id}"      # model_id in every answer
file = "{file}"
sha256 = "{sha256}"
architecture = "bert"
quantisation = "Q8_0, embedding Q4_0"
pooling = "{pooling}"                # rank | none | mean
engine = "encoder"
window = {window}                    # tokens a forward pass, specials included
n_threads = 1
languages = ["en"]
licence = "Apache-2.0"
base = "{base}"
"""


@dataclass(frozen=True)
class Facts:
    """What a training command knows about the model it exports."""

    agent: str
    id: str
    pooling: str
    window: int = WINDOW


def publish(out: Path, facts: Facts, write: Callable[[Path], None]) -> None:
    """Let ``write`` make the GGUF and put it and its table into ``out``; raises SystemExit where it is too large.

    The file appears under its name only when it is whole. Other tables of an existing ``model.toml`` stay.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        made = Path(folder) / MODEL_FILE
        write(made)
        size = made.stat().st_size
        if size > MAX_BYTES:
            raise SystemExit(f"{made.name} has {size} bytes, more than {MAX_BYTES}")
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        made.replace(out / MODEL_FILE)
    table = _FORM.format(id=facts.id, file=MODEL_FILE, sha256=digest, pooling=facts.pooling, window=facts.window, base=BASE_NAME)
    path = out / TABLE_FILE
    path.write_text(table + _other_tables(path), encoding="utf-8")
    write_card(facts.agent, out)
    print(f"wrote {out / MODEL_FILE}: {size} bytes, sha256 {digest}")


def _other_tables(path: Path) -> str:
    """Everything after the ``[model]`` table of an existing file."""
    if not path.exists():
        return ""
    match = re.search(r"^\[(?!model\])", path.read_text(encoding="utf-8"), re.MULTILINE)
    return "\n" + path.read_text(encoding="utf-8")[match.start() :] if match else ""
