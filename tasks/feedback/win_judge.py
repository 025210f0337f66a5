"""Which of two models a language model prefers: what `ai_judge` asks, of held-out answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from configs.principles import Principle
from tasks.feedback.ai_judge import Judge, Pairing, Weighed, verdict_of, weigh_pairs
from tasks.feedback.events import Shown
from tasks.feedback.judgements import Skip
from tasks.ml.columns import EVEN, Column
from tasks.ml.evaluation import Answers
from tasks.ml.metrics import Values
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row

METRIC = "judge_win_rate"


@dataclass(frozen=True)
class Judged:
    """What a language model said of several models' answers beside one baseline's, on J questions.

    Attributes:
        wins: By model, 1 where its answer was preferred in both orders, 0 where the baseline's was, one half
            for a tie and for a verdict that changed with the order; NaN where none could be read. Shapes [J].
        flips: By model, 1 where the verdict changed with the order of the answers. Shapes [J].
    """

    wins: Mapping[str, Values]
    flips: Mapping[str, Values]

    @property
    def readable(self) -> Values:
        """1 where a verdict could be read of every model, else 0. Shape [J]."""
        read = ~np.isnan(np.stack(list(self.wins.values())))
        return np.asarray(read.all(axis=0), dtype=np.float64)

    def column(self, baseline: str, questions: int) -> Column:
        """Wins over the baseline, of all Q questions, of which the first J were judged."""
        rest = np.zeros(questions - len(self.readable))
        values = {name: np.concatenate([np.nan_to_num(own), rest]) for name, own in self.wins.items()}
        values[baseline] = np.full(questions, EVEN)
        weights = np.concatenate([self.readable, rest])
        return Column(METRIC, "share", "higher", values, weights, against=baseline)


def judge_wins(
    judge: Judge,
    rows: Sequence[Row],
    answers: Mapping[str, Answers],
    baseline: str,
    principles: Sequence[Principle],
) -> Judged:
    """Every other model's answers to these rows beside the baseline's, each pair in both orders.

    Source: Zheng et al. 2023, "Judging LLM-as-a-judge", section 3.4: a win must hold in both orders.

    Args:
        judge: Who judges.
        rows: The first questions of those that were answered.
        answers: By model, of at least these questions.
        baseline: The model that the others are held against.
        principles: What makes an answer good.
    """
    others = [name for name in answers if name != baseline]
    pairings = [
        Pairing(
            row.id, row.task, user_text(row), *(_shown(name, answers, place) for name in (other, baseline))
        )
        for other in others
        for place, row in enumerate(rows)
    ]
    weighed = weigh_pairs(judge, pairings, principles)
    shape = (len(others), len(rows))
    wins = np.array([win_of(one, judge.tie_band) for one in weighed]).reshape(shape)
    flips = np.array([float(one.favoured_place is not None) for one in weighed]).reshape(shape)
    return Judged(dict(zip(others, wins, strict=True)), dict(zip(others, flips, strict=True)))


def win_of(weighed: Weighed, tie_band: float) -> float:
    """1 for the first answer, 0 for the second, one half for a tie or a flip; NaN: it cannot be told."""
    verdict = verdict_of(weighed, tie_band)
    if isinstance(verdict, Skip):
        return float("nan")
    if weighed.favoured_place is not None or verdict.chosen is None:
        return EVEN
    return 1.0 - verdict.chosen


def _shown(name: str, answers: Mapping[str, Answers], place: int) -> Shown:
    own = answers[name]
    return Shown(text=own.texts[place], model=name, stopped=own.judgements[place].stopped)
