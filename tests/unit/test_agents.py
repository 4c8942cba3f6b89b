"""The shipped agents' pure functions, with a model that says what it is told."""

import asyncio
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from smallmesh.agent import Language, TaggedWord, WindowScores
from smallmesh.catalogue import Catalogue
from smallmesh.hosting.requests import render_request
from smallmesh.settings import Settings, agent_settings
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


async def test_rules_stand_beside_the_names_of_the_model():
    text = "Ana Ruiz paid $5.50 on 14 March 2024: ana@ruiz.example"
    words = tagged(text, "B-PERSON", "I-PERSON", "O", "O", "O", "O", "O", "O", "B-PERSON")

    result = await answer("ner", text, StubModel(words=words))

    assert result.read_by == ("model", "rule")
    assert [(e.text, e.type.value, e.source, e.value, e.currency) for e in result.entities] == [
        ("Ana Ruiz", "PERSON", "model", None, None),
        ("$5.50", "MONEY", "rule", "5.50", "USD"),
        ("14 March 2024", "DATE", "rule", "2024-03-14", None),
        ("ana@ruiz.example", "EMAIL", "rule", "ana@ruiz.example", None),
    ]


async def test_a_text_in_a_language_that_the_model_does_not_know_is_read_by_rules_alone():
    model = StubModel(language=Language("de", supported=False))

    result = await answer("ner", "Am 14. März 2024 zahlte Ana 5,50 €.", model)

    assert result.read_by == ("rule",)
    assert [(e.text, e.value) for e in result.entities] == [("14. März 2024", "2024-03-14"), ("5,50 €", "5.50")]
    assert model.read == []


async def test_a_long_text_is_read_in_parts_and_no_entity_is_lost_between_them():
    line = "On 14 March 2024 we paid $5.50 to ana@example.org.\n"
    text = line * 1_000

    result = await answer("ner", text, StubModel(words=[]))

    assert len(result.entities) == 3_000
    assert all(text[e.start : e.end] == e.text for e in result.entities)


async def test_others_are_served_while_rules_read_a_long_text():
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await answer("ner", "word " * 20_000, StubModel(words=[]))
    counting.cancel()

    assert turns > 20_000 * 5 // 8_192, "at least one turn a part"


def test_the_settings_of_ner_are_names_separated_by_commas(monkeypatch):
    monkeypatch.setenv("SMALLMESH_NER_REGIONS", "CH, FR")
    monkeypatch.setenv("SMALLMESH_NER_LOCALES", "fr,pt_BR")

    read = agent_settings("ner", CATALOGUE.agent("ner").agent.settings)

    assert read.model_dump() == {"regions": ("CH", "FR"), "locales": ("fr", "pt_BR")}


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [("REGIONS", "US,XX", "unknown region: XX"), ("LOCALES", "en,xx", "unknown locale: xx"), ("REGIONS", ",", "none")],
)
def test_a_region_or_locale_that_nobody_knows_is_told(monkeypatch, field, text, said):
    monkeypatch.setenv(f"SMALLMESH_NER_{field}", text)

    with pytest.raises(ValidationError, match=said):
        agent_settings("ner", CATALOGUE.agent("ner").agent.settings)


async def test_the_regions_set_are_those_that_the_rules_use(monkeypatch):
    agent = CATALOGUE.agent("ner").agent
    monkeypatch.setattr(agent, "settings", type(agent.settings)(regions=("US",)))

    result = await answer("ner", "3/4/2024", StubModel(words=[]))

    assert result.entities[0].value == "2024-03-04"


def test_what_the_rules_are_is_part_of_the_prompt_version():
    tuning = CATALOGUE.agent("ner").agent.tuning()

    assert tuning["regions"] == ["US", "GB", "DE"]
    assert len(tuning["rules"]) == 12


def test_looking_at_the_agents_loads_no_library_of_the_rules():
    looking = """
import sys
from smallmesh.catalogue import Catalogue
from smallmesh.settings import Settings, agent_settings
assert Catalogue.load(Settings().agent_folders).agent("ner").agent.description
print(sorted({"babel", "phonenumbers", "linkify_it", "numpy"} & set(sys.modules)))
"""

    said = subprocess.run([sys.executable, "-c", looking], check=True, capture_output=True, text=True).stdout

    assert said.strip() == "[]"


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


async def test_a_model_that_writes_is_shown_all_that_is_to_be_read_and_its_sentences_are_the_summary():
    text = "Mia: can we meet at two?\nPaul: not today, I have no car.\nMia: tomorrow then?\nPaul: fine, at two."
    model = StubModel(written="They meet tomorrow at two. Paul has no car. A third sentence.")

    result = await answer("summarizer", text, model, max_sentences=2)

    assert model.read == [text]
    assert (result.summary, result.method, result.sentences) == ("They meet tomorrow at two. Paul has no car.", "abstractive", 2)
    assert result.spans == ()


async def test_what_is_not_to_be_read_of_a_text_is_not_shown_to_a_model_that_writes():
    text = "<p>The fair moves to <b>June</b>.</p>\n<p>Tell the &amp; caterer. The hall is painted.</p>"
    model = StubModel(written="The fair moves.")

    result = await answer("summarizer", text, model)

    assert model.read == ["The fair moves to June.\nTell the & caterer. The hall is painted."]
    assert result.left_out


async def test_one_sentence_is_its_own_summary_also_where_the_model_could_write():
    model = StubModel(written="Never asked.")

    result = await answer("summarizer", "Just one sentence here.", model)

    assert (result.summary, result.method, model.read) == ("Just one sentence here.", "extractive", [])


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


async def test_names_in_html_are_read_without_its_tags_and_stand_in_the_original():
    text = "<td>Anna Weber</td>"
    model = StubModel(words=[TaggedWord(4, 8, "B-PERSON", 0.9), TaggedWord(9, 14, "I-PERSON", 0.9)])

    result = await answer("ner", text, model)

    (shown,) = model.read
    assert (shown.split(), len(shown)) == (["Anna", "Weber"], len(text))
    assert [(e.text, e.start, e.end) for e in result.entities] == [("Anna Weber", 4, 14)]
