"""An environment for the last TRL that has a PPO trainer, beside the one that is running.

Only `trl` itself is installed there. Everything else, torch and transformers above all, is taken from the
running interpreter, so that both sides of a comparison compute with the same libraries.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from benchmarks.harness import BenchmarkError

VERSION = "1.12.0"
FOLDER = Path(".retort/benchmarks") / f"trl-{VERSION}"
PTH = "running_interpreter.pth"


def python_with_trl(folder: Path = FOLDER) -> Path:
    """The Python of the environment, which is made if it is not there; a second call changes nothing.

    Raises:
        BenchmarkError: The package cannot be installed.
    """
    python = folder.absolute() / "bin" / "python"
    if not (folder / "installed").exists() or not python.exists():
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(folder)
        _install(_site_packages(folder))
        (folder / "installed").touch()
    _see_running_interpreter(_site_packages(folder))
    return python


def _site_packages(folder: Path) -> Path:
    places = {"base": str(folder.absolute()), "platbase": str(folder.absolute())}
    return Path(sysconfig.get_path("purelib", scheme="venv", vars=places))


def _see_running_interpreter(site_packages: Path) -> None:
    """Add the running interpreter's packages; those of the environment itself come first on the path."""
    places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site_packages / PTH).write_text("".join(f"{place}\n" for place in places))


def _install(site_packages: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command += ["--no-compile", "--no-deps", "--target", str(site_packages), f"trl=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(
            f"trl=={VERSION}",
            f"pip ended with {done.returncode}: {done.stderr.strip()[-500:]}",
            "an installed package",
            "Check the package index that pip uses.",
        )
