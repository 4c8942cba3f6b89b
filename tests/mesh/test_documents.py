"""Documents as they come, through the whole mesh: answers or typed refusals, offsets of the original, nothing left out in silence."""

import base64
import random

import pytest

from smallmesh_contracts import DEFAULT_WANTED, EntitiesResult, EntityType, ErrorCode, SentimentResult, Status, SummaryResult, Task
from tests.support.meshes import pids

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

KIB = 1024
BLOB = base64.b64encode(random.Random(7).randbytes(21 * KIB)).decode()
ODD = {
    "NUL": "Anna Weber\x00 wrote from Lisbon on 3 May 2024.\x00",
    "right-to-left marks": "\u202eAnna\u202c paid \u200f$40\u200e to Contoso.",
    "combining characters": "Zoe\u0308 Lindqvist met Andre\u0301 in Malmo\u0308 on 2024-05-03.",
    "emoji": "\U0001f9d1\u200d\U0001f680 Call +44 20 7946 0958 \U0001f1ec\U0001f1e7, ask for Anna \U0001f600",
    "CRLF": "Dear all,\r\n\r\nAnna pays EUR 12.50.\r\nWrite to anna@example.com.\r\n",
    "30 KB without a space": "x" * (30 * KIB),
    "30 KB of digits": "7" * (30 * KIB),
    "10,000 empty lines": "\n" * 10_000 + "Anna is happy.",
    "base64": BLOB,
    "base64 in a sentence": f"Please look at {BLOB} by Friday.",
    "tags that never close": "<" * (20 * KIB),
    "quotes that never end": "> " * (10 * KIB) + "ok",
    "line separators": "One.\u2028Two.\u2029Three.",
    "nothing but signs": "... ??? !!! --- ***",
    "nothing but invisible signs": "\u200b\u200c\u200d\ufeff",
}
REFUSALS = {ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_LANGUAGE}
ENTITIES = "entities"


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
async def test_an_odd_document_is_answered_in_its_budget_or_refused_with_a_typed_error_and_no_process_dies(customer, real, text):
    before = pids(real)

    result = await customer.run(Task(text=text))

    assert set(result.answers) == set(DEFAULT_WANTED)
    assert {a.error.code for a in result.answers.values() if a.error is not None} <= REFUSALS
    assert result.answers[ENTITIES].error is None
    assert all(text[e.start : e.end] == e.text for e in result.answers[ENTITIES].value_as(EntitiesResult).entities)
    assert pids(real) == before


async def test_a_foreign_text_is_refused_by_the_models_and_still_read_by_rules(customer):
    text = (
        "Guten Tag, die Rechnung vom 3. Mai 2024 über 1.250,00 € ist noch offen. Bitte antworten Sie an buchhaltung@example.de "
        "oder rufen Sie uns unter +49 30 901820 an."
    )

    result = await customer.run(Task(text=text))

    refused = {name: answer.error.code for name, answer in result.answers.items() if answer.error is not None}
    found = result.answers[ENTITIES].value_as(EntitiesResult)
    assert result.status is Status.PARTIAL
    assert refused == dict.fromkeys({"sentiment", "summary", "complexity"}, ErrorCode.UNSUPPORTED_LANGUAGE)
    assert {e.type: e.value for e in found.entities} == {
        EntityType.DATE: "2024-05-03",
        EntityType.MONEY: "1250.00",
        EntityType.EMAIL: "buchhaltung@example.de",
        EntityType.PHONE: "+4930901820",
    }
    assert (found.read_by, result.answers[ENTITIES].provenance.language) == (("rule",), "de")


async def test_a_long_text_is_read_whole_and_says_in_how_many_windows(customer):
    calm = "The courier left the parcel at the depot on Monday and the office signed for it. "
    text = calm * 40 + "Anna Weber of Contoso is furious: the contents were broken and nobody called back. "

    result = await customer.run(Task(text=text, wanted=("sentiment", ENTITIES)))

    sentiment, entities = (result.answers[name] for name in ("sentiment", ENTITIES))
    assert result.status is Status.COMPLETED
    assert sentiment.provenance.windows > 1
    assert f"{sentiment.provenance.windows} windows" in " ".join(sentiment.value_as(SentimentResult).reasons)
    assert text.index("Anna Weber") in {e.start for e in entities.value_as(EntitiesResult).entities}


async def test_a_reply_is_judged_by_what_is_new_in_it_and_says_what_was_left_out(customer):
    text = (
        "Hi Tom,\n\nThe replacement arrived this morning and it works perfectly. Thank you so much, we are delighted.\n\n"
        "On Mon, 3 Jun 2024 at 10:12, Tom Baker <tom@example.com> wrote:\n"
        "> This is a disgrace. The machine is broken, nobody answers and I am furious.\n"
        "> I want my money back at once.\n"
    )

    result = await customer.run(Task(text=text, wanted=("sentiment", "summary")))

    sentiment = result.answers["sentiment"].value_as(SentimentResult)
    summary = result.answers["summary"].value_as(SummaryResult)
    assert sentiment.label.value == "positive"
    assert "quote" in {part.kind for part in sentiment.left_out}
    assert "disgrace" not in summary.summary
    assert all(text[s.start : s.end].split(maxsplit=1)[0] in summary.summary for s in summary.spans)
