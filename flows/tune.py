"""Hyper-parameter search: the pipeline up to `distill`, again and again, for the lowest validation loss.

Each trial's stages are in the store like those of any run: what trials share is computed once, and a trial
that was cut short goes on from its checkpoint.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from configs.load import load_run_config
from configs.schema import RunConfig
from configs.schema_platform import PlatformConfig
from configs.section import Precision
from configs.space import Axis, override
from flows.external import external_digests
from flows.graph import check_source, walk
from flows.run import prepare, resolve, run_tags
from flows.tune_study import ERROR, RUN, ask, ended, open_study, records, take_up
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef, canonical_json, sha256_bytes
from tasks.shared.caching import library_versions, source_state
from tasks.shared.disk import write_file
from tasks.shared.env import Env
from tasks.shared.errors import DataError, Problem, ServiceError, StageError, StoreError
from tasks.shared.hardware import faster_precision
from tasks.shared.tracking import FLOW_KEY, Tracker, error_text
from tasks.stage_spec import StageSpec, flatten

if TYPE_CHECKING:
    from optuna import Study

LAST = "distill"
OBJECTIVE = "valid_nll"
SUMMARY = "tune.json"
# What would end every trial alike.
FATAL = (DataError, StoreError, ServiceError)


@dataclass(frozen=True)
class Search:
    """What is searched: a configuration and what varies in it.

    Attributes:
        profile: The profile; None for the default case.
        overrides: What holds in every trial.
        axes: What varies.
        trials: How many trials there are to be, those of earlier calls included.
    """

    profile: Path | None
    overrides: tuple[str, ...]
    axes: tuple[Axis, ...]
    trials: int

    def own_overrides(self, params: Mapping[str, Any]) -> list[str]:
        """What the command line would say for one trial, beside what holds in all."""
        return [override(axis.key, params[axis.key]) for axis in self.axes]

    def config(self, params: Mapping[str, Any]) -> RunConfig:
        """The configuration of one trial."""
        return load_run_config(self.profile, [*self.overrides, *self.own_overrides(params)])


@dataclass(frozen=True)
class Lab:
    """Where trials are run, recorded and shown, and what is the same for all of them."""

    place: Place
    tracker: Tracker
    console: Console
    external: Mapping[str, str]
    precision: Precision
    source: str


def tune(search: Search, platform: PlatformConfig, env: Env, console: Console) -> dict[str, Any]:
    """Run trials until enough have ended, and return what `latest/tune.json` holds: the best first.

    Args:
        search: What is searched.
        platform: Where to compute.
        env: What the machine says.
        console: Where progress is shown.

    Raises:
        DataError: What comes from outside is missing, or there is nothing to validate on.
        StageError: The source was edited during the search.
    """
    source = source_state()
    precision = faster_precision(env.home / "cache" / "precision.json")
    base = load_run_config(search.profile, search.overrides)
    config, place, _ = prepare(base, platform, env, console.quiet)
    external = external_digests(config, place)
    tree = config.model_dump(mode="json")
    digest = question_digest(tree, search.axes, external)
    name = f"{config.name}-{digest[:12]}"
    with (
        place.store().lease(f"tune/{digest}", lambda: console.print("tune: waiting for another search")),
        open_study(env.home / "tune" / f"{config.name}.db", name) as study,
        place.tracker() as tracker,
    ):
        tracker.open("tune", run_tags(config) | {FLOW_KEY: digest}, flatten(tree))
        for trial in ended(study):
            tracker.link(f"trial-{trial.number}", trial.user_attrs[RUN])
        take_up(study, search.axes, flatten(tree))
        lab = Lab(place, tracker, console, external, precision, source)
        while len(ended(study)) < search.trials:
            run_trial(study, search, lab, config.seed)
        summary = summarise(study, search)
        if summary["overrides"]:
            tracker.headline({OBJECTIVE: summary["trials"][0]["value"]})
    latest = env.home / "latest"
    latest.mkdir(parents=True, exist_ok=True)
    write_file(latest / SUMMARY, json.dumps(summary, indent=1).encode())
    return summary


def question_digest(tree: Mapping[str, Any], axes: tuple[Axis, ...], external: Mapping[str, str]) -> str:
    """What makes two searches one: the same configuration, space, dataset, teacher, code and libraries."""
    space = [[axis.key, *map(str, (axis.low, axis.high, axis.log, axis.choices))] for axis in axes]
    code = {"source": source_state(), "libraries": library_versions()}
    return sha256_bytes(canonical_json({"config": tree, "space": space, "external": dict(external), **code}))


def run_trial(study: "Study", search: Search, lab: Lab, seed: int) -> None:
    """Run one trial and record it, whether it succeeds or fails; one that is interrupted stays open.

    Raises:
        DataError, StoreError, ServiceError: What would end every other trial too.
    """
    from optuna.trial import TrialState

    check_source(lab.source)
    trial = ask(study, search.axes, seed)
    label = f"trial-{trial.number}"
    try:
        with lab.tracker.stage(label, study.study_name, trial.params) as run:
            trial.set_user_attr(RUN, run.id)
            place = lab.place.patient().model_copy(update={"parent_run": run.id})
            value = valid_nll(resolve(search.config(trial.params), lab.precision), place, lab.external)
            run.metrics({OBJECTIVE: value})
    except FATAL:
        raise
    except Exception as error:
        trial.set_user_attr(ERROR, error_text(error))
        study.tell(trial, state=TrialState.FAIL)
        lab.console.print(f"{label}: failed: {error_text(error)}", markup=False, highlight=False)
    else:
        study.tell(trial, value)
        lab.console.print(f"{label}: {OBJECTIVE} {value:.4f}", markup=False, highlight=False)


def valid_nll(config: RunConfig, place: Place, external: Mapping[str, str]) -> float:
    """Mean negative log-likelihood of the validation answers after distillation, nats a token.

    Raises:
        DataError: There are no validation questions.
        StageError: It is no finite number.
    """
    from tasks.stage import execute

    def compute(spec: StageSpec) -> ArtifactRef:
        return execute(spec, place).ref

    value = walk(config, external, compute, until=LAST)[LAST].summary[OBJECTIVE]
    if value is None:
        raise DataError(
            Problem("data", "no validation questions", "some to choose by", "Raise `data.valid_share`.")
        )
    if not math.isfinite(value):
        raise StageError(
            Problem(f"distill/{OBJECTIVE}", str(value), "a finite number", "Lower `distill.learning_rate`.")
        )
    return float(value)


def summarise(study: "Study", search: Search) -> dict[str, Any]:
    """All trials, best first, and what to paste to have the best one."""
    rows = records(study)
    best = [row for row in rows if row["error"] is None][:1]
    overrides = [*search.overrides, *search.own_overrides(best[0]["params"])] if best else []
    return {"study": study.study_name, "objective": OBJECTIVE, "trials": rows, "overrides": overrides}


def print_trials(summary: Mapping[str, Any], profile: Path | None, console: Console) -> None:
    """A table of the trials, best first, and the command that runs the best one."""
    table = Table(title=summary["study"], title_justify="left")
    for name in ("trial", summary["objective"], "s", *summary["trials"][0]["params"]):
        table.add_column(name.replace(".", " ").replace("_", " "), overflow="fold")
    for row in summary["trials"]:
        value = "failed" if row["value"] is None else f"{row['value']:.4f}"
        params = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row["params"].values()]
        table.add_row(str(row["trial"]), value, str(row["seconds"]), *params)
    console.print(table, markup=False)
    for row in summary["trials"]:
        if row["error"]:
            console.print(f"trial {row['trial']}: {row['error']}", markup=False, highlight=False)
    if summary["overrides"]:
        words = ["retort", "run", *([str(profile)] if profile else []), *summary["overrides"]]
        console.print(" ".join(words), markup=False, highlight=False, soft_wrap=True)
