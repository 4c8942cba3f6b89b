"""The training loop: every step has a batch of each task, and only answers are learnt."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scripts.train.tiny.batches import Batch
from scripts.train.tiny.model import Tiny

_TOLD_EVERY, _KEPT_EVERY, _RECENT = 10, 100, 10
# Of the rate; at the full one the counted vectors would be noise after some dozen steps.
_SLOW_SHARE = 0.2


@dataclass(frozen=True)
class Stage:
    """The schedule: a linear warm-up to ``rate``, then a linear decay; ``tokens`` are those of each task in a step."""

    steps: int
    rate: float
    tokens: Mapping[str, int]
    warmup: float = 0.04
    weight_decay: float = 0.05
    clip: float = 1.0


def loss_of(model: Tiny, batch: Batch) -> Tensor:
    """Return the mean loss of the answers' tokens."""
    wanted = batch.answers[:, 1:]
    states = model(batch.prefix, batch.tokens)[:, :-1]
    return functional.cross_entropy(model.logits(states[wanted]), batch.tokens[:, 1:][wanted])


def optimiser_of(model: Tiny, stage: Stage) -> torch.optim.Optimizer:
    """AdamW; vectors are not decayed, and what the embedding begins with is changed slowly."""
    matrices = [p for p in model.blocks.parameters() if p.dim() > 1]
    vectors = [p for p in model.blocks.parameters() if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay, "share": 1.0},
        {"params": vectors, "weight_decay": 0.0, "share": 1.0},
        {"params": [model.embedding, model.norm], "weight_decay": 0.0, "share": _SLOW_SHARE},
    ]
    return torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.98), eps=1e-9)


def _factor(done: float, warmup: float) -> float:
    """What the rate is multiplied by when a share of the steps is done."""
    return max(min(done / warmup, (1 - done) / (1 - warmup)), 0.01)


def fit(model: Tiny, steps: Iterator[dict[str, Batch]], stage: Stage, keep: Callable[[], None]) -> None:
    """Train in place, showing progress; ``keep`` is called now and then. Times are of the processor, as other work may share it."""
    optimiser, started, tokens = optimiser_of(model, stage), time.process_time(), 0
    losses: dict[str, deque[float]] = {}
    for step, batches in enumerate(steps):
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * group["share"] * _factor(step / stage.steps, stage.warmup)
        optimiser.zero_grad(set_to_none=True)
        for task, batch in batches.items():
            loss = loss_of(model, batch)
            loss.backward()
            tokens += batch.tokens.numel() + len(batch.prefix)
            losses.setdefault(task, deque(maxlen=_RECENT)).append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), stage.clip)
        optimiser.step()
        if (step + 1) % _TOLD_EVERY == 0:
            told = " ".join(f"{name} {sum(kept) / len(kept):.3f}" for name, kept in losses.items())
            print(f"step {step + 1}/{stage.steps} {told} tokens {tokens:,} cpu {time.process_time() - started:.0f}s", flush=True)
        if (step + 1) % _KEPT_EVERY == 0:
            keep()
    keep()
