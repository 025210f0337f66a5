"""What the stage `reward` says of its model: its card, the figures for the records, and a picture."""

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from configs.schema_gate import GateConfig
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.votes import votes_of
from tasks.ml.calibration import was_right
from tasks.ml.card_verdict import Verdict, judge_card
from tasks.ml.reward_card import Evidence, RewardCard, make_card

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Examined:
    """A reward model after its examination.

    Attributes:
        card: What it is worth on held-out votes.
        verdict: Whether PPO may learn from it.
        figures: Both in numbers, under the names that `docs/metrics.md` explains.
    """

    card: RewardCard
    verdict: Verdict
    figures: dict[str, float]


def examine(
    scores: torch.Tensor,
    events: list[FeedbackEvent],
    answers: list[tuple[str, str]],
    held_out: Set[str],
    gate: GateConfig,
    seed: int,
) -> Examined:
    """Make the card of a reward model and judge it.

    Args:
        scores: Of each answer, all finite. Shape [M].
        events: All feedback.
        answers: Every answer as (question, text), in the order of the scores.
        held_out: Questions that were not learnt from.
        gate: What the model has to show.
        seed: Of the resampling.
    """
    votes = votes_of(events, answers)
    is_held_out = np.array([question in held_out for question in votes.question], dtype=np.bool_)
    train, test = votes.where(~is_held_out), votes.where(is_held_out)
    values = scores.double().numpy()
    sizes = np.array([[len(text.split()), len(text)] for _, text in answers], dtype=np.float64)
    card = make_card(values, train, test, sizes, gate, seed)
    verdict = judge_card(card, gate)
    figures: dict[str, float] = {"train_pairs": train.pairs, "test_pairs": test.pairs}
    figures["train_accuracy"] = float(was_right(train.margins(values)).mean())
    if card.evidence:
        figures |= evidence_figures(card.evidence)
    return Examined(card, verdict, figures)


def evidence_figures(found: Evidence) -> dict[str, float]:
    """The figures of a card that has any."""
    intervals = {"accuracy": found.accuracy}
    names = ("length_rule", "position_rule", "length_model", "length_shadow")
    for name, opponent in zip(names, found.opponents, strict=True):
        intervals |= {f"{name}_accuracy": opponent.accuracy, f"lead_over_{name}": opponent.lead}
    if found.length_balanced:
        intervals["length_balanced_accuracy"] = found.length_balanced
    figures: dict[str, float] = {}
    for name, interval in intervals.items():
        ends = {"": interval.value, "_low": interval.low, "_high": interval.high}
        figures |= {f"{name}{end}": value for end, value in ends.items()}
    for name, errors in (("as_trained", found.as_trained), ("calibrated", found.calibrated)):
        figures[f"calibration_error_{name}"] = errors.error
        figures |= {f"brier_{name}": errors.brier, f"log_loss_{name}": errors.log_loss}
    if found.agreement:
        figures |= {"annotators_agree": found.agreement.agree, "ceiling": found.agreement.ceiling}
    return figures | {"temperature": found.temperature, "length_correlation": found.length_correlation}


def reliability_picture(found: Evidence) -> "Figure":
    """How often the model is right where it is so sure, before and after the temperature."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = picture.subplots()
    axes.plot([50, 100], [50, 100], color="0.6", linewidth=1, label="as sure as right")
    rounds = (("as trained", found.as_trained, "o-"), ("over the temperature", found.calibrated, "s--"))
    for name, errors, style in rounds:
        axes.plot(
            [100 * part.certainty for part in errors.bins],
            [100 * part.right for part in errors.bins],
            style,
            label=f"{name}, error {100 * errors.error:.1f} %",
        )
    axes.set_xlim(49, 101)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("certainty of the reward model, %")
    axes.set_ylabel("held-out preferences ordered as annotators did, %")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return picture
