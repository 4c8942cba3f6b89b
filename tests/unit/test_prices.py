import re

import pytest

from smallmesh.frontier.prices import Price, cost_usd, estimate_tokens, price_list, price_of


def test_every_listed_model_has_a_price_and_the_list_says_when_it_was_seen():
    listed = price_list()

    assert re.fullmatch(r"20\d\d-\d\d", listed.seen)
    assert {"claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"} <= listed.models.keys()
    assert all(0 < price.input_usd < price.output_usd for price in listed.models.values())


def test_a_million_tokens_each_way_cost_the_list_price():
    assert price_of("claude-sonnet-5-5") == Price(2.0, 10.0)
    assert cost_usd("claude-sonnet-5-5", 1_000_000, 1_000_000) == pytest.approx(12.0)


def test_input_and_output_are_counted_apart():
    assert cost_usd("claude-haiku-5-5", 1_000, 0) == pytest.approx(0.0001)
    assert cost_usd("claude-haiku-5-5", 0, 1_000) == pytest.approx(0.0005)


def test_a_dated_snapshot_costs_what_its_model_costs():
    assert price_of("claude-opus-5-5-20260901") == price_of("claude-opus-5-5")


@pytest.mark.parametrize("model_id", ["", "fake-frontier", "claude-opus", "claude-opus-5-5-mini", "claude-opus-5-5-2026"])
def test_the_price_of_a_model_that_is_not_listed_is_unknown_and_never_guessed(model_id):
    assert price_of(model_id) is None
    assert cost_usd(model_id, 10, 10) is None


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("ä" * 400, 100)])
def test_an_estimate_is_a_quarter_of_the_characters_rounded_up(text, tokens):
    assert estimate_tokens(text) == tokens
