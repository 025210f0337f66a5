"""A search's memory: what was tried, what was cut short, and what comes next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.space import Axis
from flows.tune_study import ERROR, RUN, ask, ended, open_study, records, take_up

AXES = (
    Axis("distill.learning_rate", 1e-4, 1e-2, log=True),
    Axis("distill.warmup_steps", 1, 50, whole=True),
    Axis("distill.divergence", choices=("forward_kl", "reverse_kl")),
)
BASE = {"distill.learning_rate": 1e-3, "distill.warmup_steps": 20, "distill.divergence": "reverse_kl"}


def loss(params: dict[str, Any]) -> float:
    return abs(params["distill.learning_rate"] - 2e-3) + 0.001 * params["distill.warmup_steps"]


def search(path: Path, trials: int, die_in: int | None = None, seed: int = 3) -> list[dict[str, Any]]:
    """Run trials of a loss that is a formula; one may be cut short. Gives all parameters by trial."""
    with open_study(path, "s") as study:
        take_up(study, AXES, BASE)
        while len(ended(study)) < trials:
            trial = ask(study, AXES, seed)
            if len(ended(study)) == die_in:
                break
            trial.set_user_attr(RUN, f"run-{trial.number}")
            study.tell(trial, loss(trial.params))
        return [trial.params for trial in ended(study)]


def test_the_first_trial_is_the_configuration_as_it_stands(tmp_path: Path) -> None:
    first, second = search(tmp_path / "s.db", 2)
    assert first == BASE
    assert second != BASE


def test_a_configuration_outside_the_space_is_not_tried(tmp_path: Path) -> None:
    with open_study(tmp_path / "s.db", "s") as study:
        take_up(study, AXES, BASE | {"distill.warmup_steps": 51})
        assert study.trials == []


def test_values_stay_within_the_space_and_do_not_repeat(tmp_path: Path) -> None:
    tried = search(tmp_path / "s.db", 8)
    assert all(axis.holds(params[axis.key]) for params in tried for axis in AXES)
    assert all(isinstance(params["distill.warmup_steps"], int) for params in tried)
    assert len({params["distill.learning_rate"] for params in tried}) == 8


def test_a_search_that_goes_on_tries_what_it_would_have_tried(tmp_path: Path) -> None:
    undisturbed = search(tmp_path / "whole.db", 7)
    for stop in (2, 5):
        search(tmp_path / "parts.db", stop)
    assert search(tmp_path / "parts.db", 7) == undisturbed
    assert search(tmp_path / "parts.db", 7) == undisturbed  # enough have ended


def test_a_trial_that_was_cut_short_is_tried_again(tmp_path: Path) -> None:
    undisturbed = search(tmp_path / "whole.db", 5)
    assert len(search(tmp_path / "cut.db", 5, die_in=3)) == 3
    assert search(tmp_path / "cut.db", 5) == undisturbed


def test_another_seed_tries_something_else(tmp_path: Path) -> None:
    first, second = (search(tmp_path / f"{seed}.db", 3, seed=seed) for seed in (1, 2))
    assert first[0] == second[0] == BASE
    assert first[1] != second[1]


def test_failed_trials_count_and_come_last(tmp_path: Path) -> None:
    from optuna.trial import TrialState

    with open_study(tmp_path / "s.db", "s") as study:
        for value in (3.0, None, 0.0, 2.0):
            trial = ask(study, AXES, 0)
            trial.set_user_attr(RUN, f"run-{trial.number}")
            if value is None:
                trial.set_user_attr(ERROR, "StageError: too large")
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, value)
        found = records(study)
    assert [(row["trial"], row["value"]) for row in found] == [(2, 0.0), (3, 2.0), (0, 3.0), (1, None)]
    assert [row["error"] for row in found] == [None, None, None, "StageError: too large"]
    assert found[0]["run"] == "run-2"
    assert set(found[0]["params"]) == {axis.key for axis in AXES}


def test_studies_of_other_names_do_not_mix(tmp_path: Path, make_study: Callable[[str], int]) -> None:
    assert [make_study(name) for name in ("a", "b", "a")] == [1, 1, 2]


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[[str], int]:
    def make(name: str) -> int:
        with open_study(tmp_path / "all.db", name) as study:
            study.tell(ask(study, AXES, 0), 1.0)
            return len(study.trials)

    return make
