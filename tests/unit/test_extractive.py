import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.documents.extractive import MAX_COUNT, is_dialogue, select_sentences, sentence_scores, shortlist, summary_size

FULL = "This sentence has as many words as count in full."


def _unit(rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 5), st.integers(0, 99), st.booleans())
def test_the_choice_is_of_the_wanted_size_without_repeats_and_in_order(size, limit, seed, with_texts):
    vectors = _unit(np.random.default_rng(seed).normal(size=(size, 8))) if size else np.zeros((0, 8), np.float32)

    texts = [f"Sentence {i} of the text." for i in range(size)] if with_texts else None

    chosen = select_sentences(vectors, limit, sentences=texts)

    assert len(chosen) == min(limit, summary_size(size))
    assert chosen == sorted(set(chosen))
    assert all(0 <= index < size for index in chosen)


@pytest.mark.parametrize(("sentences", "size"), [(0, 0), (1, 1), (3, 1), (4, 2), (9, 2), (10, 3), (500, MAX_COUNT)])
def test_longer_texts_get_up_to_three_sentences(sentences, size):
    assert summary_size(sentences) == size


def test_of_equal_sentences_the_first_is_chosen():
    assert select_sentences(_unit([[1, 0]] * 5), 1) == [0]


def test_the_sentence_that_the_others_resemble_is_worth_more_than_the_stray_one():
    scores = sentence_scores(_unit([[0, 1, 0], [1, 1, 0], [1, 0.9, 0], [1, 1, 0.1], [0, 0, 1]]), [FULL] * 5)

    assert scores[3] > scores[4]


def test_a_repeat_of_the_chosen_sentence_is_not_chosen_again():
    vectors = _unit([[1, 0.1, 0], [1, 0.1, 0], [0.9, 0.4, 0.2], [0.1, 1, 0]])

    assert select_sentences(vectors, 2) != [0, 1]


def test_a_greeting_gives_way_to_the_sentence_after_it():
    assert select_sentences(_unit([[1, 0], [1, 0.1], [1, 0.2]]), sentences=["Hi Ana,", FULL, FULL]) == [1]


@pytest.mark.parametrize("greeting", ["Guten Tag Herr Sander,", "Good morning dear all", "Bonjour Madame Roux,", "Hello!"])
def test_a_greeting_counts_for_nothing_however_long(greeting):
    assert select_sentences(_unit([[1, 0], [1, 0.1], [1, 0.2]]), sentences=[greeting, "It came.", "So so."]) == [1]


def test_a_sentence_that_begins_as_a_greeting_does_counts():
    assert select_sentences(_unit([[1, 0], [1, 0.1]]), sentences=["Hello is what the new printer says all day long.", FULL]) == [0]


def test_turns_of_speakers_are_a_dialogue_and_a_mail_with_headers_is_not():
    assert is_dialogue(["Ana: Are you there?", "#Person2#: Yes.", "Good."])
    assert not is_dialogue(["Subject: the order", "It has not come.", "Please look.", "Bye."])
    assert not is_dialogue([])


def test_in_a_dialogue_standing_first_is_worth_nothing():
    turns = [f"Ana: {FULL}", f"Bo: {FULL}", f"Ana: {FULL}"]

    scores = sentence_scores(_unit([[0, 1], [1, 0], [1, 0]]), turns)

    assert scores.argmin() == 0


def test_vectors_and_sentences_must_be_of_one_number():
    with pytest.raises(ValueError, match="2 vectors for 1 sentences"):
        select_sentences(_unit([[1, 0], [0, 1]]), sentences=["One."])


@given(st.integers(0, 300), st.integers(0, 40))
def test_a_shortlist_is_in_order_from_all_over_the_text(size, limit):
    found = shortlist([f"Sentence {i} of the text." for i in range(size)], limit)

    assert len(found) == min(size, limit)
    assert found == sorted(set(found))
    assert found[:MAX_COUNT] == list(range(min(size, limit, MAX_COUNT)))


def test_a_stretch_is_represented_by_the_sentence_with_the_words_of_the_others():
    about = "The bridge was closed to lorries."
    sentences = [*["The bridge was closed."] * 3, "Hello Ana.", about, "Bye.", "Oh well.", about, "Yes."]

    assert shortlist(sentences, 5) == [0, 1, 2, 4, 7]


def test_a_short_text_is_its_own_shortlist():
    assert shortlist(["One.", "Two."]) == [0, 1]
