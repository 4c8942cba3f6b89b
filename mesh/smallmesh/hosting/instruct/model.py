"""A GGUF that follows instructions, in this process, behind the same surface as an encoder."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from smallmesh.agent import Language, Usage
from smallmesh.hosting.card import ModelCard, ModelError, verified_file
from smallmesh.hosting.instruct.opened import OpenedEngine, OpenEngine
from smallmesh.hosting.instruct.prepared import Prepared, prepare
from smallmesh.hosting.instruct.reader import InstructReader
from smallmesh.hosting.languages import Languages
from smallmesh.hosting.prompts.pack import TEXT, PromptPack, load_pack
from smallmesh.telemetry import logger
from smallmesh_contracts import Lane

WARM_UP = "A short text to warm up the model."


class InstructModel:
    """One instruct GGUF, with the engine that runs it and the prompt pack that lies beside the agent."""

    def __init__(self, card: ModelCard, folder: Path, prompts: Path, open_engine: OpenEngine | None = None) -> None:
        """Prepare; :meth:`start` verifies, loads and warms up.

        Args:
            card: What the model is.
            folder: Where its file lies.
            prompts: The agent's folder, where its prompt pack lies.
            open_engine: Makes the engine; llama.cpp's where it is not given.
        """
        self.card = card
        self._folder = folder
        self._prompts = prompts
        self._open_engine = open_engine or _llama
        self._languages = Languages(card.languages)
        self._engine: OpenedEngine | None = None
        self._prepared: Prepared | None = None

    async def start(self) -> None:
        """Verify the file, load it, put its prompts together and evaluate them once.

        Raises:
            ModelError: The file is missing, altered or cannot be loaded; the prompt pack or the chat template is missing or not
                valid; or they do not fit each other.
        """
        self._languages.load()
        pack = load_pack(self._prompts)
        path = await asyncio.to_thread(verified_file, self.card, self._folder)
        self._engine = engine = self._open_engine(self.card, path)
        try:
            await _load(engine)
            self._prepared = await asyncio.to_thread(prepare, self.card, pack, engine)
            await self._warm_up(pack)
        except BaseException:
            await engine.stop()
            raise
        self._tell(self._prepared)

    @property
    def prepared(self) -> Prepared:
        """What it needs to be asked, once it is started.

        Raises:
            ModelError: It is not.
        """
        if self._prepared is None:
            msg = f"model {self.card.id} is not started"
            raise ModelError(msg)
        return self._prepared

    @property
    def template_sha256(self) -> str | None:
        """Hash of the chat template, once it is loaded."""
        return self._prepared.template if self._prepared else None

    @property
    def passes(self) -> int:
        """Passes so far."""
        return self._engine.passes if self._engine else 0

    @property
    def turn(self) -> int | None:
        """Number of the pass in hand; None where there is none."""
        return self._engine.turn if self._engine else None

    @property
    def writes(self) -> bool:
        """Whether it writes texts, once it is loaded."""
        return self._prepared is not None and self._prepared.writes

    def abandon(self, why: Exception) -> None:
        """Give up a model that does not move: whoever waits for it gets ``why``."""
        if self._engine:
            self._engine.abandon(why)

    async def stop(self) -> None:
        """Finish what is in hand and free the model."""
        if self._engine and not await self._engine.stop():
            logger().error("model_abandoned", model_id=self.card.id)

    def language_of(self, text: str) -> Language:
        """Return a text's language, and whether the model supports it."""
        return self._languages.of(text)

    def reader(
        self,
        lane: Lane,
        usage: Usage,
        language: Language = Language(),  # noqa: B008 - it is frozen
        on_text: Callable[[str], None] | None = None,
    ) -> InstructReader:
        """Return the model port for one request, which counts into ``usage``; ``on_text`` hears a summary as it is written."""
        return InstructReader(self.prepared, lane, usage, language, at_once=self.card.slots, on_text=on_text)

    def _tell(self, prepared: Prepared) -> None:
        scoring = prepared.scoring
        logger().info(
            "model_prepared",
            model_id=self.card.id,
            prompt=prepared.prompt,
            prompt_tokens=prepared.frame.tokens,
            window=prepared.windower.room,
            calibration=None if scoring is None else "measured" if scoring.calibration.measured else "none",
        )

    async def _warm_up(self, pack: PromptPack) -> None:
        """Evaluate what all requests share, so that the first one need not wait for it."""
        prepared = self.prepared
        prompt = prepared.frame.prompt(dict.fromkeys(pack.fields, "1") | {TEXT: WARM_UP})
        if prepared.scoring:
            await prepared.engine.choose(prompt, prepared.scoring.tokens, lane=Lane.INTERACTIVE)
        else:
            await prepared.engine.generate(prompt, most=1, lane=Lane.INTERACTIVE)


async def _load(engine: OpenedEngine) -> None:
    try:
        await engine.start()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(str(error)) from error


def _llama(card: ModelCard, path: Path) -> OpenedEngine:
    from smallmesh.hosting.engine import open_engine  # noqa: PLC0415 - only a process that hosts a model pays for it

    return open_engine(card, path)
