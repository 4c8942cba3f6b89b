"""What replicas of one model weigh: memory that a process has for itself, and what it shares."""

import re
from dataclasses import dataclass
from pathlib import Path

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ")
_MB_A_KIB = 1024 / 1e6


@dataclass(frozen=True)
class Weight:
    """Megabytes of one process.

    Attributes:
        rss: All that it has mapped in.
        pss: The same, but what n processes share counts 1/n.
        own: What no other process has.
        file_rss: Of ``rss``, the model's file.
        file_pss: Of ``pss``, the model's file.
    """

    rss: float
    pss: float
    own: float
    file_rss: float
    file_pss: float


def weight(pid: int, model: Path) -> Weight:
    """Weigh a process that has mapped a model. Linux only."""
    whole = _sizes(Path(f"/proc/{pid}/smaps_rollup").read_text())
    mapped = _sizes(_mapping(Path(f"/proc/{pid}/smaps").read_text(), model))
    own = whole["Private_Clean"] + whole["Private_Dirty"]
    return Weight(whole["Rss"], whole["Pss"], own, mapped["Rss"], mapped["Pss"])


def _mapping(smaps: str, file: Path) -> str:
    """Return the parts of a table of mappings that belong to a file."""
    kept, of_file = [], False
    for line in smaps.splitlines():
        if _MAPPING.match(line):
            of_file = line.endswith(str(file))
        elif of_file:
            kept.append(line)
    return "\n".join(kept)


def _sizes(table: str) -> dict[str, float]:
    """Return the sums of a table's lines by name, in MB."""
    sums = dict.fromkeys(("Rss", "Pss", "Private_Clean", "Private_Dirty"), 0.0)
    for line in table.splitlines():
        name, _, size = line.partition(":")
        if name in sums:
            sums[name] += int(size.split()[0]) * _MB_A_KIB
    return sums
