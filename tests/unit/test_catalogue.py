"""The catalogue: a folder is an agent, and one that is not what it should be says which piece is missing."""

import re

import pytest

from smallmesh.catalogue import Catalogue, CatalogueError
from smallmesh.settings import Settings
from smallmesh_contracts import DEFAULT_WANTED

AGENT = '''
from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult


class Mood(Agent[AgentRequest, AgentResult]):
    """Says nothing."""

    name = "{name}"
    answer = "{answer}"
    description = "Says nothing"
    request = AgentRequest
    result = AgentResult

    async def respond(self, request: AgentRequest, model: Model) -> AgentResult:
        """Say nothing."""
        return AgentResult()


AGENT = Mood()
'''
SERVICE = '''
from smallmesh.service import Service
from smallmesh_contracts import Answer


class Desk(Service):
    """Does nothing."""

    name = "{name}"
    answer = "{answer}"
    description = "Does nothing"

    async def respond(self, asked, ports):
        """Do nothing."""
        return Answer()


SERVICE = Desk()
'''


def write(parent, folder_name, source=AGENT, file="agent.py", **said):
    folder = parent / folder_name
    folder.mkdir(parents=True)
    fields = {"name": folder_name, "answer": f"{folder_name}_answer"} | said
    (folder / file).write_text(source.format(**fields) if "{name}" in source else source)
    return folder


def problem(*parents):
    with pytest.raises(CatalogueError) as raised:
        Catalogue.load(parents)
    return str(raised.value)


def test_the_shipped_folders_give_the_default_answers_and_the_analysis():
    catalogue = Catalogue.load(Settings(agent_path=()).agent_folders)

    assert set(DEFAULT_WANTED) < set(catalogue.answers)
    assert catalogue.giver("analysis") in catalogue.services


def test_an_agent_is_found_by_its_folder_and_by_its_answer(tmp_path):
    folder = write(tmp_path, "mood")

    catalogue = Catalogue.load([tmp_path])

    assert catalogue.agent("mood").folder == folder
    assert catalogue.giver("mood_answer") == "mood"
    assert catalogue.giver("mood") is None
    assert catalogue.answers == ("mood_answer",)


def test_agents_of_several_folders_stand_beside_each_other(tmp_path):
    write(tmp_path / "ours", "mood")
    write(tmp_path / "yours", "tone")
    write(tmp_path / "yours", "desk", SERVICE, "service.py")

    catalogue = Catalogue.load([tmp_path / "ours", tmp_path / "yours"])

    assert (sorted(catalogue.agents), sorted(catalogue.services)) == (["mood", "tone"], ["desk"])


def test_files_and_folders_without_an_agent_are_passed_over(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("notes")

    assert Catalogue.load([tmp_path]).answers == ()


def test_a_missing_folder_is_named_with_the_setting_that_lists_it(tmp_path):
    assert "SMALLMESH_AGENT_PATH" in problem(tmp_path / "nowhere")


def test_a_file_without_an_agent_says_what_it_must_define(tmp_path):
    write(tmp_path, "mood", "x = 1")

    assert re.search(r"mood.agent\.py must define AGENT", problem(tmp_path))


def test_an_agent_that_is_a_class_and_not_an_instance_says_so(tmp_path):
    write(tmp_path, "mood", AGENT.replace("AGENT = Mood()", "AGENT = Mood"))

    assert "an instance of smallmesh.agent.Agent" in problem(tmp_path)


def test_a_service_file_without_a_service_says_what_it_must_define(tmp_path):
    write(tmp_path, "desk", "x = 1", "service.py")

    assert "must define SERVICE" in problem(tmp_path)


@pytest.mark.parametrize("missing", ["name", "answer", "description", "request", "result"])
def test_an_incomplete_declaration_names_what_it_lacks(tmp_path, missing):
    lines = [line for line in AGENT.splitlines() if not line.strip().startswith(f"{missing} =")]
    write(tmp_path, "mood", "\n".join(lines))

    assert f"lacks {missing}" in problem(tmp_path)


@pytest.mark.parametrize(("folder", "said"), [("mood", "tone"), ("Mood", "Mood"), ("my-mood", "my-mood"), ("m" * 65, "m" * 65)])
def test_a_name_must_be_the_folders_and_fit_a_subject(tmp_path, folder, said):
    write(tmp_path, folder, name=said, answer="mood")

    assert "its name must be the folder's" in problem(tmp_path)


@pytest.mark.parametrize("answer", ["my.mood", "Mood", "", "mood *", "m" * 65])
def test_an_answer_must_fit_a_subject_and_be_one_that_can_be_wanted(tmp_path, answer):
    write(tmp_path, "mood", answer=answer)

    assert "its answer must match" in problem(tmp_path)


@pytest.mark.parametrize(
    ("other", "file"),
    [(AGENT, "agent.py"), (SERVICE, "service.py")],
)
def test_two_that_give_one_answer_are_both_named(tmp_path, other, file):
    write(tmp_path, "mood", answer="mood")
    write(tmp_path, "tone", other, file, answer="mood")

    said = problem(tmp_path)

    assert "mood" in said
    assert "tone" in said
    assert "both give the answer" in said


def test_one_name_in_two_folders_is_refused_and_the_second_named(tmp_path):
    write(tmp_path / "ours", "mood")
    write(tmp_path / "yours", "mood")

    assert str(tmp_path / "yours" / "mood") in problem(tmp_path / "ours", tmp_path / "yours")


@pytest.mark.parametrize(
    ("source", "error"),
    [("import no_such_module_anywhere", "ModuleNotFoundError"), ("def (", "SyntaxError"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_file_that_cannot_be_imported_is_named_with_its_error(tmp_path, source, error):
    write(tmp_path, "mood", source)

    said = problem(tmp_path)

    assert "agent.py cannot be loaded" in said
    assert error in said


def test_an_agent_without_its_function_cannot_be_loaded(tmp_path):
    write(tmp_path, "mood", AGENT.replace("async def respond", "async def reply"))

    assert "respond" in problem(tmp_path)


def test_a_broken_agent_can_be_loaded_once_it_is_mended(tmp_path):
    folder = write(tmp_path, "mood", "import no_such_module_anywhere")
    problem(tmp_path)

    (folder / "agent.py").write_text(AGENT.format(name="mood", answer="mood"))

    assert Catalogue.load([tmp_path]).answers == ("mood",)


def test_an_unknown_name_is_answered_by_what_there_is(tmp_path):
    write(tmp_path, "mood")

    with pytest.raises(CatalogueError, match=r"no agent called 'moood'; there are: mood"):
        Catalogue.load([tmp_path]).agent("moood")
