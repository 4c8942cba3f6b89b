"""Compares an exported classifier with the torch model it came from, where llama.cpp is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.train.bert import Classifier, load_tokenizer
from scripts.train.fit import CLS, SEP, predict

# Q8_0 layers with a Q4_0 embedding move logits by about a hundredth; a lost pooler or a wrong vocabulary by whole units.
TOLERANCE = 0.15


def check_classifier(model: Classifier, path: Path, texts: Sequence[str]) -> None:
    """Compare tokens and logits of ``texts``; raises SystemExit where they differ, says so where it cannot look."""
    try:
        from smallmesh.hosting.llama import Encoder  # noqa: PLC0415 - training works without llama.cpp
    except ImportError:
        print("parity with torch not checked: llama-cpp-python is not installed here")
        return
    encoder = Encoder(path, pooling="rank")
    plain = [item.ids[:254] for item in load_tokenizer().encode_batch(list(texts), add_special_tokens=False)]
    if [encoder.tokenize(text)[:254] for text in texts] != plain:
        raise SystemExit("the exported tokenizer differs from the base model's")
    if encoder.labels != model.labels:
        raise SystemExit(f"the exported labels are {encoder.labels}")
    theirs = predict(model, [[CLS, *ids, SEP] for ids in plain])
    ours = np.array([encoder.scores(ids) for ids in plain])
    gap = np.abs(ours - theirs)
    print(f"parity with torch on {len(texts)} texts: logits differ by {gap.mean():.4f} on average, {gap.max():.4f} at most")
    if gap.mean() > TOLERANCE:
        raise SystemExit("the exported model is not the trained one")
