"""What the README tells people to type works: targets exist, overrides fit the schema, quick commands run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from configs.load import load_run_config

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    shlex.split(line.removeprefix("$ "), comments=True)
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("$ ")
]
INLINE = re.search(r"`(retort run data\.kind=pairs.*?)`", README, re.DOTALL)


def commands_of(program: str) -> list[list[str]]:
    return [command[1:] for command in COMMANDS if command[0] == program]


def test_the_readme_has_the_commands_that_it_promises() -> None:
    assert {"run", "test", "up", "down"} <= {arguments[0] for arguments in commands_of("make")}
    assert {"run", "summary", "config"} <= {arguments[0] for arguments in commands_of("retort")}


@pytest.mark.parametrize("arguments", commands_of("make"), ids=" ".join)
def test_every_make_target_exists(arguments: list[str]) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [rest[1:] for rest in commands_of("retort") if rest[0] == "run"], ids=" ".join
)
def test_every_run_has_a_configuration_that_fits(arguments: list[str]) -> None:
    profile = Path(arguments[0]) if arguments and arguments[0].endswith(".yaml") else None
    assert load_run_config(ROOT / profile if profile else None, [a for a in arguments if "=" in a])


def test_the_command_for_ones_own_data_fits_the_schema() -> None:
    assert INLINE is not None
    config = load_run_config(None, INLINE.group(1).split()[2:])
    assert (config.data.kind, config.data.prompt_column) == ("pairs", "question")


@pytest.mark.parametrize(
    "arguments", [rest for rest in commands_of("retort") if rest[0] == "config"], ids=" ".join
)
def test_quick_commands_run(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ppo.learning_rate" in done.stdout


@pytest.mark.parametrize("arguments", commands_of(".venv/bin/python"), ids=" ".join)
def test_every_program_named_explains_itself(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.parametrize("path", re.findall(r"`((?:tasks|docs|configs|tests|flows)/[\w./]*)`", README))
def test_every_path_named_exists(path: str) -> None:
    assert (ROOT / path).exists()
