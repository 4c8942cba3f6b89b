"""Names that a model wrote, found again in the text."""

import math

import pytest

from smallmesh.hosting.engine.port import Generated
from smallmesh.hosting.instruct.names import Name, confidences, locate, tagged


def places(text, *names):
    return [place and text[place.start : place.end] for place in locate(text, names)]


@pytest.mark.parametrize(
    ("text", "names", "found"),
    [
        ("Lea met Jon.", ("Lea", "Jon"), ["Lea", "Jon"]),
        ("Lea met Jon.", ("Jon", "Lea"), ["Jon", "Lea"]),
        ("Ana  María\nRuiz left", ("Ana María Ruiz",), ["Ana  María\nRuiz"]),
        ("we met at ACME", ("Acme",), ["ACME"]),
        ("Acme and ACME", ("ACME",), ["ACME"]),
        ("Germany won", ("German",), [None]),
        ("nobody here", ("Lea Koch",), [None]),
        ("Brack & Sons (Ltd.)", ("Brack & Sons (Ltd.)",), ["Brack & Sons (Ltd.)"]),
        ("a.b", ("a.b", "axb"), ["a.b", None]),
        ("我住在北京市", ("北京",), ["北京"]),
        ("anything", ("", "  "), [None, None]),
    ],
)
def test_a_name_is_found_where_it_stands_or_not_at_all(text, names, found):
    assert places(text, *names) == found


def test_a_name_that_is_listed_twice_is_found_at_two_places():
    found = locate("lena: hi\nlena: bye", ["lena", "lena", "lena"])

    assert [place and place.start for place in found] == [0, 9, None]


def test_no_two_names_share_a_word():
    assert places("New York Times", "New York", "York Times", "Times") == ["New York", None, "Times"]


def test_the_words_of_a_name_begin_and_continue_it_with_offsets_of_the_whole_text():
    text = "Yes. Lea Koch of Alder left."
    names = [Name(text="Alder", type="ORGANIZATION"), Name(text="Lea Koch", type="PERSON"), Name(text="Nobody", type="PERSON")]

    words = tagged(text, 5, len(text), names, [0.5, 0.9, 0.9])

    assert [(text[w.start : w.end], w.label, w.probability) for w in words] == [
        ("Lea", "B-PERSON", 0.9),
        ("Koch", "I-PERSON", 0.9),
        ("Alder", "B-ORGANIZATION", 0.5),
    ]


TWO = '{"entities": [{"text": "A", "type": "PERSON"}, {"text": "B{", "type": "LOCATION"}]}'


def test_a_name_is_as_sure_as_the_tokens_that_were_chosen_in_it():
    first, second = TWO.index('A"'), TWO.index("B{")
    generated = Generated(TWO, (0.9, 0.4, 0.5, 0.5), 4, "end", starts=(first, TWO.index("PERSON"), second, len(TWO) - 2))

    sure = confidences(generated, 2)

    assert sure == pytest.approx([math.sqrt(0.9 * 0.4), 0.5])


def test_where_the_places_of_tokens_are_not_known_every_name_has_the_mean_of_all():
    assert confidences(Generated(TWO, (0.9, 0.4), 2, "end"), 2) == pytest.approx([0.6, 0.6])


def test_a_name_of_forced_tokens_alone_is_certain():
    assert confidences(Generated(TWO, (0.5,), 1, "end", starts=(0,)), 2) == [1.0, 1.0]
