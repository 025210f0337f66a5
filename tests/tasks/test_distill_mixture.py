"""What stage `distill` says of a mixture that does not fit the rows."""

from pathlib import Path

import pytest

from configs.load import load_run_config
from configs.schema_distill import DistillConfig
from tasks.distill import learnt_rows
from tasks.ml.rows import GENERAL_FILE, ReferenceCheck, Row, write_rows
from tasks.shared.errors import StageError

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def row(task: str, split: str = "train") -> Row:
    return Row(
        id=f"{task}-{split}",
        task=task,
        groups=(),
        split=split,
        context="",
        question="What?",
        answer="That.",
        plain_words=1,
        medical=False,
        check=ReferenceCheck(text="That."),
    )


ROWS = [row("lookup"), row("comparison")]


def settings(**mixture) -> DistillConfig:
    config = load_run_config(SMOKE, []).distill
    return config.model_copy(update={"mixture": config.mixture.model_copy(update=mixture)})


def test_an_unknown_family_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        learnt_rows(ROWS, tmp_path, settings(weights={"lokup": 2, "lookup": 1, "zzz": 1}))
    first, second = caught.value.problems
    assert first.what == "distill.mixture.weights.lokup"
    assert first.expected == "one of comparison, lookup"
    assert first.remedy == "Did you mean `lookup`?"
    assert second.what == "distill.mixture.weights.zzz"


def test_a_mixture_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="0 for every family"):
        learnt_rows(ROWS, tmp_path, settings(weights={"lookup": 0, "comparison": 0}))
    assert learnt_rows(ROWS, tmp_path, settings(weights={"lookup": 0})) == ROWS


def test_only_general_rows_of_the_training_split_are_replayed_and_only_if_asked(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no row left to train on"):
        learnt_rows(ROWS, tmp_path, settings(replay_share=0.1))
    write_rows(tmp_path / GENERAL_FILE, [row("general"), row("general", "valid")])
    assert learnt_rows(ROWS, tmp_path, settings()) == ROWS
    learnt = learnt_rows(ROWS, tmp_path, settings(replay_share=0.1))
    assert [r.id for r in learnt] == ["lookup-train", "comparison-train", "general-train"]
