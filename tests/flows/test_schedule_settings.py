"""What `retort schedule set` keeps, without any server."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from configs.errors import ConfigError
from configs.load import load_platform
from flows.schedule import change_schedule, connect, read_schedule
from tasks.shared.env import Env
from tasks.shared.errors import ServiceError

if TYPE_CHECKING:
    from tests.flows.conftest import Retort

# Prefect's reader of cron is asked, and its import takes seconds on a quiet machine.
pytestmark = pytest.mark.timeout(300)


def test_what_is_set_is_kept_and_only_what_differs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    default = load_platform("local").schedule
    assert default is not None
    assert read_schedule(home) == default
    change_schedule(home, ["cron=30 3 * * 1-5", "overrides=[ppo.updates=4]"])
    change_schedule(home, ["threshold=7"])
    expected = {"cron": "30 3 * * 1-5", "overrides": ("ppo.updates=4",), "threshold": 7}
    assert read_schedule(home) == default.model_copy(update=expected)
    assert "timezone" not in (home / "schedule.yaml").read_text()
    change_schedule(home, ["threshold=50"])
    assert "threshold" not in (home / "schedule.yaml").read_text()


def test_a_change_that_cannot_be_is_not_kept(tmp_path: Path) -> None:
    change_schedule(tmp_path, ["threshold=7"])
    before = (tmp_path / "schedule.yaml").read_bytes()
    with pytest.raises(ConfigError) as caught:
        change_schedule(tmp_path, ["threshold=0", "timezone=Mars/Olympus", "tresh=1"])
    found = {problem.what for problem in caught.value.problems}
    assert found == {"schedule.threshold", "schedule.timezone", "schedule.tresh"}
    # Five fields, but no hour is the 99th: only Prefect's own reader knows.
    with pytest.raises(ConfigError, match="0 99"):
        change_schedule(tmp_path, ["cron=0 99 * * *"])
    assert (tmp_path / "schedule.yaml").read_bytes() == before


def test_a_home_without_a_schedule_says_which_file_to_mend(tmp_path: Path) -> None:
    (tmp_path / "schedule.yaml").write_text("schedule: null\n")
    with pytest.raises(ConfigError, match=str(tmp_path / "schedule.yaml")):
        read_schedule(tmp_path)


def test_nobody_is_there_to_start_a_night(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="retort up"):
        connect(Env(tmp_path))


def test_the_commands_without_servers(retort: "Retort") -> None:
    done = retort("schedule", "set", "threshold=7", "timezone=Europe/Berlin")
    assert (done.code, done.out) == (0, "Kept. It takes effect with `retort up`.\n"), done.err
    shown = retort("schedule", "show")
    assert "0 2 * * * (Europe/Berlin), or 7 judgements within 24 hours" in shown.out
    assert "No servers are running" in shown.out
    nobody = retort("schedule", "approve", "--by", " ", "--reason", "")
    assert (nobody.code, nobody.out) == (2, "")
    assert "2 problems" in nobody.err
    started = retort("schedule", "start")
    assert (started.code, started.out) == (2, "")
    assert "retort up" in started.err
