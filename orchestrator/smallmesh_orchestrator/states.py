"""The states that a task can be in while an orchestrator holds it, and what follows if the process dies there."""

from enum import StrEnum


class State(StrEnum):
    """How far a task has come. What the broker keeps is all there is of it, so each state can be seen from outside.

    In every one of them the submission is still the broker's: after the ack wait, or at
    once where it was handed back, it goes to another replica, and that one begins at the top.
    """

    TAKEN = "delivered, no step published"
    """The next replica finds nothing and begins anew."""

    FANNING_OUT = "some steps published"
    """It publishes the others. Those that wait are refused a second time; those that have a result are not published."""

    AWAITING = "all steps published, results missing"
    """It reads the results that are there and waits for the others. No step is computed twice. Where the router's step goes
    before the others (an agent has a second tier), this and the state before come twice, and a replica that knows of no
    second tier publishes all that is missing at once: what is there is used, whatever verdict it was asked with."""

    ANSWERED = "results in, nothing made of them"
    """It reads them. The plan is pure: the same answers lead to the same next step or terminal result."""

    ESCALATED = "escalation published, its result missing"
    """It waits for that result. Nothing is paid for twice: the step is refused while it waits, and claimed once it does not."""

    ANALYSED = "escalation's result in, no terminal result"
    """It reads them all."""

    BURIED = "dead letter kept, no terminal result"
    """It fails the task as before; the dead letter has the submission's number as its id, so there is no second one."""

    FINISHED = "terminal result stored, not acknowledged"
    """It finds the terminal result and acknowledges. A result that was made twice is refused the second time."""

    OVER = "acknowledged"
    """Nothing is left to do."""
