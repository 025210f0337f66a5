"""The files of a home: who can read its secrets, and whether its databases are whole."""

import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from tasks.doctor.check import Check, fail, ok, warn
from tasks.shared.service_files import CREDENTIALS_FILE, LOGIN_FILE, STATE_FILE

# What holds keys, tokens or people's words, or shows who they are.
PRIVATE = (CREDENTIALS_FILE, LOGIN_FILE, STATE_FILE, "feedback.db*", "*secret*", "logs/*")
DATABASES = ("feedback.db", "mlflow.db", "prefect/prefect.db", "tune/*.db")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_WAIT_SECONDS = 5.0


def modes(home: Path) -> Iterator[Check]:
    """Files with secrets that others than their owner may read."""
    private = sorted({path for pattern in PRIVATE for path in home.glob(pattern) if path.is_file()})
    if not home.is_dir() or not private:
        yield ok("private files", "none yet")
        return
    # Nobody reads them who cannot enter the folder.
    is_open = bool(home.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH))
    readable = [path for path in private if path.stat().st_mode & _OTHERS]
    if readable:
        names = " ".join(str(path) for path in readable)
        found = f"others may read {', '.join(path.name for path in readable)}"
        remedy = f"chmod 600 {names}"
        yield fail("private files", found, remedy) if is_open else warn("private files", found, remedy)
    else:
        yield ok("private files", f"{len(private)}, read by their owner only")


def secrets(are_set: Mapping[str, bool]) -> Iterator[Check]:
    """Which secrets the environment holds; never what they are.

    Args:
        are_set: Whether each variable is set, by name.
    """
    names = [name for name, is_set in are_set.items() if is_set]
    pair = [are_set.get(name, False) for name in _PAIR]
    if any(pair) and not all(pair):
        missing = _PAIR[pair.index(False)]
        yield warn("secrets", f"{missing} is not set, its twin is", f"Set {missing} too, or unset both.")
    else:
        yield ok(
            "secrets", f"set: {', '.join(names)}" if names else "none set; none is needed on one machine"
        )


def databases(home: Path) -> Iterator[Check]:
    """Whether SQLite finds its files whole."""
    paths = sorted(path for pattern in DATABASES for path in home.glob(pattern))
    said_of = {path: _quick_check(path) for path in paths}
    for path, said in said_of.items():
        if said != "ok":
            remedy = "Stop what uses it, keep a copy, and put it back from a backup."
            yield fail(f"database {path.name}", said, remedy)
    whole = [path.name for path, said in said_of.items() if said == "ok"]
    if whole or not paths:
        yield ok("databases", f"whole: {', '.join(whole)}" if whole else "none yet")


def _quick_check(path: Path) -> str:
    try:
        address = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS)) as connection:
            [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return str(answer)
