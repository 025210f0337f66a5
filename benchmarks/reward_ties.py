"""Do ties help: true gaps between answers, recovered with and without them, from annotators who often tie.

Answers have true scores; simulated annotators compare them, and three judgements of ten are ties. Scores are
then fitted by the reward model's own losses, from the events that an import would write, with ties counted
and with ties dropped, and by Davidson's model of ties, which is not the house's. The error is the root mean
square over all pairs of answers of the fitted gap less the true one, in units of score; differences are
paired by seed. Annotators do what Rao and Kupper say, perceive with normal noise instead, or do what Davidson
says. The last line on stdout is the result, one JSON object.
"""

import argparse
import math
import random
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from benchmarks.harness import print_result
from configs.load import load_run_config
from configs.schema_reward import RewardConfig, RewardLoss
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.pairs import pairs_of, ties_of
from tasks.feedback.shown import as_targets, distinct_answers
from tasks.feedback.simulate import rank
from tasks.ml.metrics import bootstrap_mean
from tasks.ml.reward_objective import RewardObjective
from tasks.ml.seeding import random_for

ANSWERS, VOTES, RANKED = 10, 12, 5  # answers; judgements of each pair; answers in a ranking
TIE_SHARE = 0.3
DROPS_TIES = "bradley_terry"
LOSSES: tuple[RewardLoss, ...] = (DROPS_TIES, "rao_kupper", "plackett_luce")
RESAMPLES = 10_000

Judge = Callable[[Sequence[float], random.Random], tuple[int, ...]]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward_ties", description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    return parser.parse_args(arguments)


def by_odds(tie: float) -> Judge:
    """An annotator of two answers who does what Davidson's model says; `tie` is its nu."""

    def judge(values: Sequence[float], draw: random.Random) -> tuple[int, ...]:
        one, other = (math.exp(value) for value in values)
        weights = (one, other, tie * math.sqrt(one * other))
        return draw.choices(((1, 2), (2, 1), (1, 1)), weights)[0]

    return judge


def by_threshold(gap: float) -> Judge:
    """An annotator who sees values through Gumbel noise and ties what seems less than `gap` apart.

    Of two answers this is Rao and Kupper's model.
    """

    def judge(values: Sequence[float], draw: random.Random) -> tuple[int, ...]:
        seen = [value - math.log(-math.log(draw.uniform(1e-12, 1))) for value in values]
        return tuple(place or 0 for place in rank(seen, gap, -math.inf))

    return judge


def by_normal_threshold(gap: float) -> Judge:
    """The same with normal noise of the same deviation, as the pipeline's simulated annotators have."""

    def judge(values: Sequence[float], draw: random.Random) -> tuple[int, ...]:
        seen = [value + draw.gauss(0, math.pi / math.sqrt(6)) for value in values]
        return tuple(place or 0 for place in rank(seen, gap, -math.inf))

    return judge


KINDS: dict[str, tuple[Callable[[float], Judge], int]] = {
    "pairs, Rao and Kupper's": (by_threshold, 2),
    "pairs, normal noise": (by_normal_threshold, 2),
    "pairs, Davidson's": (by_odds, 2),
    "rankings, Gumbel noise": (by_threshold, RANKED),
    "rankings, normal noise": (by_normal_threshold, RANKED),
}


def tied_share(judge: Judge, sets: Sequence[Sequence[float]], draw: random.Random) -> float:
    """Share of the pairs within judged sets that are tied."""
    tied = [one == other for values in sets for one, other in combinations(judge(values, draw), 2)]
    return sum(tied) / len(tied)


def calibrated(make: Callable[[float], Judge], sets: Sequence[Sequence[float]], seed: int) -> Judge:
    """The annotator of a kind who ties `TIE_SHARE` of the pairs, found by bisection."""
    low, high = 0.0, 20.0
    for _ in range(25):
        middle = (low + high) / 2
        share = tied_share(make(middle), sets, random_for("calibrate", seed))
        low, high = (middle, high) if share < TIE_SHARE else (low, middle)
    return make((low + high) / 2)


def simulate(kind: str, seed: int) -> tuple[list[float], list[FeedbackEvent]]:
    """True scores of answers, and what annotators said of them; as many pairs of every kind."""
    make, size = KINDS[kind]
    draw = random_for("ties", kind, seed)
    truth = [draw.gauss(0, 1.2) for _ in range(ANSWERS)]
    count = math.comb(ANSWERS, 2) * VOTES // math.comb(size, 2)
    shown = [draw.sample(range(ANSWERS), size) for _ in range(count)]
    judge = calibrated(make, [[truth[place] for place in places] for places in shown], seed)
    events = [
        as_event(number, places, judge([truth[place] for place in places], draw))
        for number, places in enumerate(shown)
    ]
    return truth, events


