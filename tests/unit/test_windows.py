import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmesh.hosting.windows import MAX_REPEATS, MAX_WORD_CHARACTERS, SPECIAL_TOKENS, Windower

WINDOW = 12
ROOM = WINDOW - SPECIAL_TOKENS


def letters(text):
    """A tokenizer with one token a character."""
    return [ord(c) for c in text if not c.isspace()]


@pytest.fixture(scope="module")
def windower():
    return Windower(letters, WINDOW)


def test_a_short_text_is_one_window_with_its_offsets(windower):
    (window,) = windower.windows("  ab cd ")

    assert (window.start, window.end) == (2, 7)
    assert window.firsts == [0, 2]
    assert len(window.tokens) == 4


def test_a_text_without_words_has_no_window(windower):
    assert list(windower.windows(" \n\t ")) == []


def test_a_word_is_never_cut_between_windows(windower):
    windows = windower.windows("aaaaaa bbbbbb cccccc")

    assert [[w.text for w in window.words] for window in windows] == [["aaaaaa"], ["bbbbbb"], ["cccccc"]]


def test_a_word_beyond_the_tokenizers_length_counts_as_unknown(windower):
    (window,) = windower.windows("x" * (MAX_WORD_CHARACTERS + 1))

    assert len(window.tokens) == 1


def test_a_word_with_more_pieces_than_fit_is_read_as_far_as_it_fits(windower):
    (window,) = windower.windows("x" * (ROOM + 5))

    assert len(window.tokens) == ROOM


def test_a_sign_repeated_on_and_on_is_read_a_few_times(windower):
    words = [word.text for window in windower.windows("a " + "- " * 5000 + "b") for word in window.words]

    assert words == ["a", *["-"] * MAX_REPEATS, "b"]


def test_an_overlap_repeats_words_and_says_from_where_they_are_new(windower):
    first, second = windower.windows("aaa bbb ccc ddd", overlap=3)

    assert [w.text for w in first.words] == ["aaa", "bbb", "ccc"]
    assert [w.text for w in second.words] == ["ccc", "ddd"]
    assert (first.new_from, second.new_from) == (0, 1)


def test_a_long_text_is_read_no_further_than_its_windows_are_asked_for():
    read = []

    def watched(word):
        read.append(word)
        return letters(word)

    windows = Windower(watched, WINDOW).windows("".join(f"w{n:05} " for n in range(1000)))
    read.clear()

    next(windows)

    assert len(read) <= 3


@given(st.text(max_size=300), st.integers(0, ROOM))
def test_windows_cover_every_word_once_and_fit(text, overlap):
    windower = Windower(letters, WINDOW)
    whole = [w for window in Windower(letters, 8192).windows(text) for w in window.words]

    windows = list(windower.windows(text, overlap=overlap))

    assert [w for window in windows for w in window.words[window.new_from :]] == whole
    assert all(0 < len(window.tokens) <= ROOM for window in windows)
