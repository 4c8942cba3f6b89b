"""What of a document is read: samples of every kind, and what holds for all texts."""

import re
import threading
import time
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.documents import Document, Kind, aside, pieces_of, read, read_pieces, with_speakers
from smallmesh.documents.aside import LONG
from smallmesh.documents.pieces import CUT_WORDS, MAX_WORDS, RUN_WORDS
from tests.support.documents import HTML, SAMPLES, WHOLE

BOUND_S = 5.0
"""For 32 KiB, a hundred times what they take; a pattern that goes wrong takes minutes."""
SIZE = 32 * 1024


def by_name(samples):
    return pytest.mark.parametrize("sample", samples, ids=lambda sample: sample.name)


def squeezed(text):
    return "".join(text.split())


# --- kinds ------------------------------------------------------------------------------------------------------------


@by_name(SAMPLES)
def test_a_document_is_read_without_what_is_not_its_own(sample):
    document = read(sample.text)
    shown = document.quote(0, len(sample.text))

    assert document.kind is sample.kind
    assert [phrase for phrase in sample.read if phrase not in shown] == []
    assert [phrase for phrase in sample.left if phrase in shown] == []
    assert {left.kind for left in document.left_out} == sample.left_out


@by_name(SAMPLES)
def test_nothing_is_left_out_in_silence(sample):
    document = read(sample.text)
    blanked = sum(a != b and not a.isspace() for a, b in zip(sample.text, document.body, strict=True))
    decoded = sum(len(entity) for entity in re.findall(r"&#?\w+;", sample.text))

    assert blanked <= sum(left.characters for left in document.left_out) + decoded


@by_name(SAMPLES)
def test_windows_line_endings_change_nothing(sample):
    document, other = read(sample.text), read(sample.text.replace("\n", "\r\n"))

    assert other.kind is document.kind
    assert squeezed(other.quote(0, len(other.body))) == squeezed(document.quote(0, len(document.body)))


@by_name(WHOLE)
def test_a_text_that_only_looks_like_something_else_is_read_whole(sample):
    document = read(sample.text)

    assert (document.kind, document.body, document.left_out) == (sample.kind, sample.text, ())


def test_each_kind_is_left_out_by_its_own_name_and_size():
    text = "Fine.\n\n-- \nAna\n"

    (left,) = read(text).left_out

    assert (left.kind, left.characters) == ("signature", len("-- ") + len("Ana"))


def test_markup_alone_is_a_text_after_all():
    assert read("<br><br>") == Document(Kind.PLAIN, "<br><br>")


def test_speakers_are_left_out_on_request_and_said_to_be():
    document = read("Ana: Has it come?\nBen: No.\nAna: Oh.")

    said = document.without_speakers()

    assert [document.body[start:end] for start, end in document.speakers] == ["Ana:", "Ben:", "Ana:"]
    assert said.body.split() == ["Has", "it", "come?", "No.", "Oh."]
    assert [(left.kind, left.characters) for left in said.left_out] == [("speaker", 12)]


def test_speakers_who_say_nothing_are_all_there_is():
    document = read("Ana:\nBen:\nAna:\n")

    assert document.without_speakers() == document


# --- all texts --------------------------------------------------------------------------------------------------------

LINES = sorted({line for sample in (*SAMPLES, *WHOLE) for line in sample.text.splitlines(keepends=True)})
MIXED = st.lists(
    st.one_of(st.sampled_from(LINES), st.text(max_size=12), st.sampled_from(("\n", "> ", "<p>", "</b>", "&amp;", "\r\n"))), max_size=14
)


@settings(deadline=None, max_examples=100)
@given(MIXED)
def test_offsets_into_the_body_are_offsets_into_the_text(parts):
    text = "".join(parts)

    document = read(text)

    assert len(document.body) == len(text)
    assert all(b == a or b.isspace() or b == "\u2060" or a == "&" for a, b in zip(text, document.body, strict=True))
    assert all(0 <= start < end <= len(text) for start, end in document.speakers)


