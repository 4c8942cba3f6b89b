"""Measure the shipped models and write ``docs/models.md`` and the model cards: ``python -m scripts.train.report --data DIR``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from scripts.train import measure, measure_rules
from scripts.train.cards import CARDS, Card, write_card
from scripts.train.measure import Figure

_MEASURES = {
    "sentiment": measure.sentiment,
    "ner": lambda model, data: [*measure.ner(model, data), *measure_rules.rules(data)],
    "summarizer": measure.summarizer,
    "complexity_router": measure.complexity_router,
}
_HEAD = """\
# The shipped models

Written by `python -m scripts.train.report` up to "Larger models"; do not edit that part. Every figure was measured on the GGUF file whose
sha256 stands beside it, through `smallmesh.hosting`, one thread, {cores} cores, {machine}. The model cards beside the files say what each
was trained on. "n" is the number of texts, of gold entities where F1, precision or recall is given, of passes where milliseconds are.
"""
_MEMORY = """
import sys
from pathlib import Path
from smallmesh.hosting.llama import Encoder

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

before = peak()
pooling = sys.argv[2]
encoder = Encoder(Path(sys.argv[1]), pooling=pooling, window=128)
call = {"rank": encoder.scores, "none": encoder.vectors, "mean": encoder.vector}[pooling]
for start in range(8):
    call(list(range(2000 + start, 2126 + start)))
print((peak() - before) / 1024)
"""


def memory(model: Path, pooling: str) -> Figure:
    """Megabytes that loading the model and running full windows adds to a process that has numpy and llama.cpp."""
    call = [sys.executable, "-c", _MEMORY, str(model), pooling]
    added = float(subprocess.run(call, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - our own interpreter and code
    return Figure("MB of memory added", "model loaded and full windows run", added, 8)


def table(figures: list[Figure]) -> str:
    """The figures as Markdown."""
    met = {True: "yes", False: "**no**", None: ""}
    lines = ["| measure | on | value | n | to reach | reached |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {f.name} | {f.data} | {_number(f)} | {f.size:,} | {f.bar} | {met[f.met]} |" for f in figures]
    return "\n".join(lines)


def _number(figure: Figure) -> str:
    if figure.name.startswith(("false alarms", "hits")):
        return f"{figure.value:.0f}"
    return f"{figure.value:.1f}" if figure.name.startswith(("ms", "MB")) else f"{figure.value:.3f}"


def section(card: Card, folder: Path, figures: list[Figure]) -> str:
    """One model's part of the page."""
    facts = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))["model"]
    size = (folder / facts["file"]).stat().st_size
    parts = [
        f"## {card.agent}",
        f"{card.title}. `{facts['id']}`, {size:,} bytes, sha256 `{facts['sha256']}`.",
        table(figures),
    ]
    if card.tried:
        parts.append("\n".join(["What was tried:", "", *(f"- {line}" for line in card.tried)]))
    return "\n\n".join(parts)


def main() -> None:
    """Measure all models, or those named, and write their parts of the page and their cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding sentiment/, ner/, summary/ and complexity/")
    parser.add_argument("--services", type=Path, default=Path("services"))
    parser.add_argument("--out", type=Path, default=Path("docs/models.md"))
    parser.add_argument("--only", nargs="*", choices=sorted(_MEASURES), help="measure these; the others' parts of the page stay")
    arguments = parser.parse_args()
    before = _sections(arguments.out)
    sections = before if arguments.only else {}
    for card in CARDS:
        if arguments.only and card.agent not in arguments.only:
            continue
        folder = arguments.services / card.agent
        facts = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))["model"]
        model = folder / facts["file"]
        figures = [*_MEASURES[card.agent](model, arguments.data), memory(model, facts["pooling"])]
        print(f"\n{card.agent}\n{table(figures)}", flush=True)
        sections[card.agent] = section(card, folder, figures)
        write_card(card.agent, folder, table(figures))
    head = _HEAD.format(cores=_cores(), machine=platform.machine()).strip()
    parts = [sections[card.agent] for card in CARDS if card.agent in sections]
    by_hand = [text for name, text in before.items() if name not in {card.agent for card in CARDS}]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n\n".join([head, *parts, *by_hand]) + "\n", encoding="utf-8")


def _sections(page: Path) -> dict[str, str]:
    """The parts of a page written earlier, by agent; those written by hand by their first word."""
    if not page.exists():
        return {}
    parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.split(maxsplit=2)[1]: part.strip() for part in parts}


def _cores() -> int:
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
