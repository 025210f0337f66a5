"""The pipeline: which stage reads what. The one place where the order of things is written down.

Which stages a run walks depends on `align`: see `route`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from configs.schema import RunConfig
from configs.schema_platform import Resources
from flows.mending import mend
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.caching import source_state, stage_key
from tasks.shared.errors import Problem, StageError
from tasks.stage_spec import StageSpec

Refs = dict[str, ArtifactRef]

# Of a stage that asks no model anything, and of one that does.
LIGHT = Resources(gpus=0, cpus=1, memory_gib=4)
HEAVY = Resources(gpus=1, cpus=2, memory_gib=12)


@dataclass(frozen=True)
class Stage:
    """A stage as the graph knows it.

    Attributes:
        module: Module of its `run`.
        reads: Parts of the configuration in its key.
        external: Inputs from outside the run in its key: `dataset`, `general`, `teacher`, `student`,
            `people`, `warm_start`, `window`, `judge`, `harness`, `probes`.
        needs: Stages whose artifacts it reads; `aligned` is the one that aligns the student in this run.
        files: Files of ours, other than modules, in its key.
        resources: What it needs of the machine.
    """

    module: str
    reads: tuple[str, ...]
    needs: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    resources: Resources = HEAVY


# In the place of the stage named in `align`, whichever that is; who reads its model need not know.
ALIGNED = "aligned"
# What the pages of stage `report` are made of, beside modules.
PAGE_FILES = ("report.html", "report.css", "card.md", "words.en.yaml", "words.fr.yaml")

PIPELINE: Mapping[str, Stage] = {
    "clean": Stage("tasks.clean", ("data",), external=("dataset", "general"), resources=LIGHT),
    "label": Stage("tasks.label", ("label", "teacher"), ("clean",), ("teacher",)),
    "score": Stage("tasks.score", ("score", "teacher"), ("label",), ("teacher",)),
    "distill": Stage(
        "tasks.distill",
        ("distill", "score", "student", "teacher"),
        ("clean", "label", "score"),
        ("teacher", "student"),
    ),
    "feedback": Stage(
        "tasks.collect_feedback",
        ("feedback", "teacher", "data"),
        ("clean", "distill"),
        ("people", "teacher"),
        files=("tasks/ai_endpoint.py",),
    ),
    "reward": Stage("tasks.train_reward", ("reward",), ("clean", "distill", "feedback"), ("warm_start",)),
    "ppo": Stage("tasks.align_ppo", ("ppo", "name"), ("clean", "distill", "reward")),
    "dpo": Stage("tasks.align_dpo", ("dpo", "name"), ("clean", "distill", "feedback")),
    "evaluate": Stage(
        "tasks.evaluate",
        ("evaluate", "teacher"),
        ("clean", "distill", "reward", ALIGNED),
        ("teacher", "judge", "harness"),
        files=("tasks/ai_endpoint.py",),
    ),
    "assess": Stage(
        "tasks.assess",
        ("assess", "teacher", "student", "data"),
        ("clean", "distill", ALIGNED, "evaluate"),
        ("teacher", "probes"),
    ),
    "report": Stage(
        "tasks.report",
        ("name", "report"),
        ("clean", "label", "score", "distill", "feedback", "reward", ALIGNED, "evaluate", "assess"),
        files=tuple(f"tasks/templates/{name}" for name in PAGE_FILES),
        resources=LIGHT,
    ),
}

# Stages of the pipeline that belong to one value of `align` alone.
ALIGNMENTS: Mapping[str, tuple[str, ...]] = {"ppo": ("reward", "ppo"), "dpo": ("dpo",)}

# What `flows.ladder` adds: an examination of any model. A run does not walk it.
LADDER: Mapping[str, Stage] = {
    "examine": Stage("tasks.examine", ("evaluate", "teacher"), ("clean", "model"), ("teacher",)),
    "examine_teacher": Stage("tasks.examine", ("evaluate", "teacher"), ("clean",), ("teacher",)),
}

# What `flows.night_graph` adds: a night begins with new feedback and ends with a decision. What `decide`
# reads are artifacts of `examine`, by what each model is to the night. A run does not walk it.
NIGHT: Mapping[str, Stage] = {
    "collect": Stage(
        "tasks.collect_new_feedback", ("collect", "data"), ("clean",), ("window",), resources=LIGHT
    ),
    "drift": Stage("tasks.measure_drift", ("drift",), ("clean", "distill", "collect")),
    "examine_unrefined": Stage("tasks.examine", ("evaluate", "teacher"), ("clean", "distill"), ("teacher",)),
    "decide": Stage("tasks.decide", ("promotion",), ("challenger", "champion", "unrefined"), resources=LIGHT),
}


class RunStage(Protocol):
    """Gives the artifact of a stage, however it comes by it."""

    def __call__(self, spec: StageSpec) -> ArtifactRef:
        """Give the artifact of what the spec asks for."""


def route(align: str) -> list[str]:
    """Names of the stages that a run with this way to align the student walks, in order."""
    others = {name for way, own in ALIGNMENTS.items() if way != align for name in own}
    return [name for name in PIPELINE if name not in others]


def walk(
    config: RunConfig, external: Mapping[str, str], run_stage: RunStage, until: str | None = None
) -> Refs:
    """Go through the stages in order, each with the artifacts that it needs; a damaged one is made anew.

    Args:
        config: The resolved configuration.
        external: Digest of each external input, by name.
        run_stage: Called once a stage, and again for all when one was damaged; what it returns is what later
            stages read.
        until: The last stage to go to; None for all.

    Raises:
        StageError: The source was edited meanwhile.
    """
    loaded = source_state()

    def once() -> Refs:
        refs: Refs = {}
        for name in route(config.align):
            spec = make_spec(name, config, external, refs)
            check_source(loaded)
            refs[name] = run_stage(spec)
            if name == until:
                break
        return refs

    return mend(once)


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
    """What a stage is to compute, with its key; it reads nothing of stages that the run does not walk."""
    stage = _stage(name)
    tree = config.model_dump(mode="json")
    sections = {part: tree[part] for part in (*stage.reads, "seed")}
    elsewhere = PIPELINE.keys() - set(route(config.align))
    needed = [need for need in stage.needs if need not in elsewhere]
    inputs = {need: refs[config.align if need == ALIGNED else need] for need in needed}
    outside = {part: external[part] for part in stage.external}
    return _specify(name, sections, inputs, outside)


def check_code(spec: StageSpec) -> None:
    """Refuse a spec that other code than this one wrote: what is computed would not be what its key says.

    Raises:
        StageError: This code gives the same question another key.
    """
    if _specify(spec.stage, spec.config, spec.inputs, spec.external).key != spec.key:
        got, remedy = "another version than that of the run", "Build the image anew and start it everywhere."
        raise StageError(Problem(f"code or libraries of stage {spec.stage}", got, "the same", remedy))


def _specify(
    name: str, sections: dict[str, Any], inputs: Mapping[str, ArtifactRef], outside: dict[str, str]
) -> StageSpec:
    stage = _stage(name)
    digests = {need: ref.sha256 for need, ref in inputs.items()}
    return StageSpec(
        stage=name,
        module=stage.module,
        key=stage_key(name, stage.module, sections, digests, outside, stage.files),
        config=sections,
        inputs=dict(inputs),
        external=outside,
        resources=stage.resources,
    )


def _stage(name: str) -> Stage:
    return {**PIPELINE, **LADDER, **NIGHT}[name]
