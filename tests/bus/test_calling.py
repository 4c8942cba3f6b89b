"""Calls and answers: one behaviour of the bus seam, held to by the double and by NATS."""

import asyncio

import pytest

from smallmesh.bus import Endpoint, Reply, ServiceSpec
from smallmesh_contracts import Answer, ContractError, ErrorCode, decode, subjects

ERROR_CODE = "Nats-Service-Error-Code"
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
BRIEF_S = 0.2


class Calling:
    @pytest.fixture
    async def serve(self, bench):
        """Let a handler answer the ask of this test's agent; stop it at the end."""
        started = []

        async def start(handler, slots=8, metadata=None):
            endpoint = Endpoint("ask", subjects.ask(bench.agent), handler)
            service = await bench.bus.serve(ServiceSpec(bench.agent, "1.2.3", "Answers a test", metadata or {}, (endpoint,), slots=slots))
            started.append(service)
            return service

        yield start
        for service in started:
            await service.stop()

    @pytest.fixture
    def ask(self, bench):
        def call(body=b"", headers=None, timeout_s=5.0):
            return bench.bus.request(subjects.ask(bench.agent), body, headers, timeout_s=timeout_s)

        return call

    async def test_a_call_is_answered(self, serve, ask):
        async def shout(call):
            return Reply(call.body.upper())

        await serve(shout)

        reply = await ask(b"hello")

        assert reply.body == b"HELLO"
        assert ERROR_CODE not in reply.headers

    async def test_a_call_to_nobody_is_unavailable(self, ask):
        with pytest.raises(ContractError) as failed:
            await ask()

        assert failed.value.info.code is ErrorCode.UNAVAILABLE
        assert failed.value.info.retryable

    async def test_a_call_that_is_not_answered_in_time_is_expired(self, serve, ask):
        never = asyncio.Event()

        async def hang(_call):
            await never.wait()
            return Reply(b"")

        await serve(hang)

        with pytest.raises(ContractError) as failed:
            await ask(timeout_s=BRIEF_S)

        assert failed.value.info.code is ErrorCode.EXPIRED
        never.set()

    async def test_calls_to_one_endpoint_run_at_the_same_time(self, serve, ask, soon):
        both = asyncio.Barrier(2)

        async def meet(call):
            await both.wait()
            return Reply(call.body)

        await serve(meet)

        replies = await soon(asyncio.gather(ask(b"a"), ask(b"b")))

        assert [reply.body for reply in replies] == [b"a", b"b"]

    async def test_more_calls_than_slots_are_told_to_come_back_later(self, serve, ask, soon):
        began, go_on = asyncio.Event(), asyncio.Event()

        async def hold(_call):
            began.set()
            await go_on.wait()
            return Reply(b"served")

        await serve(hold, slots=1)
        first = asyncio.create_task(ask())
        await soon(began.wait())

        refused = await ask()
        go_on.set()

        error = decode(Answer, refused.body).error
        assert (error.code, error.retryable, refused.headers[ERROR_CODE]) == (ErrorCode.OVERLOADED, True, "overloaded")
        assert error.retry_after_s > 0
        assert (await soon(first)).body == b"served"
        assert (await ask()).body == b"served"

    async def test_an_error_in_a_reply_stands_in_its_headers_too(self, serve, ask):
        async def refuse(_call):
            return Reply(b"why", "too_long")

        await serve(refuse)

        reply = await ask()

        assert (reply.body, reply.headers[ERROR_CODE]) == (b"why", "too_long")

    async def test_a_handler_that_raises_a_typed_error_answers_with_it(self, serve, ask):
        async def refuse(_call):
            raise ContractError(ErrorCode.TOO_LONG, "12 bytes, the limit is 10")

        await serve(refuse)

        reply = await ask()

        assert decode(Answer, reply.body).error.message == "12 bytes, the limit is 10"
        assert reply.headers[ERROR_CODE] == "too_long"

    async def test_a_handler_that_breaks_answers_internal_without_quoting_anything(self, serve, ask):
        async def break_down(_call):
            raise ValueError("the private text")

        await serve(break_down)

        reply = await ask()

        assert decode(Answer, reply.body).error.code is ErrorCode.INTERNAL
        assert b"private" not in reply.body

    async def test_a_trace_travels_with_a_call(self, serve, ask):
        async def tell(call):
            return Reply(call.headers.get("traceparent", "").encode())

        await serve(tell)

        assert (await ask(headers=TRACE)).body.decode() == TRACE["traceparent"]

    async def test_replicas_share_the_calls(self, serve, ask):
        for name in (b"one", b"two"):

            async def say_who(_call, name=name):
                return Reply(name)

            await serve(say_who)

        answered = {(await ask()).body for _ in range(40)}

        assert answered == {b"one", b"two"}

    async def test_what_is_served_is_listed_with_what_it_says_of_itself(self, bench, serve):
        async def answer(_call):
            return Reply(b"")

        for _ in range(2):
            await serve(answer, metadata={"answer": "mood"})

        found = [s for s in await bench.bus.services(1.0) if s.name == bench.agent]

        assert len({s.id for s in found}) == 2
        assert {(s.version, s.description, s.metadata["answer"], s.subjects) for s in found} == {
            ("1.2.3", "Answers a test", "mood", (subjects.ask(bench.agent),))
        }

    async def test_a_service_that_was_stopped_neither_answers_nor_is_listed(self, bench, serve, ask):
        async def answer(_call):
            return Reply(b"")

        service = await serve(answer)
        await ask()
        await service.stop()

        with pytest.raises(ContractError) as failed:
            await ask()
        assert failed.value.info.code is ErrorCode.UNAVAILABLE
        assert bench.agent not in {s.name for s in await bench.bus.services(BRIEF_S)}

    async def test_a_stop_tells_the_caller_whose_call_takes_too_long(self, serve, ask, soon):
        began = asyncio.Event()

        async def hang(_call):
            began.set()
            await asyncio.Event().wait()
            return Reply(b"")

        service = await serve(hang)
        waiting = asyncio.create_task(ask())
        await soon(began.wait())

        await soon(service.stop())

        assert decode(Answer, (await soon(waiting)).body).error.code is ErrorCode.UNAVAILABLE


class TestCallingInMemory(Calling):
    @pytest.fixture
    def bench(self, memory_bench):
        return memory_bench


class TestCallingInNats(Calling):
    @pytest.fixture
    def bench(self, nats_bench):
        return nats_bench
