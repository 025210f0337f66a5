"""Whether PPO may learn from a reward model: the verdict on its card, with every reason at once.

All conditions must hold, so none needs a stricter level for their number (intersection-union test, Berger
1982): a model that is no better than one of the rules passes with a probability of (1 - confidence) / 2 at
most.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from configs.errors import Problem
from configs.schema_gate import GateConfig
from tasks.ml.metrics import Interval
from tasks.ml.power import questions_needed
from tasks.ml.reward_card import Evidence, Opponent, RewardCard

_ALIKE = 0.9  # share of the votes from which on a model is said to follow a rule

Decision = Literal["go", "stop", "too few"]


@dataclass(frozen=True)
class Verdict:
    """What the card says.

    Attributes:
        decision: `go`; `stop`: no better than a rule that understands nothing; `too few`: nobody can tell.
        reasons: Everything that speaks against it.
        advice: What to do next; empty if nothing.
    """

    decision: Decision
    reasons: tuple[Problem, ...]
    advice: str


def judge_card(card: RewardCard, gate: GateConfig) -> Verdict:
    """Go only if there is enough to tell and the model beats every rule beyond the interval."""
    if card.evidence is None or card.pairs < gate.least_pairs or card.questions < gate.least_questions:
        return _too_few(card, gate)
    found = list(_shortfalls(card, card.evidence))
    if not found:
        return Verdict("go", (), "")
    reasons = tuple(problem for problem, _ in found)
    return Verdict("stop", reasons, _advice(card, [lead for _, lead in found]))


def percent(found: Interval) -> str:
    """A share with its interval: `58.3 % [49.1, 66.9]`."""
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def points(found: Interval) -> str:
    """A difference of shares with its interval: `+4.1 points [-2.0, 9.9]`."""
    return f"{100 * found.value:+.1f} points [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _too_few(card: RewardCard, gate: GateConfig) -> Verdict:
    reason = Problem(
        "reward model",
        f"{card.pairs} held-out pairs of answers to {card.questions} questions",
        f"at least {gate.least_pairs} pairs of {gate.least_questions} questions",
        "From fewer nobody can tell a good reward model from a bad one.",
    )
    if not card.pairs:
        return Verdict("too few", (reason,), "Collect feedback, or raise `reward.holdout_share`.")
    times = max(gate.least_pairs / card.pairs, gate.least_questions / card.questions)
    return Verdict("too few", (reason,), _collect(card, times))


def _shortfalls(card: RewardCard, evidence: Evidence) -> Iterator[tuple[Problem, Interval]]:
    """Each reason with the lead that is missing."""
    accuracy = evidence.accuracy
    lead = Interval(accuracy.value - 0.5, accuracy.low - 0.5, accuracy.high - 0.5, accuracy.n)
    if lead.low <= 0:
        got = f"{percent(accuracy)} of {card.votes} held-out preferences ordered as people did"
        if card.simulated:
            got = got.replace("people", "the simulated annotators")
        expected = "more than 50 %, interval included, since a coin is right as often"
        yield Problem("reward model", got, expected, _power_note(card, lead)), lead
    for opponent in evidence.opponents:
        if opponent.lead.low <= 0:
            yield _unbeaten(card, accuracy, opponent), opponent.lead


def _unbeaten(card: RewardCard, accuracy: Interval, opponent: Opponent) -> Problem:
    got = (
        f'{100 * accuracy.value:.1f} % where the rule "{opponent.name}" has '
        f"{100 * opponent.accuracy.value:.1f} %, a lead of {points(opponent.lead)}"
    )
    if opponent.same >= _ALIKE:
        got += f" (it orders {100 * opponent.same:.0f} % of the pairs as the rule does)"
    expected = "a lead above 0, interval included"
    return Problem("reward model", got, expected, _power_note(card, opponent.lead))


def _power_note(card: RewardCard, lead: Interval) -> str:
    needed = questions_needed(lead, card.confidence)
    if needed is None:
        return "There is no lead that more held-out pairs could show."
    pairs = math.ceil(needed * card.pairs / card.questions)
    return f"A lead of this size takes about {pairs} held-out pairs to show ({card.pairs} now)."


def _advice(card: RewardCard, leads: list[Interval]) -> str:
    needed = [questions_needed(lead, card.confidence) for lead in leads]
    known = [questions for questions in needed if questions is not None]
    if len(known) < len(needed):
        return (
            "Give it more feedback to learn from or train it longer (`reward.epochs`), and check the labels: "
            "`retort feedback audit`."
        )
    return _collect(card, max(known) / card.questions)


def _collect(card: RewardCard, times: float) -> str:
    questions = max(math.ceil(times * card.all_questions), card.all_questions + 1)
    return (
        f"Collect feedback on about {questions} questions ({card.all_questions} now), or raise "
        f"`reward.holdout_share`."
    )
