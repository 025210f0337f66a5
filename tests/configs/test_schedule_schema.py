"""When nights start: what a platform may say of it."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load_platform


def test_the_servers_have_a_schedule_and_the_folder_has_none() -> None:
    assert load_platform("embedded").schedule is None
    schedule = load_platform("local").schedule
    assert schedule is not None
    assert (schedule.enabled, schedule.cron, schedule.timezone) == (True, "0 2 * * *", "UTC")
    assert (schedule.threshold, schedule.profile, schedule.overrides) == (50, None, ())


def test_a_home_states_only_its_differences(tmp_path: Path) -> None:
    wishes = tmp_path / "schedule.yaml"
    default = load_platform("local", wishes)
    wishes.write_text("schedule: {timezone: Europe/Berlin}\n")
    changed = load_platform("local", wishes)
    assert default.schedule is not None
    expected = default.schedule.model_copy(update={"timezone": "Europe/Berlin"})
    assert changed == default.model_copy(update={"schedule": expected})
    again = load_platform("local", wishes, ["schedule.timezone=Asia/Tokyo"]).schedule
    assert again == default.schedule.model_copy(update={"timezone": "Asia/Tokyo"})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("schedule.timezone=Mars/Olympus", "schedule.timezone"),
        ("schedule.timezone=../../etc/passwd", "schedule.timezone"),
        ("schedule.cron=0 2 * *", "schedule.cron"),
        ("schedule.threshold=0", "schedule.threshold"),
        ("schedule.threshold=1001", "schedule.threshold"),
    ],
)
def test_what_no_server_could_heed_is_refused(change: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_platform("local", None, [change])
    assert [problem.what for problem in caught.value.problems] == [what]
