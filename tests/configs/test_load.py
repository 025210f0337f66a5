"""The configurations that Retort ships, and the way to them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError
from configs.layers import read_layers
from configs.load import describe_run_keys, load_platform, load_run_config, resolved_yaml
from configs.schema import RunConfig

FOLDER = Path(__file__).parents[2] / "configs"
NO_PROFILES = ("base.yaml", "tune.yaml")
PROFILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name not in NO_PROFILES)
PLATFORMS = sorted(path.stem for path in (FOLDER / "platform").glob("*.yaml"))


def test_all_files_are_found() -> None:
    assert {path.stem for path in PROFILES} >= {"nutrition", "smoke"}
    assert set(PLATFORMS) >= {"embedded", "local"}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_every_profile_loads_and_its_resolved_text_gives_it_back(profile: Path, tmp_path: Path) -> None:
    config = load_run_config(profile, [])
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(resolved_yaml(config), encoding="utf-8")
    assert read_layers(RunConfig, [resolved]) == config
    assert load_run_config(resolved, []) == config


def test_the_default_profile_is_nutrition() -> None:
    assert load_run_config(None, []) == load_run_config(FOLDER / "nutrition.yaml", [])


def test_the_command_line_goes_before_the_profile() -> None:
    for seed in (4, 5):
        assert load_run_config(None, [f"seed={seed}"]).seed == seed


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_run_config(None, [])
    for name in ("SEED", "seed", "RETORT_SEED", "PPO__EPOCHS"):
        monkeypatch.setenv(name, "77")
    assert load_run_config(None, []) == config


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_loads(name: str) -> None:
    load_platform(name)


def test_a_mistyped_profile_suggests_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    with pytest.raises(ConfigError) as caught:
        load_run_config(Path("configs/smok.yaml"), [])
    (problem,) = caught.value.problems
    assert problem.what == "configs/smok.yaml"
    assert problem.remedy == "Did you mean `configs/smoke.yaml`?"


@pytest.mark.parametrize(
    ("name", "remedy"), [("locale", "Did you mean `local`?"), ("../base", "Choose one of them.")]
)
def test_an_unknown_platform(name: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_platform(name)
    (problem,) = caught.value.problems
    assert (problem.what, problem.got, problem.remedy) == ("platform", f"`{name}`", remedy)


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:  # an empty one is a value: no names yet
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_base_states_every_key_that_is_described() -> None:
    described = {key.key: json.loads(key.default or '"none"') for key in describe_run_keys()}
    stated = dict(leaves(yaml.safe_load((FOLDER / "base.yaml").read_text(encoding="utf-8"))))
    assert set(described) == set(stated)
    assert described["seed"] == stated["seed"]
    assert all(key.type and key.default for key in describe_run_keys())


def test_a_student_has_no_more_top_layers_than_layers() -> None:
    stated = ["student.layers=13", "distill.tuning.layers=14"]
    load_run_config(None, stated)
    load_run_config(None, [stated[0], "distill.tuning.way=top_layers", "distill.tuning.layers=13"])
    with pytest.raises(ConfigError, match=r"`distill.tuning.layers` 14 exceeds `student.layers` 13"):
        load_run_config(None, [*stated, "distill.tuning.way=top_layers"])
