"""What the tagger reads in one pass."""

from hypothesis import given
from hypothesis import strategies as st

from smallmesh.hosting.model import TOGETHER_CHARACTERS, TOGETHER_FROM, _passages
from smallmesh.hosting.sentences import split_sentences

SENTENCE = "Anna went to Lisbon with her friends on Monday. "


def test_a_short_text_is_read_sentence_by_sentence():
    assert [p.text for p in _passages(SENTENCE * 3)] == [SENTENCE.strip()] * 3


def test_sentences_of_a_line_are_read_together_as_far_as_a_passage_goes_in_a_long_text():
    text = SENTENCE * (TOGETHER_FROM // len(SENTENCE) + 1)

    passages = _passages(text)

    assert 1 < len(passages) < len(split_sentences(text))
    assert all(len(passage.text) <= TOGETHER_CHARACTERS for passage in passages)


def test_a_new_line_begins_a_new_passage():
    lines = [SENTENCE.strip(), (SENTENCE * 2).strip()] * TOGETHER_FROM

    assert [p.text for p in _passages("\n\n".join(lines))] == lines


@given(st.text(alphabet="ab. \nA", min_size=1, max_size=400))
def test_passages_hold_every_sentence_in_its_place(piece):
    text = piece * (TOGETHER_FROM // len(piece) + 1)

    passages = _passages(text)

    assert all(text[p.start : p.end] == p.text for p in passages)
    assert "".join("".join(p.text.split()) for p in passages) == "".join(text.split())