def as_event(number: int, places: Sequence[int], ranks: tuple[int, ...]) -> FeedbackEvent:
    """A ranking as an import would write it; an answer's text is its number."""
    return FeedbackEvent.model_validate(
        {
            "id": str(number),
            "row": "question",
            "prompt": "Which is best?",
            "answers": [{"text": f"{place:03}", "model": "none", "stopped": True} for place in places],
            "judgement": {"kind": "ranking", "ranks": ranks},
            "annotator": "simulated",
            "created_at": None,
            "source": "simulated",
            "simulated": True,
        }
    )


def fit(events: Sequence[FeedbackEvent], config: RewardConfig, loss: RewardLoss) -> list[float]:
    """The scores that a loss finds most likely."""
    answers, _ = distinct_answers(events)
    # At this rate the threshold is learnt at the pace of the scores.
    section = config.model_copy(update={"loss": loss, "learning_rate": 0.02, "floor_weight": 0})
    targets = as_targets(events, answers, section)
    objective = RewardObjective(section, targets, torch.ones(len(answers), 1))
    learnt = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    return minimised(lambda scores: objective(scores, targets), len(answers), learnt)


def fit_davidson(events: Sequence[FeedbackEvent], config: RewardConfig) -> list[float]:
    """The scores that Davidson 1970 finds most likely, P(tie) = nu sqrt(p_i p_j) / (p_i + p_j + the same)."""
    answers, _ = distinct_answers(events)
    targets = as_targets(events, answers, config.model_copy(update={"loss": "rao_kupper"}))
    decided, ties = targets.preferences, targets.ties
    log_nu = torch.zeros(1, requires_grad=True)

    def surprise(gaps: torch.Tensor, outcome: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(torch.logaddexp(gaps / 2, -gaps / 2), log_nu) - outcome

    def loss(scores: torch.Tensor) -> torch.Tensor:
        gaps = (scores[decided.chosen] - scores[decided.rejected]).squeeze(1)
        even = (scores[ties.first] - scores[ties.second]).squeeze(1)
        total = (surprise(gaps, gaps / 2) * decided.votes).sum() + (surprise(even, log_nu) * ties.votes).sum()
        return total / (decided.votes.sum() + ties.votes.sum())

    return minimised(loss, len(answers), [log_nu])


def minimised(
    loss: Callable[[torch.Tensor], torch.Tensor], answers: int, others: list[torch.Tensor]
) -> list[float]:
    """The scores at which a loss of scores [M, 1], and of what else it learns, is least."""
    scores = torch.zeros(answers, 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores, *others], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(scores)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return [float(score) for score in scores.detach().flatten()]


def gap_error(found: Sequence[float], truth: Sequence[float]) -> float:
    """Root mean square of fitted gap less true gap, over all pairs."""
    errors = [(found[i] - found[j]) - (truth[i] - truth[j]) for i, j in combinations(range(len(truth)), 2)]
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Errors of every loss on every kind of annotator."""
    config = load_run_config(None, []).reward
    return {"suite": "reward ties", **{kind: measure_kind(kind, config, options.seeds) for kind in KINDS}}


def measure_kind(kind: str, config: RewardConfig, seeds: int) -> dict[str, Any]:
    """Errors of every loss on one kind of annotator, and by how much counting ties lowers them."""
    errors: dict[str, list[float]] = {loss: [] for loss in (*LOSSES, "davidson")}
    shares = []
    for seed in range(seeds):
        truth, events = simulate(kind, seed)
        tied, decided = (sum(len(of(event)) for event in events) for of in (ties_of, pairs_of))
        shares.append(tied / (tied + decided))
        found = {loss: fit(events, config, loss) for loss in LOSSES}
        for name, scores in {**found, "davidson": fit_davidson(events, config)}.items():
            errors[name].append(gap_error(scores, truth))
    saved = {
        name: interval([a - b for a, b in zip(errors[DROPS_TIES], values, strict=True)])
        for name, values in errors.items()
        if name != DROPS_TIES
    }
    return {
        "tie_share": sum(shares) / len(shares),
        "error": {name: interval(values) for name, values in errors.items()},
        "error_saved_by_counting_ties": saved,
    }


def interval(values: Sequence[float]) -> list[float]:
    """Mean over seeds with its 95 % interval."""
    found = bootstrap_mean(np.array(values), RESAMPLES, 0)
    return [found.value, found.low, found.high]


if __name__ == "__main__":
    print_result(measure, parse())
