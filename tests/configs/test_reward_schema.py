"""The section `reward`: what goes together."""

import pytest

from configs.errors import ConfigError
from configs.load import load_run_config


def test_margins_are_of_pairs_and_rankings_have_none() -> None:
    for loss in ("bradley_terry", "rao_kupper"):
        config = load_run_config(None, [f"reward.loss={loss}", "reward.margin_scale=0.3"])
        assert config.reward.margin_scale == 0.3
    with pytest.raises(ConfigError, match=r"`reward.margin_scale` 0.3 is between pairs.*Change one of them"):
        load_run_config(None, ["reward.loss=plackett_luce", "reward.margin_scale=0.3"])


@pytest.mark.parametrize(
    "override",
    ["reward.loss=davidson", "reward.ensemble=0", "reward.floor_weight=-1", 'reward.warm_start=""'],
)
def test_what_is_out_of_bounds_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load_run_config(None, [override])
