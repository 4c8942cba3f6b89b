"""Build hook: carries the shipped agents' folders in the wheel.

An editable install must not: it would copy the models once and go on serving the copy.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarryServices(BuildHookInterface[Any]):
    """Puts ``services/`` at ``smallmesh/_services`` in a standard wheel, and nowhere in an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to what is included by force; ``version`` is hatchling's word for the kind of build."""
        if version == "standard":
            build_data["force_include"]["services"] = "smallmesh/_services"
