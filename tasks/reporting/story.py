"""What there is to tell of a run, in no language and no form: tables of numbers, texts, notices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from tasks.ml.card_files import load_card
from tasks.ml.closing import LINES, METHODS, MODELS
from tasks.reporting.doubts import doubts_about
from tasks.reporting.footprint import footprint
from tasks.reporting.numbers import Number, Numbers
from tasks.reporting.parts import ALIGNED, Part, Parts, load_rows_of, own_run, state_of
from tasks.reporting.pens import Estimate

Row = Mapping[str, Any]
# The figures that a page leads with.
LEADING = ("accuracy", "gold_win_rate", "perplexity", "words", "tokens_per_second", "parameters")
STUDENTS = ("distilled", "aligned")
RULES = ("length_rule", "position_rule", "length_model", "length_shadow")


@dataclass(frozen=True)
class TableRow:
    """One metric of several models."""

    metric: str
    unit: str
    cells: Mapping[str, Estimate]


@dataclass(frozen=True)
class Difference:
    """What a model has more than another.

    Attributes:
        row: As stage `evaluate` wrote it.
        estimate: The difference.
        p: Its p-value, adjusted for all comparisons; None if there is none.
    """

    row: Row
    estimate: Estimate
    p: Number | None


@dataclass(frozen=True)
class StageLine:
    """How a stage came into the run; `key` is the name of its part, which differs for the one that aligns."""

    key: str
    name: str
    part: Part
    state: str
    reads: tuple[str, ...]
    seconds: Number | None
    kwh: Number | None
    memory: Number | None


@dataclass(frozen=True)
class Notice:
    """Something that nobody should overlook: a message with what fills its gaps."""

    key: str
    parts: Mapping[str, Any]


class Story:
    """A run, ready to be told.

    Attributes:
        name: Of the use case.
        parts: What its stages left.
        numbers: All numbers that may be shown.
    """

    def __init__(self, name: str, parts: Parts) -> None:
        self.name, self.parts, self.numbers = name, parts, Numbers(parts)
        self.numbers.add(footprint(self))

    @property
    def date(self) -> datetime | None:
        """When the last stage was computed; None if that was not recorded."""
        moments = [part.record["finished_at"] for part in self.parts.values() if "finished_at" in part.record]
        return datetime.fromisoformat(max(moments)) if moments else None

    @property
    def method(self) -> str:
        """How the student was aligned."""
        return METHODS[self.parts[ALIGNED].ref.summary["algorithm"]]

    def load(self, stage: str, name: str) -> Any:
        """A JSON file of a stage; an empty list where there is none."""
        return load_rows_of(self.parts, stage, name)

    @cached_property
    def figures(self) -> Mapping[str, Sequence[Row]]:
        """The figures of each stage that has some."""
        return {stage: self.load(stage, "figures.json") for stage in ("evaluate", "assess")}

    @cached_property
    def doubts(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """Rules that figures break, by metric and model."""
        return doubts_about([row for rows in self.figures.values() for row in rows])

    def estimate(self, stage: str, metric: str, model: str) -> Estimate | None:
        """A figure with its interval; None if the stage has none."""
        unit, doubts = self._units.get((metric, model), ""), self.doubts.get((metric, model), ())
        return self.read(stage, f"{metric}/{model}", unit, doubts)

    def read(self, stage: str, key: str, unit: str, doubts: tuple[str, ...] = ()) -> Estimate | None:
        """A metric with the ends of its interval, where those were logged beside it."""
        value, low, high = (self.numbers.find(stage, f"{key}{end}") for end in ("", "_low", "_high"))
        return Estimate(value, unit, low, high, doubts) if value else None

    @cached_property
    def _units(self) -> Mapping[tuple[str, str], str]:
        return {
            (row["metric"], row["model"]): row.get("unit") or ""
            for rows in self.figures.values()
            for row in rows
        }

    def anywhere(self, metric: str, model: str) -> Estimate | None:
        """A figure of whichever stage has it."""
        found = (self.estimate(stage, metric, model) for stage in self.figures)
        return next((estimate for estimate in found if estimate), None)

    def table(self, stage: str, metrics: Iterable[str]) -> list[TableRow]:
        """One row a metric that any model has."""
        rows = []
        for metric in metrics:
            cells = {model: self.estimate(stage, metric, model) for model in self.models(stage)}
            known = {model: cell for model, cell in cells.items() if cell}
            if known:
                rows.append(TableRow(metric, next(iter(known.values())).unit, known))
        return rows

    def models(self, stage: str = "evaluate") -> list[str]:
        """The models that a stage has figures of, in the order of the closing table."""
        there = dict.fromkeys(row["model"] for row in self.figures[stage])
        return [model for model in MODELS if model in there] + [m for m in there if m not in MODELS]

    @property
    def closing(self) -> list[TableRow]:
        """The metrics of the closing table."""
        return self.table("evaluate", (metric for metric, *_ in LINES))

    @property
    def families(self) -> list[TableRow]:
        """Accuracy by family of questions."""
        names = dict.fromkeys(row["metric"] for row in self.figures["evaluate"])
        return self.table("evaluate", (n for n in names if n.startswith("accuracy_") and "gain" not in n))

    @property
    def others(self) -> list[TableRow]:
        """All metrics that no other table shows."""
        shown = {row.metric for row in (*self.closing, *self.families)}
        names = dict.fromkeys(row["metric"] for row in self.figures["evaluate"])
        return self.table("evaluate", (name for name in names if name not in shown))

    @property
    def assessed(self) -> list[TableRow]:
        """The figures of the assessment."""
        return self.table("assess", dict.fromkeys(row["metric"] for row in self.figures["assess"]))

    @property
    def differences(self) -> list[Difference]:
        """What the comparisons found, those with a named winner first."""
        found = []
        for row in self.load("evaluate", "comparisons.json"):
            key = f"difference/{row['metric']}/{row['model']}/{row['against']}"
            estimate = self.read("evaluate", key, row.get("unit") or "")
            if estimate:
                found.append(Difference(row, estimate, self.numbers.find("evaluate", f"{key}/adjusted_p")))
        return sorted(found, key=lambda one: one.row["winner"] is None)

    @property
    def slices(self) -> dict[str, dict[str, dict[str, Estimate]]]:
        """Accuracy by what the questions are sliced by, by slice, by model."""
        found: dict[str, dict[str, dict[str, Estimate]]] = {}
        for row in self.load("evaluate", "slices.json"):
            key = f"slice/{row['by']}/{row['slice']}/{row['metric']}/{row['model']}"
            estimate = self.read("evaluate", key, row.get("unit") or "share")
            if row["metric"] == "accuracy" and row["by"] != "task" and estimate:
                found.setdefault(row["by"], {}).setdefault(row["slice"], {})[row["model"]] = estimate
        return found

    @property
    def reward_card(self) -> list[tuple[str, Estimate, Estimate | None]]:
        """Who orders held-out preferences how often as annotators did, and the reward model's lead."""
        rows: list[tuple[str, Estimate, Estimate | None]] = []
        for who, name, lead in (
            ("reward_model", "accuracy", ""),
            *((rule, f"{rule}_accuracy", f"lead_over_{rule}") for rule in RULES),
        ):
            right = self.read("reward", f"reward/{name}", "share")
            if right:
                rows.append((who, right, self.read("reward", f"reward/{lead}", "share") if lead else None))
        return rows

    @property
    def stages(self) -> list[StageLine]:
        """The stages in the order of the run."""
        run, numbers = own_run(self.parts), self.numbers
        digests = {part.ref.sha256: part.ref.kind for part in self.parts.values()}
        return [
            StageLine(
                name,
                part.ref.kind,
                part,
                state_of(part, run),
                tuple(digests[parent] for parent in part.ref.parents if parent in digests),
                *(numbers.find(name, f"cost/{cost}") for cost in ("seconds", "kwh", "peak_memory_mb")),
            )
            for name, part in self.parts.items()
        ]

    @property
    def notices(self) -> list[Notice]:
        """What must stand at the head of every page."""
        numbers, found = self.numbers, []
        feedback = self.parts["feedback"].ref.summary
        simulated = numbers.find("feedback", "feedback/simulated")
        if simulated and simulated.value:
            by_ai = feedback.get("ai_judged", 0) + feedback.get("ai_revised", 0)
            key = "ai_feedback" if by_ai >= simulated.value else "simulated_feedback"
            found.append(Notice(key, {"simulated": simulated, "rows": numbers("feedback", "feedback/rows")}))
        if alarm := self.parts[ALIGNED].ref.summary.get("alarm"):
            found.append(Notice("stopped", {"alarm": alarm}))
        if self.reward_verdict not in (None, "go"):
            found.append(Notice("reward_card", {}))
        if self.doubts:
            found.append(Notice("doubts", {}))
        if any(part.run_id is None for part in self.parts.values()):
            found.append(Notice("unrecorded", {}))
        return found

    @property
    def reward_verdict(self) -> str | None:
        """What the reward model's card decides; None if the run has no reward model."""
        return load_card(self.parts["reward"].folder)[0].decision if "reward" in self.parts else None
