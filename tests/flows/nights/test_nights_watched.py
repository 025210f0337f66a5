"""Nights on a real server that go wrong: killed, hanging, late, without their server or their worker."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psutil
import pytest

from tasks.shared.processes import stop
from tasks.shared.servers import PREFECT, WORKER, send_events
from tasks.shared.service_files import prefect_login

if TYPE_CHECKING:
    from tests.flows.nights.conftest import World

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]


def test_runs_that_died_or_hang_are_given_up(world: "World") -> None:
    """Prefect notes heartbeats and heeds them in nothing; a run killed by SIGKILL would run for ever."""
    from prefect import flow
    from prefect.client.schemas.objects import StateType
    from prefect.states import Pending, Running, State

    from flows.automations import give_up_dead, give_up_hanging, give_up_late

    client, soon = world.client, timedelta(seconds=10)
    made = [client.create_automation(one(soon)) for one in (give_up_dead, give_up_hanging, give_up_late)]

    @flow
    def by_hand() -> None: ...

    dead, hanging, late = runs = [client.create_flow_run(by_hand) for _ in range(3)]
    client.set_flow_run_state(dead.id, Running(), force=True)
    client.set_flow_run_state(hanging.id, Pending(), force=True)
    client.set_flow_run_state(late.id, State(type=StateType.SCHEDULED, name="Late"), force=True)
    # A beat that overtakes the event of the state before it counts as answered: as in life, more follow.
    for _ in range(10):
        assert send_events(world.port, prefect_login(world.home), [_beat(dead.id)]) is None
        if world.comes(lambda: [world.state(run) for run in runs] == ["Crashed", "Crashed", "Cancelled"], 30):
            break
    assert [world.state(run) for run in runs] == ["Crashed", "Crashed", "Cancelled"]
    for id in made:
        client.delete_automation(id)


def _beat(run: UUID) -> dict[str, Any]:
    """A heartbeat of a run, as its own process would send it."""
    return {
        "id": str(uuid4()),
        "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "payload": {},
    }


def test_a_restarted_server_still_knows_who_has_the_slot(world: "World") -> None:
    """Leases are in the server's memory by default: after a restart the next renewal would end the night."""
    run = world.begin("third")
    current = world.client.read_flow_run(run.id).state
    assert current is not None
    lease = current.state_details.deployment_concurrency_lease_id
    assert lease is not None
    stop([world.records[PREFECT].process], 15)
    world.serve()
    world.wait()
    world.client.renew_concurrency_lease(lease, 300)
    fourth = world.start("fourth")
    world.until(lambda: world.state(fourth) == "Cancelled")
    world.go_on()
    world.until(lambda: world.state(run) == "Completed")


def test_a_night_that_was_killed_starts_again(world: "World") -> None:
    from flows.nights import read_nights

    run, count = world.begin("fifth"), world.notes().count("began []")
    children = psutil.Process(world.records[WORKER].process.pid).children(recursive=True)
    [engine] = [child for child in children if "prefect.engine" in child.cmdline()]
    engine.kill()
    world.until(lambda: world.state(run) == "Crashed")
    world.until(lambda: world.notes().count("began []") == count + 1)
    world.until(lambda: read_nights().last[0].state == "Completed")
    assert "retort: a night crashed" in read_nights().last[0].by


# The last: there is no worker any more.
def test_a_worker_that_is_stopped_takes_its_night_with_it(world: "World") -> None:
    run = world.begin("sixth")
    worker = psutil.Process(world.records[WORKER].process.pid)
    family = [worker, *worker.children(recursive=True)]
    stop([world.records[WORKER].process], 15)
    assert psutil.wait_procs(family, timeout=20)[1] == []
    # Nobody was left to say so: its heartbeats will be missed.
    assert world.state(run) == "Running"
