"""Many cases into figures, each with its interval.

Every figure is a formula over sums of what the cases add (``judging`` says what that is), so one set of resampled cases gives
the intervals of them all, and of the difference between two runs over the same cases.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan

import numpy as np
from pydantic import BaseModel, ConfigDict

from smallmesh.evaluation.metrics import BINS, Array, f1_of, ratio

RESAMPLES = 1000
SEED = 11
LEVEL = 0.95
_TAILS = (50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL))
_BLOCK = 20
"""Resamples drawn at once: a matrix of so many rows and as many columns as there are cases."""

Sums = Callable[[str], Array]
"""Sums by name, one a resample; of a name that nobody has added to, zeros."""


class Figure(BaseModel):
    """One figure.

    Attributes:
        name: ``FIELD.MEASURE``, and after another point the class or type where it is that of one; a few stand alone.
        value: What it is, over all cases.
        low: Where its 95 % interval begins; absent where cases are too few for one.
        high: Where it ends.
        n: Of how many: cases, spans or substrings.
        plain: What the plainest way would have got: always the commonest class, or the first words of the text.
        lower_is_better: Whether it is an error.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    plain: float | None = None
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """How a figure follows from sums."""

    name: str
    value: Callable[[Sums], Array]
    n: Callable[[Sums], Array]
    plain: Callable[[Sums], Array] | None = None
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and now, over the same cases.

    Attributes:
        name: Of the figure.
        before: What it was.
        now: What it is.
        low: Where the 95 % interval of the difference begins.
        high: Where it ends.
        better: Whether it got better; None where the interval holds no change, too, or where nothing changed.
    """

    name: str
    before: float
    now: float
    low: float
    high: float
    better: bool | None


def figures(cases: Sequence[Mapping[str, float]]) -> list[Figure]:
    """Return every figure that some cases give, in the order in which they are read."""
    table = _Table(cases)
    found = [_figure(formula, table) for formula in formulas(table.names)]
    return [figure for figure in found if figure is not None]


def changes(before: Sequence[Mapping[str, float]], now: Sequence[Mapping[str, float]]) -> list[Change]:
    """Compare two runs over the same cases, in the same order: each figure that both have."""
    old, new = _Table(before), _Table(now)
    found = [_change(formula, old, new) for formula in formulas(old.names & new.names)]
    return [change for change in found if change is not None]


class _Table:
    """What the cases add, as a matrix of a row a case and a column a name, and sums over resampled rows."""

    def __init__(self, cases: Sequence[Mapping[str, float]]) -> None:
        self.names = {name for case in cases for name in case}
        self.size = len(cases)
        self._place = {name: place for place, name in enumerate(sorted(self.names))}
        self._matrix = np.array([[case.get(name, 0.0) for name in self._place] for case in cases])

    def total(self, name: str) -> Array:
        """Return the sum over all cases."""
        return self._column(self._matrix.sum(axis=0, keepdims=True), name)

    def resampled(self, name: str) -> Array:
        """Return one sum a resample; the resamples are the same for every table of this size."""
        return self._column(self._resamples, name)

    @cached_property
    def _resamples(self) -> Array:
        # Not `@`: the spinning threads of a BLAS take a hundred times as long where other processes want the cores.
        return np.concatenate([np.einsum("ij,jk->ik", drawn, self._matrix) for drawn in _draws(self.size)])

    def _column(self, matrix: Array, name: str) -> Array:
        place = self._place.get(name)
        return np.zeros(len(matrix)) if place is None else matrix[:, place]


def _draws(size: int) -> Iterable[Array]:
    """Yield how often each case is drawn, a row a resample: as many cases as there are, with replacement."""
    generator = np.random.default_rng(SEED)
    rows = np.arange(_BLOCK)[:, None] * size
    for _ in range(RESAMPLES // _BLOCK):
        drawn = generator.integers(size, size=(_BLOCK, size)) + rows
        yield np.bincount(drawn.ravel(), minlength=_BLOCK * size).reshape(_BLOCK, size).astype(float)


def _figure(formula: Formula, table: _Table) -> Figure | None:
    value = float(formula.value(table.total)[0])
    if isnan(value):
        return None
    low, high = _interval(formula.value(table.resampled)) if table.size > 1 else (None, None)
    n = round(float(formula.n(table.total)[0]))
    plain = float(formula.plain(table.total)[0]) if formula.plain else None
    lower = formula.lower_is_better
    return Figure(name=formula.name, value=value, low=low, high=high, n=n, plain=plain, lower_is_better=lower)


def _change(formula: Formula, old: _Table, new: _Table) -> Change | None:
    before, now = (float(formula.value(table.total)[0]) for table in (old, new))
    if isnan(before) or isnan(now):
        return None
    low, high = _interval(formula.value(new.resampled) - formula.value(old.resampled))
    certain = low > 0 or high < 0
    return Change(formula.name, before, now, low, high, (now < before) == formula.lower_is_better if certain else None)


def _interval(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values[~np.isnan(values)], _TAILS)
    return float(low), float(high)


# ---------------------------------------------------------------- formulas

_FIRST = ("score", "passed", "valid")
"""Figures of whole cases, which are read before those of fields."""


def formulas(names: Iterable[str]) -> list[Formula]:
    """Return the formulas for which there are sums."""
    kinds: dict[str, dict[str, set[str]]] = {"share": {}, "class": {}, "span": {}, "bin": {}}
    for name in names:
        kind, field, *rest = name.split(":", 3)
        kinds[kind].setdefault(field, set()).update(rest[1:])
    shares = {name: _share(name, classes=kinds["class"]) for name in kinds["share"]}
    found = [shares[name] for name in _FIRST if name in shares]
    found += [shares[name] for name in sorted(shares) if name not in _FIRST]
    for field, classes in sorted(kinds["class"].items()):
        found += _class_formulas(field, sorted(classes))
    for field, types in sorted(kinds["span"].items()):
        found += _span_formulas(field, sorted(types))
    return found + ([_CALIBRATION] if kinds["bin"] else [])


def _share(name: str, classes: Mapping[str, Iterable[str]]) -> Formula:
    def value(sums: Sums) -> Array:
        return ratio(sums(f"share:{name}:got"), sums(f"share:{name}:of"))

    def commonest(sums: Sums) -> Array:
        counts = [sums(f"class:{field}:wanted:{one}") for one in classes[field]]
        return ratio(np.max(counts, axis=0), np.sum(counts, axis=0))

    def lead(sums: Sums) -> Array:
        return ratio(sums(f"share:{name}:plain"), sums(f"share:{name}:of"))

    field, _, measure = name.rpartition(".")
    plain = commonest if measure == "accuracy" and field in classes else lead if measure == "rouge_l" else None
    counted = "valid" if name == "score" else name  # its weights are no number of cases
    return Formula(name, value, lambda sums: sums(f"share:{counted}:of"), plain)


def _class_formulas(field: str, classes: Sequence[str]) -> list[Formula]:
    each = [_f1(f"class:{field}", f"{field}.f1.{one}", [one]) for one in classes]

    def macro(sums: Sums) -> Array:
        values = np.array([one.value(sums) for one in each])
        there = ~np.isnan(values)
        return ratio(np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0).astype(float))

    return [Formula(f"{field}.macro_f1", macro, _total(f"class:{field}:wanted", classes)), *each]


def _span_formulas(field: str, types: Sequence[str]) -> list[Formula]:
    prefix = f"span:{field}"
    hit, found, wanted = (_total(f"{prefix}:{part}", types) for part in ("hit", "found", "wanted"))
    return [
        _f1(prefix, f"{field}.f1", types),
        Formula(f"{field}.precision", lambda sums: ratio(hit(sums), found(sums)), found),
        Formula(f"{field}.recall", lambda sums: ratio(hit(sums), wanted(sums)), wanted),
        *(_f1(prefix, f"{field}.f1.{one}", [one]) for one in types),
    ]


def _f1(prefix: str, name: str, classes: Sequence[str]) -> Formula:
    hit, found, wanted = (_total(f"{prefix}:{part}", classes) for part in ("hit", "found", "wanted"))
    return Formula(name, lambda sums: f1_of(hit(sums), found(sums), wanted(sums)), wanted)


def _total(prefix: str, classes: Sequence[str]) -> Callable[[Sums], Array]:
    return lambda sums: np.sum([sums(f"{prefix}:{one}") for one in classes], axis=0)


def _gap(sums: Sums) -> Array:
    gaps = [np.abs(sums(f"bin:ece:sure:{place:02}") - sums(f"bin:ece:right:{place:02}")) for place in range(BINS)]
    return ratio(np.sum(gaps, axis=0), sums("bin:ece:of"))


_CALIBRATION = Formula("ece", _gap, lambda sums: sums("bin:ece:of"), lower_is_better=True)
