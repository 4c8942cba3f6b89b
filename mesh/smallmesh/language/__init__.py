"""Which language a text is in."""

from smallmesh.language.detection import Detected, Detector

__all__ = ["Detected", "Detector"]
