"""The command `retort`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from configs.errors import RetortError
from configs.load import LADDER_PROFILE, describe_run_keys, load_run_config, resolved_yaml
from configs.space import DEFAULT_SPACE, read_space
from flows import feedback_cli, models_cli, night_cli, report_cli, schedule_cli
from flows.arguments import Overrides, PlatformName, Profile, split_arguments
from flows.deploy_cli import deploy
from flows.doctor_cli import doctor
from flows.gc_cli import gc
from tasks.shared.env import read_env

INTERRUPTED = 130

app = typer.Typer(
    name="retort",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Distil a large language model into a small specialised one and keep aligning it with feedback.",
    epilog="State is kept in RETORT_HOME (default: .retort). A stopped run goes on when started again.",
)

app.add_typer(feedback_cli.app)
app.add_typer(models_cli.app)
app.add_typer(schedule_cli.app)
app.command()(night_cli.nightly)
app.command()(report_cli.report)
app.command()(report_cli.compare)
app.command()(deploy)
app.command()(gc)
app.command()(doctor)


@app.command()
def run(
    profile: Profile = None,
    overrides: Overrides = None,
    platform: PlatformName = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run the pipeline; what is in the store already is not computed again."""
    from flows.places import choose_platform
    from flows.results import print_summary
    from flows.run import run_pipeline

    env = read_env()
    config = load_run_config(*split_arguments(profile, overrides))
    summary = run_pipeline(config, choose_platform(platform, env), env, Console(stderr=True, quiet=quiet))
    print_summary(summary, Console())
    Console().print(f"Report: {env.home / 'latest' / 'report.html'}", highlight=False, soft_wrap=True)


@app.command()
def tune(
    profile: Profile = None,
    overrides: Overrides = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials there are to be, those of an earlier call included.")
    ] = 10,
    space: Annotated[Path, typer.Option(help="YAML file of the keys that vary.")] = DEFAULT_SPACE,
    platform: PlatformName = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Search for the settings with the lowest validation loss after distillation."""
    profile, changes = split_arguments(profile, overrides)
    load_run_config(profile, changes)
    axes = read_space(space, profile, changes)

    from flows.places import choose_platform
    from flows.tune import Search, print_trials
    from flows.tune import tune as run_search

    search = Search(profile, tuple(changes), axes, trials)
    env = read_env()
    found = run_search(search, choose_platform(platform, env), env, Console(stderr=True, quiet=quiet))
    print_trials(found, profile, Console())


@app.command()
def summary(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False) -> None:
    """Show the closing table of the last run that finished."""
    import json

    from flows.results import load_latest, print_summary

    latest = load_latest(read_env().home)
    if as_json:
        typer.echo(json.dumps(latest, indent=1))
    else:
        print_summary(latest, Console())


@app.command()
def config(
    profile: Profile = None,
    overrides: Overrides = None,
    keys: Annotated[bool, typer.Option("--keys", help="Explain every key instead.")] = False,
) -> None:
    """Print the resolved configuration, or what every key means."""
    if not keys:
        typer.echo(resolved_yaml(load_run_config(*split_arguments(profile, overrides))), nl=False)
        return
    for row in describe_run_keys():
        bounds = f", {row.bounds}" if row.bounds else ""
        typer.echo(f"{row.key} = {row.default}\n    {row.description or row.key} ({row.type}{bounds})")


@app.command()
def ladder(
    profile: Profile = None,
    overrides: Overrides = None,
    rungs: Annotated[
        str, typer.Option("--rungs", help="Names, separated by commas, such as LoRA,KD; default: all.")
    ] = "",
    platform: PlatformName = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Climb the ladder of baselines, from a prompt to PPO: one table of quality and cost.

    Without a profile it climbs on configs/ladder.yaml, in about a quarter of an hour.
    """
    from flows.ladder import ladder as climb
    from flows.ladder import rungs_named
    from flows.ladder_results import print_ladder
    from flows.places import choose_platform

    env = read_env()
    profile, changes = split_arguments(profile, overrides)
    lines = climb(
        (profile or LADDER_PROFILE, changes),
        rungs_named(rungs),
        choose_platform(platform, env),
        env,
        Console(stderr=True, quiet=quiet),
    )
    print_ladder(lines, Console())
    Console().print(f"Plot: {env.home / 'latest' / 'ladder.png'}", highlight=False, soft_wrap=True)


@app.command()
def up() -> None:
    """Start Prefect, MLflow, the S3 store and a worker on this machine; `retort run` then uses them.

    The worker starts nights, as `retort schedule show` says.
    """
    from flows.up import start_all

    console = Console(stderr=True)
    start_all(read_env(), lambda name, what: console.print(f"{name}: {what}", highlight=False))
    status()


@app.command()
def down() -> None:
    """Stop the servers and the worker that `retort up` started, and nothing else."""
    from tasks.shared.services import stop_services

    stopped = stop_services(read_env().home)
    for name, what in stopped.items():
        typer.echo(f"{name}: {what}")
    if not stopped:
        typer.echo("No servers of `retort up` are running.")


@app.command()
def status() -> None:
    """Show the servers: where they are, and whether they answer."""
    from tasks.shared.service_files import LOGIN_FILE
    from tasks.shared.services import services_status

    home = read_env().home
    table = Table("server", "address", "state", "process", "log")
    for row in services_status(home):
        table.add_row(row.name, row.url or "", row.state, str(row.pid or ""), str(row.log or ""))
    Console().print(table, markup=False)
    if (home / LOGIN_FILE).exists():
        typer.echo(f"Prefect's page asks for what is in {home / LOGIN_FILE}.")


def main() -> None:
    """Run the command line; problems that the user can mend exit with 2, an interrupt with 130."""
    try:
        app(standalone_mode=True)
    except RetortError as error:
        console = Console(stderr=True)
        count = len(error.problems)
        console.print(f"[bold red]{count} problem{'s' if count > 1 else ''}[/]", highlight=False)
        for problem in error.problems:
            console.print(f"- {problem}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # What Typer makes of Ctrl-C.
        if end.code == INTERRUPTED:
            Console(stderr=True).print("Stopped. Start the same command again to go on.")
        raise


if __name__ == "__main__":
    main()
