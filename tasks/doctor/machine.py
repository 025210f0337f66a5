"""The machine: libraries, disk, clock and graphics processor."""

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from tasks.doctor.check import Check, fail, ok, warn
from tasks.reporting.pdf import printable

PACKAGE = "retort"
GIB = 1 << 30
# A default run writes about a gigabyte, and a night less.
LEAST_GIB, FEW_GIB = 1, 5
LEAST_INODES, FEW_INODES = 0.01, 0.05
# What a file's time may lie ahead, on a disk of another machine.
_AHEAD_SECONDS = 60.0
_DEVICES = ("/dev/nvidiactl", "/dev/kfd")


def libraries(package: str = PACKAGE) -> Iterator[Check]:
    """The installed versions of all that the package requires, against the versions that it asks for."""
    python, wanted = platform.python_version(), importlib.metadata.metadata(package)["Requires-Python"]
    if wanted and not Requirement(f"python{wanted}").specifier.contains(python):
        yield fail("python", f"{python}; Retort needs {wanted}", "Make the environment anew: `make setup`.")
    else:
        yield ok("python", python)
    pins = [Requirement(text) for text in importlib.metadata.requires(package) or ()]
    needed = [pin for pin in pins if pin.marker is None or pin.marker.evaluate({"extra": ""})]
    wrong = [found for pin in needed if (found := _mismatch(pin))]
    if wrong:
        remedy = "Install them again: `make setup`. Other versions give other keys and other results."
        yield fail("libraries", "; ".join(wrong), remedy)
    else:
        yield ok("libraries", f"{len(needed)} as required")


def _mismatch(pin: Requirement) -> str:
    try:
        installed = importlib.metadata.version(pin.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{pin.name} is missing"
    return "" if pin.specifier.contains(installed, prereleases=True) else f"{pin} asked, {installed} there"


def disk(home: Path) -> Iterator[Check]:
    """Room for files, in bytes and in number, where state and scratch are kept."""
    for name, folder in (
        ("disk of the home", home),
        ("disk of temporary files", Path(tempfile.gettempdir())),
    ):
        there = existing(folder)
        free, status = shutil.disk_usage(there).free, os.statvfs(there)
        # Some file systems count no inodes.
        inodes = status.f_favail / status.f_files if status.f_files else 1.0
        found = f"{free / GIB:.1f} GiB and {100 * inodes:.0f} % of the inodes free at {there}"
        remedy = f"Make room: `retort gc` shows what nobody needs. A run takes about {LEAST_GIB} GiB."
        if free < LEAST_GIB * GIB or inodes < LEAST_INODES:
            yield fail(name, found, remedy)
        elif free < FEW_GIB * GIB or inodes < FEW_INODES:
            yield warn(name, found, remedy)
        else:
            yield ok(name, found)
        if not os.access(there, os.W_OK | os.X_OK):
            yield fail(name, f"{there} cannot be written", "Correct its owner or mode, or set RETORT_HOME.")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.parents) if one.exists())


def clock(home: Path) -> Iterator[Check]:
    """Whether files of the home were written later than now, which means that the clock was set back."""
    newest = max((path.stat().st_mtime for path in _dated(home)), default=0.0)
    ahead = newest - time.time()
    if ahead > _AHEAD_SECONDS:
        remedy = "Set this machine's clock; until then ages of files and schedules are wrong."
        yield warn("clock", f"files of the home are {ahead:.0f} s ahead of it", remedy)
    else:
        yield ok("clock", "no file of the home is ahead of it")


def _dated(home: Path) -> Iterator[Path]:
    for pattern in ("*", "latest/*", "logs/*", "work/*"):
        yield from home.glob(pattern)


def printing() -> Iterator[Check]:
    """Whether reports can be printed as PDF, for which the system needs Pango."""
    missing = printable()
    if missing:
        yield warn("PDF reports", missing, "Install it; until then, reports are HTML, slides and cards.")
    else:
        yield ok("PDF reports", "Pango is there")


def graphics() -> Iterator[Check]:
    """Whether PyTorch can use the graphics processor, if the machine has one."""
    if not any(Path(device).exists() for device in _DEVICES):
        yield ok("graphics processor", "none; stages compute on the CPU")
        return
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        yield ok("graphics processor", f"{name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free")
    else:
        remedy = "Install the build of PyTorch for its driver; until then, stages compute on the CPU."
        yield warn("graphics processor", f"there is one that PyTorch {torch.__version__} cannot use", remedy)
