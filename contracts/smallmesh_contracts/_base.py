"""The one base of everything that travels on the bus."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A frozen value on the wire.

    Fields that a newer minor version added are ignored, so an older reader
    keeps working; types are strict, so ``"3"`` is never taken for ``3``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        """Return the value as UTF-8 JSON, the form it has on the bus."""
        return self.model_dump_json().encode()
