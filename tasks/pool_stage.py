"""A stage in a process or container of its own, which a worker of one of Prefect's pools starts."""

import time
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from configs.schema_platform import PoolsConfig, Resources
from tasks.place import Place, SetAsideError
from tasks.shared.errors import Problem, ServiceError, StageError
from tasks.stage_spec import StageResult, StageSpec

# Name of the flow that computes one stage; its deployments are named for what a stage needs.
FLOW = "stage"
# Somebody should hear of a stage that no worker takes.
_WAITS_SECONDS = 60.0


def submit(spec: StageSpec, place: Place) -> StageResult:
    """Give the stage's artifact: the one in the store, or one that a pool's worker has made.

    A stage whose process or container is lost is started again, and goes on from its last checkpoint.

    Raises:
        SetAsideError: An artifact that the stage reads was damaged and is set aside.
        ServiceError: Prefect does not know the pool's deployment.
        StageError: The stage failed, was cancelled, or was lost too often.
    """
    pools = place.pools
    assert pools is not None
    started = time.monotonic()
    found = _result(spec, place, started, computed=False)
    attempt, state = 0, None
    while found is None and attempt < pools.attempts:
        attempt += 1
        run, state = _run(spec, place, pools)
        if state.is_completed():
            found = _result(spec, place, started, computed=True)
        if found is None and not state.is_crashed():
            raise _failure(spec, place, run, state)
        if found is None:
            place.tell(f"{spec.stage}: its container was lost ({state.message}).")
    if found is None:
        raise StageError(
            Problem(
                spec.stage,
                f"lost {attempt} times: {state.message if state else ''}",
                "a process or container that lasts until the stage has ended",
                "Look at its log in Prefect. Out of memory? Give it more: `pools.resources` of the platform.",
            )
        )
    return found


def _result(spec: StageSpec, place: Place, started: float, computed: bool) -> StageResult | None:
    store = place.store()
    ref = place.find(store, spec.key)
    if ref is None:
        return None
    record = store.read_record(spec.key) or {}
    found = {
        "ref": ref,
        "state": record.get("state", "executed") if computed else "cached",
        "seconds": round(time.monotonic() - started, 3),
        "run_id": record.get("run_id"),
    }
    return StageResult.model_validate(found)


def _run(spec: StageSpec, place: Place, pools: PoolsConfig) -> tuple[UUID, State]:
    """Start a stage and wait for its end; cancel it if this process is told to stop meanwhile."""
    needs = pools.resources.get(spec.stage, spec.resources)
    with get_client(sync_client=True) as client:
        run = _start(spec, place, needs)
        try:
            return run, _wait(client, run, place, spec.stage, pools.poll_seconds)
        except BaseException:
            client.set_flow_run_state(run, Cancelling())
            raise


def _start(spec: StageSpec, place: Place, needs: Resources) -> UUID:
    name = f"{FLOW}/{needs.kind}"
    try:
        run = run_deployment(
            name,
            parameters={"spec": spec.model_dump(mode="json"), "parent_run": place.parent_run},
            flow_run_name=spec.stage,
            timeout=0,
            # The library may ask twice where an answer got lost.
            idempotency_key=uuid4().hex,
            job_variables=needs.model_dump(),
        )
    except ObjectNotFound:
        remedy = "Tell it: `retort deploy`, and start a worker for the pool."
        raise ServiceError(
            Problem(f"deployment {name}", "unknown to Prefect", "to be known", remedy)
        ) from None
    assert isinstance(run, FlowRun)
    return run.id


def _wait(client: SyncPrefectClient, run: UUID, place: Place, stage: str, pause: float) -> State:
    began, told = time.monotonic(), False
    while True:
        state = client.read_flow_run(run).state
        if state is not None and state.is_final():
            return state
        if (
            not told
            and state is not None
            and state.is_scheduled()
            and time.monotonic() - began > _WAITS_SECONDS
        ):
            place.tell(f"{stage}: no worker has taken it yet; is one running for its pool?")
            told = True
        time.sleep(pause)


def _failure(spec: StageSpec, place: Place, run: UUID, state: State) -> StageError | SetAsideError:
    """Why there is no artifact; an input that is gone was damaged, and is made anew by whoever walks on."""
    store = place.store()
    for ref in spec.inputs.values():
        if place.find(store, ref.key) != ref:
            problem = Problem(ref.key, "damaged, and set aside by the stage that read it", "an artifact", "")
            return SetAsideError(problem, ref.key)
    got = f"{state.name}: {state.message or 'without a word'}"
    remedy = f"Look at the log of flow run {run} in Prefect."
    return StageError(Problem(f"stage {spec.stage}", got, "to end with an artifact", remedy))
