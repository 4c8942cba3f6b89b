"""The shipped agents' pure functions, with a model that says what it is told."""

import numpy as np
import pytest

from smallmesh.agent import TaggedWord, WindowScores
from smallmesh.catalogue import Catalogue
from smallmesh.hosting.requests import render_request
from smallmesh.settings import Settings
from smallmesh.testing.stub_model import StubModel
from smallmesh_contracts import SentimentLabel, Verdict

CATALOGUE = Catalogue.load(Settings().agent_folders)


async def answer(name, text, model, **more):
    agent = CATALOGUE.agent(name).agent
    return await agent.respond(agent.request(text=text, **more), model)


def scores(tokens=10, **probabilities):
    return WindowScores(0, 1, tokens, probabilities)


def tagged(text, *labels):
    words, start = [], 0
    for word, label in zip(text.split(), labels, strict=True):
        at = text.index(word, start)
        start = at + len(word)
        words.append(TaggedWord(at, start, label, 0.9))
    return words


async def test_sentiment_weighs_windows_by_their_tokens():
    model = StubModel(windows=[scores(30, negative=0.9, neutral=0.1, positive=0.0), scores(10, negative=0.1, neutral=0.1, positive=0.8)])

    result = await answer("sentiment", "long", model)

    assert result.label is SentimentLabel.NEGATIVE
    assert result.probabilities == pytest.approx({"negative": 0.7, "neutral": 0.1, "positive": 0.2})
    assert result.confidence == pytest.approx(0.7)


@pytest.mark.parametrize(("probability", "marked"), [(0.44, True), (0.9, False)])
async def test_sentiment_marks_what_it_is_unsure_of(probability, marked):
    rest = (1 - probability) / 2
    model = StubModel(windows=[scores(negative=probability, neutral=rest, positive=rest)])

    result = await answer("sentiment", "x", model)

    assert CATALOGUE.agent("sentiment").agent.marks(result) is marked


async def test_names_take_the_words_that_continue_them_and_the_original_characters_between():
    text = "Ana  María Ruiz left Acme"

    result = await answer("ner", text, StubModel(words=tagged(text, "B-PERSON", "I-PERSON", "I-PERSON", "O", "B-ORGANIZATION")))

    assert [(e.text, e.type.value, e.start, e.end) for e in result.entities] == [
        ("Ana  María Ruiz", "PERSON", 0, 15),
        ("Acme", "ORGANIZATION", 21, 25),
    ]


async def test_two_names_side_by_side_stay_two():
    text = "Paris London"

    result = await answer("ner", text, StubModel(words=tagged(text, "B-LOCATION", "B-LOCATION")))

    assert [e.text for e in result.entities] == ["Paris", "London"]


async def test_a_name_is_as_sure_as_its_least_sure_word():
    words = [TaggedWord(0, 2, "B-PERSON", 0.9), TaggedWord(3, 5, "I-PERSON", 0.4)]

    result = await answer("ner", "Jo Li", StubModel(words=words))

    assert result.entities[0].confidence == pytest.approx(0.4)


async def test_one_sentence_is_its_own_summary_without_a_model():
    result = await answer("summarizer", "  Just one sentence here. ", StubModel())

    assert (result.summary, result.method, result.sentences) == ("Just one sentence here.", "extractive", 1)


async def test_a_summary_keeps_the_order_of_the_text():
    text = " ".join(f"Sentence number {n} talks about topic {n} at some length." for n in range(12))
    vectors = np.eye(12, 16, dtype=np.float32)

    result = await answer("summarizer", text, StubModel(vectors=vectors))

    places = [text.index(part) for part in result.summary.split(".") if part.strip() for part in [part.strip()]]
    assert result.sentences == 3
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("simple", "medium", "complex_", "verdict"),
    [
        (0.2, 0.3, 0.5, Verdict.COMPLEX),
        (0.3, 0.32, 0.38, Verdict.COMPLEX),
        (0.2, 0.41, 0.39, Verdict.MEDIUM),
        (0.9, 0.05, 0.05, Verdict.SIMPLE),
    ],
)
async def test_the_verdict_is_the_likeliest_class_and_complex_alone_is_marked(simple, medium, complex_, verdict):
    router = CATALOGUE.agent("complexity_router").agent
    model = StubModel(windows=[scores(simple=simple, medium=medium, complex=complex_)])

    result = await answer("complexity_router", "text", model, instruction="Explain")

    assert result.verdict is verdict
    assert router.marks(result) is (verdict is Verdict.COMPLEX)
    assert f"p({verdict.value})" in " ".join(result.reasons)


async def test_the_router_is_shown_the_instruction_before_the_text():
    model = StubModel(windows=[scores(simple=1.0, medium=0.0, complex=0.0)])

    await answer("complexity_router", "the text", model, instruction="the instruction")

    (shown,) = model.read
    assert shown.index("the instruction") < shown.index("the text")


@pytest.mark.parametrize(("unread", "told"), [(0, False), (5, True)])
async def test_the_router_says_how_much_of_a_long_text_it_read(unread, told):
    end = len(render_request(None, "a text of 21 letters.")) - unread
    model = StubModel(windows=[WindowScores(0, end, 9, {"simple": 1.0, "medium": 0.0, "complex": 0.0})])

    result = await answer("complexity_router", "a text of 21 letters.", model)

    assert ("long text: the first 16 of its 21 characters were read" in result.reasons) is told
