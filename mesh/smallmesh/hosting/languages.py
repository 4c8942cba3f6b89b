"""A text's language beside those that a model supports."""

from smallmesh.agent import Language
from smallmesh.language import Detector


class Languages:
    """Tells a text's language once it is loaded; before that every text is given the benefit of the doubt."""

    def __init__(self, supported: tuple[str, ...]) -> None:
        """Know what a model's card lists."""
        self._supported = supported
        self._detector: Detector | None = None

    def load(self) -> None:
        """Load what tells languages."""
        self._detector = Detector()

    def of(self, text: str) -> Language:
        """Return a text's language, and whether the model supports it."""
        if self._detector is None:
            return Language()
        found = self._detector.detect(text)
        return Language(found.code, supported=found.code in self._supported) if found.certain else Language()
