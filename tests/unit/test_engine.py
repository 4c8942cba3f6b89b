"""The engine over a decoder in memory: batched answers are those of a request alone, and nobody waits longer than needed."""

import asyncio
import threading

import numpy as np
import pytest

from smallmesh.hosting.engine import BatchingEngine, Prompt
from smallmesh.hosting.engine.runs import Generating
from smallmesh.hosting.engine.scheduler import Scheduler
from smallmesh_contracts import ContractError, ErrorCode, Lane
from tests.support.fake_decoder import FakeDecoder, FakeVocabulary
from tests.support.patience import until

BULK, INTERACTIVE = Lane.BULK, Lane.INTERACTIVE
tokens = FakeVocabulary().tokenize


def prompt(own, shared=""):
    return Prompt(tuple(tokens(shared)), tuple(tokens(own)))


@pytest.fixture
async def open_engine():
    engines = []

    async def opened(**shape):
        decoder = FakeDecoder(**shape)
        engine = BatchingEngine(lambda: decoder, "test")
        await engine.start()
        engines.append(engine)
        return engine, decoder

    yield opened
    for engine in engines:
        await engine.stop()


class Gate:
    """Holds the engine's thread before a pass until it is opened."""

    def __init__(self, decoder, *, before_pass=0):
        self._decoder, self._before_pass = decoder, before_pass
        self._reached, self._opened = threading.Event(), threading.Event()
        decoder.before = self._wait

    def _wait(self):
        if len(self._decoder.passes) == self._before_pass:
            self._reached.set()
            assert self._opened.wait(10)

    async def reached(self):
        await until(self._reached.is_set, "the engine has come to the gate")

    def open(self):
        self._opened.set()


async def test_it_writes_on_by_the_likeliest_token_until_the_model_ends(open_engine):
    engine, _ = await open_engine(scripted={"say:": "hello"})

    written = await engine.generate(prompt("say:"), most=20, lane=INTERACTIVE)

    assert (written.text, written.ended, written.tokens) == ("hello", "end", 5)
    assert written.confidence == (), "nobody asks for that of free text"


async def test_a_text_is_cut_off_at_the_most_tokens(open_engine):
    engine, _ = await open_engine(scripted={"say:": "hello"})

    written = await engine.generate(prompt("say:"), most=3, lane=INTERACTIVE)

    assert (written.text, written.ended) == ("hel", "limit")


async def test_a_character_of_two_tokens_is_streamed_whole(open_engine):
    engine, decoder = await open_engine()
    first, second = FakeVocabulary.size - 2, FakeVocabulary.size - 1
    after = iter([first, second, 0])

    def scripted(_history):
        values = np.zeros(FakeVocabulary.size, np.float32)
        values[next(after)] = 9.0
        return values

    decoder._after = scripted
    heard = []

    written = await engine.generate(prompt("x"), most=9, lane=INTERACTIVE, on_text=heard.append)

    assert written.text == "é"
    await until(lambda: heard == ["é"], "the text was heard")


async def test_requests_at_once_get_what_each_would_get_alone_and_share_their_passes(open_engine):
    alone, _ = await open_engine()
    together, decoder = await open_engine(n_ctx=200)
    texts = [f"text {number}" for number in range(6)]
    expected = [await alone.generate(prompt(text, "few shots: "), most=9, lane=INTERACTIVE) for text in texts]

    found = await asyncio.gather(*(together.generate(prompt(text, "few shots: "), most=9, lane=INTERACTIVE) for text in texts))

    assert [one.text for one in found] == [one.text for one in expected]
    assert len(decoder.passes) < sum(one.tokens for one in found)


async def test_a_beginning_that_requests_share_is_read_once(open_engine):
    engine, decoder = await open_engine(n_ctx=100)
    shared = "few shots: "

    for text in ("one", "two", "three"):
        await engine.choose(prompt(text, shared), [tokens("a"), tokens("b")], lane=INTERACTIVE)

    read = [row.token for rows in decoder.passes for row in rows if row.position < len(shared)]
    assert read == tokens(shared)


