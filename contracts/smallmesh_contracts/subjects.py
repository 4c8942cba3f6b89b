"""Every subject of the mesh, formed and read in this one place.

The protocol's major version is a token of each subject, so a client of another
major version is refused by the broker before anybody reads a byte.
"""

from collections.abc import Mapping

from smallmesh_contracts.address import ADDRESS_TOKENS, Address, DataClass, Lane

MAJOR = 1
ROOT = f"slm.v{MAJOR}"
AUDIT = f"{ROOT}.audit"
ALL_RESULTS = f"{ROOT}.result.>"
_ADDRESS_AFTER = {"submit": 1, "work": 2, "escalate": 1, "result": 0, "stored": 1, "done": 0, "delta": 0, "claim": 0, "cancelled": 0}
"""How many tokens stand between a subject's kind and the address in it."""
_LANE_AFTER = {"submit": 0, "work": 1, "escalate": 0}


def submit(lane: Lane, address: Address) -> str:
    """Where a backend publishes a task."""
    return f"{ROOT}.submit.{lane.value}.{address}"


def work(agent: str, lane: Lane, address: Address) -> str:
    """Where the orchestrator publishes one step for an agent."""
    return f"{ROOT}.work.{agent}.{lane.value}.{address}"


def escalate(lane: Lane, address: Address, answer: str) -> str:
    """Where the orchestrator asks the escalation service for one answer."""
    return f"{ROOT}.escalate.{lane.value}.{address}.{answer}"


def result(address: Address, agent: str, answer: str) -> str:
    """Where one step's answer is stored, once."""
    return f"{ROOT}.result.{address}.{agent}.{answer}"


def stored(result_subject: str) -> str:
    """Where the broker announces a result that it really stored."""
    return f"{ROOT}.stored.{result_subject.removeprefix(ROOT + '.')}"


def done(address: Address) -> str:
    """Where a task's one terminal result is stored."""
    return f"{ROOT}.done.{address}"


def dead(data_class: DataClass, origin: str) -> str:
    """Where what could not be done is kept for operators."""
    return f"{ROOT}.dead.{data_class.value}.{origin}"


def delta(address: Address) -> str:
    """Where streamed text of a task passes by."""
    return f"{ROOT}.delta.{address}"


def cancel(tenant: str, data_class: DataClass) -> str:
    """Where an orchestrator is asked to cancel a task."""
    return f"{ROOT}.cancel.{tenant}.{data_class.value}"


def cancelled(address: Address) -> str:
    """Where passes by that a task was cancelled; the proof is its terminal result."""
    return f"{ROOT}.cancelled.{address}"


def claim(address: Address, answer: str) -> str:
    """Where whoever is about to pay for an answer says so, so that nobody else pays for it too."""
    return f"{ROOT}.claim.{address}.{answer}"


def ask(agent: str) -> str:
    """Where one local agent answers at once."""
    return f"{ROOT}.ask.{agent}"


def run(tenant: str, data_class: DataClass) -> str:
    """Where an orchestrator runs a whole task while the caller waits."""
    return f"{ROOT}.run.{tenant}.{data_class.value}"


def any_run(data_class: DataClass) -> str:
    """Return the filter for runs of one class by any tenant."""
    return run("*", data_class)


def any_cancel(data_class: DataClass) -> str:
    """Return the filter for requests to cancel tasks of one class."""
    return cancel("*", data_class)


def any_cancelled(data_class: DataClass | None = None) -> str:
    """Return the filter for announcements of cancelled tasks, of one class or of all."""
    return f"{ROOT}.cancelled.*.{data_class.value if data_class else '*'}.*"


def any_claim(data_class: DataClass) -> str:
    """Return the filter for claims on answers of one class."""
    return f"{ROOT}.claim.*.{data_class.value}.*.*"


def any_submit(lane: Lane, data_class: DataClass) -> str:
    """Return the filter for submissions of one lane and class."""
    return f"{ROOT}.submit.{lane.value}.*.{data_class.value}.*"


def any_work(agent: str, lane: Lane, data_class: DataClass | None = None) -> str:
    """Return the filter for an agent's work in one lane (``*`` for any agent)."""
    return f"{ROOT}.work.{agent}.{lane.value}.*.{data_class.value if data_class else '*'}.*"


def any_escalate(lane: Lane, data_class: DataClass | None = None) -> str:
    """Return the filter for escalations of one lane."""
    return f"{ROOT}.escalate.{lane.value}.*.{data_class.value if data_class else '*'}.*.*"


def results_of(address: Address) -> str:
    """Return the filter for every stored result of one task."""
    return result(address, "*", "*")


def any_result(data_class: DataClass) -> str:
    """Return the filter for results of one class."""
    return f"{ROOT}.result.*.{data_class.value}.*.*.*"


def any_stored(data_class: DataClass) -> str:
    """Return the filter for announcements of stored results of one class."""
    return stored(any_result(data_class))


def any_done(data_class: DataClass, tenant: str = "*") -> str:
    """Return the filter for terminal results of one class."""
    return f"{ROOT}.done.{tenant}.{data_class.value}.*"


def any_dead(data_class: DataClass | None = None) -> str:
    """Return the filter for dead letters of one class, or of all."""
    return f"{ROOT}.dead.{data_class.value if data_class else '*'}.*"


def address_of(subject: str) -> Address:
    """Read the address out of any subject that carries one.

    Raises:
        ValueError: The subject carries no address, or its class is unknown.
    """
    tokens = _tokens_after(_ADDRESS_AFTER, subject)
    return Address.parse(".".join(tokens[:ADDRESS_TOKENS]))


def lane_of(subject: str) -> Lane:
    """Read the lane out of a submit, work or escalate subject.

    Raises:
        ValueError: The subject carries no lane, or an unknown one.
    """
    return Lane(_tokens_after(_LANE_AFTER, subject)[0])


def _tokens_after(skipped: Mapping[str, int], subject: str) -> list[str]:
    kind, *tokens = subject.removeprefix(ROOT + ".").split(".")
    if not subject.startswith(ROOT + ".") or len(tokens) <= skipped.get(kind, len(tokens)):
        msg = f"subject {subject!r} has no such part"
        raise ValueError(msg)
    return tokens[skipped[kind] :]
