"""What the tagger reads in one pass."""

from hypothesis import given
from hypothesis import strategies as st

from smallmesh.hosting.model import TOGETHER_CHARACTERS, _passages
from smallmesh.hosting.sentences import split_sentences

SENTENCE = "Anna went to Lisbon with her friends on Monday. "


def test_sentences_of_a_line_are_read_together_as_far_as_a_passage_goes():
    text = SENTENCE * 20

    passages = _passages(text)

    assert 1 < len(passages) < len(split_sentences(text))
    assert all(len(passage.text) <= TOGETHER_CHARACTERS for passage in passages)


def test_a_new_line_begins_a_new_passage():
    assert [p.text for p in _passages("Anna left.\n\nTom came. He stayed.")] == ["Anna left.", "Tom came. He stayed."]


@given(st.text(alphabet="ab. \nA", max_size=400))
def test_passages_hold_every_sentence_in_its_place(text):
    passages = _passages(text)

    assert all(text[p.start : p.end] == p.text for p in passages)
    assert "".join("".join(p.text.split()) for p in passages) == "".join(text.split())
