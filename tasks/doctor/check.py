"""One line of `retort doctor`: what was looked at, how it is, and what to do."""

from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tasks.shared.errors import RetortError

State = Literal["ok", "warn", "fail"]


class Check(BaseModel):
    """One thing that was looked at.

    Attributes:
        name: What.
        state: `ok`; `warn`: it works, but not for long or not as meant; `fail`: something cannot work.
        found: What was found there.
        remedy: What to do; empty if nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: State
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name=name, state="ok", found=found)


def warn(name: str, found: str, remedy: str) -> Check:
    """It works, but not for long or not as meant."""
    return Check(name=name, state="warn", found=found, remedy=remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    """Something cannot work."""
    return Check(name=name, state="fail", found=found, remedy=remedy)


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What a look finds; one that breaks off is a line of its own, and the others go on.

    Whatever a sick machine raises is a finding here; the kind of an unforeseen error is shown, not its text,
    which may hold an address with a password.
    """
    checks: list[Check] = []
    try:
        checks += look()
    except RetortError as error:
        checks += [fail(name, f"`{one.what}`: {one.got}", one.remedy) for one in error.problems]
    except Exception as error:
        checks.append(fail(name, f"could not be looked at ({type(error).__name__})", "Report this as a bug."))
    return checks
