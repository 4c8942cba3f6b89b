"""Bytes from anybody into typed values, or a typed error."""

from typing import TypeVar

from pydantic import ValidationError

from smallmesh_contracts._base import READING, Wire
from smallmesh_contracts.errors import ContractError, ErrorCode

W = TypeVar("W", bound=Wire)
_SHOWN_PROBLEMS = 5


def decode(model: type[W], body: bytes) -> W:
    """Validate a body as ``model``. A name that this version does not know is read as ``other``.

    Raises:
        ContractError: ``invalid_request``, naming fields and reasons but never
            the values, which may be private.
    """
    try:
        return model.model_validate_json(body, context=READING)
    except ValidationError as error:
        raise ContractError(ErrorCode.INVALID_REQUEST, f"not a valid {model.__name__}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """Say which fields are wrong and why, without the values given."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems[:_SHOWN_PROBLEMS]]
    more = len(problems) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
