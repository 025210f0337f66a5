"""The night: new feedback in, a challenger, a decision; the champion is never replaced by a worse model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from configs.schema import RunConfig
from configs.schema_platform import PlatformConfig
from flows.found_stages import FoundStages, NotCached
from flows.graph import Refs
from flows.night_graph import LEAST_PREFERENCES, begin_from, walk_night
from flows.results import StageOutcome
from flows.run import prefect_server, prepare, run_name, run_tags, stages_rows
from tasks.model_records import Candidate, ModelVersion
from tasks.model_registry import ModelRegistry
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef, canonical_json, sha256_bytes
from tasks.shared.disk import write_file
from tasks.shared.env import Env, feedback_url
from tasks.shared.errors import DataError, Problem
from tasks.stage_spec import flatten

if TYPE_CHECKING:
    from tasks.feedback.store.window import Window

SUMMARY, PAGE = "night.json", "night.md"
GATE = "gate"  # who decides if no person does

Decision = Literal["promoted", "kept", "not enough", "awaits approval"]


class Word(NamedTuple):
    """What a person said of a challenger that passed the gate: whether it shall be champion, who, and why."""

    approved: bool
    by: str
    reason: str


# Told why a challenger passed the gate, and its number.
Approve = Callable[[str, int], Word]


class NightSummary(BaseModel):
    """What became of a night.

    Attributes:
        decision: What was decided.
        reason: Why.
        champion: Number of the version that is live afterwards.
        challenger: Number of the version that the night made, if it came so far.
        new_events: Events since the watermark of the champion that it started from.
        seconds: What it took.
        stages: What became of each stage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    reason: str
    champion: int
    challenger: int | None = None
    new_events: int
    seconds: float = 0.0
    stages: tuple[StageOutcome, ...] = ()


def run_night(
    config: RunConfig, platform: PlatformConfig, env: Env, console: Console, approve: Approve | None = None
) -> NightSummary:
    """Run a night if there is enough new feedback, and write `latest/night.json`.

    The same feedback again computes nothing and changes nothing. Of several nights that are started at once,
    one works and the others wait for it.

    Args:
        config: What to compute; data and student are those of the champion.
        platform: Where.
        env: What the machine says.
        console: Where progress is shown.
        approve: Asks a person, where `nightly.approval` wants one; None leaves the challenger waiting.

    Raises:
        DataError: There is no champion to start from.
    """
    started = time.monotonic()
    config, place, services = prepare(config, platform, env, console.quiet)
    registry = ModelRegistry(place, config.name)
    with place.store().lease(_lease_of(config.name), lambda: console.print("Waiting for another night.")):
        champion = present_champion(registry)
        config = begin_from(config, champion, len(new_feedback(champion, env, replay=0).new))
        window = new_feedback(champion, env, config.collect.replay)
        if len(window.new) < config.nightly.least_events:
            summary = _not_enough(config, champion, window)
        else:
            night = Night(config, champion, window, place)
            try:
                refs, outcomes = night.look_up()
            except NotCached:
                with prefect_server(env, services):
                    refs, outcomes = night.compute()
            summary = night.settle(registry, refs, approve).model_copy(update={"stages": tuple(outcomes)})
            night.show(refs, env.home / "latest")
    summary = summary.model_copy(update={"seconds": round(time.monotonic() - started, 1)})
    write_file(env.home / "latest" / SUMMARY, summary.model_dump_json(indent=1).encode())
    return summary


