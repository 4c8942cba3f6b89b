"""Texts that pass by while they are written."""

import pytest

from smallmesh.bus.memory import MemoryBus
from smallmesh.serving.streaming import streamed
from smallmesh_contracts import Address, ContractError, DataClass, Delta, ErrorCode, decode, subjects

ADDRESS = Address("acme", DataClass.PUBLIC, "one")


@pytest.fixture
async def heard():
    bus, deltas = MemoryBus(), []
    listening = await bus.watch(subjects.delta(ADDRESS), lambda message: deltas.append(decode(Delta, message.body)))
    yield bus, deltas
    await listening.stop()


async def test_every_part_of_a_text_passes_by_in_order(heard):
    bus, deltas = heard

    async with streamed(bus, ADDRESS, "summary") as on_text:
        for part in ("A ", "short ", "text."):
            on_text(part)

    assert "".join(delta.text for delta in deltas) == "A short text."
    assert [delta.number for delta in deltas] == list(range(len(deltas)))
    assert {delta.answer for delta in deltas} == {"summary"}


async def test_a_text_that_nobody_writes_says_nothing(heard):
    bus, deltas = heard

    async with streamed(bus, ADDRESS, "summary"):
        pass

    assert deltas == []


async def test_a_broker_that_is_away_costs_the_parts_and_not_the_answer(heard, monkeypatch):
    bus, deltas = heard
    announce = bus.announce

    async def away(*_):
        raise ContractError(ErrorCode.UNAVAILABLE, "away")

    async with streamed(bus, ADDRESS, "summary") as on_text:
        monkeypatch.setattr(bus, "announce", away)
        on_text("lost")
    monkeypatch.setattr(bus, "announce", announce)

    assert deltas == []
