"""The main flow: from a dataset to an aligned model and a report; the order is in `flows.graph`."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from configs.schema import RunConfig
from flows.graph import Refs, walk
from flows.mending import mend
from flows.prefect_stages import PrefectStages
from flows.results import closing_markdown, load_figures
from tasks.place import Place


@flow(name="distill-align", log_prints=False, persist_result=False)
def distill_align(
    config: RunConfig, place: dict[str, Any], external: dict[str, str], tracking_url: str | None
) -> list[dict[str, Any]]:
    """Run every stage that is not in the store yet; return what became of each."""
    where = Place.model_validate(place)
    stages = PrefectStages(where)

    def finish() -> tuple[Refs, list[dict[str, Any]]]:
        refs = walk(config, external, stages)
        return refs, load_figures(where, refs["report"])

    refs, figures = mend(finish)
    table = closing_markdown(figures, refs["feedback"].summary)
    create_markdown_artifact(
        table, key="closing-table", description=f"{config.name}: comparison on held-out questions"
    )
    if tracking_url:
        create_link_artifact(tracking_url, link_text="MLflow run", key="mlflow-run")
    return [outcome.model_dump(mode="json") for outcome in stages.outcomes]
