"""What the sentiment agent is shown of a document, and what the summarizer quotes of it."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmesh.agent import WindowScores
from smallmesh.catalogue import Catalogue
from smallmesh.documents import VERSION
from smallmesh.documents.extractive import SHORTLIST
from smallmesh.settings import Settings
from smallmesh.testing.stub_model import StubModel
from tests.support.documents import HTML, LISTS, SAMPLES, WHOLE

CATALOGUE = Catalogue.load(Settings().agent_folders)
LEAST = 128


class WordVectors(StubModel):
    """A model whose vectors say which words a text has, so that texts with the same words are near each other."""

    async def embed(self, texts):
        self.read.extend(texts)
        vectors = np.zeros((len(texts), LEAST), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, sum(map(ord, word)) % LEAST] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


async def answer(name, text, model, **more):
    agent = CATALOGUE.agent(name).agent
    return await agent.respond(agent.request(text=text, **more), model)


def neutral(tokens=10):
    return WindowScores(0, 1, tokens, {"negative": 0.2, "neutral": 0.5, "positive": 0.3})


def by_name(samples):
    return pytest.mark.parametrize("sample", samples, ids=lambda sample: sample.name)


# --- sentiment --------------------------------------------------------------------------------------------------------


@by_name(SAMPLES)
async def test_sentiment_is_judged_by_what_is_read_and_says_what_is_not(sample):
    model = StubModel(windows=[neutral()])

    result = await answer("sentiment", sample.text, model)

    (shown,) = model.read
    assert len(shown) == len(sample.text)
    assert [phrase for phrase in sample.left if phrase in shown] == []
    assert {left.kind for left in result.left_out} - {"speaker"} == sample.left_out


async def test_sentiment_is_not_shown_who_speaks():
    model = StubModel(windows=[neutral()])

    result = await answer("sentiment", "Grace: It broke.\nJoy: Again?\nGrace: Yes.", model)

    assert model.read[0].split() == ["It", "broke.", "Again?", "Yes."]
    assert [left.kind for left in result.left_out] == ["speaker"]


async def test_sentiment_says_how_windows_became_one_answer():
    glad = WindowScores(0, 1, 30, {"negative": 0.1, "neutral": 0.1, "positive": 0.8})

    result = await answer("sentiment", "long", StubModel(windows=[glad, neutral(), glad]))

    assert result.reasons == ("3 windows: 1 neutral, 2 positive; weighted by their tokens",)


async def test_sentiment_has_nothing_to_explain_of_one_window():
    assert (await answer("sentiment", "short", StubModel(windows=[neutral()]))).reasons == ()


# --- summary ----------------------------------------------------------------------------------------------------------


@by_name(SAMPLES)
async def test_a_summary_holds_nothing_that_is_not_read(sample):
    result = await answer("summarizer", sample.text, WordVectors())

    assert result.summary
    assert [phrase for phrase in sample.left if phrase in result.summary] == []
    assert {left.kind for left in result.left_out} == sample.left_out


@by_name([sample for sample in (*SAMPLES, *WHOLE) if "<" not in sample.text])
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_summary_is_what_stands_at_its_places(sample, limit):
    result = await answer("summarizer", sample.text, WordVectors(), max_sentences=limit)

    places = [sample.text[span.start : span.end] for span in result.spans]
    assert result.summary == " ".join(" ".join(place.split()) for place in places)
    assert 1 <= result.sentences == len(places) <= limit


@by_name(HTML)
async def test_a_summary_of_html_is_text(sample):
    result = await answer("summarizer", sample.text, WordVectors())

    assert not set("<>;&") & set(result.summary.replace(" & ", " "))


WORDS = st.sampled_from(
    ("the", "printer", "broke", "and", "nobody", "came,", "called.", "You", "why?", "-", "1.", "a)", "Ana:", ">", "é", "😀")
)
TEXTS = st.lists(st.tuples(WORDS, st.sampled_from((" ", " ", " ", "  ", "\n", "\r\n", "\n\n", "\t"))), min_size=1, max_size=90)


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(1, 3))
async def test_every_summary_is_what_stands_at_its_places(parts, limit):
    text = "".join(word + space for word, space in parts)

    result = await answer("summarizer", text, WordVectors(), max_sentences=limit)

    places = [text[span.start : span.end] for span in result.spans]
    assert result.summary == " ".join(" ".join(place.split()) for place in places)
    assert [span.start for span in result.spans] == sorted(span.start for span in result.spans)


async def test_a_summary_of_a_ticket_is_its_prose():
    text = (
        "Ticket: 4711\nPriority: high\nStatus: open\nDescription: The lift in the east wing stops between the floors since Monday.\n"
        "Visitors were caught twice.\n\n2024-03-04 02:00:09,433 ERROR lift - door\n\nPlease send somebody today.\n"
    )

    result = await answer("summarizer", text, WordVectors())

    assert result.summary.startswith("The lift in the east wing stops")
    assert not re.search("4711|high|ERROR", result.summary)


async def test_a_summary_of_a_dialogue_says_who_spoke():
    text = (
        "Ana: Has the new boiler been delivered to the hotel?\nBen: No, the new boiler was sent to the wrong hotel.\n"
        "Ana: Then call them.\nBen: I did."
    )

    result = await answer("summarizer", text, WordVectors())

    assert re.match("(Ana|Ben): ", result.summary)
    assert all(text[span.start : span.start + 4] in ("Ana:", "Ben:") for span in result.spans)


async def test_a_summary_of_a_list_names_its_head_and_first_items():
    result = await answer("summarizer", LISTS[0].text, WordVectors())

    assert result.summary == "For the office: - paper - two boxes of pens - coffee - milk"


async def test_a_run_on_text_is_not_one_sentence_of_its_summary():
    text = "we waited at the gate and then the train was late so we took the bus but it broke down " * 22

    result = await answer("summarizer", text, WordVectors())

    assert len(text.split()) > 400
    assert result.sentences == 3
    assert max(len(text[span.start : span.end].split()) for span in result.spans) <= 60


@by_name([sample for sample in WHOLE if sample.name in ("one line", "a greeting alone")])
async def test_one_line_is_its_own_summary_without_a_model(sample):
    result = await answer("summarizer", sample.text, StubModel())

    assert (result.summary, result.left_out) == (sample.text, ())


async def test_of_a_long_text_each_stretch_sends_a_sentence_to_the_model():
    text = " ".join(f"Room {n} was painted in colour {n} by the team." for n in range(1000))
    model = WordVectors()

    result = await answer("summarizer", text, model)

    rooms = [int(re.search(r"\d+", sentence).group()) for sentence in model.read]
    assert len(rooms) == SHORTLIST
    assert rooms[:3] == [0, 1, 2]
    assert max(b - a for a, b in pairwise(rooms)) < 2 * 1000 / SHORTLIST
    assert rooms[-1] >= 1000 - 2 * 1000 / SHORTLIST
    assert result.sentences == 3


@pytest.mark.parametrize("name", ["sentiment", "summarizer"])
def test_the_rules_for_documents_are_part_of_the_prompt_version(name):
    agent = CATALOGUE.agent(name).agent

    agent.prepare()

    assert agent.tuning()["documents"] == VERSION