@settings(deadline=None, max_examples=100)
@given(MIXED)
def test_a_text_with_words_is_never_left_without_any(parts):
    text = "".join(parts)

    assert any(map(str.isalnum, read(text).body)) or not any(map(str.isalnum, text)) or "<" in text or "&" in text


@settings(deadline=None, max_examples=100)
@given(MIXED)
def test_what_is_quoted_is_what_stands_there(parts):
    text = "".join(parts).replace("<", "").replace("&", "").replace("\u2060", "").replace("\x1f", "")

    document, found = read_pieces(text)

    assert all(piece.text == " ".join(text[piece.start : piece.end].split()) for piece in found)
    assert all(piece.text == " ".join(text[piece.start : piece.end].split()) for piece in with_speakers(document, found))
    assert all(a.end <= b.start for a, b in pairwise(found))


class _Text(HTMLParser):
    """What the standard library takes for the text of well-formed HTML."""

    def __init__(self, text):
        super().__init__()
        self.parts, self.silent = [], 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, _attributes):
        self.silent += tag in ("script", "style", "title")

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style", "title")

    def handle_data(self, data):
        if not self.silent:
            self.parts.append(data)


@by_name([sample for sample in HTML if "never ends" not in sample.name])
def test_what_is_quoted_of_html_is_the_text_that_the_standard_library_finds_there(sample):
    for piece in pieces_of(read(sample.text)):
        assert squeezed(piece.text) == squeezed("".join(_Text(sample.text[piece.start : piece.end]).parts))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("un<b>believ</b>able", "unbelievable"),
        ("<b>So</b>, it <i>was</i>.", "So, it was."),
        ("caf&eacute; <br/>bar", "café bar"),
        ("a &amp; b &lt; c &unknown; &#x1F600;", "a & b < c &unknown; 😀"),
        ("R&amp;D doesn&#39;t", "R&D doesn't"),
        ("<td>one</td><td>two</td>", "one two"),
    ],
)
def test_markup_in_and_beside_words_leaves_no_trace(text, quoted):
    assert read(text).quote(0, len(text)) == quoted


# --- pieces -----------------------------------------------------------------------------------------------------------


def quoted(text):
    return [piece.text for piece in pieces_of(read(text))]


def test_a_run_on_text_is_cut_at_clauses_into_pieces_that_can_be_read():
    words = "we ordered the green chairs in may and they came in june but two of them were broken so we called the shop " * 18

    found = quoted(words)

    assert " ".join(found) == words.strip()
    assert all(5 <= len(piece.split()) <= CUT_WORDS for piece in found[:-1])
    assert {piece.split()[0] for piece in found[1:]} <= {"and", "they", "but", "so", "we"}


def test_a_sentence_that_can_be_read_is_never_cut():
    sentence = ", ".join(["the chairs, the tables and the lamps that we saw"] * 5) + "."

    assert len(sentence.split()) <= MAX_WORDS
    assert quoted(sentence) == [sentence]


def test_a_text_without_a_space_is_cut_too():
    found = quoted("\u4e00" * 30_000)

    assert max(map(len, found)) <= 20 * MAX_WORDS
    assert sum(map(len, found)) == 30_000


def test_a_list_is_its_head_with_the_first_items_and_then_items_together():
    items = [f"- item number {n}" for n in range(30)]

    first, *others = quoted("For the office:\n" + "\n".join(items))

    assert first.startswith("For the office: - item number 0 - item number 1")
    assert all(len(piece.split()) <= RUN_WORDS for piece in (first, *others))
    assert len(others) < len(items) / 4


@pytest.mark.parametrize(
    "text",
    [
        "The limit is simple:\n> 5 items are refused.",
        "On Monday the mayor wrote:\nWe shall build the bridge.",
        "Please send the three chairs\nwith the next lorry\nto our house.",
    ],
)
def test_a_line_that_says_nothing_alone_goes_with_the_next(text):
    assert quoted(text) == [" ".join(text.split())]


