"""The one Prefect task: a thin layer around `tasks.stage.execute`.

Prefect is told the key that was computed in `tasks.shared.caching`; its own policies would leave out what a
stage imports, and put in the id of the run.
"""

from typing import Any

from prefect import task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.serializers import Serializer
from prefect.utilities.dispatch import get_registry_for_type

from tasks.place import Place
from tasks.stage_spec import StageSpec


def forget_pickle() -> None:
    """Take the pickle serialisers out of Prefect's registry.

    Reading obeys the stored record, not the task: whoever can write a record that names `pickle` could
    otherwise run code in every worker. Without the serialiser such a record is a cache miss.
    """
    registry = get_registry_for_type(Serializer) or {}
    for name in [name for name in registry if "pickle" in name or "compressed" in name]:
        del registry[name]


forget_pickle()


class StageKey(CachePolicy):
    """Gives Prefect the key of the stage."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The key in the spec."""
        return str(inputs["spec"]["key"])


@task(
    name="stage",
    task_run_name="{spec[stage]}",
    cache_policy=StageKey(),
    persist_result=True,
    result_serializer="json",
)
def run_stage(spec: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    """Give the artifact of one stage: from the store, by computing it, or from the pool that computes it."""
    where = Place.model_validate(place)
    if where.pools:
        from tasks.pool_stage import submit as give
    else:
        from tasks.stage import execute as give
    return give(StageSpec.model_validate(spec), where).model_dump(mode="json")
