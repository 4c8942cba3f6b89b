"""Compares the GGUF with the torch model it came from, in two steps, as torch and llama.cpp live in two environments.

``python -m scripts.train.tiny.parity --run DIR`` writes ``parity.npz`` where torch is installed: prompts as tokens and the logits
after them. Where llama.cpp is installed it asks the GGUF for the same logits, and for the tokens of the same texts.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np

TEXTS = (
    "The kettle broke on the second day and nobody answers my letters.",
    "Instruction: Which gate?\nLength: tiny\nText: Boarding for Oslo starts at gate 14 at 9:40.",
    "Ayo Lindqvist of Harbour Tools moved from Split to Turin; she likes it :-)",
    "Gr\u00fc\u00dfe aus K\u00f6ln \u2014 100 % \u20ac\u2026  two  blanks\n\n\nand lines\t<|im_end|>",
)
# Q8_0 moves a logit by some hundredths; a wrong rotation, bias or norm by whole units.
TOLERANCE = 0.15
_FILE = "parity.npz"


def expect(run: Path, stage: str) -> None:
    """Write what torch says."""
    import torch  # noqa: PLC0415 - this half runs where torch is

    from scripts.train.tiny.model import Shape, Tiny  # noqa: PLC0415
    from scripts.train.tiny.vocabulary import TinyVocabulary  # noqa: PLC0415

    vocabulary = TinyVocabulary.load(run / "tokenizer.json")
    model = Tiny(Shape(vocabulary.size))
    model.load_state_dict(torch.load(run / f"{stage}.pt"))
    kept: dict[str, np.ndarray] = {}
    for index, text in enumerate(TEXTS):
        marked = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        tokens = [*vocabulary.tokenize(marked, special=True), *vocabulary.tokenize(text)]
        with torch.no_grad():
            states = model(torch.tensor(tokens[:5]), torch.tensor([tokens[5:]]))
            kept[f"logits{index}"] = model.logits(states)[0, -1].numpy()
        kept[f"tokens{index}"] = np.array(tokens)
    np.savez(run / _FILE, **kept)
    print(f"wrote {run / _FILE}; run this again where llama.cpp is installed")


def compare(run: Path, stage: str) -> None:
    """Ask llama.cpp for the same; raises SystemExit where it differs."""
    from scripts.train.tiny.asking import opened  # noqa: PLC0415 - this half runs where llama.cpp is
    from smallmesh.hosting.engine.port import Row  # noqa: PLC0415

    decoder, kept, gaps = opened(run / f"{stage}.gguf"), np.load(run / _FILE), []
    for index, text in enumerate(TEXTS):
        tokens = kept[f"tokens{index}"].tolist()
        marked = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        if [*decoder.vocabulary.tokenize(marked, special=True), *decoder.vocabulary.tokenize(text)] != tokens:
            raise SystemExit(f"llama.cpp cuts text {index} into other tokens")
        decoder.drop(0)
        decoder.decode([Row(token, at, (0,), at == len(tokens) - 1) for at, token in enumerate(tokens)])
        gaps.append(np.abs(decoder.logits()[-1] - kept[f"logits{index}"]).mean())
    print(f"parity with torch on {len(TEXTS)} prompts: tokens equal, logits differ by {np.mean(gaps):.4f} on average")
    if max(gaps) > TOLERANCE:
        raise SystemExit("the GGUF is not the trained model")


def main() -> None:
    """Do the half that this environment can."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the training's --out")
    parser.add_argument("--stage", default="stage1")
    arguments = parser.parse_args()
    (expect if importlib.util.find_spec("torch") else compare)(arguments.run, arguments.stage)


if __name__ == "__main__":
    main()
