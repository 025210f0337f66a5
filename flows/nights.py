"""The nights that a Prefect server knows: those that were, those that come, and those that wait for a word.

Prefect must have been told where the server is (`flows.schedule.connect`) before this is imported.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import BaseModel, ConfigDict

from configs.errors import Problem
from flows.approval import Approval
from flows.deploy import find_deployment
from tasks.shared.errors import ServiceError
from tasks.shared.servers import POOL

SHOWN = 5
_SUSPENDED = "Suspended"
_AT_WORK = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


class Night(BaseModel):
    """A run of the night's deployment.

    Attributes:
        id: Prefect's id of it.
        name: Prefect's name of it.
        state: Prefect's name of its state.
        started: When it started, or is to start, in UTC.
        seconds: How long it has run, suspended time not counted.
        by: `clock`, `feedback` or whoever else an automation heard of, or `hand`.
        message: What Prefect says of the state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    name: str
    state: str
    started: datetime | None
    seconds: float
    by: str
    message: str


class Question(BaseModel):
    """What a suspended night waits for.

    Attributes:
        night: The night.
        text: What it asks, in Markdown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    night: Night
    text: str


class Nights(BaseModel):
    """What the server knows of nights.

    Attributes:
        next: The next that the clock starts; None if none is planned.
        last: Those that were or are, newest first.
        waiting: Those that wait for a person, newest first.
        workers: How many workers ask for work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    next: datetime | None
    last: list[Night]
    waiting: list[Question]
    workers: int


def read_nights() -> Nights:
    """What the server knows of nights.

    Raises:
        ServiceError: It knows no nights.
    """
    with get_client(sync_client=True) as client:
        night = _deployment(client)
        soon = _runs(client, night, states=[StateType.SCHEDULED], sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        done = [state for state in StateType if state != StateType.SCHEDULED]
        last = _runs(client, night, states=done, limit=SHOWN)
        workers = client.read_workers_for_work_pool(POOL)
        return Nights(
            next=next((run.expected_start_time for run in soon), None),
            last=[_as_night(run) for run in last],
            waiting=_waiting(client, night),
            workers=sum(worker.status == WorkerStatus.ONLINE for worker in workers),
        )


def start_night() -> Night:
    """Have the worker start a night now.

    Raises:
        ServiceError: The server knows no nights, or one is at work: the new one would be cancelled.
    """
    with get_client(sync_client=True) as client:
        night = _deployment(client)
        for run in _runs(client, night, states=_AT_WORK):
            raise ServiceError(
                Problem("night", f"`{run.name}`, which is at work", "no night at work", "Wait until it ends.")
            )
        return _as_night(client.create_flow_run_from_deployment(night))


def answer(approval: Approval, name: str | None = None) -> Night:
    """Let a suspended night go on with a person's answer.

    Args:
        approval: What they decided.
        name: Of the night; None for the newest that waits.

    Raises:
        ServiceError: None of that name waits, or it waits no longer.
    """
    with get_client(sync_client=True) as client:
        waiting = [one.night for one in _waiting(client, _deployment(client))]
        chosen = next((night for night in waiting if name in (None, night.name)), None)
        if chosen is None:
            names = ", ".join(f"`{night.name}`" for night in waiting) or "none"
            remedy = "`retort schedule show` shows which wait."
            raise ServiceError(Problem("night", repr(name or "any"), f"one that waits ({names})", remedy))
        result = client.resume_flow_run(chosen.id, run_input=approval.model_dump(mode="json"))
        if result.status != SetStateStatus.ACCEPT:
            reason = getattr(result.details, "reason", "it was refused")
            remedy = "Start another: `retort schedule start`."
            raise ServiceError(Problem(chosen.name, str(reason), "a night that goes on", remedy))
        return chosen


def _deployment(client: SyncPrefectClient) -> UUID:
    try:
        found = find_deployment(client)
    except PrefectHTTPStatusError as error:
        raise ServiceError(Problem("prefect", str(error), "an answer", "Look into its log.")) from error
    if found is None:
        raise ServiceError(
            Problem("night", "a server that does not know it", "a deployment of it", "Run `retort up` again.")
        )
    return found.id


def _runs(
    client: SyncPrefectClient,
    deployment: UUID,
    states: Sequence[StateType],
    sort: FlowRunSort = FlowRunSort.START_TIME_DESC,
    limit: int = 100,
    name: str | None = None,
) -> list[FlowRun]:
    state = FlowRunFilterState(
        type=FlowRunFilterStateType(any_=list(states)),
        name=FlowRunFilterStateName(any_=[name]) if name else None,
    )
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=state),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        sort=sort,
        limit=limit,
    )


def _waiting(client: SyncPrefectClient, deployment: UUID) -> list[Question]:
    runs = _runs(client, deployment, states=[StateType.PAUSED], name=_SUSPENDED)
    return [Question(night=_as_night(run), text=_asked(client, run)) for run in runs]


def _asked(client: SyncPrefectClient, run: FlowRun) -> str:
    keys = run.state.state_details.run_input_keyset if run.state else None
    if not keys or "description" not in keys:
        return ""
    return str(json.loads(client.read_flow_run_input(run.id, keys["description"])))


def _as_night(run: FlowRun) -> Night:
    return Night(
        id=run.id,
        name=run.name,
        state=run.state_name or "",
        started=run.start_time or run.expected_start_time,
        seconds=round(run.total_run_time.total_seconds(), 1),
        by=_started_by(run),
        message=(run.state.message if run.state else None) or "",
    )


def _started_by(run: FlowRun) -> str:
    if run.auto_scheduled:
        return "clock"
    creator: Any = run.created_by
    return str(creator.display_value) if creator is not None and creator.display_value else "hand"
