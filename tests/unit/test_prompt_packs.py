"""Prompt packs: what is read, what is refused and by which name; the shipped ones."""

from pathlib import Path

import pytest

from smallmesh.hosting.card import ModelError
from smallmesh.hosting.prompts.chat import turns_of
from smallmesh.hosting.prompts.pack import load_pack
from smallmesh.hosting.requests import render_request
from smallmesh.settings import Settings
from smallmesh_contracts import SentimentLabel, Verdict
from tests.support.instruct import LABELS, NAMES, WRITES

SHIPPED = ("sentiment", "ner", "summarizer", "complexity_router")


def load(tmp_path, text):
    (tmp_path / "prompt.toml").write_text(text, encoding="utf-8")
    return load_pack(tmp_path)


def shipped(agent):
    return load_pack(Path(Settings().agent_folders[0]) / agent)


@pytest.mark.parametrize("agent", SHIPPED)
def test_a_shipped_pack_is_valid_and_short(agent):
    pack = shipped(agent)

    characters = sum(len(turn.content) for turn in turns_of(pack))

    assert 4 <= len(pack.examples) <= 8
    assert characters < 1_500, "about 350 tokens: every one is evaluated, and shown with every document"


def test_the_labels_scored_are_those_of_the_contracts():
    assert set(shipped("sentiment").labels) == {label.value for label in SentimentLabel}
    assert set(shipped("complexity_router").labels) == {verdict.value for verdict in Verdict}


@pytest.mark.parametrize("agent", ["sentiment", "complexity_router"])
def test_every_label_is_shown_at_least_twice(agent):
    pack = shipped(agent)

    outputs = [example.output for example in pack.examples]

    assert all(outputs.count(words) >= 2 for words in pack.labels.values())


def test_the_routers_examples_have_the_form_that_requests_are_shown_in():
    for example in shipped("complexity_router").examples:
        asked, _, text = example.fields["text"].partition("\n")
        instruction, text = asked.removeprefix("Instruction: "), text.partition("Text: ")[2]

        assert example.fields["text"] == render_request(None if instruction == "none" else instruction, text)


def test_examples_are_turns_of_their_own_and_the_document_is_the_last(tmp_path):
    turns = turns_of(load(tmp_path, WRITES))

    assert [turn.role for turn in turns] == ["system", *("user", "assistant") * 3, "user"]
    assert turns[3].content == "Sentences: 2\nText: Ada came. Ben left. Cleo slept."
    assert turns[4].content == "Ada came. Ben left."


def test_what_is_filled_in_is_not_read_for_fields_again(tmp_path):
    pack = load(tmp_path, WRITES)

    assert pack.filled({"sentences": "{text}", "text": "{sentences}"}) == "Sentences: {text}\nText: {sentences}"


@pytest.mark.parametrize(
    ("pack", "change", "said"),
    [
        (LABELS, ('system = "Judge."', ""), "system: Field required"),
        (LABELS, ('"{text}"', '"the text"'), "input: has {text} once"),
        (LABELS, ('"{text}"', '"{text} {text}"'), "input: has {text} once"),
        (LABELS, ('output = "maybe"', 'output = "perhaps"'), "examples.2.output: 'perhaps' are no label's words"),
        (LABELS, ('bad = "no"', 'bad = "yes"'), "labels: two labels have the same words"),
        (LABELS, ("window = 64", "window = 8"), "window: Input should be greater"),
        (LABELS, ("window = 64", "windows = 64"), "windows: Extra inputs are not permitted"),
        (LABELS, ('[[examples]]\ntext = "Fine."\noutput = "yes"', ""), "examples: Tuple should have at least 3 items"),
        (LABELS, ('text = "Fine."', 'text = "Fine."\ntone = "dry"'), "examples.0: its fields are text, tone, those of input are text"),
        (WRITES, ("sentences = 2\n", ""), "examples.1: its fields are text, those of input are sentences, text"),
        (NAMES, ('form = "names"', 'form = "list"'), "generate.form: Input should be 'names' or 'text'"),
        (NAMES, ("[generate]", '[labels]\ngood = "yes"\nbad = "no"\n[generate]'), r"a pack has either [labels] or [generate]"),
        (LABELS, ("[labels]", "[labels"), "not a valid prompt pack"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(tmp_path, pack, change, said):
    assert change[0] in pack

    with pytest.raises(ModelError) as raised:
        load(tmp_path, pack.replace(*change, 1))

    assert "prompt.toml" in str(raised.value)
    assert said in str(raised.value)


def test_a_pack_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(ModelError, match=r"prompt.toml is missing"):
        load_pack(tmp_path)


def test_a_calibration_of_a_label_that_there_is_not_is_refused(tmp_path):
    table = '\n[[calibration]]\nmodel = "m"\nprompt = "p"\nbias = { fine = 1.0 }\n'

    with pytest.raises(ModelError, match=r"calibration.0.bias: no such label: fine"):
        load(tmp_path, LABELS + table)


def test_the_version_of_a_prompt_changes_with_its_words_and_not_with_its_calibration(tmp_path):
    plain = load(tmp_path, LABELS).version
    table = '\n[[calibration]]\nmodel = "m"\nprompt = "p"\ntemperature = 2.0\n'

    assert load(tmp_path, LABELS + table).version == plain
    assert load(tmp_path, LABELS.replace("Awful", "Dreadful")).version != plain
