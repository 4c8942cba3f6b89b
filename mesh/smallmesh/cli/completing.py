"""What a shell may complete: names of agents, services and answers, read from their folders without running them."""

import ast
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from smallmesh.catalogue import AGENT_FILE, SERVICE_FILE

ORCHESTRATOR = "orchestrator"
_LARGEST = 256 * 1024
"""Bytes of a declaration that is still read: a Tab must not wait."""


def complete_agents(incomplete: str) -> list[str]:
    """Complete the name of an agent."""
    return [name for name in _names(AGENT_FILE) if name.startswith(incomplete)]


def complete_tiers(incomplete: str) -> list[str]:
    """Complete the name of a tier that some agent's models have, the embedded one first."""
    from smallmesh.hosting.card import EMBEDDED, load_tiers  # noqa: PLC0415 - only when a Tab asks

    found = [EMBEDDED]
    for file in sorted(_declarations(AGENT_FILE)):
        with contextlib.suppress(Exception):  # a card that cannot be read: a Tab says nothing about it
            found += (tier.tier for tier in load_tiers(file.parent))
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]


def complete_processes(incomplete: str) -> list[str]:
    """Complete the name of what can be served."""
    return [name for name in (*_names(AGENT_FILE, SERVICE_FILE), ORCHESTRATOR) if name.startswith(incomplete)]


def complete_scale(incomplete: str) -> list[str]:
    """Complete the name before a ``=``."""
    return [f"{name}=" for name in complete_processes(incomplete)]


def complete_answers(incomplete: str) -> list[str]:
    """Complete the last of several answers, with the others before it."""
    before, comma, last = incomplete.rpartition(",")
    taken = set(before.split(","))
    return [f"{before}{comma}{answer}" for answer in answers() if answer.startswith(last) and answer not in taken]


def answers() -> list[str]:
    """Return the answers that agents and services declare, as their source says."""
    found = {answer for file in _declarations(AGENT_FILE, SERVICE_FILE) for answer in _answers_in(file)}
    return sorted(found)


def _names(*kinds: str) -> list[str]:
    return sorted({file.parent.name for file in _declarations(*kinds)})


def _declarations(*kinds: str) -> Iterator[Path]:
    from smallmesh.settings import settings  # noqa: PLC0415 - only when a Tab asks

    with contextlib.suppress(Exception):  # a wrong setting, an unreadable folder: a Tab says nothing about it
        for folder in settings().agent_folders:
            for kind in kinds:
                yield from folder.glob(f"*/{kind}")


def _answers_in(file: Path) -> Iterator[str]:
    """Return every string that a class body assigns to ``answer``: reading a declaration does not run it."""
    with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):
        if file.stat().st_size > _LARGEST:
            return
        body = ast.parse(file.read_bytes()).body
        constants = dict(_assigned(body))
        for declared in (dict(_assigned(node.body)) for node in body if isinstance(node, ast.ClassDef)):
            value = declared.get("answer")
            value = constants.get(value.id) if isinstance(value, ast.Name) else value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def _assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                yield target.id, node.value
