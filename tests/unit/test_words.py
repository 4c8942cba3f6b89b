from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.hosting.sentences import split_sentences
from smallmesh.hosting.words import CASE_FEATURES, CASES, MAX_CHUNK_CHARACTERS, case_features, split_words, word_case

TEXTS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("aB.'\"-!? \n日本é\u200b"))) | st.text()


def _words(text: str) -> list[str]:
    return [word.text for word in split_words(text)]


@settings(deadline=None)
@given(TEXTS)
def test_a_words_offsets_cut_it_out_of_the_text(text):
    assert all(text[word.start : word.end] == word.text for word in split_words(text))


@settings(deadline=None)
@given(TEXTS)
def test_words_come_in_order_and_never_overlap(text):
    words = split_words(text)

    assert all(a.end <= b.start for a, b in pairwise(words))
    assert all(word.text and not any(map(str.isspace, word.text)) for word in words)


@settings(deadline=None)
@given(TEXTS)
def test_every_letter_and_digit_is_in_a_word(text):
    covered = {index for word in split_words(text) for index in range(word.start, word.end)}

    assert all(index in covered for index, character in enumerate(text) if character.isalnum())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n\u00a0", []),
        ("Don't stop.", ["Don", "'", "t", "stop", "."]),
        ("a_b=c$d", ["a", "_", "b", "=", "c", "$", "d"]),
        ("paid €50", ["paid", "€50"]),  # BERT keeps signs outside ASCII with their word
        ("“Well”—he said", ["“", "Well", "”", "—", "he", "said"]),
        ("東京 tower", ["東", "京", "tower"]),
        ("x\u200by \u200b \ufffd", ["x\u200by"]),  # its tokenizer drops format signs, so alone they are no words
    ],
)
def test_text_is_cut_as_berts_tokenizer_cuts_it(text, words):
    assert _words(text) == words


@pytest.mark.parametrize(
    ("word", "case"),
    [
        ("house", "lower"),
        ("Paris", "title"),
        ("J", "capital"),
        ("NASA", "upper"),
        ("iPhone", "mixed"),
        ("McKay", "mixed"),
        ("2024", "number"),
        ("?", "terminal"),
        (",", "sign"),
        ("日", "mixed"),  # a letter without case
    ],
)
def test_a_word_has_one_case(word, case):
    assert word_case(word) == case


def test_features_hold_the_words_own_case_and_its_neighbours():
    width = len(CASES)

    features = case_features(split_words("met Anna , NASA"))

    assert features.shape == (4, CASE_FEATURES)
    own, before, after = (features[1, block * width : (block + 1) * width] for block in range(3))
    assert [CASES[block.argmax()] for block in (own, before, after)] == ["title", "lower", "sign"]
    assert CASES[features[0, width : 2 * width].argmax()] == "none"
    assert CASES[features[3, 2 * width : 3 * width].argmax()] == "none"


def test_style_flags_tell_a_text_without_capitals_from_a_sentence_without_them():
    style = case_features(split_words("ring anna. Then Go"))[:, -4:]

    assert style[0].tolist() == [1, 0, 0, 0]  # its sentence has no capital letter, the text has
    assert style[-1].tolist() == [0, 0, 0, 0]
    assert case_features(split_words("STOP NOW"))[0, -4:].tolist() == [0, 1, 0, 1]


def test_no_words_give_no_features():
    assert case_features([]).shape == (0, CASE_FEATURES)


def _sentences(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


@settings(deadline=None)
@given(TEXTS)
def test_a_sentences_offsets_cut_it_out_of_the_text(text):
    assert all(text[span.start : span.end] == span.text for span in split_sentences(text))


@settings(deadline=None)
@given(TEXTS)
def test_sentences_hold_the_whole_text_but_white_space(text):
    assert "".join("".join(_sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith paid $3.50 to J. R. Ek at 5 p.m. on Monday.",
        "See Fig. 3 and sec. 4.2 of example.com, e.g. this one.",
        "U.S. forces met Acme Inc. managers on Jan. 5.",
        '"Really?" she asked.',
        "Well... maybe",
        "This line was wrapped by the mail program at seventy\ncharacters and goes on.",
    ],
)
def test_a_mark_inside_a_sentence_does_not_end_it(text):
    assert _sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It broke. Again! Why?", ["It broke.", "Again!", "Why?"]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("He left at 5 p.m. He ran.", ["He left at 5 p.m.", "He ran."]),
        ("The answer is no. Go.", ["The answer is no.", "Go."]),
        ("hello there. i am here", ["hello there.", "i am here"]),
        ("Hello\n\nI wait", ["Hello", "I wait"]),
        ("Hi Ana\nsee you", ["Hi Ana", "see you"]),
        ("- one\n- two", ["- one", "- two"]),
        ("雨です。晴れ。", ["雨です。", "晴れ。"]),
        (" \n ", []),
    ],
)
def test_a_text_falls_into_its_sentences(text, sentences):
    assert _sentences(text) == sentences


def test_a_run_that_no_sentence_is_as_long_as_is_one_word():
    longest = "a+" * (MAX_CHUNK_CHARACTERS // 2)

    assert len(split_words(longest)) == MAX_CHUNK_CHARACTERS
    assert _words(f"{longest}+ end") == [f"{longest}+", "end"]
