"""The ladder of baselines: what each way of using or teaching a model gives, and what it costs.

Every rung answers the same held-out questions. Its stages are in the store like those of any run; each that
computes does so in a process of its own, so that its peak memory is its own.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest
from configs.load import load_run_config
from configs.schema import RunConfig
from configs.schema_platform import PlatformConfig
from flows.external import external_digests
from flows.graph import ALIGNMENTS, Refs, check_source, make_spec, route
from flows.ladder_results import ladder_chart, write_ladder
from flows.mending import mend
from flows.run import prepare, resolve, run_tags
from tasks.place import Place
from tasks.reporting.costs import known_cost, sum_costs
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.caching import source_state
from tasks.shared.env import Env
from tasks.shared.hardware import faster_precision
from tasks.shared.store import Store
from tasks.stage_spec import StageResult, StageSpec, flatten


@dataclass(frozen=True)
class Rung:
    """One way of using or teaching a model.

    Attributes:
        name: As it stands in the table.
        model: `teacher` or `student`: which one is used or taught.
        overrides: What differs from the base configuration.
        made_by: The stage whose artifact holds the model; None: the teacher as it is.
        paid: The stages whose cost counts, each for the rung alone that needs it.
    """

    name: str
    model: str
    overrides: tuple[str, ...]
    made_by: str | None = None
    paid: tuple[str, ...] = ()

    @property
    def align(self) -> str:
        """The way to align the student that its model comes by; below that, it does not matter."""
        return self.made_by if self.made_by and self.made_by in ALIGNMENTS else "ppo"


# The teacher itself as the student: where it comes from is filled in.
_TEACHER = (
    "student.kind=pretrained",
    "student.source={source}",
    "student.revision={revision}",
    "student.max_parameters=100000000000",
    "distill.kd_weight=0",
    "score.share=0",
)
_KD = ("label", "score", "distill")


def _tuned(name: str, way: str, rate: str) -> Rung:
    overrides = (*_TEACHER, f"distill.tuning.way={way}", f"distill.learning_rate={rate}")
    return Rung(name, "teacher", overrides, "distill", ("distill",))


RUNGS = (
    Rung("zero-shot", "teacher", ("evaluate.shots=0",)),
    Rung("one-shot", "teacher", ("evaluate.shots=1",)),
    Rung("few-shot", "teacher", ()),
    _tuned("prompt tuning", "prompt", "1e-2"),
    _tuned("IA3", "ia3", "1e-2"),
    _tuned("last layer", "last_layer", "5e-4"),
    _tuned("LoRA", "lora", "1e-3"),
    _tuned("QLoRA", "qlora", "1e-3"),
    Rung("full SFT", "student", ("distill.kd_weight=0", "score.share=0"), "distill", ("distill",)),
    Rung("KD", "student", (), "distill", _KD),
    Rung("KD + PPO", "student", (), "ppo", (*_KD, "feedback", "reward", "ppo")),
    Rung("KD + DPO", "student", (), "dpo", (*_KD, "feedback", "dpo")),
)


def rungs_named(text: str) -> list[str]:
    """Names of rungs out of a text with commas.

    Raises:
        ConfigError: There is no such rung.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [rung.name for rung in RUNGS]
    problems = [
        Problem(
            "--rungs",
            f"`{name}`",
            f"names out of {', '.join(known)}",
            did_you_mean(nearest(name, known), "Choose one of them."),
        )
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
    return names


class Climber:
    """Walks up the rungs, each only as far as its own model.

    Args:
        base: The profile and what the command line changes in it.
        place: Where stages compute.
        precision: What `precision: auto` means on this machine.
    """

    def __init__(self, base: tuple[Path | None, Sequence[str]], place: Place, precision: Any) -> None:
        self._base, self._place, self._precision = base, place, precision
        self._store: Store = place.store()
        self._source = source_state()

    def climb(self, rung: Rung) -> dict[str, Any]:
        """Compute what is missing for a rung, and give its line of the table."""
        return mend(lambda: self._climb(rung))

    def _climb(self, rung: Rung) -> dict[str, Any]:
        config = self._config(rung)
        external = external_digests(config, self._place)
        refs: Refs = {}
        for name in self._stages(rung):
            refs[name] = self._execute(make_spec(name, config, external, refs))
        model = refs[rung.made_by] if rung.made_by else None
        seen = {"clean": refs["clean"]} | ({"model": model} if model else {})
        examined = self._execute(
            make_spec("examine" if model else "examine_teacher", config, external, seen)
        ).summary
        costs = [self._cost(refs[name]) for name in rung.paid]
        return {
            "rung": rung.name,
            "model": rung.model,
            **{name: examined[name] for name in ("accuracy", "perplexity", "parameters", "rows")},
            "trained_parameters": model.summary["trained_parameters"] if model else 0,
            **sum_costs(costs),
        }

    def _config(self, rung: Rung) -> RunConfig:
        profile, overrides = self._base
        teacher = load_run_config(profile, overrides).teacher
        own = [text.format(source=teacher.source, revision=teacher.revision) for text in rung.overrides]
        way = f"align={rung.align}"
        return resolve(load_run_config(profile, [*overrides, *own, way]), self._precision)

    def _stages(self, rung: Rung) -> list[str]:
        """Stages that a rung needs, in order; the pipeline up to its model."""
        names = route(rung.align)
        return names[: names.index(rung.made_by or "clean") + 1]

    def _execute(self, spec: StageSpec) -> ArtifactRef:
        check_source(self._source)
        found = self._place.find(self._store, spec.key)
        if found is not None:
            return found
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            result = StageResult.model_validate(
                pool.submit(
                    _in_child, spec.model_dump(mode="json"), self._place.model_dump(mode="json")
                ).result()
            )
        return result.ref

    def _cost(self, ref: ArtifactRef) -> Mapping[str, Any]:
        return known_cost(self._store.read_record(ref.key) or {})


def _in_child(spec: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    """Run one stage in this process."""
    from tasks.stage import execute

    result = execute(StageSpec.model_validate(spec), Place.model_validate(place))
    return result.model_dump(mode="json")


def ladder(
    base: tuple[Path | None, Sequence[str]],
    names: Sequence[str],
    platform: PlatformConfig,
    env: Env,
    console: Console,
) -> list[dict[str, Any]]:
    """Climb the rungs of these names and record them; gives the lines of the table.

    Args:
        base: The profile and what the command line changes in it.
        names: Rungs, in the order of `RUNGS`; none: all.
        platform: Where to compute.
        env: What the machine says.
        console: Where progress is shown.
    """
    precision = faster_precision(env.home / "cache" / "precision.json")
    config, place, _ = prepare(load_run_config(*base), platform, env, console.quiet)
    chosen = [rung for rung in RUNGS if not names or rung.name in names]
    with place.tracker() as tracker:
        parent = tracker.open("ladder", run_tags(config), flatten(config.model_dump(mode="json")))
        climber = Climber(base, place.patient().model_copy(update={"parent_run": parent}), precision)
        lines = []
        for number, rung in enumerate(chosen, 1):
            console.print(f"[bold]rung {number} of {len(chosen)}:[/] {rung.name}", highlight=False)
            lines.append(climber.climb(rung))
        with tracker.stage("ladder", "ladder", {}) as run:
            run.table("ladder.json", [{k: json.dumps(v) for k, v in line.items()} for line in lines])
            run.figure("ladder.png", ladder_chart(lines))
    write_ladder(env.home / "latest", lines)
    return lines
