"""What a frontier model costs, from the dated list in ``prices.toml``."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("prices.toml")
_MILLION = 1_000_000
_SNAPSHOT = re.compile(r"-\d{8}$")
"""A vendor may answer with a model's dated snapshot, which costs what the model costs."""
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Price:
    """List price of one model, in US dollars per million tokens."""

    input_usd: float
    output_usd: float


@dataclass(frozen=True, slots=True)
class PriceList:
    """Every price that is known.

    Attributes:
        seen: Month in which the prices were looked up, ``YYYY-MM``.
        models: By the vendor's model id.
    """

    seen: str
    models: Mapping[str, Price]


@cache
def price_list() -> PriceList:
    """Return the list, read once."""
    read = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return PriceList(read["seen"], {model_id: Price(float(p["input"]), float(p["output"])) for model_id, p in read["models"].items()})


def price_of(model_id: str) -> Price | None:
    """Return a model's price, also for a dated snapshot of it; None where it is not on the list."""
    models = price_list().models
    return models.get(model_id) or models.get(_SNAPSHOT.sub("", model_id))


def cost_usd(model_id: str, input_tokens: int, output_tokens: int) -> float | None:
    """Return what so many tokens cost at list price, in US dollars; None where the price is not known."""
    price = price_of(model_id)
    if price is None:
        return None
    return (input_tokens * price.input_usd + output_tokens * price.output_usd) / _MILLION


def estimate_tokens(text: str) -> int:
    """Return roughly how many tokens a text has: a quarter of its characters, rounded up.

    The vendor publishes no tokenizer. The rule is for English prose; code and other
    languages have up to three times as many. Use it only for what *would have* been
    spent: what was spent is in the vendor's own count.
    """
    return -(-len(text) // _CHARACTERS_A_TOKEN)
