"""Errors for people and scripts: one line that says what to do, and an exit code. No traceback for what is expected."""

import json
import sys

from pydantic import ValidationError

from smallmesh.broker import BrokerUnavailable
from smallmesh.catalogue import CatalogueError
from smallmesh.cli.exits import Exit
from smallmesh.cli.output import print_json
from smallmesh.hosting.card import ModelError
from smallmesh.supervise import MeshError
from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo
from smallmesh_contracts.decode import explain

_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (ContractError, Exit.ERROR),
    (CatalogueError, Exit.INSTALLATION),
    (ModelError, Exit.INSTALLATION),
    (BrokerUnavailable, Exit.MESH),
    (MeshError, Exit.MESH),
)
_EXTRAS = {"faststream": "agent", "gguf": "agent", "llama_cpp": "agent", "numpy": "agent", "anthropic": "escalation"}
"""Which extra of the distribution brings a module that may be missing."""


def report(error: Exception, *, as_json: bool) -> Exit | None:
    """Print an expected error and return its exit code; None for one that is not expected."""
    error = _in_our_words(error)
    code = exit_of(error)
    if code is None:
        return None
    info = error.info if isinstance(error, ContractError) else ErrorInfo(code=ErrorCode.INTERNAL, message=str(error))
    if as_json:
        print_json({"error": info.model_dump(mode="json", exclude_none=True)})
    else:
        sys.stderr.write(f"smallmesh: {error}\n")
    return code


def exit_of(error: Exception) -> Exit | None:
    """Return the exit code for an error; None for one that is not expected."""
    if isinstance(error, ContractError) and error.info.code is ErrorCode.UNAVAILABLE:
        return Exit.NOBODY_THERE
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def _in_our_words(error: Exception) -> Exception:
    if isinstance(error, ValidationError) and error.title == "Settings":
        return CatalogueError(f"a SMALLMESH_… setting is wrong: {explain(error)}")
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        extra = _EXTRAS[error.name]
        return CatalogueError(f"{error.name} is not installed: this needs the extra `{extra}` (pip install 'smallmesh[{extra}]')")
    return error


def message_in(line: str) -> str | None:
    """Return the message of an error that another `smallmesh --json` printed; None where the line is something else."""
    try:
        return str(json.loads(line)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return None
