"""The one base of everything that travels on the bus."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

READING = "smallmesh:reading"
"""Validation context of values that come off the bus."""


class Wire(BaseModel):
    """A frozen value on the wire.

    Fields that a newer minor version added are ignored, so an older reader
    keeps working; types are strict, so ``"3"`` is never taken for ``3``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        """Return the value as UTF-8 JSON, the form it has on the bus."""
        return self.model_dump_json().encode()


def _has_something_to_read(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


Text = Annotated[str, AfterValidator(_has_something_to_read)]
"""A text with something in it."""


def unknown_as(other: str | None) -> WrapValidator:
    """Let readers take a name that a newer minor version added as ``other``.

    Whoever makes a value is held to the names there are: only :func:`decode`
    reads so, and a message with one new name in it stays readable.
    """

    def read(value: object, known: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        try:
            return known(value)
        except ValidationError:
            if info.context == READING and isinstance(value, str):
                return other
            raise

    return WrapValidator(read)