async def test_a_choice_is_as_likely_as_its_tokens_among_those_that_labels_go_on_with(open_engine):
    engine, decoder = await open_engine()

    choice = await engine.choose(prompt("x"), [tokens("pos"), tokens("pet"), tokens("neg")], lane=INTERACTIVE)

    after = decoder._after
    first = after(tokens("x"))[tokens("pn")]
    second = after(tokens("xp"))[tokens("oe")]
    p, n = np.exp(first - np.logaddexp.reduce(first))
    o, e = np.exp(second - np.logaddexp.reduce(second))
    assert np.exp(choice.log_probabilities) == pytest.approx([p * o, p * e, n], abs=1e-6)
    assert choice.tokens == 2


async def test_labels_that_part_at_once_cost_no_token_beside_the_prompt(open_engine):
    engine, decoder = await open_engine()

    await engine.choose(prompt("text"), [tokens("positive"), tokens("negative")], lane=INTERACTIVE)

    assert [len(rows) for rows in decoder.passes] == [4]


async def test_labels_that_part_late_are_read_in_the_same_pass_as_the_prompt(open_engine):
    engine, decoder = await open_engine()

    choice = await engine.choose(prompt("text"), [tokens("aab"), tokens("aac"), tokens("b")], lane=INTERACTIVE)

    assert [len(rows) for rows in decoder.passes] == [4 + 2]
    assert sum(np.exp(choice.log_probabilities)) == pytest.approx(1)


async def test_a_label_that_begins_another_is_refused(open_engine):
    engine, _ = await open_engine()

    with pytest.raises(ValueError, match="beginning of another"):
        await engine.choose(prompt("x"), [tokens("a"), tokens("ab")], lane=INTERACTIVE)


async def test_what_can_never_fit_is_too_long_and_says_by_how_much(open_engine):
    engine, _ = await open_engine(n_ctx=20)

    with pytest.raises(ContractError, match=r"31 tokens.*has 20") as refused:
        await engine.generate(prompt("x" * 21), most=10, lane=INTERACTIVE)

    assert refused.value.info.code is ErrorCode.TOO_LONG


async def test_requests_wait_for_room_rather_than_fail(open_engine):
    engine, decoder = await open_engine(n_ctx=24, n_sequences=8)

    written = await asyncio.gather(*(engine.generate(prompt(f"text {n}"), most=5, lane=BULK) for n in range(7)))

    assert len(written) == 7
    await until(lambda: decoder.cells == 0, "all room is free again")


async def test_beginnings_that_nobody_uses_make_room(open_engine):
    engine, decoder = await open_engine(n_ctx=30)

    for shared in ("aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", "aaaaaaaaaa"):
        await engine.generate(prompt("text", shared), most=5, lane=INTERACTIVE)

    assert decoder.cells <= 30


async def test_a_prompt_longer_than_a_pass_is_read_in_parts(open_engine):
    engine, decoder = await open_engine(n_batch=8)
    alone, _ = await open_engine()
    text = "a long text that is longer than a pass"

    found = await engine.choose(prompt(text), [tokens("a"), tokens("b")], lane=INTERACTIVE)

    assert found == await alone.choose(prompt(text), [tokens("a"), tokens("b")], lane=INTERACTIVE)
    assert max(len(rows) for rows in decoder.passes) == 8


async def test_a_request_joins_while_another_one_is_being_written(open_engine):
    engine, decoder = await open_engine(n_ctx=200, scripted={"long:": "a" * 50, "short:": "b"})
    gate = Gate(decoder, before_pass=9)
    long = asyncio.create_task(engine.generate(prompt("long:"), most=50, lane=INTERACTIVE))
    await gate.reached()
    short = asyncio.create_task(engine.generate(prompt("short:"), most=5, lane=INTERACTIVE))
    await asyncio.sleep(0)
    gate.open()

    assert (await short).text == "b"
    assert (await long).text == "a" * 50
    assert any(len({row.sequences for row in rows}) == 2 for rows in decoder.passes)


