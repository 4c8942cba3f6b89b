"""Which frontier a process has, by its settings."""

from typing import TYPE_CHECKING

from smallmesh.frontier.missing import NoFrontier

if TYPE_CHECKING:
    from smallmesh.frontier import Frontier
    from smallmesh.settings import Settings

NO_KEY = "no frontier model is configured: set ANTHROPIC_API_KEY for the escalation service and start it again"
BAD_KEY = "ANTHROPIC_API_KEY holds characters that no key has (a line break, perhaps): set it again and restart the escalation service"


def build_frontier(settings: "Settings") -> "Frontier":
    """Return the frontier that is configured, or one that refuses and says what to set.

    The SDK is loaded here and only where there is a key: it takes about a second and 64 MB.
    """
    key = settings.anthropic_api_key.get_secret_value().strip() if settings.anthropic_api_key else ""
    if not key:
        return NoFrontier(NO_KEY)
    if not (key.isascii() and key.isprintable()):
        return NoFrontier(BAD_KEY)
    from smallmesh.frontier.anthropic import AnthropicFrontier  # noqa: PLC0415 - see above

    return AnthropicFrontier(settings.frontier_model, key, settings.frontier_base_url)
