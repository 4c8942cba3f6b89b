"""The ledger: what was submitted and acknowledged, against what came of it."""

import asyncio
import contextlib
import itertools
import json
import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Self

from smallmesh.bus.layout import DONE
from smallmesh.tasks import end
from smallmesh.testing.fake_frontier import FakeFrontier
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, Lane, Status, Task, TaskResult, decode, digest_of, subjects
from smallmesh_contracts.headers import ORIGIN, REASON
from tests.faults.outcomes import Outcome
from tests.support.client import Client
from tests.support.patience import until
from tests.support.rules import Beginning, Begun

STUCK_AFTER_S = 60.0
"""A task that has no terminal result so long after the last fault counts as lost."""
_LOOK_S = 0.2
_PAUSE_S = 0.05
_TRY_AGAIN = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.OVERLOADED})
Beginnings = dict[tuple[str, str], list[Beginning]]
"""By task and agent."""
_ID_IN_TEXT = re.compile(r"id:([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the mesh.

    Attributes:
        what: In a word.
        pids: To which processes.
        at: When, on the monotonic clock.
        time: When, on this machine's clock, which is also its broker's.
    """

    what: str
    pids: frozenset[int]
    at: float
    time: float


@dataclass(slots=True)
class Entered:
    """One id under which something was submitted.

    Attributes:
        digests: Of the bodies.
        acknowledged_at: When the broker had said that it keeps it, on this machine's clock; None before.
    """

    digests: set[str] = field(default_factory=set)
    acknowledged_at: float | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What the ledger says.

    Attributes:
        sent: Submissions tried.
        acknowledged: Of those, kept by the broker.
        statuses: Terminal results by status.
        lost: Acknowledged tasks without a terminal result.
        foreign: Tasks whose terminal result is about a body that was not submitted.
        duplicates: Subjects under which a second terminal or step's result was stored.
        replaced: Terminal results, of whomever, that another took the place of.
        dead_letters: Dead letters of submissions, by code.
        dead_steps: Dead letters of their steps, by code.
        extra_inferences: Inferences beyond one a step.
        unexplained: Of those, the ones that no fault of the process before explains.
        extra_calls: Paid calls beyond one a task.
        recovery_s: Seconds from a fault to the stored result of each step that a process it hit had in hand.
        late_s: Seconds from a fault to the terminal result of each task that was open then.
    """

    sent: int
    acknowledged: int
    statuses: Counter[Status]
    lost: tuple[Address, ...]
    foreign: tuple[Address, ...]
    duplicates: tuple[str, ...]
    replaced: int
    dead_letters: Counter[str]
    dead_steps: Counter[str]
    extra_inferences: int
    unexplained: tuple[Beginning, ...]
    extra_calls: int
    recovery_s: tuple[float, ...] = field(repr=False)
    late_s: tuple[float, ...] = field(repr=False)

    @property
    def clean(self) -> bool:
        """Whether every acknowledged task has its one terminal result."""
        return not (self.lost or self.foreign or self.duplicates or self.replaced)


class Ledger:
    """Submits tasks of a tenant of its own and watches what becomes of them.

    Attributes:
        tenant: Whose all of them are.
        entered: Every submission.
        faults: What was done to the mesh meanwhile; see :meth:`hit`.
    """

    def __init__(self, client: Client, begun: Begun | None = None, frontier: FakeFrontier | None = None) -> None:
        """Use a client that stays connected; see :meth:`opened`."""
        self.tenant = f"ledger-{uuid.uuid4().hex[:8]}"
        self.entered: dict[Address, Entered] = {}
        self.faults: list[Fault] = []
        self._client = client
        self._begun = begun
        self._frontier = frontier
        self._paid_before = len(frontier.received) if frontier else 0
        self._stored: dict[str, tuple[int, float]] = {}
        self._duplicates: list[str] = []
        self._dones: dict[Address, TaskResult] = {}
        self._read_to: dict[str, int] = defaultdict(int)
        self._replaced_before = 0
        self.audited: Audit | None = None

    @classmethod
    @asynccontextmanager
    async def opened(cls, client: Client, begun: Begun | None = None, frontier: FakeFrontier | None = None) -> AsyncIterator[Self]:
        """Open a ledger, which looks again and again from now on."""
        ledger = cls(client, begun, frontier)
        ledger._replaced_before = await ledger._replaced()
        looking = asyncio.create_task(ledger._keep_looking())
        try:
            yield ledger
        finally:
            await end(looking)

    # ------------------------------------------------------------ writing into it

    def address(self, data_class: DataClass = DataClass.PUBLIC) -> Address:
        """Return an address that is not used yet."""
        return Address(self.tenant, data_class, uuid.uuid4().hex)

    async def submit(self, address: Address, task: Task, lane: Lane = Lane.INTERACTIVE, *, within_s: float = STUCK_AFTER_S) -> bool:
        """Submit a task as a backend does, again and again while the broker is away or full; tell whether it was acknowledged."""
        body = task.to_bytes()
        entered = self._enter(address, body)
        give_up = time.monotonic() + within_s
        while True:
            try:
                await self._client.bus.store(subjects.submit(lane, address), body)
            except ContractError as error:
                if error.info.code not in _TRY_AGAIN:
                    raise
                if time.monotonic() > give_up:
                    return False
                await asyncio.sleep(_PAUSE_S)
            else:
                entered.acknowledged_at = time.time()
                return True

    def expect(self, address: Address, body: bytes) -> None:
        """Note a submission that somebody else makes, and that counts as acknowledged from now on."""
        self._enter(address, body).acknowledged_at = time.time()

    def _enter(self, address: Address, body: bytes) -> Entered:
        entered = self.entered.setdefault(address, Entered())
        entered.digests.add(digest_of(body))
        return entered

    def hit(self, what: str, *pids: int) -> Fault:
        """Note that something was done to some processes, just now."""
        fault = Fault(what, frozenset(pids), time.monotonic(), time.time())
        self.faults.append(fault)
        return fault

    # ------------------------------------------------------------ reading it

    @property
    def open(self) -> list[Address]:
        """The tasks that are acknowledged and, as far as was looked, not at their end."""
        return [address for address, entered in self.entered.items() if entered.acknowledged_at and address not in self._dones]

    def done(self, address: Address) -> TaskResult:
        """Return a task's terminal result, which is there after :meth:`settled`."""
        return self._dones[address]

    def called(self) -> set[str]:
        """Return the ids of the tasks for which the frontier was called."""
        return set(self._calls())

    async def settled(self, within_s: float = STUCK_AFTER_S) -> Audit:
        """Wait until every acknowledged task has its end, or too long, and until nothing is in the queues; then add up."""
        with contextlib.suppress(AssertionError):  # what is missing is in the audit
            await until(lambda: not self.open, "every task has its end", within_s)
            await self._client.idle()
        return await self.audit()

    async def audit(self) -> Audit:
        """Add up."""
        await self._look()
        beginnings = self._steps("began")
        calls = Counter(self._calls())
        dead = await self._dead_letters()
        self.audited = Audit(
            sent=len(self.entered),
            acknowledged=sum(entered.acknowledged_at is not None for entered in self.entered.values()),
            statuses=Counter(result.status for result in self._dones.values()),
            lost=tuple(self.open),
            foreign=tuple(a for a, result in self._dones.items() if result.digest not in self.entered[a].digests),
            duplicates=tuple(self._duplicates),
            replaced=await self._replaced() - self._replaced_before,
            dead_letters=dead["submit"],
            dead_steps=dead["work"] + dead["escalate"],
            extra_inferences=sum(len(of_step) - 1 for of_step in beginnings.values()),
            unexplained=tuple(self._unexplained(beginnings.values())),
            extra_calls=sum(count - 1 for count in calls.values()),
            recovery_s=tuple(self._recovery(self._steps("came"))),
            late_s=tuple(self._late()),
        )
        return self.audited

    def close_into(self, outcome: Outcome) -> None:
        """Write what was last added up into an experiment's outcome."""
        outcome.kills = outcome.kills or len(self.faults)
        if self.audited is None:
            return
        outcome.tasks += self.audited.acknowledged
        outcome.lost += len(self.audited.lost) + len(self.audited.foreign)
        outcome.duplicates += len(self.audited.duplicates) + self.audited.replaced
        outcome.dead_letters += (self.audited.dead_letters + self.audited.dead_steps).total()
        outcome.extra_inferences += self.audited.extra_inferences
        outcome.extra_calls += self.audited.extra_calls
        outcome.recovery_s.extend(self.audited.recovery_s)

    # ------------------------------------------------------------ looking

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(ContractError):  # the broker is away: later
                await self._look()
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> None:
        """Read what was stored since the last time: another message under a subject that was read before is a duplicate."""
        for data_class in {address.data_class for address in self.entered}:
            for subject in (subjects.any_done(data_class, self.tenant), _of(self.tenant, subjects.any_result(data_class))):
                async for entry in self._client.bus.entries(subject, after=self._read_to[subject]):
                    self._read_to[subject] = entry.sequence
                    self._take_in(entry.message.subject, entry.sequence, entry.stored_at, entry.message.body)

    def _take_in(self, subject: str, sequence: int, stored_at: float, body: bytes) -> None:
        known, _ = self._stored.setdefault(subject, (sequence, stored_at))
        if known < sequence:
            self._duplicates.append(subject)
        address = subjects.address_of(subject)
        if known == sequence and subject == subjects.done(address):
            self._dones[address] = decode(TaskResult, body)

    async def _replaced(self) -> int:
        """Return how many terminal results are gone, of whomever: none expires within a day, so another took their place."""
        state = (await self._client.js.stream_info(DONE.name)).state
        return state.last_seq - state.messages

    async def _dead_letters(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = defaultdict(Counter)
        async for entry in self._client.bus.entries(subjects.any_dead()):
            came_from = entry.message.headers.get(ORIGIN, "")
            if f".{self.tenant}." in came_from:
                kind = came_from.removeprefix(f"{subjects.ROOT}.").partition(".")[0]
                found[kind][json.loads(entry.message.headers[REASON])["code"]] += 1
        return found

    # ------------------------------------------------------------ adding up

    def _steps(self, what: Literal["came", "began"]) -> Beginnings:
        mine = {address.task_id for address in self.entered}
        found: Beginnings = defaultdict(list)
        for beginning in self._begun.read(what) if self._begun else ():
            if beginning.task_id in mine:
                found[beginning.task_id, beginning.agent].append(beginning)
        return found

    def _unexplained(self, beginnings: Iterable[list[Beginning]]) -> Iterable[Beginning]:
        for of_step in beginnings:
            for before, after in itertools.pairwise(of_step):
                if not any(before.pid in fault.pids and before.at <= fault.at <= after.at for fault in self.faults):
                    yield after

    def _calls(self) -> Iterable[str]:
        mine = {address.task_id for address in self.entered}
        for received in self._frontier.received[self._paid_before :] if self._frontier else ():
            task_id = next(iter(_ID_IN_TEXT.findall(json.dumps(received.body))), "")
            if task_id in mine:
                yield task_id

    def _recovery(self, came: Beginnings) -> Iterable[float]:
        """Give, for each step in hand of a process that was hit, the seconds until its result was stored."""
        ended = {}
        for subject, (_, stored_at) in self._stored.items():
            if subjects.address_of(subject) and subject.startswith(f"{subjects.ROOT}.result."):
                ended[subjects.address_of(subject).task_id, subject.split(".")[-2]] = stored_at
        for step, of_step in came.items():
            hits = [f.time for b in of_step for f in self.faults if b.pid in f.pids and b.at <= f.at]
            before_end = [at for at in hits if step in ended and at < ended[step]]
            if before_end:
                yield ended[step] - max(before_end)

    def _late(self) -> Iterable[float]:
        """Give, for each task that was open at a fault, the seconds from the last such fault until its terminal result."""
        for address in self._dones:
            _, ended = self._stored[subjects.done(address)]
            began = self.entered[address].acknowledged_at or ended
            hits = [fault.time for fault in self.faults if began <= fault.time < ended]
            if hits:
                yield ended - max(hits)


def _of(tenant: str, any_tenant: str) -> str:
    return any_tenant.replace(".*.", f".{tenant}.", 1)
