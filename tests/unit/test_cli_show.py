"""What a person sees: answers in a line, entities in their text, cards, errors, at any width, and nothing that drives the terminal."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from smallmesh.cli.output import plain, printable, printable_lines
from smallmesh.cli.views.advice import next_step
from smallmesh.cli.views.asked import asked_card, text_of_task
from smallmesh.cli.views.cards import BAR, answer_card, bar, print_task
from smallmesh.cli.views.entities import AROUND, WHOLE, excerpts, marked, marked_text
from smallmesh.cli.views.show import KINDS, answer_text, provenance_text, value_text
from smallmesh_contracts import (
    AnalysisResult,
    Answer,
    ComplexityResult,
    DataClass,
    EntitiesResult,
    Entity,
    EntityType,
    ErrorCode,
    ErrorInfo,
    LeftOut,
    Provenance,
    SentimentResult,
    Status,
    SummaryResult,
    TaskResult,
)

CONTROL = "\x1b[31m"
WIDTHS = (60, 80, 160)
TEXT = "Anna Weber of Contoso paid EUR 4.5 million on 14 March 2024 in Lisbon; call +44 20 7946 0958 🙂.\r\nAnna left."
FOUND = (
    ("Anna Weber", EntityType.PERSON, None, None),
    ("Contoso", EntityType.ORGANIZATION, None, None),
    ("EUR 4.5 million", EntityType.MONEY, "4500000", "EUR"),
    ("14 March 2024", EntityType.DATE, "2024-03-14", None),
    ("Lisbon", EntityType.LOCATION, None, None),
    ("+44 20 7946 0958", EntityType.PHONE, "+442079460958", None),
)


def entity(text, surface, kind=EntityType.PERSON, value=None, currency=None):
    start = text.index(surface)
    return Entity(start=start, end=start + len(surface), text=surface, type=kind, confidence=0.9, value=value, currency=currency)


def entities(text=TEXT, **more):
    return EntitiesResult(entities=tuple(entity(text, *one) for one in FOUND), **more)


def provenance(name="ner", **changed):
    known = {"model_id": f"{name}-q8", "prompt_version": "a1b2", "language": "en", "waited_ms": 0.0, "worked_ms": 97.3}
    return Provenance(answered_by=name, **{**known, **changed})


def answer(result, name="ner", **more):
    return Answer(value=json.loads(result.model_dump_json()), provenance=provenance(name), **more)


def task(answers, status=Status.COMPLETED, **more):
    return TaskResult(
        task_id="t-1", tenant="shop", data_class=DataClass.RESTRICTED, status=status, digest="d", took_ms=101.8, answers=answers, **more
    )


def shown(what, width=80):
    """Return what a console of a width prints."""
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)
    if isinstance(what, TaskResult):
        print_task(what, console)
    else:
        console.print(what)
    return console.export_text()


EVERYTHING = task(
    {
        "sentiment": answer(
            SentimentResult(
                label="positive",
                probabilities={"negative": 0.01, "neutral": 0.05, "positive": 0.94},
                confidence=0.94,
                reasons=("2 windows",),
                left_out=(LeftOut(kind="quote", characters=210), LeftOut(kind="quote", characters=5)),
            ),
            "sentiment",
        ),
        "entities": answer(entities()),
        "summary": answer(SummaryResult(summary="Anna left.", method="extractive", sentences=1), "summarizer"),
        "complexity": answer(
            ComplexityResult(verdict="complex", probabilities={"complex": 0.7}, reasons=("judged by the text",), confidence=0.7),
            marked=True,
        ),
        "analysis": Answer(error=ErrorInfo(code=ErrorCode.CLASS_FORBIDDEN, message="it never leaves")),
        "an_answer_with_a_name_that_is_long": Answer(value={"topic": "rain", "scores": [1, 2]}),
    },
    Status.PARTIAL,
)


TOLD = (
    *("positive", "0.94", "2 windows", "not read: quote (215", "PERSON", "2024-03-14", "Anna left.", "complex 0.70", "marked complex"),
    *("judged by the text", "class_forbidden: it never leaves", "→", "rain", "[1, 2]", "partial in 102 ms", "language en", "t-1"),
)
"""What its card must say."""


# ---------------------------------------------------------------- one line


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"label": "positive", "probabilities": {"positive": 0.9}, "confidence": 0.9}, "positive 0.90"),
        ({"verdict": "complex", "probabilities": {}, "reasons": [], "confidence": 0.6}, "complex 0.60"),
        ({"summary": "Short.", "method": "extractive", "sentences": 1}, "Short."),
        ({"text": "So.", "source": "local_summary"}, "(the local summary stands in) So."),
        ({"entities": []}, "none"),
        ({"entities": [{"start": 0, "end": 3, "text": "Ann", "type": "PERSON", "confidence": 0.9}] * 2}, "Ann PER"),
        ({"entities": [{"start": 0, "end": 3, "text": "Ann", "type": "PLANET", "confidence": 0.9}]}, "Ann oth"),
        ({"topic": "rain"}, '{"topic": "rain"}'),
        ({"summary": f"{CONTROL}red\nalert", "method": "extractive", "sentences": 1}, " [31mred alert"),
    ],
)
def test_a_value_is_shown_by_its_shape_and_cannot_drive_the_terminal(value, line):
    assert value_text(value).plain == line


def test_an_error_is_shown_with_its_code():
    error = Answer(error=ErrorInfo(code=ErrorCode.UNAVAILABLE, message=f"no key{CONTROL}"))

    assert answer_text(error).plain == "unavailable: no key [31m"


def test_provenance_tells_what_is_not_told_already():
    assert provenance_text(provenance(windows=3)).plain == "ner-q8 · prompt a1b2 · language en · 3 windows · 97 ms"
    assert provenance_text(provenance(tier="embedded")).plain == provenance_text(provenance()).plain
    assert provenance_text(provenance(tier="medium")).plain.startswith("ner-q8 · tier medium · prompt a1b2")
    assert provenance_text(provenance(waited_ms=250.0), "entities", "en").plain == (
        "by ner · ner-q8 · prompt a1b2 · 97 ms · after 250 ms of waiting"
    )


@given(st.text())
def test_nothing_that_is_printed_holds_a_control_character(text):
    assert printable(text).isprintable()
    assert all(line.isprintable() for line in printable_lines(text).split("\n"))
    assert len(printable(text)) == len(text)


# ---------------------------------------------------------------- entities in their text


def test_entities_are_marked_where_they_stand_also_after_an_emoji_and_a_line_of_windows():
    text = "🙂 e\u0301\r\nAnna\tand Bob"

    result = marked(text, [entity(text, "Anna"), entity(text, "Bob")], plain=True)

    assert result.plain == "🙂 e\u0301\n[Anna|PERSON] and [Bob|PERSON]"


def test_colours_take_the_place_of_marks_where_there_are_some():
    result = marked("Anna left", [entity("Anna left", "Anna")], plain=False)

    assert result.plain == "Anna left"
    assert [(span.start, span.end, KINDS[EntityType.PERSON] in str(span.style)) for span in result.spans] == [(0, 4, True)]


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60), st.data())
def test_whatever_the_text_an_entity_is_marked_over_its_own_characters(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    one = Entity(start=start, end=end, text=text[start:end], type=EntityType.DATE, confidence=0.9)

    line = marked(text, [one], plain=True).plain

    assert line == f"{printable_lines(text[:start])}[{printable_lines(text[start:end])}|DATE]{printable_lines(text[end:])}"


def test_an_entity_that_does_not_stand_where_it_says_is_told_and_not_marked():
    astray = Entity(start=0, end=3, text="Bob", type=EntityType.PERSON, confidence=0.9)
    overlapping = entity("Anna left", "Anna left")

    out = shown(marked_text("Anna left", EntitiesResult(entities=(entity("Anna left", "Anna"), overlapping, astray)), plain=True))

    assert "[Anna|PERSON] left\n" in out
    assert "1 of them not marked" in out


def test_a_text_cannot_drive_the_terminal_between_its_entities_or_in_them():
    text = f"{CONTROL}a \u202e Anna\x07Weber\x00"

    out = shown(marked_text(text, EntitiesResult(entities=(entity(text, "Anna\x07Weber"),)), plain=True))

    assert "Anna Weber" in out
    assert not set(out) & set("\x1b\u202e\x07\x00")


def test_of_a_long_text_only_what_stands_around_entities_is_shown():
    text = "far away " * WHOLE + "in Lisbon it rained " + "and on " * WHOLE

    out = marked(text, [entity(text, "Lisbon", EntityType.LOCATION)], plain=True).plain

    assert "in [Lisbon|LOCATION] it rained" in out
    assert out.startswith("… ")
    assert out.endswith(" …")
    assert len(out) < 4 * AROUND


def test_parts_of_a_long_text_that_touch_are_one():
    text = "x " * WHOLE + "Anna and Bob " + "y " * WHOLE + "Anna again"
    found = [entity(text, "Anna"), entity(text, "Bob"), entity(text, "Anna again")]

    parts = excerpts(text, found)

    assert len(parts) == 2
    assert all(any(start <= one.start and one.end <= end for start, end in parts) for one in found)


def test_a_long_text_without_a_space_is_cut_all_the_same():
    text = "x" * 5 * WHOLE

    (part,) = excerpts(text, [Entity(start=3000, end=3001, text="x", type=EntityType.DATE, confidence=0.9)])

    assert part == (3000 - AROUND, 3001 + AROUND)


def test_there_is_a_legend_of_the_types_that_are_there_and_a_list_of_normal_forms():
    out = shown(marked_text(TEXT, entities(), plain=True), 160)

    assert "PERSON 1 · ORGANIZATION 1 · LOCATION 1 · DATE 1 · MONEY 1 · PHONE 1" in out
    assert "= 4500000 EUR" in out
    assert "= 2024-03-14" in out
    assert "= +442079460958" in out
    assert "URL" not in out


def test_a_text_without_entities_says_so_and_is_not_repeated():
    assert shown(marked_text("Nothing here.", EntitiesResult(entities=()), plain=True)).strip() == "no entities"


def test_where_the_model_did_not_read_the_text_that_is_told():
    out = shown(marked_text(TEXT, entities(read_by=("rule",)), plain=True))

    assert "rules only" in out


# ---------------------------------------------------------------- cards


@pytest.mark.parametrize("width", WIDTHS)
def test_a_card_fits_its_width_and_says_everything(width):
    out = shown(EVERYTHING, width)

    assert max(map(len, out.splitlines())) <= width
    words = " ".join(out.split())
    assert [told for told in TOLD if told not in words] == []


def test_a_bar_is_as_long_as_its_probability_and_always_as_wide():
    assert [bar(p).rstrip() for p in (0.0, 1.0, 0.5)] == ["", "█" * BAR, "█" * (BAR // 2)]
    assert {len(bar(n / 1000)) for n in range(1001)} == {BAR}
    assert bar(7.0) == bar(1.0)


def test_an_analysis_keeps_its_lines_and_says_what_stands_in():
    out = shown(answer_card(answer(AnalysisResult(text=f"First.\n\nSecond{CONTROL}.", source="local_summary"))))

    assert "the local summary stands in" in out
    assert "First.\n\nSecond [31m." in "\n".join(line.rstrip() for line in out.splitlines())


def test_a_task_that_failed_as_a_whole_says_why_and_what_to_do():
    error = ErrorInfo(code=ErrorCode.OVERLOADED, message="SLM_WORK is full", retryable=True, retry_after_s=5.0)

    out = shown(task({}, Status.FAILED, error=error))

    assert out.startswith("failed in 102 ms")
    assert "overloaded: SLM_WORK is full\n→ try again in 5 s" in out


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ErrorInfo(code=ErrorCode.OVERLOADED, message="x", retryable=True, retry_after_s=2.5), "try again in 2.5 s"),
        (ErrorInfo(code=ErrorCode.UNAVAILABLE, message="x", retryable=True), "try again later"),
        (ErrorInfo(code=ErrorCode.INTERNAL, message="x"), None),
        (ErrorInfo(code=ErrorCode.EXPIRED, message="x"), "give it more time with --timeout, or start another replica"),
    ],
)
def test_advice_is_given_where_the_error_itself_says_what_to_do(error, advice):
    assert next_step(error) == advice


def test_an_answer_of_entities_is_shown_in_the_text_that_was_asked_about():
    assert "[Lisbon|LOCATION]" in shown(asked_card(answer(entities()), TEXT, plain=True), 160)
    assert "[Lisbon" not in shown(asked_card(EVERYTHING.answers["sentiment"], TEXT, plain=True))
    assert "[Lisbon|LOCATION]" in shown(text_of_task(EVERYTHING, TEXT, plain=True), 160)
    assert shown(text_of_task(task({}), "Plain text.", plain=True)).strip() == "Plain text."


def test_colours_are_missed_where_there_are_none():
    assert plain(Console(color_system=None))
    assert plain(Console(force_terminal=True, no_color=True))
    assert not plain(Console(force_terminal=True, color_system="standard", _environ={}))