async def test_while_an_interactive_request_is_in_hand_no_bulk_one_is_evaluated(open_engine):
    engine, decoder = await open_engine(n_ctx=200, scripted={"bulk:": "a" * 40, "now:": "b" * 10})
    gate = Gate(decoder)
    bulk = asyncio.create_task(engine.generate(prompt("bulk:"), most=40, lane=BULK))
    await gate.reached()
    now = asyncio.create_task(engine.generate(prompt("now:"), most=20, lane=INTERACTIVE))
    await until(decoder.aborted.is_set, "its pass was ended")
    gate.open()

    await asyncio.gather(now, bulk)

    owners = [{row.sequences for row in rows} for rows in decoder.passes]
    assert all(len(owner) == 1 for owner in owners)
    changes = [at for at in range(1, len(owners)) if owners[at] != owners[at - 1]]
    assert changes == [11], "the interactive request's eleven passes come first, and then all of the bulk one's"


async def test_an_interactive_request_takes_the_room_of_a_bulk_one_which_then_goes_on_where_it_was(open_engine):
    engine, decoder = await open_engine(n_ctx=40, scripted={"bulk:": "abcdefghij" * 3, "now:": "b"})
    gate = Gate(decoder, before_pass=9)
    bulk = asyncio.create_task(engine.generate(prompt("bulk:"), most=31, lane=BULK))
    await gate.reached()
    now = asyncio.create_task(engine.generate(prompt("now:"), most=20, lane=INTERACTIVE))
    await asyncio.sleep(0)
    gate.open()

    assert (await now).text == "b"
    assert (await bulk).text == "abcdefghij" * 3
    await until(lambda: decoder.cells == 0, "all room is free again")


async def test_a_cancelled_request_ends_its_pass_and_frees_its_room(open_engine):
    engine, decoder = await open_engine()
    gate = Gate(decoder)
    cancelled = asyncio.create_task(engine.generate(prompt("text"), most=20, lane=INTERACTIVE))
    await gate.reached()
    cancelled.cancel()

    await until(decoder.aborted.is_set, "its pass was ended")
    gate.open()
    await engine.generate(prompt("other"), most=1, lane=INTERACTIVE)

    await until(lambda: decoder.cells == 0, "all room is free again")
    assert decoder.passes[0][0].token == tokens("o")[0]


async def test_a_cancelled_request_beside_another_leaves_that_alone(open_engine):
    engine, decoder = await open_engine(n_ctx=100, scripted={"one:": "a" * 30, "two:": "b" * 30})
    gate = Gate(decoder, before_pass=9)
    one = asyncio.create_task(engine.generate(prompt("one:"), most=30, lane=INTERACTIVE))
    two = asyncio.create_task(engine.generate(prompt("two:"), most=30, lane=INTERACTIVE))
    await gate.reached()
    one.cancel()
    await asyncio.sleep(0)
    gate.open()

    assert (await two).text == "b" * 30
    await until(lambda: decoder.cells == 0, "both are gone")


class Exactly:
    """Allows one text, of which some is forced."""

    def __init__(self, text, free):
        self.left, self.free, self.asked = text, free, []

    @property
    def done(self):
        return not self.left

    def forced(self):
        length = 0
        while length < len(self.left) and self.left[length] not in self.free:
            length += 1
        return self.left[:length]

    def allows(self, token):
        self.asked.append(token)
        return token == tokens(self.left[0])[0]

    def mask(self):
        return np.arange(FakeVocabulary.size) == tokens(self.left[0])[0]

    def take(self, token):
        assert token == tokens(self.left[0])[0]
        self.left = self.left[1:]


