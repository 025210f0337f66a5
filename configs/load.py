"""Loads configurations by name: `base.yaml` < a profile < `section.key=value`, and the platforms."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest
from configs.key_help import KeyDescription, describe_keys
from configs.layers import read_layers
from configs.schema import RunConfig
from configs.schema_platform import PlatformConfig
from configs.yaml_text import read_yaml, write_yaml

_FOLDER = Path(__file__).parent
_BASE = _FOLDER / "base.yaml"
LADDER_PROFILE = _FOLDER / "ladder.yaml"
NIGHT_PROFILE = _FOLDER / "nightly.yaml"


def load_run_config(profile: Path | None, overrides: Sequence[str]) -> RunConfig:
    """Load what to run: the base, what the profile changes, what the command line changes.

    Args:
        profile: A YAML file that states only its differences from `base.yaml`; None for the default case.
        overrides: Texts of the form `section.key=value`, the value in YAML; later ones win.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    return read_layers(RunConfig, [_BASE, profile or _FOLDER / "nutrition.yaml"], overrides)


def load_platform(name: str, wishes: Path | None = None, overrides: Sequence[str] = ()) -> PlatformConfig:
    """Load where to run: `configs/platform/<name>.yaml`, what a home wishes, what the command line changes.

    Args:
        name: Of the platform.
        wishes: A YAML file that states only its differences; it need not be there.
        overrides: Texts of the form `section.key=value`, the value in YAML; later ones win.

    Raises:
        ConfigError: There is no such platform, or its file does not fit the schema.
    """
    folder = _FOLDER / "platform"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        remedy = did_you_mean(nearest(name, names), "Choose one of them.")
        raise ConfigError(Problem("platform", f"`{name}`", f"one of {', '.join(names)}", remedy))
    files = [folder / f"{name}.yaml"]
    if wishes is not None and wishes.exists():
        files.append(wishes)
    return read_layers(PlatformConfig, files, overrides)


def describe_run_keys() -> list[KeyDescription]:
    """Describe every key of a run's configuration, with the values of `base.yaml` as defaults."""
    base = read_yaml(_BASE.read_text(encoding="utf-8"), _BASE.name)
    return describe_keys(RunConfig, base.values)


def resolved_yaml(config: BaseModel) -> str:
    """Write a configuration with all its values, so that reading the text gives an equal configuration."""
    return write_yaml(config.model_dump(mode="json"))
