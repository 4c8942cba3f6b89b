"""The training loop: answers first, plain text beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scripts.train.tiny.batches import Batch
from scripts.train.tiny.model import Tiny

_KEPT_EVERY = 100
# Of the rate; at the full one the counted vectors would be noise after some dozen steps.
_EMBEDDING_SHARE = 0.2


@dataclass(frozen=True)
class Stage:
    """One run of the schedule: a linear warm-up to ``rate``, then a linear decay."""

    steps: int
    rate: float
    warmup: float = 0.04
    weight_decay: float = 0.05
    clip: float = 1.0
    # Of the documents' tokens, the share that is predicted too, and what it weighs: the output matrix is a quarter of the work.
    plain_share: float = 0.15
    plain_weight: float = 0.2


def loss_of(model: Tiny, batch: Batch, stage: Stage) -> tuple[Tensor, Tensor]:
    """Return the loss of the answers and of the plain text."""
    states = model(batch.prefix, batch.tokens)[:, :-1]
    following = batch.tokens[:, 1:]
    answers = batch.answers[:, 1:]
    plain = batch.plain[:, 1:] & (torch.rand(following.shape) < stage.plain_share)
    wanted = answers | plain
    losses = functional.cross_entropy(model.logits(states[wanted]), following[wanted], reduction="none")
    is_answer = answers[wanted]
    return losses[is_answer].mean(), losses[~is_answer].mean()


def optimiser_of(model: Tiny, stage: Stage) -> torch.optim.Optimizer:
    """AdamW; vectors are not decayed, and what the embedding begins with is changed slowly."""
    matrices = [p for p in model.blocks.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay, "share": 1.0},
        {"params": vectors, "weight_decay": 0.0, "share": 1.0},
        {"params": [model.embedding], "weight_decay": 0.0, "share": _EMBEDDING_SHARE},
    ]
    return torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.98), eps=1e-9)


def _factor(done: float, warmup: float) -> float:
    """What the rate is multiplied by when a share of the steps is done."""
    return max(min(done / warmup, (1 - done) / (1 - warmup)), 0.01)


def fit(model: Tiny, batches: Iterator[Batch], stage: Stage, keep: Callable[[], None]) -> None:
    """Train in place, showing progress; ``keep`` is called now and then. Times are of the processor, as other work may share it."""
    optimiser, started, recent, tokens = optimiser_of(model, stage), time.process_time(), [], 0
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * group["share"] * _factor(step / stage.steps, stage.warmup)
        answers, plain = loss_of(model, batch, stage)
        optimiser.zero_grad(set_to_none=True)
        (answers + stage.plain_weight * plain).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), stage.clip)
        optimiser.step()
        tokens += batch.tokens.numel() + len(batch.prefix)
        recent.append((answers.item(), plain.item()))
        if (step + 1) % 50 == 0:
            told, spent = torch.tensor(recent[-200:]).mean(0).tolist(), time.process_time() - started
            print(f"step {step + 1}/{stage.steps} answers {told[0]:.3f} text {told[1]:.3f} tokens {tokens:,} cpu {spent:.0f}s", flush=True)
        if (step + 1) % _KEPT_EVERY == 0:
            keep()
    keep()
