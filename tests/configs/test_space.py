"""What a search may vary: read from YAML and held against the schema."""

from pathlib import Path

import pytest

from configs.errors import ConfigError, Problem
from configs.space import DEFAULT_SPACE, Axis, override, read_space

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def read(tmp_path: Path, text: str, *overrides: str) -> tuple[Axis, ...]:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path, SMOKE, overrides)


def wrong(tmp_path: Path, text: str, *overrides: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, *overrides)
    return caught.value.problems


def test_ranges_and_choices(tmp_path: Path) -> None:
    text = (
        "distill.learning_rate: {low: 1e-4, high: 2e-3, log: true}\n"
        "distill.warmup_steps: {low: 5, high: 60}\n"
        "distill.divergence: {choices: [forward_kl, reverse_kl]}\n"
    )
    rate, steps, divergence = read(tmp_path, text)
    assert rate == Axis("distill.learning_rate", 1e-4, 2e-3, log=True)
    assert steps == Axis("distill.warmup_steps", 5, 60, whole=True)
    assert divergence == Axis("distill.divergence", choices=("forward_kl", "reverse_kl"))
    assert (rate.ends, divergence.ends) == ((1e-4, 2e-3), ("forward_kl", "reverse_kl"))


def test_what_a_space_reaches() -> None:
    rate = Axis("distill.learning_rate", 1e-4, 2e-3)
    assert [rate.holds(value) for value in (1e-4, 5e-4, 2e-3, 9e-5, 0.1, "x")] == [True] * 3 + [False] * 3
    kind = Axis("distill.divergence", choices=("forward_kl",))
    assert (kind.holds("forward_kl"), kind.holds("reverse_kl")) == (True, False)


def test_the_space_that_comes_along_holds_the_configuration_that_comes_along() -> None:
    from configs.load import load_run_config

    config = load_run_config(None, []).model_dump(mode="json")
    for axis in read_space(DEFAULT_SPACE, None, []):
        section, _, name = axis.key.partition(".")
        assert axis.holds(config[section][name]), axis.key


def test_all_unknown_keys_are_named_with_near_ones(tmp_path: Path) -> None:
    text = "distill.lerning_rate: {low: 1, high: 2}\nstudent.layer: {low: 1, high: 2}\n"
    first, second = wrong(tmp_path, text)
    assert first.remedy == "Did you mean `distill.learning_rate`?"
    assert "space.yaml:1" in first.got
    assert second.remedy == "Did you mean `student.layers`?"


@pytest.mark.parametrize("key", ["ppo.updates", "data.max_rows", "teacher.source", "seed", "evaluate.shots"])
def test_a_key_that_does_not_decide_the_loss_is_refused(tmp_path: Path, key: str) -> None:
    [problem] = wrong(tmp_path, f"{key}: {{low: 1, high: 2}}\n")
    assert problem.what == key
    assert problem.expected == "a key of distill, label, score, student"


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("5", "5"),
        ("{low: 1}", '{"low": 1}'),
        ("{low: 1, high: 2, step: 1}", '"step"'),
        ("{low: 1, high: 2, choices: [1, 2]}", '"choices"'),
        ("{low: a, high: 2}", "no number"),
        ("{low: true, high: 2}", "no number"),
        ("{low: 2, high: 2}", "not below"),
        ("{low: 0, high: 0.1, log: true}", "not above 0"),
        ("{low: 0.1, high: 0.2, log: 3}", "neither true nor false"),
        ("{choices: [1]}", "two scalars or more"),
        ("{choices: forward_kl}", "two scalars or more"),
        ("{choices: [[1], [2]]}", "two scalars or more"),
    ],
)
def test_a_form_that_is_none(tmp_path: Path, stated: str, said: str) -> None:
    [problem] = wrong(tmp_path, f"distill.kd_weight: {stated}\n")
    assert said in problem.got
    assert "space.yaml:1" in problem.got


def test_bounds_outside_the_schemas_are_said_with_their_line(tmp_path: Path) -> None:
    choices = "distill.divergence: {choices: [forward_kl, kl]}\n"
    text = f"# a comment\ndistill.kd_weight: {{low: -1, high: 0.5}}\n{choices}"
    low, choice = wrong(tmp_path, text)
    path = tmp_path / "space.yaml"
    assert (low.what, low.got) == ("distill.kd_weight", f"-1 ({path}:2)")
    assert (choice.what, choice.got) == ("distill.divergence", f'"kl" ({path}:3)')
    [problem] = wrong(tmp_path, "distill.warmup_steps: {low: 1.5, high: 3}\n")
    assert problem.got.startswith("1.5")


def test_bounds_that_contradict_the_profile_are_found(tmp_path: Path) -> None:
    # The smoke profile freezes one layer of the reward model, PPO's policy and DPO's.
    problems = wrong(tmp_path, "student.layers: {low: 1, high: 3}\n")
    assert any("must be below `student.layers` 1" in problem.got for problem in problems)


def test_a_file_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_space(tmp_path / "gone.yaml", SMOKE, [])
    [problem] = wrong(tmp_path, "# nothing\n")
    assert problem.got == "no keys"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "k=0.25"), (1e-05, "k=1e-05"), (3, "k=3"), (True, "k=true"), ("forward_kl", "k=forward_kl")],
)
def test_an_override_is_written_as_the_command_line_takes_it(value: object, text: str) -> None:
    assert override("k", value) == text  # type: ignore[arg-type]


def test_a_small_number_survives_the_command_line(tmp_path: Path) -> None:
    from configs.load import load_run_config

    for value in (1e-05, 1.2345678901234567e-07, 0.1):
        key = "distill.learning_rate"
        assert load_run_config(SMOKE, [override(key, value)]).distill.learning_rate == value
