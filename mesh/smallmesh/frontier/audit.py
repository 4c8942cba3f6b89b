"""The audit trail of a frontier decision: one record before it takes effect, one after. Never any text."""

import hashlib
import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pydantic import JsonValue

    from smallmesh.frontier import Spent
    from smallmesh.service import Escalation, Ports

Decision = Literal["refuse", "call", "refused", "answered", "truncated", "failed"]
"""Before: ``refuse`` or ``call``. After: ``refused``, or how the call ended."""
_BEFORE = frozenset({"refuse", "call"})
_DIGEST = re.compile("[0-9a-f]{64}")
_NOTHING_SPENT = dict.fromkeys(("input_tokens", "output_tokens", "cost_usd"))


class AuditTrail:
    """Writes the records of one attempt to answer one question.

    A redelivered message has a delivery count of its own, so every attempt that was
    really made leaves its two records; a record that is written twice keeps its id and
    is one. A ``call`` without a record after it is a request whose end nobody knows.
    """

    def __init__(self, asked: "Escalation", ports: "Ports", prompt_version: str) -> None:
        """Begin now: latencies count from here."""
        digest = asked.step.digest
        self._ports = ports
        self._began = time.perf_counter()
        self._prompt_version = prompt_version
        self._about: dict[str, JsonValue] = {
            "address": str(asked.address),
            "answer": asked.answer,
            "digest": digest if _DIGEST.fullmatch(digest) else None,  # anything else may be words
            "attempt": asked.deliveries,
        }

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the beginning."""
        return round((time.perf_counter() - self._began) * 1000, 3)

    async def write(
        self, decision: Decision, *, code: str | None = None, model_id: str | None = None, spent: "Spent | None" = None
    ) -> None:
        """Write one record.

        Args:
            decision: What was decided, or came of it.
            code: The error's, where it was refused or failed.
            model_id: The model about to be called.
            spent: What the vendor booked; it names the model that really answered.

        Raises:
            ContractError: The log does not take it; then nothing may be sent.
        """
        about = {**self._about, "phase": "before" if decision in _BEFORE else "after"}
        told = asdict(spent) if spent else {"model_id": model_id, **_NOTHING_SPENT}
        record = {
            **about,
            "decision": decision,
            "code": code,
            **told,
            "prompt_version": self._prompt_version,
            "latency_ms": self.elapsed_ms,
        }
        record_id = hashlib.sha256("|".join(map(str, about.values())).encode()).hexdigest()
        await self._ports.audit(record, record_id=record_id)
