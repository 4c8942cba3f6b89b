"""Amounts of money: a sign, code or name of a currency beside a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smallmesh.entities.amounts import decimal
from smallmesh.entities.found import Found
from smallmesh.entities.grammar import AFTER_NUMBER, Grammar, Hit
from smallmesh.entities.vocabulary import Vocabulary, listed, split, words
from smallmesh_contracts import EntityType

_AMOUNT = r"(?:[1-3](?:[., ']3){1,6}(?:[.,][1-5])?|[12](?:,2){1,5},3(?:\.[1-5])?|[1-5](?:[.,][1-5])?)"
_RANGE = rf"(?P<range>[-\u2013](?:{{symbol}} ?)?{_AMOUNT})?"
_SCALE = r"(?P<scale>(?:[ ~-]?{multiplier}\.?){0,2})"
BEFORE = (
    rf"(?P<sign>{{symbol}}|{{iso}})(?: ?{{symbol}})? ?(?P<amount>{_AMOUNT}){_RANGE}{AFTER_NUMBER}(?P<scale>(?:[ ~-]?{{multiplier}}){{0,2}})"
    r"(?: (?P<after>{iso}|{currency})(?! ?{number}))?"
)
AFTER = (
    rf"(?P<amount>{_AMOUNT}){_RANGE}{_SCALE}(?:[ -]?(?P<sign>{{symbol}}|{{iso}}|{{currency}})|"
    rf"(?:{{S}}{{of}}{{S}}|{{S}}{{elided}}'|{{S}})(?P<named>{{currency}}))"
)
IN_WORDS = (
    rf"(?P<quantity>{{quantity}}|{{vague}})(?:[ -](?P<units>{{quantity}}))?{_SCALE}"
    r"(?:{S}{of}{S}|{S}{elided}'|{S}|-)(?P<named>{currency})"
)
CENTS = r"(?P<amount>[12])(?:{S}|-)?(?P<cents>{cents})"

_WORDS_TOO = frozenset(split(words()["code"]["words_too"]))
"""Codes that are words, names or other short forms too: they count beside an amount with a separator only."""
_WEIGHED, _WEIGHS = listed("weighed"), listed("weighs")
"""Words before or after pounds that are a weight."""
_WORDS_BEFORE = 4
_TEN, _TWENTY = 10, 20


class Money:
    """The rules for amounts; what "$" or "dollars" and a dot before three digits mean follows from the regions."""

    def __init__(self, vocabulary: Vocabulary, regions: Sequence[str]) -> None:
        from smallmesh.entities import locale_names  # noqa: PLC0415 - it loads Babel

        self._home = locale_names.home_currencies(regions)
        self._dots: dict[str, bool] = {}
        for region in regions:
            for code in locale_names.home_currencies([region]):
                self._dots[code] = locale_names.decimal_sign(region) == "."
        self._families: Mapping[str, str] = words()["family"]
        self.grammar = Grammar(vocabulary, [(BEFORE, self._money), (AFTER, self._money), (IN_WORDS, self._in_words), (CENTS, self._cents)])

    def _money(self, hit: Hit) -> Found | None:
        amount, currency = hit.text("amount"), self._currency(hit)
        if currency in _WORDS_TOO and hit.value("sign", "iso") and not set(amount) & set(".,"):
            return None
        if _is_weight(hit):
            return None
        scale = sum(int(power) for power in hit.values("scale", "multiplier"))
        value = None if hit.has("range") else decimal(amount, dot_is_decimal=self._dots.get(currency or ""), scale=scale)
        return _signed(hit, value, currency)

    def _in_words(self, hit: Hit) -> Found | None:
        number, units = int(hit.value("quantity", "quantity") or 0), int(hit.value("units", "quantity") or 0)
        scale = sum(int(power) for power in hit.values("scale", "multiplier"))
        if (number <= 1 and scale == 0) or _is_weight(hit) or (units and (number < _TWENTY or units >= _TEN)):
            return None
        return Found(*hit.span, EntityType.MONEY, str((number + units) * 10**scale) if number else None, self._currency(hit))

    def _cents(self, hit: Hit) -> Found | None:
        code, value = str(hit.value("cents", "cents")), decimal(hit.text("amount"), dot_is_decimal=None, scale=-2)
        return Found(*hit.span, EntityType.MONEY, value, None if code == "any" else code)

    def _currency(self, hit: Hit) -> str | None:
        """The code that the text says, where it says one: by itself or among the currencies of the regions."""
        for name in ("after", "sign", "named"):
            code = str(hit.value(name, "iso", "symbol", "currency") or "")
            if code in self._families:
                at_home = set(split(self._families[code])) & self._home
                code = at_home.pop() if len(at_home) == 1 else ""
            if code:
                return code
        return None


def _signed(hit: Hit, value: str | None, currency: str | None) -> Found:
    """The place, with a minus sign that stands directly before it after white space."""
    start, end = hit.span
    text = hit.reading.text
    if text[start - 1 : start] in ("-", "\u2212") and (start == 1 or text[start - 2].isspace()):
        return Found(start - 1, end, EntityType.MONEY, value and f"-{value}", currency)
    return Found(start, end, EntityType.MONEY, value, currency)


def _is_weight(hit: Hit) -> bool:
    name = hit.surface("named") or hit.surface("sign")
    if not name.lower().startswith("pound"):
        return False
    return not _WEIGHED["en"].isdisjoint(hit.before(_WORDS_BEFORE)) or hit.after().lower() in _WEIGHS["en"]
