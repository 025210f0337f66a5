"""Which settings of the section `student` go together."""

import pytest

from configs.errors import ConfigError
from configs.load import load_run_config


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["student.kind=pretrained"], "`student.source`, which is null"),
        (["student.source=owner/model"], "is not read by `student.kind` pruned"),
        (["student.kind=random", "student.source=owner/model"], "is not read by `student.kind` random"),
    ],
)
def test_settings_that_contradict_each_other(overrides: list[str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_config(None, overrides)
    [problem] = caught.value.problems
    assert named in problem.got


def test_a_pretrained_student_needs_no_layers_of_ours() -> None:
    # Nor our widths, which the default states.
    frozen = "reward.frozen_layers=24"
    config = load_run_config(None, ["student.kind=pretrained", "student.source=owner/model", frozen])
    assert config.student.source == "owner/model"
    with pytest.raises(ConfigError, match=r"student\.layers"):
        load_run_config(None, [frozen])


def test_the_default_student_keeps_whole_layers() -> None:
    student = load_run_config(None, []).student
    assert (student.kind, student.layers, student.layer_choice) == ("pruned", 12, "influence")
    assert (student.kv_heads, student.ffn_channels, student.hidden_channels) == (None, None, None)
    assert student.vocabulary == "trimmed"
