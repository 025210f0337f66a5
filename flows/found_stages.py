"""Stages that were all computed before: a run of them starts no server and imports no model library."""

import time

from flows.results import StageOutcome
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.stage_spec import StageSpec


class NotCached(Exception):
    """Raised when a stage has no artifact, or a damaged one."""


class FoundStages:
    """Looks each stage's artifact up; fits `flows.graph.RunStage`.

    Attributes:
        outcomes: Of the stages so far, in order.
    """

    def __init__(self, place: Place) -> None:
        self.outcomes: list[StageOutcome] = []
        self._place = place
        self._store = place.store()

    def __call__(self, spec: StageSpec) -> ArtifactRef:
        """Give the artifact of a stage.

        Raises:
            NotCached: It must be computed.
        """
        started = time.monotonic()
        ref = self._place.find(self._store, spec.key)
        if ref is None:
            raise NotCached(spec.stage)
        seconds = round(time.monotonic() - started, 3)
        self.outcomes.append(
            StageOutcome(name=spec.stage, state="cached", seconds=seconds, ref=ref, run_id=None)
        )
        return ref
