import pytest

from smallmesh.hosting.requests import length_word, render_request


def test_the_instruction_comes_before_the_text():
    assert render_request("Who wrote it?", "A letter. ") == "Instruction: Who wrote it?\nLength: tiny\nText: A letter."


@pytest.mark.parametrize("instruction", [None, "", "  \n"])
def test_no_instruction_is_said_in_a_word(instruction):
    assert render_request(instruction, "A letter.").startswith("Instruction: none\n")


def test_a_long_instruction_leaves_room_for_the_text():
    rendered = render_request("why " * 5_000, "The end is near.")

    assert rendered.endswith("Text: The end is near.")
    assert len(rendered) < 1_000


def test_a_huge_text_is_cut_before_it_costs_time():
    assert len(render_request(None, "word " * 100_000)) < 3_000


@pytest.mark.parametrize(
    ("words", "name"), [(0, "tiny"), (15, "tiny"), (16, "short"), (150, "middling"), (500, "long"), (501, "very long")]
)
def test_the_length_is_a_word(words, name):
    assert length_word("word " * words) == name