@dataclass(frozen=True)
class Night:
    """One night: what is computed, from which champion and which feedback, and where."""

    config: RunConfig
    champion: ModelVersion
    window: "Window"
    place: Place

    @cached_property
    def external(self) -> dict[str, str]:
        """Digests of what comes from outside the store, and of the champion's reward model."""
        from tasks.teacher_digest import teacher_digest
        from tasks.warm_start import warm_start_digest

        memo = self.place.home / "cache" / "digests.json"
        return {
            "window": self.window.name,
            "teacher": teacher_digest(self.config.teacher.source, self.config.teacher.revision, memo),
            "warm_start": warm_start_digest(self.config.reward.warm_start, self.place, memo),
        }

    def look_up(self) -> tuple[Refs, list[StageOutcome]]:
        """All artifacts of a night that was computed before.

        Raises:
            NotCached: At least one stage must run.
        """
        stages = FoundStages(self.place)
        return walk_night(self.config, self.champion, self.external, stages), stages.outcomes

    def compute(self) -> tuple[Refs, list[StageOutcome]]:
        """Run the flow through Prefect, recorded in MLflow."""
        with self.place.tracker() as tracker:
            params = flatten(self.config.model_dump(mode="json"))
            tags = run_tags(self.config) | {"retort.window": self.window.name}
            parent = tracker.open(f"night-{run_name(self.config)}", tags, params)
            from flows.night_flow import night_stages

            place = self.place.patient().model_copy(update={"parent_run": parent})
            found = night_stages(
                self.config,
                place.model_dump(mode="json"),
                self.champion.model_dump(mode="json"),
                self.external,
            )
            refs = {name: ArtifactRef.model_validate(ref) for name, ref in found["refs"].items()}
            outcomes = [StageOutcome.model_validate(outcome) for outcome in found["outcomes"]]
            tracker.stages_table(stages_rows(outcomes))
            if "decide" in refs:
                tracker.headline(night_figures(refs["decide"].summary))
        return refs, outcomes

    def settle(self, registry: ModelRegistry, refs: Refs, approve: Approve | None) -> NightSummary:
        """Do what was decided, once: a night that was settled before changes nothing."""
        common: dict[str, Any] = {"new_events": len(self.window.new), "champion": self.champion.number}
        if list(refs) == ["collect"]:
            found = refs["collect"].summary["majority_pairs"]
            reason = f"{found} preferences to learn from, fewer than {LEAST_PREFERENCES}."
            return NightSummary(decision="not enough", reason=reason, **common)
        if "decide" not in refs:
            return NightSummary(decision="kept", reason=self._why_it_ended(refs), **common)
        challenger = registry.enter(
            Candidate(
                model=refs["aligned"],
                clean=self.champion.clean,
                distill=self.champion.distill,
                reward=refs.get("reward"),
                feedback=self.window.name,
                watermark=self.window.watermark,
            ),
            f"A night from version {self.champion.number} with {len(self.window.new)} new events.",
            GATE,
        )
        evidence, reason = refs["decide"].key, str(refs["decide"].summary["reason"])
        common |= {"challenger": challenger.number}
        if _was_taken_back(registry, evidence):
            reason = f"Version {challenger.number} was promoted on this evidence, and rolled back."
            return NightSummary(decision="kept", reason=reason, **common)
        if refs["decide"].summary["decision"] != "promote":
            registry.keep(challenger.number, reason, GATE, evidence)
            return NightSummary(decision="kept", reason=reason, **common)
        by = GATE
        if self.config.nightly.approval:
            if approve is None:
                how = f"Promote it with `retort models promote {challenger.number}`."
                return NightSummary(decision="awaits approval", reason=f"{reason} {how}", **common)
            word = approve(f"Version {challenger.number} of {self.config.name}: {reason}", challenger.number)
            by, reason = word.by, f"{word.reason} The gate: {reason}"
            if not word.approved:
                registry.keep(challenger.number, reason, by, evidence)
                return NightSummary(decision="kept", reason=f"Not approved by {by}. {reason}", **common)
        registry.promote(challenger.number, reason, by, evidence, against=self.champion.number)
        common["champion"] = challenger.number
        return NightSummary(decision="promoted", reason=reason, **common)

    def show(self, refs: Refs, latest: Path) -> None:
        """Put the decision's page where people find it."""
        if "decide" in refs:
            folder = self.place.fetch(self.place.store(), refs["decide"])
            write_file(latest / PAGE, (folder / "decision.md").read_bytes())

    def _why_it_ended(self, refs: Refs) -> str:
        name, ref = list(refs.items())[-1]
        if name == "drift":
            return (
                f"The new feedback is not what the champion was made for: {' '.join(ref.summary['reasons'])}"
            )
        from tasks.ml.card_files import headline, load_card

        verdict, _ = load_card(self.place.fetch(self.place.store(), ref))
        reasons = " ".join(f"{reason}." for reason in verdict.reasons)
        return f"The reward model's card says {headline(verdict)}. {reasons}"


def present_champion(registry: ModelRegistry) -> ModelVersion:
    """The model that is live.

    Raises:
        DataError: None is.
    """
    champion = registry.champion()
    if champion is None:
        remedy = "See `retort models list`; then `retort models promote NUMBER --reason WHY` makes the first."
        raise DataError(Problem("champion", "none", "a model to start from and to compare with", remedy))
    return champion


def new_feedback(champion: ModelVersion, env: Env, replay: int) -> "Window":
    """What people said since the champion's watermark, and so many earlier events at most."""
    from tasks.feedback.store.window import open_window

    return open_window(feedback_url(env.home), champion.watermark, replay)


def _was_taken_back(registry: ModelRegistry, evidence: str) -> bool:
    """Whether a decision was carried out before; if the night starts from the old champion again, in vain."""
    return any(entry.act == "promoted" and entry.evidence == evidence for entry in registry.entries())


def _not_enough(config: RunConfig, champion: ModelVersion, window: "Window") -> NightSummary:
    new, least = len(window.new), config.nightly.least_events
    reason = f"{new} new events since the champion's, fewer than the {least} of `nightly.least_events`."
    return NightSummary(decision="not enough", reason=reason, champion=champion.number, new_events=new)


def _lease_of(name: str) -> str:
    """The key that a night of this use case holds while it lasts."""
    return f"night/{sha256_bytes(canonical_json(name))}"


def night_figures(decided: Mapping[str, Any]) -> dict[str, float]:
    """What a night's run in the tracker shows, by the names of stage `decide`; an endless end is left out.

    Args:
        decided: The summary of stage `decide`.
    """
    names = ("promotion/gain", "promotion/gain_low", "promotion/gain_high")
    gain = {name: value for name, value in zip(names, decided["gain"], strict=True) if value is not None}
    return gain | {"promotion/promote": float(decided["decision"] == "promote")}
