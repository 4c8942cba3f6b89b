"""An answer beside the text that was asked about: entities are shown where they stand in it."""

from rich.console import Group, RenderableType

from smallmesh.cli.views.cards import answer_card
from smallmesh.cli.views.entities import marked, marked_text
from smallmesh.cli.views.show import provenance_text, shape_of
from smallmesh_contracts import Answer, EntitiesResult, TaskResult


def asked_card(answer: Answer, text: str, *, plain: bool) -> RenderableType:
    """Return an answer as a person wants to read it who knows the text."""
    result = shape_of(answer.value or {})
    if not isinstance(result, EntitiesResult):
        return answer_card(answer)
    provenance = [provenance_text(answer.provenance)] if answer.provenance is not None else []
    return Group(marked_text(text, result, plain=plain), *provenance)


def text_of_task(result: TaskResult, text: str, *, plain: bool) -> RenderableType:
    """Return a task's text, marked with what its answers found in it."""
    found = (shape_of(answer.value) for answer in result.answers.values() if answer.value is not None)
    entities = next((one for one in found if isinstance(one, EntitiesResult)), EntitiesResult(entities=()))
    return marked(text, entities.entities, plain=plain)
