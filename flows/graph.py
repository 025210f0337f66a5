"""The pipeline: which stage reads what. The one place where the order of things is written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from configs.schema import RunConfig
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.caching import source_state, stage_key
from tasks.shared.errors import Problem, StageError
from tasks.stage_spec import StageSpec

Refs = dict[str, ArtifactRef]


@dataclass(frozen=True)
class Stage:
    """A stage as the graph knows it.

    Attributes:
        module: Module of its `run`.
        reads: Parts of the configuration in its key.
        external: Inputs from outside the store in its key: `dataset`, `general`, `teacher`, `student`,
            `people`.
        needs: Stages whose artifacts it reads.
        files: Files of ours, other than modules, in its key.
    """

    module: str
    reads: tuple[str, ...]
    needs: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


PIPELINE: Mapping[str, Stage] = {
    "clean": Stage("tasks.clean", ("data",), external=("dataset", "general")),
    "label": Stage("tasks.label", ("label", "teacher"), ("clean",), ("teacher",)),
    "score": Stage("tasks.score", ("score", "teacher"), ("label",), ("teacher",)),
    "distill": Stage(
        "tasks.distill",
        ("distill", "score", "student", "teacher"),
        ("clean", "label", "score"),
        ("teacher", "student"),
    ),
    "feedback": Stage("tasks.collect_feedback", ("feedback",), ("clean", "distill"), ("people",)),
    "reward": Stage("tasks.train_reward", ("reward",), ("clean", "distill", "feedback")),
    "ppo": Stage("tasks.align_ppo", ("ppo", "name"), ("clean", "distill", "reward")),
    "evaluate": Stage("tasks.evaluate", ("evaluate", "teacher"), ("clean", "distill", "ppo"), ("teacher",)),
    "report": Stage(
        "tasks.report",
        ("name",),
        ("clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate"),
        files=("tasks/templates/report.html",),
    ),
}

# What `flows.ladder` adds: other ways up, and an examination of any model. A run does not walk them.
LADDER: Mapping[str, Stage] = {
    "dpo": Stage("tasks.align_dpo", ("dpo",), ("clean", "distill", "feedback")),
    "examine": Stage("tasks.examine", ("evaluate", "teacher"), ("clean", "model"), ("teacher",)),
    "examine_teacher": Stage("tasks.examine", ("evaluate", "teacher"), ("clean",), ("teacher",)),
}


class RunStage(Protocol):
    """Gives the artifact of a stage, however it comes by it."""

    def __call__(self, spec: StageSpec) -> ArtifactRef:
        """Give the artifact of what the spec asks for."""


def walk(
    config: RunConfig, external: Mapping[str, str], run_stage: RunStage, until: str | None = None
) -> Refs:
    """Go through the stages in order, each with the artifacts that it needs.

    Args:
        config: The resolved configuration.
        external: Digest of each external input, by name.
        run_stage: Called once a stage; what it returns is what later stages read.
        until: The last stage to go to; None for all.

    Raises:
        StageError: The source was edited meanwhile.
    """
    refs: Refs = {}
    loaded = source_state()
    for name in PIPELINE:
        spec = make_spec(name, config, external, refs)
        check_source(loaded)
        refs[name] = run_stage(spec)
        if name == until:
            break
    return refs


def check_source(loaded: str) -> None:
    """Refuse to go on when the source was edited: this process may have loaded what a key no longer says.

    Raises:
        StageError: The source is not in the state that was given.
    """
    if source_state() != loaded:
        raise StageError(
            Problem("tasks", "source edited during the run", "the source as it was", "Start the run again.")
        )


def make_spec(name: str, config: RunConfig, external: Mapping[str, str], refs: Refs) -> StageSpec:
    """What a stage is to compute, with its key."""
    stage = {**PIPELINE, **LADDER}[name]
    tree = config.model_dump(mode="json")
    sections = {part: tree[part] for part in (*stage.reads, "seed")}
    inputs = {need: refs[need] for need in stage.needs}
    outside = {part: external[part] for part in stage.external}
    digests = {need: ref.sha256 for need, ref in inputs.items()}
    key = stage_key(name, stage.module, sections, digests, outside, stage.files)
    return StageSpec(
        stage=name, module=stage.module, key=key, config=sections, inputs=inputs, external=outside
    )