async def test_forced_text_is_read_with_the_prompt_and_no_token_of_it_is_asked_for(open_engine):
    engine, decoder = await open_engine()
    constraint = Exactly('{"a":7,"b":8}', free="78")

    written = await engine.generate(prompt("x"), most=20, lane=INTERACTIVE, constraint=constraint)

    assert (written.text, written.ended) == ('{"a":7,"b":8}', "end")
    assert [len(rows) for rows in decoder.passes] == [1 + len('{"a":'), len('7,"b":')]
    assert len(written.confidence) == len(constraint.asked) == 2
    assert all(0 < confidence <= 1 for confidence in written.confidence)
    assert [written.text[start] for start in written.starts] == ["7", "8"]


async def test_what_is_forced_whole_is_not_read_at_all(open_engine):
    engine, decoder = await open_engine()

    written = await engine.generate(prompt("x"), most=20, lane=INTERACTIVE, constraint=Exactly("{}", free=""))

    assert written.text == "{}"
    assert decoder.passes == []


async def test_forced_text_beyond_the_most_tokens_is_cut_off(open_engine):
    engine, _ = await open_engine()

    written = await engine.generate(prompt("x"), most=3, lane=INTERACTIVE, constraint=Exactly("{abcdef}", free=""))

    assert (written.text, written.ended) == ("{ab", "limit")


async def test_a_model_that_fails_fails_every_request_and_is_not_used_again(open_engine):
    engine, decoder = await open_engine()

    def fail():
        raise RuntimeError("broken")

    decoder.before = fail

    for _ in range(2):
        with pytest.raises(ContractError) as failed:
            await engine.generate(prompt("x"), most=3, lane=INTERACTIVE)
        assert failed.value.info.code is ErrorCode.MODEL_FAILED
    assert engine.turn is not None


async def test_a_model_that_is_given_up_fails_whoever_waits_for_it_in_a_pass_or_before_one(open_engine):
    engine, decoder = await open_engine(n_ctx=30)
    gate = Gate(decoder)
    waiting = [asyncio.create_task(engine.generate(prompt(f"text {n}"), most=15, lane=BULK)) for n in range(3)]
    await gate.reached()

    engine.abandon(ContractError(ErrorCode.UNAVAILABLE, "the model hangs"))

    for ended in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(ended, ContractError)
        assert ended.info.code is ErrorCode.UNAVAILABLE
    gate.open()


async def test_stopping_finishes_what_is_in_hand_and_frees_the_model(open_engine):
    engine, decoder = await open_engine(scripted={"say:": "hello"})
    writing = asyncio.create_task(engine.generate(prompt("say:"), most=20, lane=INTERACTIVE))
    await asyncio.sleep(0)

    assert await engine.stop()

    assert (await writing).text == "hello"
    assert decoder.closed
    with pytest.raises(ContractError, match="stopped"):
        await engine.generate(prompt("say:"), most=20, lane=INTERACTIVE)


async def test_a_model_that_cannot_be_loaded_says_so_at_the_start():
    def load():
        raise RuntimeError("no such file")

    with pytest.raises(RuntimeError, match="no such file"):
        await BatchingEngine(load, "test").start()


@pytest.mark.parametrize(
    ("seconds", "rows"), [(4.0, [128, 32, 32]), (2.6, [128, 48, 48]), (0.5, [128, 256, 256]), (0.001, [128, 256, 512])]
)
def test_a_pass_reads_as_much_of_a_prompt_as_the_model_can_in_a_second(seconds, rows):
    decoder = FakeDecoder(n_ctx=2000, n_batch=512)
    scheduler = Scheduler(decoder)
    scheduler.add(Generating(prompt("x" * 1500), decoder.vocabulary, INTERACTIVE, most=1))

    read = []
    for _ in rows:
        read.append(len(scheduler.compose()))
        scheduler.conclude(decoder.decode([row for _, one in scheduler.passing for row in one]), seconds * read[-1] / 128)

    assert read == rows
