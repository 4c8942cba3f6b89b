"""What is asked of every contestant: the same tokens, the same schema, the same number of words."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from smallmesh.hosting.engine import BatchingEngine, Prompt
from smallmesh.hosting.prompts.chat import ChatTemplate, turns_of
from smallmesh.hosting.prompts.frame import Frame, Special
from smallmesh.hosting.prompts.pack import TEXT, load_pack

SERVICES = Path(__file__).parents[3] / "services"
CLIENTS = 8
CLASSIFIED = 37
"""Tokens of a text that is classified, what follows it in the conversation included."""
READ = 60
"""The same of a text that names are found in, or that is written on from."""
FREE = 64
"""Tokens of free text."""
ENTITIES = 3
_WORDS = """
the a our your this that lamp kettle parcel driver porch tent slope rain queue ticket table invoice branch morning evening week Tuesday
October bright slow quiet broken late early gentle heavy cold warm again never always twice nearly barely arrived lifted closed painted
promised repaired returned forgot opened waited for with without under behind near after before and but Lindholm Arvika Okafor Teramo
Brandvold Sligo Castelo Meridian Harbour Foundry
"""


class Entity(BaseModel):
    """One name; short, so that a model that knows nothing comes to an end soon."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(min_length=1, max_length=16)]
    type: Literal["PERSON", "ORGANIZATION", "LOCATION"]


class Entities(BaseModel):
    """As the entity agent's answer, with as many names in every one: random weights would choose none, or all."""

    model_config = ConfigDict(extra="forbid")

    entities: Annotated[list[Entity], Field(min_length=ENTITIES, max_length=ENTITIES)]


_ENTITY = r'"{\"text\": \"" character{1,16} "\", \"type\": \"" ("PERSON" | "ORGANIZATION" | "LOCATION") "\"}"'
ENTITIES_GBNF = rf"""
root ::= "{{\"entities\": [" entity (", " entity){{{ENTITIES - 1}}} "]}}"
entity ::= {_ENTITY}
character ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{{4}})
"""
"""The form that ours writes, without the choice of white space that llama.cpp's translation of a JSON Schema leaves."""


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of request.

    Attributes:
        name: Named in figures.
        fill: Puts a text into the conversation.
        tokens: Of each request's own part.
        documents: How many are asked about in a round.
    """

    name: str
    fill: Callable[[str], Prompt]
    tokens: int
    documents: int

    def prompts(self, number: object) -> list[Prompt]:
        """Return the prompts of a round; another number gives others, so that nobody has seen them before."""
        sample = random.Random(f"{self.name} {number}")
        return [_prompt(self.fill, sample, self.tokens) for _ in range(self.documents)]


@dataclass(frozen=True, slots=True)
class Jobs:
    """All kinds of requests.

    Attributes:
        classify: Which of some labels a text has.
        extract: Names in a text, as JSON under a schema.
        write: Free text.
        labels: The words that may be the answer.
        label_tokens: The tokens of each.
        label_length: Tokens of one as JSON, as a trained model would write it.
    """

    classify: Job
    extract: Job
    write: Job
    labels: tuple[str, ...]
    label_tokens: tuple[tuple[int, ...], ...]
    label_length: int


def label_schema(labels: Sequence[str]) -> dict[str, object]:
    """Return the JSON Schema that a label is generated under by those who generate it."""
    return {
        "type": "object",
        "properties": {"label": {"enum": list(labels)}},
        "required": ["label"],
        "additionalProperties": False,
    }


def words_gbnf(labels: Sequence[str]) -> str:
    """Return the grammar of nothing but a label's word: the cheapest that can be generated."""
    return "root ::= " + " | ".join(f'"{label}"' for label in labels)


def make_jobs(engine: BatchingEngine, waves: int) -> Jobs:
    """Return the jobs, in the tokens of a model and with the prompt packs that the agents have.

    Args:
        engine: Runs the model.
        waves: Documents a client and a round, of the quickest job.
    """
    labels = tuple((load_pack(SERVICES / "sentiment").labels or {}).values())
    classify, extract, write = (_filler(engine, agent) for agent in ("sentiment", "ner", "summarizer"))
    return Jobs(
        Job("classification", classify, CLASSIFIED, CLIENTS * waves),
        Job("JSON under a schema", extract, READ, CLIENTS * max(1, waves * 2 // 3)),
        Job("free text", write, READ, CLIENTS * max(1, waves // 3)),
        labels,
        tuple(tuple(engine.vocabulary.tokenize_on(label)) for label in labels),
        len(engine.vocabulary.tokenize_on(json.dumps({"label": labels[0]}))),
    )


def _filler(engine: BatchingEngine, agent: str) -> Callable[[str], Prompt]:
    """Return what puts a text into an agent's conversation, as its instruct model would be shown it."""
    pack = load_pack(SERVICES / agent)
    rendered = ChatTemplate(engine.template, "bench").render(turns_of(pack))
    frame = Frame(rendered, engine.vocabulary, Special.of(engine.metadata, engine.vocabulary))
    others = {field: "2" for field in pack.fields if field != TEXT}
    return lambda text: frame.prompt({**others, TEXT: text})


def _prompt(fill: Callable[[str], Prompt], sample: random.Random, tokens: int) -> Prompt:
    """Return a conversation about made-up text whose own part has a number of tokens, or one less where a word has two."""
    known = _WORDS.split()
    words = [sample.choice(known).capitalize()]
    while len((prompt := fill(" ".join(words))).own) < tokens:
        words.append(sample.choice(known))
        found = prompt
    return prompt if len(prompt.own) == tokens else found
