"""Entities of a text: persons, organisations, locations by a model; dates, money, addresses, telephone numbers by rules."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from smallmesh.agent import Agent, AgentSettings, Model
from smallmesh.entities import LOCALES, REGIONS, Rules, known_locales, known_regions, merge, named, rules_for, rules_version
from smallmesh_contracts import EntitiesRequest, EntitiesResult, Entity

PART = 8_192
"""Characters that the rules read in one go on a thread: 0.1 s; between two parts a cancelled request ends."""

SAMPLE = "Write to a@example.com or www.example.com by 3 May 2024, call +44 20 7946 0958, pay EUR 5."


def _separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class EntitiesSettings(AgentSettings):
    """What the rules know of.

    Attributes:
        regions: ISO 3166 codes. Whose telephone numbers are known without a country's prefix, what "$" is, and whether the
            day or the month comes first in ``3/4/2024``; a date that they write differently has no value.
        locales: Languages whose names of months, days and currencies are known.
    """

    regions: Annotated[tuple[str, ...], BeforeValidator(_separated), AfterValidator(known_regions)] = REGIONS
    locales: Annotated[tuple[str, ...], BeforeValidator(_separated), AfterValidator(known_locales)] = LOCALES


class Entities(Agent[EntitiesRequest, EntitiesResult]):
    """Finds names by token classification and the rest by rules; offsets refer to the original text.

    The answer as a whole has no confidence: how sure the spans found are says nothing about those missed.
    """

    name = "ner"
    answer = "entities"
    description = "Finds names, dates, money, mail and web addresses and telephone numbers, with offsets into the original text"
    request = EntitiesRequest
    result = EntitiesResult
    any_language = True
    settings: EntitiesSettings = EntitiesSettings()

    def prepare(self) -> None:
        """Build the rules and use them once: the libraries behind them load their tables at the first match."""
        import smallmesh.documents  # noqa: F401, PLC0415 - the orchestrator reads this declaration too, and has no use for it

        self._rules().find(SAMPLE, 0, len(SAMPLE))

    async def respond(self, request: EntitiesRequest, model: Model) -> EntitiesResult:
        """Return the entities in order of their place, longest spans, no overlaps; names only where the model knows the language."""
        from smallmesh.documents import aside, without_markup  # noqa: PLC0415 - see prepare

        text = request.text
        by_rule = await self._by_rule(text)
        if not model.language.supported:
            return EntitiesResult(entities=tuple(by_rule), read_by=("rule",))
        tagged = await model.tag(await aside(without_markup, text))
        entities = await aside(lambda text: merge([*named(text, tagged, by_rule), *by_rule]), text)
        return EntitiesResult(entities=tuple(entities), read_by=("model", "rule"))

    def tuning(self) -> Mapping[str, Any]:
        """Return the settings and what the rules are."""
        from smallmesh.documents import VERSION  # noqa: PLC0415 - see prepare

        return {**super().tuning(), "rules": rules_version(), "documents": VERSION}

    async def _by_rule(self, text: str) -> list[Entity]:
        found: list[Entity] = []
        for start in range(0, len(text), PART):
            found += await asyncio.to_thread(self._find, text, start)
        return await asyncio.to_thread(merge, found) if len(text) > PART else found

    def _find(self, text: str, start: int) -> list[Entity]:
        return self._rules().find(text, start, start + PART)

    def _rules(self) -> Rules:
        return rules_for(self.settings.regions, self.settings.locales)


AGENT = Entities()
