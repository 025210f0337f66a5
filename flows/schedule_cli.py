"""The commands `retort schedule ...`: when nights start by themselves, and what they wait for."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from configs.errors import ConfigError, Problem
from configs.schema_schedule import LONGEST_NAME, LONGEST_REASON, ScheduleConfig
from tasks.shared.env import read_env

if TYPE_CHECKING:
    from flows.nights import Nights

app = typer.Typer(
    name="schedule",
    no_args_is_help=True,
    help="When nights start by themselves on the servers of `retort up`, and what they wait for.",
    epilog="Kept in RETORT_HOME/schedule.yaml; the rest is in configs/platform/local.yaml.",
)

AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
By = Annotated[str, typer.Option(help="Who decides; it is kept for good.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for good.")]
NightName = Annotated[str | None, typer.Option(help="Name of the night; default: the newest that waits.")]


@app.command()
def show(as_json: AsJSON = False) -> None:
    """Show when nights start, how the last ones ended, and which wait for a person."""
    from flows.schedule import connect, read_schedule
    from tasks.shared.services import find_services

    env = read_env()
    schedule = read_schedule(env.home)
    nights = None
    if find_services(env.home):
        connect(env)
        from flows.nights import read_nights

        nights = read_nights()
    if as_json:
        typer.echo(json.dumps(_as_tree(schedule, nights), indent=1))
    else:
        _print(schedule, nights, Console())


@app.command("set")
def set_(
    changes: Annotated[
        list[str],
        typer.Argument(
            help="Changes such as cron='0 3 * * *', timezone=Europe/Berlin, threshold=100, "
            "profile=my.yaml, overrides='[ppo.updates=4]' or enabled=false."
        ),
    ],
) -> None:
    """Change when nights start, or which night it is."""
    from flows.schedule import change_schedule, connect
    from tasks.shared.services import find_services

    env = read_env()
    is_served = find_services(env.home) is not None
    if is_served:
        # First: to check the change, Prefect is imported, and what it does not find then it starts itself.
        connect(env)
    schedule = change_schedule(env.home, changes)
    if not is_served:
        typer.echo("Kept. It takes effect with `retort up`.")
        return
    from flows.deploy import bootstrap

    bootstrap(schedule)
    typer.echo("Kept, and told to the Prefect server.")


@app.command()
def pause() -> None:
    """Let no night start by itself any more; `start` still does."""
    set_(["enabled=false"])


@app.command()
def resume() -> None:
    """Let nights start by themselves again."""
    set_(["enabled=true"])


@app.command()
def start() -> None:
    """Start a night now."""
    _connect()
    from flows.nights import start_night

    typer.echo(f"Night `{start_night().name}` starts as soon as the worker takes it.")


@app.command()
def approve(by: By, reason: Reason, night: NightName = None) -> None:
    """Let the challenger of a night that waits go live."""
    _answer(True, by, reason, night)


@app.command()
def reject(by: By, reason: Reason, night: NightName = None) -> None:
    """Keep the champion, whatever the challenger of a night that waits can do."""
    _answer(False, by, reason, night)


def _answer(approved: bool, by: str, reason: str, night: str | None) -> None:
    problems = [
        Problem(option, f"{len(text)} characters", f"1 to {most}", "Say who decides, and why.")
        for option, text, most in (("--by", by, LONGEST_NAME), ("--reason", reason, LONGEST_REASON))
        if not 1 <= len(text.strip()) <= most
    ]
    if problems:
        raise ConfigError(problems)
    _connect()
    from flows.approval import Approval
    from flows.nights import answer

    told = answer(Approval(approved=approved, by=by, reason=reason), night)
    typer.echo(f"Night `{told.name}` goes on.")


def _connect() -> None:
    from flows.schedule import connect

    connect(read_env())


def _as_tree(schedule: ScheduleConfig, nights: "Nights | None") -> dict[str, Any]:
    known = nights.model_dump(mode="json") if nights else None
    return {"schedule": schedule.model_dump(mode="json"), "nights": known}


def _print(schedule: ScheduleConfig, nights: "Nights | None", console: Console) -> None:
    when = f"{schedule.cron} ({schedule.timezone}), or {schedule.threshold} judgements within 24 hours"
    console.print(when if schedule.enabled else f"paused: {when}", markup=False, highlight=False)
    if nights is None:
        console.print("No servers are running: nothing starts by itself. Start them: `retort up`.")
        return
    if not nights.workers:
        console.print("No worker asks for work: nothing starts. `retort up` starts one.")
    console.print(f"next by the clock: {nights.next or 'not planned yet'}", highlight=False)
    table = Table("night", "state", "started", "seconds", "by", "")
    for night in nights.last:
        started = f"{night.started:%Y-%m-%d %H:%M}" if night.started else ""
        table.add_row(night.name, night.state, started, f"{night.seconds:.0f}", night.by, night.message)
    console.print(table, markup=False)
    for question in nights.waiting:
        console.print(f"`{question.night.name}` waits for a person:", markup=False)
        console.print(question.text, markup=False, highlight=False)
        console.print("Answer with `retort schedule approve` or `reject`.", markup=False)
