"""One stage as a flow: what a worker starts in a process or container of its own."""

from typing import Any

from prefect import flow

from flows.graph import check_code
from flows.places import present_place
from tasks.pool_stage import FLOW
from tasks.shared.env import read_env
from tasks.stage_spec import StageSpec


@flow(name=FLOW, log_prints=False, persist_result=False)
def stage(spec: dict[str, Any], parent_run: str | None = None) -> None:
    """Compute one stage, with the store and the tracker that the environment of this process names.

    Args:
        spec: What to compute; the artifact is in the store afterwards.
        parent_run: The tracker's run that it belongs to.
    """
    from tasks.stage import execute

    asked = StageSpec.model_validate(spec)
    check_code(asked)
    place, _ = present_place(read_env())
    execute(asked, place.patient().model_copy(update={"parent_run": parent_run, "quiet": False}))
