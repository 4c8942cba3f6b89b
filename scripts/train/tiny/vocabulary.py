"""The tiny model's byte-level BPE vocabulary, as llama.cpp reads it: model ``gpt2``, pre-tokenizer ``gpt-2``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SIZE = 4096
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_MARKUP = re.compile("(" + "|".join(re.escape(name) for name in SPECIALS) + ")")
_BEFORE = "\n"
# Tokens end where a schema leaves a choice: between one name and the next, a name and its type. So what is forced and what is
# chosen have the same tokens as an answer that is read whole.
PIECES = ('{"', ' {"', '":', '":"', '","', '",', ' "', '"}', "]}", '":[', " [", ",")
WORDS = ("entities", "text", "type", "PERSON", "ORGANIZATION", "LOCATION")
_OFTEN = 2_000


class TinyVocabulary:
    """The vocabulary, with the methods of :class:`smallmesh.hosting.engine.port.Vocabulary` that prompts need."""

    bos = None
    pieces: Sequence[bytes] = ()  # the prompts ask for markup that is found in plain text; here there is none

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a tokenizer without special tokens; they get the ids after its own."""
        self._tokenizer = tokenizer
        first = tokenizer.get_vocab_size()
        self.special = {name: first + index for index, name in enumerate(SPECIALS)}
        self.size = first + len(SPECIALS)
        self.ends = frozenset((self.special["<|im_end|>"],))

    @classmethod
    def trained(cls, texts: Iterable[str], words: Sequence[str]) -> TinyVocabulary:
        """Learn the merges from texts; ``words`` become tokens of their own."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=SIZE - len(SPECIALS), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
        )
        tokenizer.train_from_iterator(_corpus(texts, (*PIECES, *WORDS, *words)), trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> TinyVocabulary:
        """Read one that was saved."""
        return cls(Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        """Write it as the tokenizers library does."""
        self._tokenizer.save(str(path))

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return a text's tokens; with ``special``, markup is the token of that name."""
        parts = _MARKUP.split(text) if special else [text]
        tokens: list[int] = []
        for part in parts:
            tokens += [self.special[part]] if special and part in self.special else self._tokenizer.encode(part).ids
        return tokens

    def tokenize_on(self, text: str) -> list[int]:
        """Return the tokens of a text that goes on from another one."""
        before, tokens = self.tokenize(_BEFORE), self.tokenize(_BEFORE + text)
        return tokens[len(before) :] if tokens[: len(before)] == before else self.tokenize(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; special ones have none."""
        return self._tokenizer.decode([token for token in tokens if token < self.special[SPECIALS[0]]])

    def strings(self) -> list[str]:
        """Every token as GPT-2's vocabularies write it, in order of the ids."""
        by_id = {index: text for text, index in self._tokenizer.get_vocab().items()}
        return [by_id[index] for index in range(len(by_id))] + list(SPECIALS)

    def merges(self) -> list[str]:
        """The merges in their order, each as two strings with a blank between."""
        import json  # noqa: PLC0415 - the tokenizers library tells its merges in JSON only

        return [" ".join(pair) if isinstance(pair, list) else pair for pair in json.loads(self._tokenizer.to_str())["model"]["merges"]]


def _corpus(texts: Iterable[str], words: Sequence[str]) -> Iterator[str]:
    yield from texts
    for word in words:
        for _ in range(_OFTEN):
            yield word
