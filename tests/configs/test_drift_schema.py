"""The section `drift`: what goes together."""

import pytest

from configs.errors import ConfigError
from configs.load import load_run_config


def test_a_limit_warns_before_it_stops() -> None:
    assert load_run_config(None, ["drift.limits.tasks={warn: 0.2, stop: 0.2}"]).drift.limits.tasks.warn == 0.2
    with pytest.raises(ConfigError, match=r"`warn` 0.3 must not exceed its `stop` 0.2"):
        load_run_config(None, ["drift.limits.tasks={warn: 0.3, stop: 0.2}"])


@pytest.mark.parametrize(
    "override",
    [
        "drift.level=0",
        "drift.draws=99",
        "drift.gate=perhaps",
        "drift.limits.length.stop=1.5",
        "drift.questions=0",
    ],
)
def test_what_is_out_of_bounds_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load_run_config(None, [override])
