"""Stages as Prefect tasks, inside a flow."""

from flows.results import StageOutcome
from tasks.place import Place
from tasks.run_stage import run_stage
from tasks.shared.artifacts import ArtifactRef
from tasks.stage_spec import StageResult, StageSpec


class PrefectStages:
    """Runs each stage as the one Prefect task, and keeps what became of it; fits `flows.graph.RunStage`.

    Attributes:
        outcomes: Of the stages so far, in order. A stage that this run computed stays so when it is found
            again, as happens after a damaged artifact was met.
    """

    def __init__(self, place: Place) -> None:
        self._outcomes: dict[str, StageOutcome] = {}
        self._place = place
        self._store = place.store()

    @property
    def outcomes(self) -> list[StageOutcome]:
        """What became of each stage."""
        return list(self._outcomes.values())

    def __call__(self, spec: StageSpec) -> ArtifactRef:
        """Give the artifact of a stage."""
        known = self._place.find(self._store, spec.key)
        # The store is the truth: Prefect may hold a record of an artifact that is gone, or was made anew.
        task = run_stage.with_options(refresh_cache=known is None)
        state = task(spec.model_dump(mode="json"), self._place.model_dump(mode="json"), return_state=True)
        result = StageResult.model_validate(state.result())
        outcome = StageOutcome.of(spec.stage, known or result.ref, result, cached=state.name == "Cached")
        before = self._outcomes.get(spec.key)
        if before is None or before.ref != outcome.ref or outcome.state != "cached":
            self._outcomes[spec.key] = outcome
        return outcome.ref
