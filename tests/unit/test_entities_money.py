"""Amounts of money by rule: number, currency, and what is left open."""

import pytest

from smallmesh.entities import LOCALES, REGIONS, rules_for
from smallmesh.entities.amounts import decimal


def money(text, regions=REGIONS):
    return [(e.text, e.value, e.currency) for e in rules_for(regions, LOCALES).find(text) if e.type.value == "MONEY"]


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("$5", "5", "USD"),
        ("$ 5.50", "5.50", "USD"),
        ("$1,234.50", "1234.50", "USD"),
        ("US$5", "5", "USD"),
        ("R$ 30", "30", "BRL"),
        ("£900", "900", "GBP"),
        ("5€", "5", "EUR"),
        ("1.234,56 €", "1234.56", "EUR"),
        ("1 234,56 €", "1234.56", "EUR"),
        ("1\u202f234,56\u00a0€", "1234.56", "EUR"),
        ("CHF 1'234.50", "1234.50", "CHF"),
        ("¥500", "500", "JPY"),
        ("₹12,34,567", "1234567", "INR"),
        ("EUR 4.5 million", "4500000", "EUR"),
        ("4,5 Mio. Euro", "4500000", "EUR"),
        ("$3bn", "3000000000", "USD"),
        ("€5m", "5000000", "EUR"),
        ("20k USD", "20000", "USD"),
        ("500 eur", "500", "EUR"),
        ("56.79 pounds", "56.79", "GBP"),
        ("3 thousand dollars", "3000", "USD"),
        ("five dollars", "5", "USD"),
        ("twenty-five euros", "25", "EUR"),
        ("a million dollars", "1000000", "USD"),
        ("two hundred euros", "200", "EUR"),
        ("200 Swiss francs", "200", "CHF"),
        ("200 Franken", "200", "CHF"),
        ("5 millions d'euros", "5000000", "EUR"),
        ("2 millones de dólares", "2000000", "USD"),
        ("2 milioni di euro", "2000000", "EUR"),
        ("2 miljoen euro", "2000000", "EUR"),
        ("2 milhões de euros", "2000000", "EUR"),
        ("50 cents", "0.50", None),
        ("30 pence", "0.30", "GBP"),
        ("-$50", "-50", "USD"),
        ("1,500.00 TRY", "1500.00", "TRY"),
        # left open
        ("20 pesos", "20", None),
        ("$5-10 million", None, "USD"),
        ("several million euros", None, "EUR"),
        ("R$ 3,5 mil", None, "BRL"),
        ("CHF 1.234", None, "CHF"),
    ],
)
def test_an_amount_is_found_whole_with_its_number_and_its_currency(text, value, currency):
    assert money(text) == [(text, value, currency)]
    assert money(f"We paid {text}, I think.") == [(text, value, currency)]


@pytest.mark.parametrize(
    "text",
    ["I lost 20 pounds", "20 pounds of flour", "a dollar", "TRY 3 TIMES", "ALL 5 TEAMS", "5 percent", "800", "$", "EUR", "A4", "$x", "5 m"],
)
def test_what_only_looks_like_an_amount_is_none(text):
    assert money(text) == []


def test_amounts_side_by_side_are_two():
    assert money("EUR 5 USD 6") == [("EUR 5", "5", "EUR"), ("USD 6", "6", "USD")]
    assert money("$5\n100 people") == [("$5", "5", "USD")]


@pytest.mark.parametrize(
    ("regions", "currency"), [(("US", "DE"), "USD"), (("CA",), "CAD"), (("US", "CA"), None), (("DE",), "USD"), (("AU", "GB"), "AUD")]
)
def test_the_regions_say_what_a_bare_dollar_sign_is(regions, currency):
    assert money("$5", regions=regions) == [("$5", "5", currency)]


@pytest.mark.parametrize(
    ("surface", "dot_is_decimal", "scale", "value"),
    [
        ("1234", None, 0, "1234"),
        ("0.5", None, 0, "0.5"),
        ("1,5", None, 0, "1.5"),
        ("1,234", None, 0, "1234"),
        ("1.234", True, 0, "1.234"),
        ("1.234", False, 0, "1234"),
        ("1.234", None, 0, None),
        ("0.234", False, 0, "0.234"),
        ("1.234.567", None, 0, "1234567"),
        ("1.234.567,89", None, 0, "1234567.89"),
        ("1,234,567.89", None, 0, "1234567.89"),
        ("1,234", None, 6, None),
        ("4.50", None, 6, "4500000"),
        ("50", None, -2, "0.50"),
        ("5", None, -2, "0.05"),
        ("\u0665", None, 0, "5"),
        ("9" * 40, None, 0, None),
        ("", None, 0, None),
    ],
)
def test_a_written_number_has_one_reading_or_none(surface, dot_is_decimal, scale, value):
    assert decimal(surface, dot_is_decimal=dot_is_decimal, scale=scale) == value
