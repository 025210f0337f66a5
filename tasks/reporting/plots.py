"""All plots of a run that its parts have the points for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tasks.reporting import plots_results, plots_run, plots_training
from tasks.reporting.costs import cost_lines
from tasks.reporting.drawing import png_of
from tasks.reporting.parts import ALIGNED, Part
from tasks.reporting.story import Story
from tasks.reporting.words import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE, CALIBRATION = "curve.json", "calibration.json"
MOST_COMPARISONS = 24


@dataclass(frozen=True)
class Plot:
    """A plot and the parts that its points come from."""

    figure: "Figure"
    stages: tuple[str, ...]

    @cached_property
    def png(self) -> bytes:
        """The plot as a picture."""
        return png_of(self.figure)


def draw_all(story: Story, themes: Any, words: Words) -> dict[str, Plot]:
    """Every plot, by name; a run that lacks the points of one has it not.

    Args:
        story: The run.
        themes: What `tasks.ml.theme_map` found, or None.
        words: Of the page's language.
    """
    drawn: dict[str, Plot] = {}
    for name, (stages, draw) in _plots(story, themes, words).items():
        known = tuple(stage for stage in stages if stage in story.parts)
        figure = draw() if known else None
        if figure is not None:
            # Laid out once, not again for each form in which it is saved.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            drawn[name] = Plot(figure, known)
    return drawn


def _plots(
    story: Story, themes: Any, words: Words
) -> Mapping[str, tuple[tuple[str, ...], Callable[[], "Figure | None"]]]:
    curves = {part.ref.kind: part.load(CURVE) or {} for part in story.parts.values()}
    comparisons = [one.row for one in story.differences][:MOST_COMPARISONS]
    return {
        "forest": (("evaluate",), lambda: plots_results.forest(comparisons, words)),
        "answer_calibration": (
            ("evaluate",),
            lambda: plots_results.answer_calibration(story.load("evaluate", CALIBRATION), words),
        ),
        "quality_and_cost": (
            ("evaluate", "distill", ALIGNED),
            lambda: plots_results.quality_and_cost(cost_lines(story, words), words),
        ),
        "learning_curves": (
            ("distill", "reward", ALIGNED),
            lambda: plots_training.learning_curves(curves, words),
        ),
        "divergence_and_reward": (
            (ALIGNED,),
            lambda: plots_training.divergence_and_reward(curves.get("ppo", {}), words),
        ),
        "length_drift": ((ALIGNED,), lambda: plots_training.length_drift(curves.get("ppo", {}), words)),
        "reward_distribution": (
            ("reward",),
            lambda: plots_results.reward_distribution(_lines(story.parts["reward"], "scores.jsonl"), words),
        ),
        "reward_calibration": (("reward",), lambda: _reward_calibration(story, words)),
        "theme_map": (("clean", "distill", "feedback"), lambda: plots_run.theme_map(themes, words)),
        "pipeline": (tuple(story.parts), lambda: plots_run.pipeline(_stages(story, words), words)),
    }


def _reward_calibration(story: Story, words: Words) -> "Figure | None":
    card = story.load("reward", "card.json")
    evidence = card.get("evidence") if isinstance(card, dict) else None
    return plots_results.reward_calibration(evidence, words) if evidence else None


def _stages(story: Story, words: Words) -> list[dict[str, Any]]:
    def seconds(number: Any) -> str:
        return f"{words.writer.number(round(number.value, 1))} s" if number else ""

    return [
        {"name": one.name, "state": one.state, "seconds": seconds(one.seconds), "reads": one.reads}
        for one in story.stages
    ]


def _lines(part: Part, name: str) -> list[dict[str, Any]]:
    path = part.folder / name
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]
