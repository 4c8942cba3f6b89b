"""Texts in windows of a model's own tokens; here a token is a byte."""

import itertools

import pytest

from smallmesh.hosting.instruct.windows import LEAST, Windower, squeeze

TEXT = " ".join(f"Sentence {n} is about thing {n}, and it has an end." for n in range(30))


def windower(room=120):
    return Windower(lambda text: list(text.encode()), room)


@pytest.mark.parametrize("text", [TEXT, "word " * 200, "x" * 1_000, "\U0001f600" * 300, "漢字" * 300, "one", "a\n\n\nb" * 90])
def test_windows_hold_every_character_of_a_text_once_and_fit(text):
    windows = list(windower().windows(text))

    assert "".join("".join(text[w.start : w.end].split()) for w in windows) == "".join(text.split())
    assert all(before.end <= after.start for before, after in itertools.pairwise(windows))
    assert all(0 < len(w.shown.encode()) == w.tokens <= 120 for w in windows)


def test_a_window_ends_with_a_sentence_where_sentences_fit():
    assert all(window.shown.endswith("end.") for window in windower().windows(TEXT))


def test_a_window_ends_with_a_word_where_a_sentence_does_not_fit():
    windows = list(windower().windows("banana " * 100))

    assert len(windows) > 5
    assert {word for window in windows for word in window.shown.split()} == {"banana"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  a   b\t c ", "a b c"),
        ("a  \n \n\n  b", "a\nb"),
        ("-" * 500, "-" * 8),
        ("=== a --- b", "=== a --- b"),
        ("aaaaaaaaaaaaaaaa 1000000000000", "aaaaaaaaaaaaaaaa 1000000000000"),
    ],
)
def test_blanks_and_rules_cost_no_tokens(text, shown):
    assert squeeze(text) == shown


def test_a_long_run_of_blanks_takes_no_window():
    (window,) = windower().windows("a" + " " * 10_000 + "b")

    assert (window.start, window.end, window.shown) == (0, 10_002, "a b")


def test_halves_are_smaller_windows_of_the_same_text():
    (window,) = windower(400).windows(TEXT[:380])

    halves = windower(400).halves(TEXT[:380], window)

    assert len(halves) >= 2
    assert max(half.tokens for half in halves) <= window.tokens // 2 + 1
    assert (halves[0].start, halves[-1].end) == (window.start, window.end)
    assert " ".join(half.shown for half in halves) == window.shown


def test_a_window_of_few_tokens_has_no_halves():
    (window,) = windower().windows("Too short to be cut.")

    assert windower().halves("Too short to be cut.", window) == [window]


def test_a_context_without_room_is_refused():
    with pytest.raises(ValueError, match=f"room for {LEAST} tokens"):
        windower(LEAST - 1)
