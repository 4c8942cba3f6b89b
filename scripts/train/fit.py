"""What every training here shares: seeded length-bucketed batches, the optimiser's schedule, progress, temperature."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

PAD, CLS, SEP = 0, 101, 102
# Batches are cut from chunks of this many batches sorted by length: little padding, still shuffled.
CHUNK_BATCHES = 64
_TEMPERATURE_STEP = 1e-4


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train. Rates are the peaks of a linear warm-up and linear decay."""

    epochs: float = 1.0
    batch: int = 32
    encoder_rate: float = 1e-4
    head_rate: float = 1e-3
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0


def seed_everything(seed: int, threads: int = 2) -> None:
    """Make a run repeatable on the same machine."""
    random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids of several texts as one (batch, time) tensor and its mask (True = token)."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), PAD, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(width)[None, :] < lengths[:, None]


def buckets(lengths: Sequence[int], batch: int, rng: random.Random) -> list[list[int]]:
    """Shuffled batches of indices, each of texts of similar length."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), batch * CHUNK_BATCHES):
        chunk = sorted(order[start : start + batch * CHUNK_BATCHES], key=lambda i: lengths[i])
        batches.extend(chunk[i : i + batch] for i in range(0, len(chunk), batch))
    rng.shuffle(batches)
    return batches


def _steps(lengths: Sequence[int], schedule: Schedule, rng: random.Random) -> Iterator[tuple[float, list[int]]]:
    per_epoch = -(-len(lengths) // schedule.batch)
    total = max(1, int(per_epoch * schedule.epochs))
    done = 0
    while done < total:
        for batch in buckets(lengths, schedule.batch, rng):
            if done >= total:
                return
            yield done / total, batch
            done += 1


def fit(
    model: nn.Module,
    lengths: Sequence[int],
    loss_of: Callable[[list[int]], Tensor],
    schedule: Schedule,
    seed: int,
) -> None:
    """Train ``model``, whose encoder is ``model.bert``, in place, showing progress.

    ``loss_of`` gives the mean loss of a batch of row indices, ``lengths`` the tokens of each row.
    """
    encoder_parameters = [p for p in model.bert.parameters() if p.requires_grad]
    known = {id(p) for p in model.bert.parameters()}
    head_parameters = [p for p in model.parameters() if id(p) not in known]
    optimiser = torch.optim.AdamW(
        [
            {"params": encoder_parameters, "peak": schedule.encoder_rate},
            {"params": head_parameters, "peak": schedule.head_rate},
        ],
        weight_decay=schedule.weight_decay,
    )
    model.train()
    started = time.monotonic()
    recent: list[float] = []
    for step, (progress, batch) in enumerate(_steps(lengths, schedule, random.Random(seed)), 1):
        factor = min(progress / schedule.warmup, (1 - progress) / (1 - schedule.warmup)) if schedule.warmup else 1 - progress
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * max(factor, 1e-3)
        loss = loss_of(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(encoder_parameters + head_parameters, schedule.clip)
        optimiser.step()
        recent.append(loss.item())
        if step % 50 == 0:
            spent = time.monotonic() - started
            left = spent / max(progress, 1e-6) * (1 - progress)
            loss_now = np.mean(recent[-200:])
            print(f"step {step} {progress:6.1%} loss {loss_now:.4f} spent {spent:.0f}s left {left:.0f}s", flush=True)
    model.eval()


@torch.no_grad()
def predict(model: nn.Module, rows: Sequence[Sequence[int]], batch: int = 64) -> np.ndarray:
    """Logits (rows, labels) of a classifier for token rows that already carry their special tokens."""
    model.eval()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    parts = [model(*pad([rows[i] for i in order[s : s + batch]])).numpy() for s in range(0, len(order), batch)]
    logits = np.concatenate(parts)
    out = np.empty_like(logits)
    out[order] = logits
    return out


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature that minimises the negative log likelihood of ``gold`` (class indices); golden-section search."""

    def nll(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(gold)), gold]))

    low, high, ratio = -1.5, 2.0, (5**0.5 - 1) / 2
    while high - low > _TEMPERATURE_STEP:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if nll(left) < nll(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
