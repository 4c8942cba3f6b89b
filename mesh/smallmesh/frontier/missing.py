"""The frontier of a mesh that has none."""

from typing import NoReturn

from smallmesh.frontier import FrontierError
from smallmesh_contracts import ErrorCode


class NoFrontier:
    """A :class:`smallmesh.frontier.Frontier` that answers nothing, and says at once why."""

    model_id = "none"

    def __init__(self, reason: str) -> None:
        """Refuse every call with this reason, which should say what to do."""
        self._reason = reason

    async def complete(self, *, system: str, prompt: str, max_tokens: int, timeout_s: float, prompt_version: str) -> NoReturn:  # noqa: ARG002 - the form is the port's
        """Refuse.

        Raises:
            FrontierError: ``unavailable``, final: trying again cures nothing.
        """
        raise FrontierError(ErrorCode.UNAVAILABLE, self._reason, final=True)
