"""What a finished run leaves in the model registry: the model that it aligned, as a challenger."""

from collections.abc import Mapping

from configs.schema import RunConfig
from tasks.model_registry import Candidate, ModelRegistry, watermark_of
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.errors import ServiceError


def enter_model(config: RunConfig, place: Place, refs: Mapping[str, ArtifactRef], people: str) -> None:
    """Enter the aligned model, unless it has a number already.

    Args:
        config: What was run.
        place: Where.
        refs: Artifacts by the name of the stage.
        people: What names the feedback of the run.
    """
    candidate = Candidate(
        model=refs[config.align],
        clean=refs["clean"],
        distill=refs["distill"],
        reward=refs.get("reward"),
        feedback=people,
        watermark=watermark_of(people),
    )
    try:
        ModelRegistry(place, config.name).enter(candidate, f"aligned by {config.align} in a run", "run")
    except ServiceError as error:
        # The run is done, and the next one finds everything and enters it.
        place.tell(f"models: not entered ({error}); then start the run again.")
