"""What a check is and what it finds."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from smallmesh.doctor.facts import Facts


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        check: Which check found it.
        level: How bad it is.
        message: What is so.
        todo: What to do next; empty where nothing is to be done.
    """

    check: str
    level: Level
    message: str
    todo: str = ""


class Check(ABC):
    """One thing to look at. It reads facts and does nothing else.

    Attributes:
        name: What it is about, in a word or two.
        needs_broker: Whether it says nothing without a broker.
    """

    name: ClassVar[str]
    needs_broker: ClassVar[bool] = True

    @abstractmethod
    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield what is found; at least one finding, which is ``ok`` where nothing is wrong."""

    def ok(self, message: str) -> Finding:
        """Find that something is as it should be."""
        return Finding(self.name, Level.OK, message)

    def warning(self, message: str, todo: str) -> Finding:
        """Find something that works, but may not for long or not for all."""
        return Finding(self.name, Level.WARNING, message, todo)

    def problem(self, message: str, todo: str) -> Finding:
        """Find something that does not work."""
        return Finding(self.name, Level.PROBLEM, message, todo)


def counted(number: int, one: str) -> str:
    """Return a number of things: ``1 message``, ``3 messages``."""
    return f"{number} {one}" + ("" if number == 1 else "s")
