"""What MLflow has of feedback that is withdrawn: models made from it, and the tables that show some."""

import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.tracking import STAGE_KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

INPUT = "retort.input."
TABLES = "tables"
_EMPTY = json.dumps({"columns": ["withdrawn"], "data": []})


class ModelVersion(BaseModel):
    """A version of a registered model.

    Attributes:
        name: Name of the registered model.
        version: Its number.
        aliases: Aliases that it has, such as `champion`.
        inputs: The artifacts in question that it was made from, by the stage that made them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    aliases: tuple[str, ...]
    inputs: dict[str, str]


def versions_made_from(line: MLflowLine, digests: Collection[str]) -> list[ModelVersion]:
    """All registered versions one of whose inputs has one of these digests, by name and number."""
    found = []
    with line.told():
        for version in _pages(line.client.search_model_versions):
            inputs = {
                tag.removeprefix(INPUT): digest
                for tag, digest in version.tags.items()
                if tag.startswith(INPUT) and digest in digests
            }
            if inputs:
                known = line.client.get_model_version(version.name, version.version)
                found.append(
                    ModelVersion(
                        name=version.name,
                        version=str(version.version),
                        aliases=tuple(sorted(known.aliases)),
                        inputs=dict(sorted(inputs.items())),
                    )
                )
    return sorted(found, key=lambda version: (version.name, int(version.version)))


def clear_tables(line: MLflowLine, keys: Collection[str]) -> int:
    """Overwrite the tables of the runs in which stages of these keys were executed; give their number."""
    cleared = 0
    with line.told():
        client = line.client
        experiments = [found.experiment_id for found in _pages(client.search_experiments)]
        for key in sorted(keys):
            for run in _runs(client, experiments, key):
                for file in client.list_artifacts(run.info.run_id, TABLES):
                    client.log_text(run.info.run_id, _EMPTY, file.path)
                    cleared += 1
    return cleared


def _runs(client: "MlflowClient", experiments: list[str], key: str) -> "Iterator[Run]":
    return _pages(
        client.search_runs, experiment_ids=experiments, filter_string=f"tags.`{STAGE_KEY}` = '{key}'"
    )


def _pages(search: Any, **wanted: Any) -> Iterator[Any]:
    """Everything that a search of MLflow finds, a page in memory at a time."""
    token = None
    while True:
        page = search(**wanted, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
