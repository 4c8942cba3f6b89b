"""Reading the data folder."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All objects of a ``.jsonl`` or ``.jsonl.gz`` file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def sample(rows: Sequence[T], limit: int | None, rng: random.Random) -> list[T]:
    """At most ``limit`` rows, chosen by ``rng``; all of them where it is None."""
    return list(rows) if limit is None or limit >= len(rows) else rng.sample(list(rows), limit)


def squeeze(text: str) -> str:
    """A text reduced to its letters and digits: equal for copies that differ in spacing, case or punctuation."""
    return re.sub(r"[^a-z0-9]", "", text.lower())
