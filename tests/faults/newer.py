"""A later minor version of the contract: a copy of the package with more in it, for processes that shall run it."""

import re
import shutil
from pathlib import Path

import smallmesh_contracts

FIELD = "added_later"
CODE = "weary"
"""An error code that the later version has and ours has not."""
_MESSAGES = {
    "task.py": ("Task",),
    "steps.py": ("StepInput", "Step", "EscalationStep"),
    "answers.py": ("Provenance", "Answer", "StepResult", "TaskResult"),
    "errors.py": ("ErrorInfo",),
    "agents.py": ("AgentRequest", "AgentResult"),
}
"""Classes that get a field more, by file."""
_A_FIELD = f'\n    {FIELD}: str = "a field of a later minor version"\n'


def write_newer(folder: Path) -> Path:
    """Write the later package into a folder, which is to be first on ``PYTHONPATH``; return the folder."""
    package = folder / "smallmesh_contracts"
    shutil.copytree(Path(smallmesh_contracts.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, classes in _MESSAGES.items():
        for each in classes:
            _edit(package / name, rf'class {each}\(Wire\):\n    """.*?"""\n', rf"\g<0>{_A_FIELD}")
    _edit(package / "errors.py", r'    INTERNAL = "internal"\n', rf'\g<0>    WEARY = "{CODE}"\n')
    return folder


def _edit(file: Path, pattern: str, replacement: str) -> None:
    source, found = re.subn(pattern, replacement, file.read_text(encoding="utf-8"), count=1, flags=re.DOTALL)
    assert found, f"{file.name} has nothing like {pattern!r}"
    file.write_text(source, encoding="utf-8")
