"""`retort report` and `retort compare`: the pages of a run, and two runs side by side."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tasks.shared.env import read_env

RUN_HELP = "`latest`, a run's id (or how it begins), or a path to a summary."
Run = Annotated[str, typer.Argument(help=RUN_HELP)]


def report(
    run: Run = "latest",
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the pages; default: RETORT_HOME/reports/RUN.")
    ] = None,
) -> None:
    """Build the pages of a run again: report, slides and model card, in the languages of its configuration.

    What was computed is not computed again. Nothing is opened.
    """
    from flows.rebuilt import rebuild

    for path in rebuild(read_env(), run, to):
        typer.echo(path)


def compare(
    first: Annotated[str, typer.Argument(help=f"What is compared with: {RUN_HELP}")],
    second: Annotated[str, typer.Argument(help=f"What is compared: {RUN_HELP}")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show how two runs differ: in their configuration, and in every figure that both have.

    Differences are paired where both put the same questions; a better one is named only where the interval,
    corrected for the number of differences, leaves no doubt.
    """
    from flows.compared import compare_runs, print_comparison

    found = compare_runs(read_env(), first, second)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        print_comparison(found)
