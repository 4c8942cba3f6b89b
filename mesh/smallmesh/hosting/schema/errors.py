"""What can go wrong with a schema: it cannot be built, or a text is no document of it."""

from collections.abc import Sequence

from smallmesh.hosting.card import ModelError


class SchemaError(ModelError):
    """No grammar can be made of a schema.

    Attributes:
        pointer: JSON pointer to the part that cannot be built, in the model's JSON Schema; empty for the whole.
        keyword: The keyword there.
        reason: Why.
    """

    def __init__(self, name: str, pointer: str, keyword: str, reason: str) -> None:
        """Say where in the schema ``name`` which keyword is at fault, and why."""
        super().__init__(f"no grammar can be made of {name}: {pointer or 'the whole'}: {keyword}: {reason}")
        self.pointer = pointer
        self.keyword = keyword
        self.reason = reason


class OutputError(ValueError):
    """A text is no document of the schema.

    Attributes:
        reasons: What is wrong, each as place and kind, such as ``/people/0/age: greater_than_equal``. The text's own words are
            in none of them, so that they may be logged.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Say what is wrong."""
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)
