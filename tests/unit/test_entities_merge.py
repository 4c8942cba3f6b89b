"""One list of what rules and a model found."""

import pytest

from smallmesh.agent import TaggedWord
from smallmesh.entities import merge, named
from smallmesh_contracts import Entity, EntityType


def entity(start, end, kind, confidence=0.9, source="rule"):
    return Entity(start=start, end=end, text="x" * (end - start), type=EntityType[kind], confidence=confidence, source=source)


def tagged(text, *labels):
    words, start = [], 0
    for word, label in zip(text.split(), labels, strict=True):
        at = text.index(word, start)
        start = at + len(word)
        words.append(TaggedWord(at, start, label, 0.8))
    return words


def kinds(entities):
    return [(one.start, one.end, one.type.value) for one in entities]


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        # nothing overlaps: order of place
        ([(9, 12, "DATE"), (0, 4, "PERSON")], [(0, 4, "PERSON"), (9, 12, "DATE")]),
        # side by side is no overlap
        ([(0, 4, "PERSON"), (4, 8, "DATE")], [(0, 4, "PERSON"), (4, 8, "DATE")]),
        # the longer stays
        ([(0, 4, "DATE"), (0, 9, "PERSON")], [(0, 9, "PERSON")]),
        ([(0, 9, "DATE"), (5, 9, "PERSON")], [(0, 9, "DATE")]),
        # an address stays, whatever is over its edge
        ([(0, 20, "PERSON"), (15, 30, "EMAIL")], [(15, 30, "EMAIL")]),
        ([(0, 90, "ORGANIZATION"), (15, 30, "URL")], [(15, 30, "URL")]),
        # of two addresses the longer
        ([(0, 40, "URL"), (20, 35, "EMAIL")], [(0, 40, "URL")]),
        # what loses takes nothing with it
        ([(0, 6, "DATE"), (4, 12, "MONEY"), (11, 14, "PERSON")], [(4, 12, "MONEY")]),
        ([(0, 3, "DATE"), (2, 5, "MONEY"), (5, 9, "PHONE")], [(0, 3, "DATE"), (5, 9, "PHONE")]),
        ([], []),
    ],
)
def test_longest_spans_stay_and_none_overlap(given, stays):
    assert kinds(merge(entity(*one) for one in given)) == stays


def test_of_equally_long_ones_the_surer_stays():
    assert kinds(merge([entity(0, 5, "DATE", 0.9), entity(0, 5, "PERSON", 0.95, "model")])) == [(0, 5, "PERSON")]


def test_a_name_ends_where_its_mail_address_begins():
    text = "Ana Ruiz ana@ruiz.example writes"
    address = entity(9, 25, "EMAIL")

    found = list(named(text, tagged(text, "B-PERSON", "I-PERSON", "I-PERSON", "O"), [address]))

    assert [(one.text, one.source, one.confidence) for one in found] == [("Ana Ruiz", "model", 0.8)]


def test_a_name_goes_through_a_date_that_is_part_of_it():
    text = "the May Day Parade"

    found = list(named(text, tagged(text, "O", "B-ORGANIZATION", "I-ORGANIZATION", "I-ORGANIZATION"), [entity(4, 7, "DATE")]))

    assert [one.text for one in found] == ["May Day Parade"]
