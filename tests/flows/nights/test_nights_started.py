"""Nights on a real server: told of once, one at a time, started by feedback, and suspended for a person."""

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tasks.shared.errors import ServiceError

if TYPE_CHECKING:
    from tests.flows.nights.conftest import World

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]


def test_a_second_bootstrap_changes_nothing(world: "World") -> None:
    from flows.deploy import bootstrap, find_deployment

    def everything() -> str:
        # As the server tells it, with the times of the last changes.
        told = world.client.request("POST", "/automations/filter", json={}).json()
        return json.dumps(told, sort_keys=True)

    before, found = everything(), find_deployment(world.client)
    assert found is not None
    assert len(json.loads(before)) == 5
    # Where nights run stays, too, when nobody says otherwise.
    assert bootstrap(world.schedule) == found.id
    assert everything() == before
    again = find_deployment(world.client)
    assert again is not None
    assert again.entrypoint == "pretended_night.nightly"
    assert again.job_variables["working_dir"] == found.job_variables["working_dir"] == str(world.folder)
    assert again.global_concurrency_limit is not None
    assert again.global_concurrency_limit.limit == 1
    assert again.concurrency_options is not None
    assert again.concurrency_options.collision_strategy.value == "CANCEL_NEW"
    assert again.concurrency_options.grace_period_seconds == 900
    [planned] = again.schedules
    told = planned.schedule.model_dump(include={"cron", "timezone"})
    assert told == {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}


def test_the_clock_plans_nights(world: "World") -> None:
    """With SQLAlchemy 2.1 Prefect's scheduler failed once a minute, and no night was ever planned."""
    from flows.nights import read_nights

    planned = world.until(lambda: read_nights().next).astimezone(ZoneInfo("Europe/Berlin"))
    assert (planned.hour, planned.minute) == (2, 0)
    assert 0 < (planned - datetime.now(UTC)).total_seconds() < 25 * 3600
    assert read_nights().workers == 1


def test_one_night_at_a_time(world: "World") -> None:
    from flows.nights import start_night

    first = world.begin("first")
    second = world.start("second")
    world.until(lambda: world.state(second) == "Cancelled")
    ended = world.client.read_flow_run(second.id).state
    assert ended is not None
    assert ended.message == "Deployment concurrency limit reached."
    with pytest.raises(ServiceError, match=first.name):
        start_night()
    world.go_on()
    world.until(lambda: world.state(first) == "Completed")
    assert "began ['second']" not in world.notes()


def test_enough_judgements_start_a_night(world: "World") -> None:
    from flows.nights import read_nights
    from tasks.shared.announcer import Announcer

    def announce(count: int) -> None:
        announcer = Announcer(world.home)
        announcer.recorded(count)
        announcer.close(60)

    before = {night.name for night in read_nights().last}
    announce(2)
    time.sleep(3)
    assert {night.name for night in read_nights().last} == before
    announce(1)
    [began] = world.until(lambda: [night for night in read_nights().last if night.name not in before])
    assert "retort: enough feedback" in began.by
    world.until(lambda: world.notes().count("began []") == 1)
    world.until(lambda: read_nights().last[0].state == "Completed")


def test_a_night_waits_for_a_person_and_goes_on_with_their_answer(world: "World") -> None:
    from flows.approval import Approval
    from flows.nights import answer, read_nights

    run = world.start("ask")
    world.until(lambda: world.state(run) == "Suspended")
    [question] = world.until(lambda: read_nights().waiting)
    assert (question.night.name, question.text) == (run.name, "**Gain 0.12** [0.03, 0.21]")
    said = Approval(approved=True, by="anna", reason="it is better")
    with pytest.raises(ServiceError, match=run.name):
        answer(said, "another")
    assert answer(said).name == run.name
    world.until(lambda: world.state(run) == "Completed")
    assert [line for line in world.notes() if "ask" in line or "anna" in line] == [
        "began ['ask']",
        "began ['ask']",
        "True anna it is better",
    ]
    with pytest.raises(ServiceError, match="none"):
        answer(said)
