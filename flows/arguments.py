"""What commands that compute are told: a profile, changes to it, and where."""

from pathlib import Path
from typing import Annotated

import typer

Profile = Annotated[
    Path | None,
    typer.Argument(
        help="YAML file with what differs from configs/base.yaml; default: configs/nutrition.yaml."
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Changes such as ppo.updates=4 or data.source=my.jsonl.")
]
PlatformName = Annotated[
    str,
    typer.Option(
        "--platform",
        help="auto: what RETORT_PLATFORM names, else the servers of `retort up` if they run, else embedded.",
    ),
]


def split_arguments(profile: Path | None, overrides: list[str] | None) -> tuple[Path | None, list[str]]:
    """A first argument with `=` is an override: `retort run ppo.updates=4` runs the default case."""
    rest = list(overrides or [])
    if profile is not None and "=" in str(profile):
        return None, [str(profile), *rest]
    return profile, rest