@pytest.mark.parametrize(
    "text", ["hello there\ni am here", "It came.\nand it broke.", "Dear desk,\nThe room was cold.", "Rooms:\n\nTwo of them."]
)
def test_lines_that_end_or_begin_anew_stand_alone(text):
    assert quoted(text) == [line for line in text.split("\n") if line]


def test_items_that_are_sentences_stand_alone():
    items = ["- The first of the rooms was painted in green by the owner.", "- The second of the rooms was painted in blue by the tenant."]

    assert quoted("\n".join(items)) == items


def test_a_sentence_never_reaches_over_what_is_left_out():
    text = "The import stopped at two\n2024-03-04 02:00:09,433 ERROR importer - full\nand nobody saw it."

    assert quoted(text) == ["The import stopped at two", "and nobody saw it."]


def test_turns_stay_apart_however_they_are_written():
    turns = ["Ana: the server is down", "ben: looking", "Ana: and", "ben: it is up"]

    assert quoted("\n".join(turns)) == turns


def test_a_chosen_sentence_of_a_turn_is_quoted_with_its_speaker():
    text = "Ana: It came. But the box was open.\nBen: Oh.\nAna: Yes."
    document, found = read_pieces(text)

    (piece,) = with_speakers(document, [found[1]])

    assert piece.text == text[piece.start : piece.end] == "Ana: It came. But the box was open."


def test_two_sentences_of_one_turn_are_one_quotation():
    text = "Ana: It came. It is blue. But the box was open.\nBen: Oh.\nAna: Yes."
    document, found = read_pieces(text)

    assert [piece.text for piece in with_speakers(document, [found[0], found[2]])] == ["Ana: It came. It is blue. But the box was open."]


def test_signs_alone_are_no_piece_unless_there_is_nothing_else():
    assert quoted("Dear desk,\n* * *\nIt is cold.") == ["Dear desk,", "It is cold."]
    assert quoted("?!") == ["?!"]


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit",
    [
        *(
            ">",
            "<",
            "&",
            ".",
            "-",
            "*",
            "x",
            "\n",
            "[",
            "{ ",
            "> ",
            "> > ",
            "<a ",
            '<a "',
            "<b>",
            "<!--",
            "<script>",
            '<svg a="b">',
            "&amp;",
        ),
        *(
            "a.",
            "a@",
            "e.g. ",
            "f().",
            "a: ",
            ") ",
            "  at x in ",
            "10:00:00 ",
            "  at x in in y\n",
            "From: a\n",
            "On wrote:\n",
            "Regards,\n",
        ),
        *(
            "```\n",
            "--\n",
            "> a\n",
            "Ana: hi\n",
            "x<br>\n",
            "\ud800 ",
            "a\u2060",
            "<div class='gmail_quote'>x",
            "this e-mail is confidential ",
        ),
    ],
)
def test_bad_input_takes_bounded_time(unit):
    text = ("if(" + unit * (SIZE // len(unit)) + " x")[:SIZE]
    began = time.perf_counter()

    _, found = read_pieces(text)

    assert time.perf_counter() - began < BOUND_S
    assert found


@pytest.mark.parametrize(
    "before", ["let", "import ", "f()", "", "return ;", "From:", "Ana:", "[10:02] Ana", "at", "<a", "&", "Regards", "Priority"]
)
def test_a_line_of_spaces_takes_bounded_time(before):
    began = time.perf_counter()

    read(f"Hello there.\n{before}{' ' * SIZE}x")

    assert time.perf_counter() - began < BOUND_S


async def test_long_texts_are_read_on_another_thread_and_short_ones_here():
    async def thread(text):
        return await aside(lambda _: threading.current_thread(), text)

    assert await thread("short") is threading.current_thread()
    assert await thread("long" * LONG) is not threading.current_thread()
