"""What earlier runs of this home left: every place that holds some of it, and the last run's artifacts."""

from collections.abc import Sequence
from pathlib import Path

from flows.graph import ALIGNMENTS
from flows.places import present_place
from flows.results import load_latest
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.env import Env
from tasks.shared.errors import DataError, Problem, ServiceError
from tasks.shared.mlflow_client import MLflowLine


def find_last(place: Place, stages: Sequence[str]) -> dict[str, ArtifactRef]:
    """The last run's artifacts of these stages, by name; what it has not, or is gone, is not among them.

    Raises:
        DataError: No run has finished yet.
    """
    store = place.store()
    known = {stage["name"]: stage.get("ref") for stage in load_latest(place.home)["stages"]}
    found = {name: place.find(store, known[name]["key"]) for name in stages if known.get(name)}
    return {name: ref for name, ref in found.items() if ref is not None}


def all_places(env: Env) -> tuple[Place, MLflowLine | None]:
    """Every place of this home that may hold something; no MLflow if there was none yet.

    Raises:
        ServiceError: The home has an S3 store that does not run, so that it cannot be looked at.
    """
    place, services = present_place(env)
    if services is None and (env.home / "s3").exists():
        raise ServiceError(
            Problem(
                str(env.home / "s3"),
                "an artifact store whose server does not run",
                "to see what is in it",
                "Start it: `retort up`.",
            )
        )
    recorded = services is not None or (env.home / "mlflow.db").exists()
    return place, MLflowLine(place.tracking_uri) if recorded else None


class LastRun:
    """The last run below the home folder; its artifacts may be in the folder or on the servers of `up`."""

    def __init__(self, env: Env) -> None:
        self._place, _ = present_place(env)

    def aligned(self) -> tuple[Path, ArtifactRef]:
        """Like `fetch`, of the stage that aligned the student, whichever that was."""
        stages = list(ALIGNMENTS)  # each value of `align` is a stage's name
        return self.fetch(next(iter(find_last(self._place, stages)), " or ".join(stages)))

    def fetch(self, stage: str) -> tuple[Path, ArtifactRef]:
        """The verified folder of a stage's artifact, and the reference to it.

        Raises:
            DataError: No run has finished yet, or the store does not hold it.
        """
        ref = find_last(self._place, [stage]).get(stage)
        if ref is None:
            raise DataError(
                Problem(
                    stage,
                    "no artifact of the last run in the store",
                    "one that is there",
                    "Start the run again: `retort run`. What is there is not computed again.",
                )
            )
        return self._place.fetch(self._place.store(), ref), ref
