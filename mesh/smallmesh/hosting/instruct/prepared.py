"""Everything that an instruct model needs before its first request; what does not fit together is refused here, by name."""

import json
from dataclasses import dataclass

from smallmesh.hosting.card import ModelCard, ModelError
from smallmesh.hosting.instruct.calibration import Calibration
from smallmesh.hosting.instruct.names import Names
from smallmesh.hosting.instruct.opened import OpenedEngine
from smallmesh.hosting.instruct.windows import LEAST, Windower
from smallmesh.hosting.prompts.chat import ChatTemplate, Turn, marker, turns_of
from smallmesh.hosting.prompts.frame import Frame, Special, Tokens
from smallmesh.hosting.prompts.pack import PromptPack
from smallmesh.hosting.schema import OutputError, Schema

OUTPUT, PROBLEM = "output", "problem"
"""Fields of the turns that ask for a repair."""
SLACK = 64
"""Tokens kept for short fields, and for what is said about an answer that is not valid."""
LEAST_ANSWER = 32
"""Tokens that an answer has room for at least."""
_REPAIR = f"That answer is not valid: {marker(PROBLEM)}. Give the whole answer again in the right form, and nothing else."


@dataclass(frozen=True, slots=True)
class Scoring:
    """Labels as they are scored.

    Attributes:
        labels: Their names.
        tokens: The tokens of each one's words.
        calibration: How their log-probabilities become probabilities.
    """

    labels: tuple[str, ...]
    tokens: tuple[Tokens, ...]
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Tagging:
    """How names are asked for.

    Attributes:
        schema: What an answer has to be.
        repair: The conversation that goes on where it is not.
    """

    schema: Schema[Names]
    repair: Frame


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready to be asked.

    Attributes:
        engine: Runs it.
        frame: The conversation that it is shown.
        windower: Cuts texts into what fits that.
        most: Most tokens of an answer; 0 where labels are scored.
        scoring: Set where it scores labels.
        tagging: Set where it lists names.
        template: Hash of the chat template.
        prompt: Version of the prompt pack.
    """

    engine: OpenedEngine
    frame: Frame
    windower: Windower
    most: int
    scoring: Scoring | None
    tagging: Tagging | None
    template: str
    prompt: str

    @property
    def writes(self) -> bool:
        """Whether it writes sentences."""
        return self.scoring is None and self.tagging is None


def prepare(card: ModelCard, pack: PromptPack, engine: OpenedEngine) -> Prepared:
    """Put a prompt pack and a loaded model together.

    Raises:
        ModelError: The model has no usable chat template, the context is too small, two labels cannot be told apart, an example is
            no valid answer, or no grammar can be made of the schema.
    """
    template = ChatTemplate(engine.template, f"model {card.id}")
    special = Special.of(engine.metadata, engine.vocabulary)
    turns = turns_of(pack)
    frame = Frame(template.render(turns), engine.vocabulary, special)
    scoring = _scoring(card, pack, frame)
    tagging, longest = None, frame
    if pack.generate is not None and pack.generate.form == "names":
        repair = (*turns, Turn("assistant", marker(OUTPUT)), Turn("user", _REPAIR))
        longest = Frame(template.render(repair), engine.vocabulary, special, frame.plain)
        tagging = Tagging(_schema(pack, engine), longest)
    room, most = _room(card, pack, engine, longest)
    return Prepared(engine, frame, Windower(frame.plain.tokens, room), most, scoring, tagging, template.sha256, pack.version)


def _scoring(card: ModelCard, pack: PromptPack, frame: Frame) -> Scoring | None:
    if pack.labels is None:
        return None
    tokens = {label: frame.answer(words) for label, words in pack.labels.items()}
    for label, one in tokens.items():
        for other, more in tokens.items():
            if label != other and more[: len(one)] == one:
                msg = f"labels.{label}: its words are the beginning of those of {other} in the tokens of model {card.id}: use other words"
                raise ModelError(msg)
    return Scoring(tuple(tokens), tuple(tokens.values()), Calibration.of(pack, card.id))


def _schema(pack: PromptPack, engine: OpenedEngine) -> Schema[Names]:
    schema = Schema.of(Names, engine.vocabulary)
    for number, example in enumerate(pack.examples):
        try:
            form = json.dumps(schema.validate(example.output).model_dump(), ensure_ascii=False)
        except OutputError as error:
            msg = f"examples.{number}.output is no valid answer: {error}"
            raise ModelError(msg) from error
        if form != example.output:
            msg = f"examples.{number}.output has another form than answers have, which is: {form}"
            raise ModelError(msg)
    return schema


def _room(card: ModelCard, pack: PromptPack, engine: OpenedEngine, frame: Frame) -> tuple[int, int]:
    """Return how many tokens of a text and of an answer go into one request, a repair of it included."""
    answers = 2 if any(place.field == OUTPUT for place in frame.places) else 1
    least_answer = LEAST_ANSWER if pack.generate else 0
    free = engine.room - frame.tokens - SLACK
    if free < LEAST + answers * least_answer:
        needs = frame.tokens + SLACK + LEAST + answers * least_answer
        msg = f"model {card.id} has a context of {engine.room} tokens; with this prompt pack it needs {needs} at least"
        raise ModelError(msg)
    most = min(pack.generate.max_tokens, (free - LEAST) // answers) if pack.generate else 0
    room = min(max(pack.window, LEAST), free - answers * most)
    # Summaries of windows have to be shorter than the windows, so that summarising them again comes to an end.
    return room, min(most, room // 3) if pack.generate and pack.generate.form == "text" else most
