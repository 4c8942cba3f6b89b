"""What the model is asked: the agents' own prompt packs, rendered by the code that serves, and variations of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.train.tiny.vocabulary import TinyVocabulary
from smallmesh.hosting.prompts.chat import ChatTemplate, turns_of
from smallmesh.hosting.prompts.frame import Frame, Special
from smallmesh.hosting.prompts.pack import Example, PromptPack, load_pack

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# How often a step sees the pack as it is, and without its examples; the others see it changed, so that an edited pack still works.
AS_IT_IS, BARE = 0.45, 0.3
_FEWEST, _MOST, _OWN = 3, 6, 0.5


@dataclass(frozen=True)
class Asked:
    """One task's prompt pack and how it is rendered."""

    pack: PromptPack
    template: ChatTemplate
    vocabulary: TinyVocabulary

    @classmethod
    def of(cls, agent: Path, vocabulary: TinyVocabulary) -> Asked:
        """Read the pack of an agent's folder."""
        return cls(load_pack(agent), ChatTemplate(TEMPLATE, "the tiny model"), vocabulary)

    def frame(self, pack: PromptPack | None = None) -> Frame:
        """Return the conversation as tokens with its fields open."""
        end = self.vocabulary.special["<|im_end|>"]
        return Frame(self.template.render(turns_of(pack or self.pack)), self.vocabulary, Special(None, end))

    def varied(self, others: Sequence[Example], rng: random.Random) -> PromptPack:
        """Return the pack, or one without examples, or with others: its own in another order, fewer, or rows of the training data."""
        chance, own = rng.random(), list(self.pack.examples)
        if chance < AS_IT_IS:
            return self.pack
        if chance < AS_IT_IS + BARE:
            shown = []
        elif rng.random() < _OWN and len(own) > _FEWEST:
            shown = rng.sample(own, rng.randint(_FEWEST, len(own)))
        else:
            shown = rng.sample(list(others), rng.randint(_FEWEST, min(_MOST, len(others))))
        return self.pack.model_copy(update={"examples": tuple(shown)})
