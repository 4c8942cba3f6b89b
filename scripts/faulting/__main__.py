"""``scripts/faults``: runs the fault suite and reports."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.faulting.experiments import Experiment, read, under_way
from scripts.faulting.report import markdown
from scripts.faulting.versions import versions

SUITE = "tests/faults"
FEW = 3
LONGEST_TEST_S = 4 * 3600
"""A test hangs that takes longer than this, however many trials it was given."""
LOOK_S = 0.3
MARKS = {"passed": "[green]passed[/]", "failed": "[red]FAILED[/]", "skipped": "[dim]skipped[/]"}

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def faults(
    trials: Annotated[int, typer.Option(min=1, help="How many kills, over all experiments; each of the others takes a share.")] = FEW,
    only: Annotated[str | None, typer.Option(metavar="NAME", help="Only experiments whose file or name has this in it.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.md", help="Write the report here as Markdown.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Also what takes minutes, whatever the number of trials.")] = False,
) -> None:
    """Break the mesh on purpose, again and again, and count what became of it.

    Example: scripts/faults --trials 300 --report faults.md
    """
    with tempfile.TemporaryDirectory(prefix="smallmesh-faults-") as folder:
        outcomes, log = Path(folder) / "outcomes.jsonl", Path(folder) / "log"
        began = time.monotonic()
        status = _run(_command(trials, only, outcomes, long=long), outcomes, log, Console(stderr=True))
        experiments, seconds = read(outcomes), time.monotonic() - began
        if not experiments:
            sys.stderr.write(log.read_text(encoding="utf-8"))
    used = versions()
    if report is not None:
        report.write_text(markdown(experiments, trials=trials, seconds=seconds, used=used), encoding="utf-8")
    if as_json:
        values = {"trials": trials, "seconds": seconds, "versions": used, "experiments": [one.as_dict() for one in experiments]}
        typer.echo(json.dumps(values, indent=1))
    elif report is None:
        typer.echo(markdown(experiments, trials=trials, seconds=seconds, used=used))
    raise typer.Exit(status)


def _command(trials: int, only: str | None, outcomes: Path, *, long: bool) -> list[str]:
    limit = ["--timeout", str(LONGEST_TEST_S)]
    chosen = [*(["-k", only] if only else []), *(["--long"] if long else [])]
    return [sys.executable, "-m", "pytest", SUITE, "--trials", str(trials), "--outcomes", str(outcomes), *limit, *chosen]


def _run(command: list[str], outcomes: Path, log: Path, console: Console) -> int:
    """Run the suite, saying what goes on; return its exit status."""
    shown = 0
    with log.open("wb") as output, console.status("starting") as status:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our own suite
        began = time.monotonic()
        try:
            while running.poll() is None or shown < len(_ended(outcomes)):
                for one in _ended(outcomes)[shown:]:
                    console.print(_said(one), highlight=False, soft_wrap=True)
                    shown += 1
                status.update(f"{time.monotonic() - began:.0f} s  {under_way(outcomes) or 'starting or ending processes'}")
                time.sleep(LOOK_S)
        except KeyboardInterrupt:  # the suite has got it too, and ends its processes; what it has counted is reported
            running.wait()
    return running.returncode


def _ended(outcomes: Path) -> list[Experiment]:
    return read(outcomes, in_order=False)


def _said(one: Experiment) -> str:
    counts = ""
    if one.counts:
        named = {"trials": one.trials, **{name: one.counts[name] for name in ("kills", "tasks", "lost", "duplicates")}}
        counts = ", ".join(f"{count} {name}" for name, count in named.items() if count or name == "lost")
    why = f"  {one.reason.strip().splitlines()[-1]}" if one.reason.strip() and one.result != "passed" else ""
    return f"{MARKS[one.result]}  {one.number or '-':>2}  {one.title}  [dim]{counts}  {one.seconds:.1f} s[/]{why}"


if __name__ == "__main__":
    app()
