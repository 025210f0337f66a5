"""What an assessment finds: figures with intervals, flags, examples to look at, and all answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tasks.ml.figures import Figure, figure
from tasks.ml.flags import Flag, flag_rate
from tasks.ml.metrics import Interval, Values, bootstrap_mean


@dataclass
class Findings:
    """Filled by one battery of questions after another.

    Attributes:
        resamples: Bootstrap resamples of an interval.
        seed: Of them.
        figures: Lines of `figures.json`.
        flags: Of every check of every model, flagged or not.
        examples: Questions with the models' answers, and which of these were objected to.
        texts: All free answers, by model.
    """

    resamples: int
    seed: int
    figures: list[Figure] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def figure(self, metric: str, model: str, found: Interval, unit: str) -> None:
        """Note a figure that has no limit."""
        self.figures.append(figure(metric, model, found, unit))

    def mean(self, metric: str, model: str, values: Sequence[float] | Values, unit: str) -> Interval:
        """Note the mean of a number a question, with its interval."""
        found = bootstrap_mean(np.asarray(values, dtype=np.float64), self.resamples, self.seed)
        self.figure(metric, model, found, unit)
        return found

    def rate(
        self,
        metric: str,
        model: str,
        values: Sequence[float] | Values,
        limit: float,
        worse: Literal["above", "below"] = "above",
        unit: str = "share",
    ) -> None:
        """Note a mean that has a limit."""
        self.flags.append(flag_rate(metric, model, self.mean(metric, model, values, unit), limit, worse))

    def show(self, check: str, prompt: str, answers: Mapping[str, str], flagged: Sequence[str]) -> None:
        """Note a question with every model's answer."""
        self.examples.append(
            {"check": check, "prompt": prompt, "answers": dict(answers), "flagged": list(flagged)}
        )

    def heard(self, model: str, texts: Sequence[str]) -> None:
        """Keep answers for the checks that look at all of them."""
        self.texts.setdefault(model, []).extend(texts)

    def flagged(self) -> set[tuple[str, str]]:
        """Metric and model of what is flagged."""
        return {(flag.check, flag.model) for flag in self.flags if flag.flagged}
