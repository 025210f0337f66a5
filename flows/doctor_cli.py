"""`retort doctor`: look at everything that a run needs, and say what to do."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.shared.env import Env, feedback_url, read_env, secrets_set

if TYPE_CHECKING:
    from tasks.doctor.check import Check

    Looks = dict[str, Callable[[], Iterable[Check]]]

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False) -> None:
    """Check libraries, disk, secrets, databases, servers, models and schedule, and say what to do.

    Nothing is changed. The exit code is 1 if something cannot work.
    """
    checks = examine(read_env())
    if as_json:
        import json

        typer.echo(json.dumps([check.model_dump() for check in checks], indent=1))
    else:
        _show(checks)
    raise typer.Exit(any(check.state == "fail" for check in checks))


def examine(env: Env) -> "list[Check]":
    """Every check of a home, in the order in which things depend on each other."""
    from tasks.doctor.check import guarded

    # Before the place is entered, which sets some for the servers.
    looks = _at_home(env, secrets_set())
    checks = [check for name, look in looks.items() for check in guarded(name, look)]
    later: Looks = {}
    checks += guarded("place", partial(_enter, env, later))
    return [*checks, *(check for name, look in later.items() for check in guarded(name, look))]


def _at_home(env: Env, are_set: dict[str, bool]) -> "Looks":
    from tasks.doctor import home_files, machine, servers
    from tasks.doctor.feedback_store import feedback_store

    return {
        "libraries": machine.libraries,
        "disk": partial(machine.disk, env.home),
        "clock": partial(machine.clock, env.home),
        "graphics processor": machine.graphics,
        "PDF reports": machine.printing,
        "private files": partial(home_files.modes, env.home),
        "secrets": partial(home_files.secrets, are_set),
        "databases": partial(home_files.databases, env.home),
        "feedback store": partial(feedback_store, feedback_url(env.home)),
        "servers": partial(servers.servers, env.home),
    }


def _enter(env: Env, later: "Looks") -> "Iterator[Check]":
    """Find the stores, and add to the checks those that look into them."""
    from flows.last_run import all_places
    from flows.places import present_place
    from tasks.doctor import models, servers, stores
    from tasks.doctor.check import warn
    from tasks.garbage.shelves import shelves
    from tasks.shared.errors import ServiceError
    from tasks.shared.service_files import prefect_login
    from tasks.shared.services import find_services

    try:
        place, line = all_places(env)
    except ServiceError as error:
        (place, _), line = present_place(env), None
        for one in error.problems:
            yield warn("S3 store", f"{one.got}: {one.what}", one.remedy)
    later |= {
        "server's clock": partial(servers.server_clock, place),
        "leases": partial(stores.leases, place),
        "artifacts set aside": lambda: stores.quarantine(shelves(place)),
        "models": partial(models.models, place, line),
    }
    if services := find_services(env.home):
        later["schedule"] = partial(servers.schedule, services.prefect_api_url, prefect_login(env.home))


def _show(checks: "list[Check]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("check", "state", "found", "what to do")
    for check in checks:
        state = f"[{COLOURS[check.state]}]{check.state}[/]"
        table.add_row(escape(check.name), state, escape(check.found), escape(check.remedy))
    Console().print(table)
