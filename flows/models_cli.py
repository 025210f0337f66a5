"""`retort models`: which models there are, which one serves and why, and how another one takes its place."""

import json
import os
import pwd
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.shared.env import read_env

if TYPE_CHECKING:
    from tasks.model_records import ModelVersion
    from tasks.model_registry import ModelRegistry
    from tasks.place import Place

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    help="See which model serves, since when and why; promote another one, or roll back.",
    epilog="All acts are kept for good in a log in the artifact store; MLflow's aliases follow it.",
)

Name = Annotated[
    str | None,
    typer.Option("--name", help="The use case: `name` in its configuration; default: the only one."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; it is kept for good.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; default: your login name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Number = Annotated[int, typer.Argument(help="Number of a version, as `retort models list` shows it.")]


@app.command("list")
def list_(name: Name = None, as_json: AsJson = False) -> None:
    """Show every version, and set right MLflow's aliases if they say something else than the log."""
    from flows.models_shown import listed, print_versions
    from tasks.model_registry import registry_names

    place = _place()
    names = [name] if name else registry_names(place)
    shown = [listed(_registry(place, one)) for one in names]
    if as_json:
        typer.echo(json.dumps(shown, indent=1))
        return
    for use_case in shown:
        print_versions(use_case)
    if not shown:
        typer.echo(f"No model yet. {_beginning(place)}")


@app.command()
def promote(
    number: Number, reason: Reason, by: By = None, name: Name = None, as_json: AsJson = False
) -> None:
    """Make a version the champion, which serves from then on."""
    said = _said(reason, by)
    registry = _registry(_place(), name)
    before = registry.champion()
    _tell(registry, before, registry.promote(number, *said), as_json)


@app.command()
def rollback(
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option("--to", help="An earlier champion; default: the one that the champion followed."),
    ] = None,
    by: By = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Let an earlier champion serve again."""
    said = _said(reason, by)
    registry = _registry(_place(), name)
    before = registry.champion()
    _tell(registry, before, registry.roll_back(*said, to=to), as_json)


@app.command()
def history(
    at: Annotated[
        str | None,
        typer.Option("--at", help="A day or a moment, such as 2026-11-24 or 2026-11-24T13:05; UTC."),
    ] = None,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Show all acts in order; or what was live at a time, what it had learnt from, and why it was live."""
    from flows.models_shown import live, print_history, print_live, span

    begin, end = span(at) if at else (None, None)
    place = _place()
    registry = _registry(place, name)
    if begin is None or end is None:
        entries = registry.entries()
        if as_json:
            typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=1))
        else:
            print_history(registry.name, entries)
        return
    found = live(place, registry, begin, end)
    if as_json:
        typer.echo(json.dumps({"name": registry.name, "at": at, "live": found}, indent=1))
    else:
        print_live(registry.name, str(at), found)


@app.command()
def diff(
    first: Annotated[int, typer.Argument(metavar="A", help="Number of a version.")],
    second: Annotated[int, typer.Argument(metavar="B", help="Number of another one.")],
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two versions: settings, feedback, and figures that were measured alike."""
    from flows.models_shown import differences, print_differences

    place = _place()
    registry = _registry(place, name)
    found = differences(place, registry.version(first), registry.version(second))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        print_differences(found)


def _place() -> "Place":
    """Where the results of this home are; what happens there is told."""
    from flows.places import present_place

    place, _ = present_place(read_env())
    return place.model_copy(update={"quiet": False})


def _registry(place: "Place", name: str | None) -> "ModelRegistry":
    """The registry of a use case.

    Raises:
        RegistryError: It has no models; or none is named, and there is not just one.
    """
    from configs.hints import did_you_mean, nearest
    from tasks.model_registry import ModelRegistry, RegistryError, registry_names
    from tasks.shared.errors import Problem

    names = registry_names(place)
    if name in names or (name is None and len(names) == 1):
        return ModelRegistry(place, name or names[0])
    expected = f"one of {', '.join(names)}" if names else "a use case with a model: there is none yet"
    remedy = "Name one of them: `--name NAME`." if names else _beginning(place)
    if name is not None and names:
        remedy = did_you_mean(nearest(name, names), "`retort models list` shows all.")
    raise RegistryError(Problem("--name", f"`{name}`" if name else "none", expected, remedy))


def _beginning(place: "Place") -> str:
    """How to get a first model to see."""
    if place.s3_endpoint is None and (place.home / "s3").exists():
        return "Those on the servers of this home show after `retort up`; or start a run: `retort run`."
    return "Start a run: `retort run`."


def _said(reason: str, by: str | None) -> tuple[str, str]:
    """Why and by whom.

    Raises:
        RegistryError: One of them is empty, or nobody is logged in.
    """
    from tasks.model_registry import RegistryError
    from tasks.shared.errors import Problem

    who = _login_name() if by is None else by
    problems = []
    if not reason.strip():
        remedy = "Say it in a few words: whoever reads the log in a year has nothing else."
        problems.append(Problem("--reason", "nothing", "why", remedy))
    if not who.strip():
        problems.append(Problem("--by", "nothing", "a name", "Give yours: `--by NAME`."))
    if problems:
        raise RegistryError(problems)
    return reason.strip(), who.strip()


def _login_name() -> str:
    """The name of the account that the command runs under; empty if the account has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _tell(
    registry: "ModelRegistry", before: "ModelVersion | None", champion: "ModelVersion", as_json: bool
) -> None:
    """Say who serves now and who served before."""
    earlier = before.number if before else None
    if as_json:
        typer.echo(json.dumps({"name": registry.name, "champion": champion.number, "before": earlier}))
    elif earlier == champion.number:
        typer.echo(f"Version {champion.number} is the champion of {registry.name} already.")
    else:
        was = f"version {earlier} was it before" if earlier else "there was none before"
        typer.echo(f"Version {champion.number} is the champion of {registry.name} now; {was}.")
