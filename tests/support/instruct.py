"""An engine that answers as a test tells it to, over a vocabulary of bytes; and packs and templates for it."""

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from smallmesh.hosting.card import ModelCard, sha256_of
from smallmesh.hosting.engine.port import Choice, Generated, Prompt

SPECIAL = ("<|im_start|>", "<|im_end|>", "<s>", "</s>")
CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


class ByteVocabulary:
    """One token a byte, and four of markup."""

    def __init__(self, *, bos: bool = False) -> None:
        self.size = 256 + len(SPECIAL)
        self.bos = self.id_of("<s>") if bos else None
        self.ends = frozenset({self.id_of("<|im_end|>"), self.id_of("</s>")})
        self.pieces = [bytes([byte]) for byte in range(256)] + [b""] * len(SPECIAL)

    def id_of(self, markup: str) -> int:
        return 256 + SPECIAL.index(markup)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        for name in SPECIAL if special else ():
            before, found, after = text.partition(name)
            if found:
                return [*self.tokenize(before, special=True), self.id_of(name), *self.tokenize(after, special=True)]
        return list(text.encode())

    def tokenize_on(self, text: str) -> list[int]:
        return self.tokenize(text)

    def read(self, tokens: tuple[int, ...]) -> str:
        """The text of tokens; markup in double square brackets, to be told from text that looks like it."""
        parts = [f"[[{SPECIAL[t - 256]}]]".encode() if t >= 256 else bytes([t]) for t in tokens]
        return b"".join(parts).decode()


class FakeEngine:
    """An engine of a test's own answers; it remembers what it was asked.

    Attributes:
        prompts: The text of every prompt, in order.
        asked: The prompts themselves.
        most_at_once: How many requests were in hand together.
        says: What it writes about a document.
        reached: Set once it was asked.
    """

    def __init__(  # noqa: PLR0913 - each is what one test tells
        self,
        *,
        scores: Callable[[str], Mapping[str, float]] | None = None,
        says: Callable[[str], str | Generated] | None = None,
        template: str | None = CHATML,
        metadata: Mapping[str, str] | None = None,
        room: int = 8_192,
        bos: bool = False,
    ) -> None:
        """Score the labels of a document by ``scores`` (words to probability), write about it what ``says`` returns."""
        self.vocabulary = ByteVocabulary(bos=bos)
        self.template, self.metadata, self.room = template, metadata or {}, room
        self.passes, self.turn = 0, None
        self.prompts: list[str] = []
        self.asked: list[Prompt] = []
        self.started = self.stopped = False
        self.abandoned: Exception | None = None
        self.most_at_once = self._now = 0
        self.reached = asyncio.Event()
        self._scores, self.says = scores, says

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> bool:
        self.stopped = True
        return True

    def abandon(self, why: Exception) -> None:
        self.abandoned = why

    async def choose(self, prompt, labels, *, lane):  # noqa: ARG002 - the form is the port's
        document = await self._asked(prompt)
        words = [bytes(label).decode() for label in labels]
        likely = self._scores(document) if self._scores else {}
        odds = [likely.get(word.strip(), 1e-6) for word in words]
        return Choice(tuple(math.log(one / sum(odds)) for one in odds), len(prompt.own))

    async def generate(self, prompt, *, most, lane, constraint=None, on_text=None):  # noqa: ARG002 - the form is the port's
        document = await self._asked(prompt)
        said = self.says(document) if self.says else ""
        if isinstance(said, Generated):
            return said
        if on_text:
            on_text(said)
        tokens = self.vocabulary.tokenize(said)
        ended = "end" if len(tokens) <= most else "limit"
        for token in tokens[:most] if constraint else ():
            assert constraint.allows(token), f"{said!r} is not what the schema allows"
            constraint.take(token)
        shown = bytes(tokens[:most]).decode("utf-8", "replace")
        return Generated(shown, (1.0,) * len(tokens[:most]), len(tokens[:most]), ended)

    async def _asked(self, prompt: Prompt) -> str:
        """Remember a prompt; return its own part."""
        self.reached.set()
        self.asked.append(prompt)
        self.prompts.append(self.vocabulary.read((*prompt.shared, *prompt.own)))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        self.passes += 1
        return self.vocabulary.read(prompt.own).partition("[[<|im_end|>]]")[0]


LABELS = """
system = "Judge."
input = "{text}"
window = 64

[labels]
good = "yes"
bad = "no"
other = "maybe"

[[examples]]
text = "Fine."
output = "yes"

[[examples]]
text = "Awful."
output = "no"

[[examples]]
text = "A table."
output = "maybe"
"""
NAMES = """
system = "List the names."
input = "{text}"
window = 64

[generate]
form = "names"
max_tokens = 2000

[[examples]]
text = "Lea eats."
output = '{"entities": [{"text": "Lea", "type": "PERSON"}]}'

[[examples]]
text = "It rains."
output = '{"entities": []}'

[[examples]]
text = "Porto waits."
output = '{"entities": [{"text": "Porto", "type": "LOCATION"}]}'
"""
WRITES = """
system = "Shorten."
input = "Sentences: {sentences}\\nText: {text}"
window = 100

[generate]
form = "text"
max_tokens = 40

[[examples]]
sentences = 1
text = "The hall is closed, and so is the yard."
output = "All is closed."

[[examples]]
sentences = 2
text = "Ada came. Ben left. Cleo slept."
output = "Ada came. Ben left."

[[examples]]
sentences = 1
text = "Yes."
output = "Yes."
"""


def write_folder(folder: Path, pack: str, *, slots: int = 8) -> ModelCard:
    """Write a prompt pack and a file that stands for a GGUF; return its card."""
    (folder / "prompt.toml").write_text(pack, encoding="utf-8")
    model = folder / "model.gguf"
    model.write_bytes(b"no model")
    return ModelCard(
        id="fake-instruct",
        file="model.gguf",
        sha256=sha256_of(model),
        architecture="none",
        quantisation="none",
        engine="instruct",
        slots=slots,
    )
