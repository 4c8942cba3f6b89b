"""Export the summarizer's sentence encoder: the base model as it is, nothing trained: ``python -m scripts.train.summarizer``."""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.train.bert import load_base
from scripts.train.export import export
from scripts.train.publish import Facts, publish

FACTS = Facts(agent="summarizer", id="summarizer-minilm-q8", pooling="mean")


def main() -> None:
    """Export. ``--data`` is accepted so that all commands look alike; no summary data is used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: nothing is trained")
    parser.add_argument("--out", type=Path, default=Path("services/summarizer"))
    arguments = parser.parse_args()
    publish(arguments.out, FACTS, lambda path: export(load_base(), path, name=FACTS.id, pooling=FACTS.pooling))


if __name__ == "__main__":
    main()
