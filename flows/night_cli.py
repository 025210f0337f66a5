"""`retort nightly`: new feedback in, a challenger, and a decision."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.arguments import Overrides, PlatformName, split_arguments
from tasks.shared.env import read_env

if TYPE_CHECKING:
    from flows.nightly import NightSummary


def nightly(
    profile: Annotated[
        Path | None,
        typer.Argument(help="YAML file with what differs from base.yaml; default: configs/nightly.yaml."),
    ] = None,
    overrides: Overrides = None,
    platform: PlatformName = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Learn from new feedback, and replace the champion if the evidence says so.

    Too little feedback ends it at once; the same feedback again changes nothing. Every decision succeeds as a
    command: look at `decision` for which it was.
    """
    from configs.load import NIGHT_PROFILE, load_run_config
    from flows.nightly import run_night
    from flows.places import choose_platform

    chosen, changes = split_arguments(profile, overrides)
    config = load_run_config(chosen or NIGHT_PROFILE, changes)
    env = read_env()
    summary = run_night(config, choose_platform(platform, env), env, Console(stderr=True, quiet=quiet))
    if as_json:
        typer.echo(summary.model_dump_json(indent=1))
    else:
        print_night(summary, Console())


def print_night(summary: "NightSummary", console: Console) -> None:
    """The decision and its reason, and what became of each stage."""
    console.print(f"[bold]{summary.decision}[/]: ", end="", highlight=False)
    console.print(summary.reason, markup=False, highlight=False, soft_wrap=True)
    made = f", the challenger version {summary.challenger}" if summary.challenger else ""
    line = f"Champion: version {summary.champion}{made}. {summary.new_events} new events."
    console.print(line, highlight=False)
    if summary.stages:
        table = Table("stage", "", "seconds")
        for stage in summary.stages:
            table.add_row(stage.name, stage.state, f"{stage.seconds:.0f}")
        console.print(table)
