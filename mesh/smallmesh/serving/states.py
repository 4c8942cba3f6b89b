"""The states of a step in hand, and what follows if its process dies in one."""

from enum import Enum


class StepState(Enum):
    """Where a step is between its delivery and its end.

    A process may die in any of them. It never costs the task: the message stays the
    broker's until it is acknowledged. The value of a state says what follows.
    """

    TAKEN = "delivered again after the ack wait, and done from the beginning"
    LOOKING = "delivered again; whether it is over is looked up again"
    ANSWERING = "delivered again and answered again: one inference more"
    CLAIMING = "delivered again; a claim that was stored all the same runs out by its time to live, and then the frontier is called once"
    CALLING = "delivered again; the claim runs out by its time to live, and then the frontier is called again: one paid call more"
    WAITING = "delivered again; the claim of another delivery is found again"
    STORING = "delivered again; a result that was stored all the same is found, otherwise it is answered again"
    STORED = "delivered again; the result is found, and the message acknowledged without work"
    BURYING = "delivered again and fails again; a dead letter that was stored all the same has the same id, and stays the only one"
    BURIED = "delivered again and fails again; the dead letter stays the only one, the error is stored"
    HANDING_BACK = "delivered again after the ack wait instead of after the delay"
