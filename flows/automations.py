"""What the Prefect server does by itself: it starts nights, and gives up runs that died or hang.

Prefect only notes the heartbeats of a run; that somebody misses them is one of these automations. They are
known by their names.
"""

from datetime import timedelta
from uuid import UUID

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from tasks.shared.announcer import RECORDED

ENOUGH = timedelta(hours=24)
# Ten heartbeats (`PREFECT_FLOWS_HEARTBEAT_FREQUENCY`): a stage may hold the interpreter for a while.
SILENCE = timedelta(minutes=5)
HANGING = timedelta(minutes=30)
# By then the next night is near, and it learns from the same feedback.
TOO_LATE = timedelta(hours=12)
AGAIN = timedelta(hours=6)

_ANY_RUN = "prefect.flow-run.*"
_RUN = "prefect.resource.id"


def automations_of(deployment: UUID, enabled: bool, threshold: int) -> list[AutomationCore]:
    """All that the server is told to do by itself.

    Args:
        deployment: The night's.
        enabled: Whether nights start by themselves.
        threshold: Judgements that start one before its time.
    """
    return [
        start_by_feedback(deployment, enabled, threshold),
        start_again(deployment, enabled),
        give_up_dead(),
        give_up_hanging(),
        give_up_late(),
    ]


def start_by_feedback(deployment: UUID, enabled: bool, threshold: int) -> AutomationCore:
    """Start a night when enough judgements came within a day.

    From its firing to the end of the day that began with the first of them, Prefect counts no further ones.
    """
    return AutomationCore(
        name="retort: enough feedback",
        description="Starts a night when enough judgements have come; the clock may start it sooner.",
        enabled=enabled,
        trigger=EventTrigger(expect={RECORDED}, posture=Posture.Reactive, threshold=threshold, within=ENOUGH),
        actions=[_run(deployment)],
    )


def start_again(deployment: UUID, enabled: bool) -> AutomationCore:
    """Start a night that crashed once more, so that it goes on from what is in the store.

    Prefect's own retries do not do: between two of them a limited run loses its slot.
    """
    return AutomationCore(
        name="retort: a night crashed",
        description="Starts it again, at most once in six hours; it goes on from its last checkpoint.",
        enabled=enabled,
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match_related={
                "prefect.resource.role": "deployment",
                "prefect.resource.id": f"prefect.deployment.{deployment}",
            },
            posture=Posture.Reactive,
            threshold=1,
            within=AGAIN,
        ),
        actions=[_run(deployment)],
    )


def give_up_dead(silence: timedelta = SILENCE) -> AutomationCore:
    """Call a run crashed that sent heartbeats and then, without having ended, no more."""
    message = f"Nothing was heard of it for {silence.total_seconds():.0f} s: it was killed."
    return AutomationCore(
        name="retort: runs that died",
        description="Without it they would stay Running for ever.",
        trigger=_missing("prefect.flow-run.heartbeat", silence),
        actions=[_call(StateType.CRASHED, message)],
    )


def give_up_hanging(hanging: timedelta = HANGING) -> AutomationCore:
    """Call a run crashed that was taken by a worker and never began: it holds the only slot."""
    message = "It was taken by the worker, but did not begin."
    return AutomationCore(
        name="retort: runs that never began",
        description="A night that hangs there would keep the next ones from starting.",
        trigger=_missing("prefect.flow-run.Pending", hanging),
        actions=[_call(StateType.CRASHED, message)],
    )


def give_up_late(too_late: timedelta = TOO_LATE) -> AutomationCore:
    """Cancel a run that no worker took for half a day."""
    message = "No worker took it in time; `retort up` starts one."
    return AutomationCore(
        name="retort: runs that no worker took",
        description="The next night learns from the same feedback.",
        trigger=_missing("prefect.flow-run.Late", too_late),
        actions=[_call(StateType.CANCELLED, message)],
    )


def _run(deployment: UUID) -> RunDeployment:
    # With the parameters that the deployment has.
    return RunDeployment(source="selected", deployment_id=deployment, parameters=None, job_variables=None)


def _call(state: StateType, message: str) -> ChangeFlowRunState:
    # Not by force: a run that ended meanwhile stays as it ended.
    return ChangeFlowRunState(state=state, name=None, message=message, force=False)


def _missing(first: str, within: timedelta) -> EventTrigger:
    """Fires when, after an event of a run, no event of the same run comes: neither that one nor another."""
    return EventTrigger(
        match={_RUN: _ANY_RUN},
        for_each={_RUN},
        after={first},
        expect={_ANY_RUN},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
