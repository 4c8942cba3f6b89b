"""The address of a task: tenant, data class and task id, and the lane it travels in."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")
ADDRESS_TOKENS = 3


class DataClass(StrEnum):
    """How far a text may travel. Restricted text never leaves the installation."""

    PUBLIC = "public"
    INTERNAL = "internal"
    RESTRICTED = "restricted"


class Lane(StrEnum):
    """Who waits: somebody (interactive) or nobody (bulk)."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


def is_subject_safe(token: str) -> bool:
    """Tell whether a tenant or task id may be a token of a subject."""
    return _SAFE.fullmatch(token) is not None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a task lives on the bus; part of every subject of that task.

    Attributes:
        tenant: Whose task it is, ``[A-Za-z0-9_-]{1,64}``.
        data_class: How far its text may travel.
        task_id: The client's id, ``[A-Za-z0-9_-]{1,64}``, unique per tenant and class.
    """

    tenant: str
    data_class: DataClass
    task_id: str

    def __str__(self) -> str:
        """Return the three tokens as they stand in a subject."""
        return f"{self.tenant}.{self.data_class.value}.{self.task_id}"

    @classmethod
    def parse(cls, tokens: str) -> Self:
        """Read an address from ``tenant.class.id``.

        The tokens' alphabet is not checked here: the broker may deliver an id
        that we refuse, and its refusal must still be addressed to it. See
        :meth:`is_valid`.

        Raises:
            ValueError: There are not three tokens, or the class is unknown.
        """
        tenant, data_class, task_id = tokens.split(".")
        return cls(tenant, DataClass(data_class), task_id)

    def is_valid(self) -> bool:
        """Tell whether tenant and id keep to the alphabet and length."""
        return is_subject_safe(self.tenant) and is_subject_safe(self.task_id)
