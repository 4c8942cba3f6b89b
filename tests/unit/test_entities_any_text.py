"""Whatever the text, a rule's entities are the text's own characters, in order, and come in bounded time."""

import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smallmesh.agent import TaggedWord
from smallmesh.entities import LOCALES, REGIONS, merge, named, rules_for

RULES = rules_for(REGIONS, LOCALES)
SHRUNK, DRAWN = 1_000, 9_000
SECONDS = 5.0
"""What 32 KiB of the worst text may take; it takes a tenth of that, alone on the machine."""

PIECES = (
    *("March", "march", "mars", "März", "may", "May", "Mayo", "ago", "set", "fe\u0301vrier", "août", "Monday", "Do", "sexta-feira"),
    *("1", "3", "14", "31", "2024", "24", "1990s", "19th", "1er", "14.", "Q3", "KW", "3/14/2024", "14.03.2024", "2024-03-14", "١٤"),
    *("tomorrow", "heute", "in", "ago", "il y a", "next", "of", "the", "de", "d'", "l'", "on", "from", "days", "weeks", "three"),
    *("$", "€", "£", "US$", "USD", "EUR", "1,234.50", "1.234", "million", "Mio.", "k", "dollars", "euros", "cents", "-", "\u2013"),
    *("14 March 2024", "on Monday", "$5.50", "5 million euros", "in 3 days", "lundi prochain", "1.249,90 €", "am 14.03.", "May 5th"),
    *("@", "ana@example.org", "ana@", "example.org", "http://", "https://example.org/a?b=c", "www.", ".com", "mailto:", "/", "://"),
    *("+44 20 7946 0958", "415-555-0132", "0171 2345678", "tel", "+", "(", ")", "030", "/ 0171"),
    *(" ", " ", " ", "\u00a0", "\u202f", "\n", "\r\n", "\n\n", "\t", ".", ",", ":", ";", "!", "'", "\u2019", "_", "#", "%", "©"),
    *(
        "\u200f",
        "\u202e",
        "\u200d",
        "\ufeff",
        "\x00",
        "👍🏽",
        "👩‍👩‍👧",
        "e\u0301",
        "\u0301",
        "ﬁ",
        "İ",
        "ẞ",
        "日本語",
        "です",
        "\U0010ffff",
        "a" * 70,
    ),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)


def assert_well_formed(text, entities):
    end = 0
    for entity in entities:
        assert entity.start >= end, "in order, none overlapping"
        assert entity.end > entity.start
        assert text[entity.start : entity.end] == entity.text
        assert entity.text == entity.text.strip(), "no white space at the edges"
        end = entity.end
    assert end <= len(text)


def words_of(text, rng):
    """Some words of the text, tagged by chance: a model's answer is no better known."""
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        words.append(TaggedWord(at, at + len(word), rng.choice(["O", "B-PERSON", "I-PERSON", "B-ORGANIZATION"]), rng.random()))
        at += len(word)
    return words


def assert_holds(text, rng):
    by_rule = RULES.find(text)

    assert_well_formed(text, by_rule)
    assert_well_formed(text, merge([*named(text, words_of(text, rng), by_rule), *by_rule]))


@settings(max_examples=SHRUNK, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(text=TEXTS, seed=st.integers(0, 9))
def test_entities_of_any_text_are_its_own_characters_in_order_without_overlaps(text, seed):
    assert_holds(text, random.Random(seed))


def test_the_same_holds_for_many_more_texts():
    """Nine times as many, made more cheaply; what fails is told by its number."""
    found = 0
    for number in range(DRAWN):
        rng = random.Random(number)
        text = "".join(_piece(rng) for _ in range(rng.randint(0, 14)))
        try:
            assert_holds(text, rng)
        except AssertionError as error:
            error.add_note(f"text {number}: {text!r}")
            raise
        found += len(RULES.find(text)) if number % 10 == 0 else 0

    assert found > DRAWN // 20, "a tenth of the texts was counted: one in two has an entity"


def _piece(rng):
    if rng.random() < 0.8:
        return rng.choice(PIECES) + rng.choice(("", " "))
    return "".join(
        chr(rng.choice((rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0xE000, 0x110000)))) for _ in range(rng.randint(1, 5))
    )


@settings(max_examples=200, deadline=None, database=None)
@given(text=TEXTS.map(lambda text: text * 3), cut=st.integers(1, 200))
def test_a_text_read_in_parts_gives_what_the_whole_gives(text, cut):
    parts = [entity for start in range(0, len(text), cut) for entity in RULES.find(text, start, start + cut)]

    assert_well_formed(text, merge(parts))


def test_a_text_read_in_parts_has_every_entity_once():
    text = "Ana paid $5.50 on 14 March 2024 (ana@example.org, 415-555-0132, https://example.org/a). " * 60

    parts = [entity for start in range(0, len(text), 500) for entity in RULES.find(text, start, start + 500)]

    assert merge(parts) == RULES.find(text)
    assert len(RULES.find(text)) == 300


BAD = {
    "no space": "a" * 30_000,
    "base64": "QUJD/+x1" * 4_096,
    "empty lines": "\n" * 10_000,
    "digits": "1" * 32_768,
    "digits apart": "1 " * 16_384,
    "numbers": "1234567 " * 4_096,
    "numbers with a zero": "0123456 " * 4_096,
    "groups of digits": "123," * 8_192,
    "versions": "1.1.1.1." * 4_096,
    "at signs": "a@" * 16_384,
    "addresses": "a@b.com " * 4_096,
    "schemes": "http://" * 4_681,
    "hosts": "www." * 8_192,
    "dots": "a." * 16_384,
    "an address without end": "http://a.com/" + "(a" * 16_000,
    "a host without end": "x@" + "y." * 16_000,
    "dollars": "$5" * 16_384,
    "months": "May 5 " * 5_461,
    "quantities": "a " * 16_384,
    "brackets": "(" * 32_768,
    "marks": "e\u0301" * 16_384,
    "right-to-left marks": "\u200f" * 32_768,
    "NUL": "\x00" * 32_768,
    "emoji": "👍🏽" * 16_384,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_text_takes_bounded_time(text):
    began = time.thread_time()

    entities = RULES.find(text)

    assert time.thread_time() - began < SECONDS
    assert_well_formed(text, entities)
