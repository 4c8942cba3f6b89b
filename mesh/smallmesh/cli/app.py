"""The list of commands, how they are loaded, and what becomes of their errors."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from smallmesh.cli.exits import MEANING

_RUN = "A mesh on this machine"
_USE = "Work for the mesh"
_LOOK = "Looking at the mesh"
_PARTS = "One process at a time"
_HELP = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True)
class Command:
    """A command before it is loaded: what the list of commands says of it."""

    panel: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "up": Command(_RUN, "Start a whole mesh for development: broker, agents, orchestrators."),
    "down": Command(_RUN, "Stop the mesh that `up` started here."),
    "ask": Command(_USE, "Ask one agent, and wait for its answer."),
    "run": Command(_USE, "Run a whole task on one text, and wait for its result."),
    "submit": Command(_USE, "Submit many texts, from lines of JSON, CSV or files, and collect their results."),
    "result": Command(_USE, "Show the result of a task that was submitted."),
    "cancel": Command(_USE, "Cancel tasks that were submitted, and say what became of each."),
    "watch": Command(_LOOK, "Watch tasks go by: who, how far, what came back and how long it took."),
    "dlq": Command(_LOOK, "Work on dead letters: list, show, replay or drop what the mesh gave up."),
    "doctor": Command(_LOOK, "Look for what is wrong, and say what to do about it."),
    "agents": Command(_LOOK, "List every process that answers on the broker."),
    "models": Command(_LOOK, "List models, pull larger ones, choose which serve, and verify them."),
    "eval": Command(_LOOK, "Measure agents on cases with known answers."),
    "serve": Command(_PARTS, "Serve one agent, the escalation service or an orchestrator until stopped."),
    "provision": Command(_PARTS, "Create or update the streams and consumers on a broker."),
}


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is called, and not to list it."""

    def __init__(self, **attributes: Any) -> None:
        """List the commands, each knowing only its summary."""
        super().__init__(**attributes)
        for name, listed in COMMANDS.items():
            self.add_command(TyperCommand(name, help=listed.summary, rich_help_panel=listed.panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that was called and load it."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name and listed else listed, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it raises becomes one line and an exit code."""
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):  # typer's own
            raise
        except Exception as error:
            from smallmesh.cli.errors import report  # noqa: PLC0415 - loads what can be raised, which most calls never need

            code = report(error, as_json=as_json)
            if code is None:
                raise
            raise typer.Exit(code) from error


app = typer.Typer(
    name="smallmesh",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,  # they would show texts
    context_settings=_HELP,
)


def _epilog() -> str:
    codes = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANING.items())
    return f"Exit codes:\n{codes}\n\nStart with `smallmesh up`; each command's --help has examples."


def _print_version(asked: bool) -> None:
    if asked:
        from smallmesh import __version__  # noqa: PLC0415 - read only here

        typer.echo(__version__)
        raise typer.Exit


@app.callback(epilog=_epilog())
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """A mesh of small, specialised language models on NATS."""


def load_command(name: str) -> Any:
    """Import a command's module and return the command, or the group of commands.

    A module has ``EXAMPLES`` and either ``command``, a function, or ``COMMANDS``: functions by the names of a group's commands.
    """
    module = importlib.import_module(f"smallmesh.cli.commands.{name}")
    if hasattr(module, "COMMANDS"):
        return _group(name, module.COMMANDS, module.EXAMPLES)
    alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
    alone.command(name, help=_flowing(module.command), epilog=_examples(module.EXAMPLES), context_settings=_HELP)(module.command)
    return get_command(alone)


def _group(name: str, commands: Mapping[str, Callable[..., None]], examples: Sequence[tuple[str, str]]) -> Any:
    group = typer.Typer(name=name, no_args_is_help=True, rich_markup_mode="rich", add_completion=False, context_settings=_HELP)
    group.callback(help=COMMANDS[name].summary, epilog=_examples(examples))(lambda: None)
    for called, function in commands.items():
        own = [example for example in examples if f"smallmesh {name} {called}" in example[0]]
        group.command(called, help=_flowing(function), epilog=_examples(own), context_settings=_HELP)(function)
    return get_command(group)


def _flowing(function: Callable[..., None]) -> str:
    """Return a docstring with its paragraphs in one line each, so that they flow in whatever width there is."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    lines = [f"  [bold]{_escape(command)}[/bold]\n      [dim]{_escape(what)}[/dim]" for command, what in examples]
    return "Examples:\n" + "\n".join(lines)


def _escape(text: str) -> str:
    return text.replace("[", "\\[")


def main() -> None:
    """Run the command line; the process's exit code is one of :class:`smallmesh.cli.exits.Exit`."""
    app(prog_name="smallmesh")
