"""The main flow: from a dataset to an aligned model and a report; the order is in `flows.graph`."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from configs.schema import RunConfig
from flows.graph import walk
from flows.results import StageOutcome, closing_markdown, load_figures
from tasks.place import Place
from tasks.run_stage import run_stage
from tasks.shared.artifacts import ArtifactRef
from tasks.stage_spec import StageResult, StageSpec


@flow(name="distill-align", log_prints=False, persist_result=False)
def distill_align(
    config: RunConfig, place: dict[str, Any], external: dict[str, str], tracking_url: str | None
) -> list[dict[str, Any]]:
    """Run every stage that is not in the store yet; return what became of each."""
    where = Place.model_validate(place)
    outcomes: list[StageOutcome] = []

    def through_prefect(spec: StageSpec) -> ArtifactRef:
        known = where.find(where.store(), spec.key) is not None
        # The store is the truth: Prefect may hold a record of an artifact that is gone.
        task = run_stage.with_options(refresh_cache=not known)
        state = task(spec.model_dump(mode="json"), place, return_state=True)
        result = StageResult.model_validate(state.result())
        outcomes.append(StageOutcome.of(spec.stage, result, cached=state.name == "Cached"))
        return result.ref

    refs = walk(config, external, through_prefect)
    table = closing_markdown(load_figures(where, refs["report"]), refs["feedback"].summary)
    create_markdown_artifact(
        table, key="closing-table", description=f"{config.name}: comparison on held-out questions"
    )
    if tracking_url:
        create_link_artifact(tracking_url, link_text="MLflow run", key="mlflow-run")
    return [outcome.model_dump(mode="json") for outcome in outcomes]
