"""Which requests are in hand and what each pass evaluates: continuous batching, interactive requests first."""

from collections import deque
from collections.abc import Iterable, Sequence

from smallmesh.hosting.engine.port import Decoder, Outcome, Row
from smallmesh.hosting.engine.room import Room, newest_bulk
from smallmesh.hosting.engine.runs import Reading, Run
from smallmesh_contracts import ContractError, ErrorCode, Lane

BESIDE = 64
"""Tokens of prompts that one pass reads beside texts that are being written: their next tokens wait for it."""
PASS_S = 1.0
"""How long a pass may take that reads prompts. Another request waits for it, and a model that moves less often counts as stuck."""
LEAST_ROWS = 32
TOGETHER = 4
"""Rows that llama.cpp multiplies together; those that are left over cost twice as much. A full pass has none."""
FIRST_ROWS = 128
"""Of the first pass, before anybody knows how quick the model is here."""


class Scheduler:
    """Has requests in hand and says what the next pass evaluates.

    Requests join between passes and leave when they are done. While an interactive request is in hand no pass
    evaluates a bulk one; where room runs out the newest bulk request gives up its own and begins again later.
    """

    def __init__(self, decoder: Decoder) -> None:
        """Have nothing in hand."""
        self._decoder = decoder
        self._room = Room(decoder)
        self._waiting: dict[Lane, deque[Run]] = {lane: deque() for lane in Lane}
        self._active: list[Run] = []
        self._most_rows = min(FIRST_ROWS, decoder.n_batch)
        self.passing: list[tuple[Run, list[Row]]] = []

    @property
    def in_hand(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._active or any(self._waiting.values()))

    def add(self, run: Run) -> None:
        """Take a request; it waits for its turn."""
        run.begin()
        self._waiting[run.lane].append(run)

    def compose(self) -> Sequence[Row]:
        """Let go whom nobody waits for, admit whom there is room for, and return the rows of the next pass; none if there is nothing to do.

        ``passing`` says whose they are.
        """
        self._let_go()
        self._admit()
        self.passing = self._shared_out()
        return [row for _, rows in self.passing for row in rows]

    def conclude(self, outcome: Outcome, seconds: float) -> None:
        """Go on after a pass that took some seconds: its rows are evaluated, or will be again."""
        if outcome is Outcome.NO_ROOM:
            run, _ = self.passing[-1]
            run.fail(ContractError(ErrorCode.MODEL_FAILED, "the model's context has no room that was reckoned with"))
        if outcome is Outcome.DONE:
            logits, start = self._decoder.logits(), 0
            for run, rows in self.passing:
                wanted = sum(row.wanted for row in rows)
                if not run.finished:
                    run.evaluated(rows, logits[start : start + wanted])
                start += wanted
            self._measure(sum(len(rows) for _, rows in self.passing), seconds)
        self.passing = []

    # ------------------------------------------------------------ who is in hand

    def _let_go(self) -> None:
        for run in [run for run in self._active if run.finished]:
            self._active.remove(run)
            if not isinstance(run, Reading):
                self._room.release(run)
            elif run.future.exception() is not None:
                self._room.forget(run)
        for lane, waiting in self._waiting.items():
            if any(run.finished for run in waiting):
                self._waiting[lane] = deque(run for run in waiting if not run.finished)

    def _admit(self) -> None:
        interactive, bulk = self._waiting[Lane.INTERACTIVE], self._waiting[Lane.BULK]
        while interactive and (self._admitted(interactive[0]) or self._preempt(interactive[0])):
            if interactive[0].sequences:
                interactive.popleft()
        while bulk and not interactive and self._admitted(bulk[0]):
            bulk.popleft()

    def _admitted(self, run: Run) -> bool:
        """Give a request its room, if what it shares is read; begin to read that otherwise."""
        if run.prompt.shared:
            kept = self._room.beginning(run)
            if kept is None:
                reading = self._room.read(run)
                if reading is not None:
                    self._active.append(reading)
                return False
            if not kept.ready:
                kept.reading.lane = min(kept.reading.lane, run.lane, key=list(Lane).index)
                return False
        if not self._room.admit(run):
            return False
        self._active.append(run)
        return True

    def _preempt(self, run: Run) -> bool:
        """Take the room of a bulk request for an interactive one; False where that is not what it waits for."""
        kept = self._room.beginning(run)
        loser = newest_bulk(self._active)
        if loser is None or (kept is not None and not kept.ready):
            return False
        self._active.remove(loser)
        self._room.release(loser)
        self._waiting[Lane.BULK].appendleft(loser)
        return True

    # ------------------------------------------------------------ what is evaluated

    def _measure(self, rows: int, seconds: float) -> None:
        """Learn from a pass how many rows the next may have; from a small one nothing, which takes long for its size."""
        if rows >= LEAST_ROWS:
            fit = int(rows * PASS_S / max(seconds, 1e-6))
            self._most_rows = min(max(LEAST_ROWS, fit // TOGETHER * TOGETHER), self._decoder.n_batch, 2 * self._most_rows)

    def _shared_out(self) -> list[tuple[Run, list[Row]]]:
        first = [run for run in self._active if run.lane is Lane.INTERACTIVE] or self._active
        writing, reading = [run for run in first if run.generating], [run for run in first if not run.generating]
        shares = list(self._rows(writing, self._decoder.n_batch))
        left = max(self._most_rows - sum(len(rows) for _, rows in shares), 0)
        shares += self._rows(reading, min(left, BESIDE) if shares else left)
        return shares

    @staticmethod
    def _rows(runs: Iterable[Run], most: int) -> Iterable[tuple[Run, list[Row]]]:
        for run in runs:
            if most <= 0:
                return
            rows = run.rows(most)
            most -= len(rows)
            yield run, rows
