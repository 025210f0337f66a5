"""The columns of an evaluation: what rubric, gold answers and the models themselves say of answers."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tasks.ml.calibration import BINS, Bin, calibration_error, reliability_of
from tasks.ml.columns import (
    Better,
    Column,
    Contexts,
    Statistic,
    everywhere,
    filled,
    filled_to,
    influences,
)
from tasks.ml.evaluation import Answers
from tasks.ml.metrics import Values
from tasks.ml.rows import NumberCheck, Row
from tasks.ml.rubric import stated_number
from tasks.ml.text_metrics import chrf, distinct_2, repetitions, rouge_l

WIN_MARGIN = 0.02  # of utility; smaller differences are ties
FORECAST = "forecast"
CLOSE = 0.10  # of the amount asked for

AnswersOf = Mapping[str, Answers]


def rubric_columns(answers: AnswersOf, rows: Sequence[Row]) -> Iterator[Column]:
    """Accuracy in total and by family, utility, wins, stops and words."""
    right = filled({name: own.correct for name, own in answers.items()})
    yield column("accuracy", "share", "higher", right)
    for task in dict.fromkeys(row.task for row in rows):
        inside = np.array([float(row.task == task) for row in rows])
        yield Column(f"accuracy_{task}", "share", "higher", right, inside)
    utility = {name: own.utility for name, own in answers.items()}
    yield column("gold_utility", "utility", "higher", utility)
    yield wins("gold_win_rate", utility, WIN_MARGIN)
    yield column("stop_rate", "share", "higher", {name: own.stops for name, own in answers.items()})
    yield column("words", "words", None, {name: own.words for name, own in answers.items()})


def forecast_columns(answers: AnswersOf, rows: Sequence[Row]) -> Iterator[Column]:
    """How far forecasts are off, in the unit asked; nothing where no forecast is asked.

    An answer that states no amount is as far off as one that says 0, so that saying nothing does not pay.
    """
    checks = [row.check if row.task == FORECAST else None for row in rows]
    asked = [check for check in checks if isinstance(check, NumberCheck)]
    units = sorted({check.unit for check in asked})
    if not asked:
        return
    inside = np.array([float(isinstance(check, NumberCheck)) for check in checks])
    nothing = filled({name: np.zeros(len(own.texts)) for name, own in answers.items()})
    stated, errors, close = ({name: own.copy() for name, own in nothing.items()} for _ in range(3))
    for name, own in answers.items():
        for place, (check, text) in enumerate(zip(checks, own.texts, strict=False)):
            if isinstance(check, NumberCheck):
                value = stated_number(check, text)
                error = abs((value or 0.0) - check.value)
                stated[name][place] = float(value is not None)
                errors[name][place] = error
                close[name][place] = float(value is not None and error <= CLOSE * abs(check.value) + 1e-9)
    yield Column("forecast_error", " or ".join(units), "lower", errors, inside)
    yield Column("forecast_within_10", "share", "higher", close, inside)
    yield Column("forecast_stated", "share", "higher", stated, inside)


def text_columns(answers: AnswersOf, rows: Sequence[Row], contexts: Contexts) -> Iterator[Column]:
    """Overlap with gold answers, repetition, and variety over all answers."""
    gold = [row.answer or "" for row in rows]
    wanted = {name: gold[: len(own.texts)] for name, own in answers.items()}
    overlap = {name: rouge_l(wanted[name], own.texts) for name, own in answers.items()}
    yield column("rouge_l", "share", "higher", overlap)
    yield column("chrf", "points", "higher", {n: chrf(wanted[n], own.texts) for n, own in answers.items()})
    repeated = {name: repetitions(own.texts) for name, own in answers.items()}
    yield column("repetition", "share", "lower", repeated)
    varied = {name: _distinct(own.texts) for name, own in answers.items()}
    yield statistic_column("distinct_2", "share", None, varied, contexts, asked_weights(answers))


def confidence_columns(answers: AnswersOf, contexts: Contexts) -> Iterator[Column]:
    """How sure models are of their answers, and how far that is from how often they are right."""
    sure = {name: own.confidence for name, own in answers.items()}
    yield column("confidence", "share", None, sure)
    squares = {name: (own.confidence - own.correct) ** 2 for name, own in answers.items()}
    yield column("brier", "squared share", "lower", squares)
    errors = {name: _calibration_error(own) for name, own in answers.items()}
    weights = asked_weights(answers)
    yield statistic_column("calibration_error", "share", "lower", errors, contexts, weights)


def column(metric: str, unit: str, better: Better | None, values: Mapping[str, Values]) -> Column:
    """The mean of the values of all questions that a model was asked."""
    values = filled(values)
    return Column(metric, unit, better, values, everywhere(values))


def wins(metric: str, values: Mapping[str, Values], margin: float) -> Column:
    """The share of questions on which a model's value is higher than another's."""
    values = filled(values)
    return Column(metric, "share", "higher", values, everywhere(values), margin)


def statistic_column(
    metric: str,
    unit: str,
    better: Better | None,
    statistics: Mapping[str, Statistic],
    contexts: Contexts,
    weights: Mapping[str, Values] | None = None,
) -> Column:
    """A statistic of many answers together; see `influences`.

    Args:
        metric: Its name.
        unit: Its unit.
        better: Which values are better.
        statistics: By model.
        contexts: Shape [Q].
        weights: By model: 0 leaves a question out, as does an end before the last; None: all count. A model
            is asked all of a context or nothing. Shapes [Q] or shorter.
    """
    count = len(contexts)
    weights = weights or dict.fromkeys(statistics, np.ones(count))
    found = {
        name: influences(statistic, contexts, np.nan_to_num(filled_to(count, weights[name])))
        for name, statistic in statistics.items()
    }
    values = {name: filled_to(count, own[: len(weights[name])]) for name, (own, _) in found.items()}
    shares = np.max([own for _, own in found.values()], axis=0)
    return Column(metric, unit, better, values, shares)


def asked_weights(answers: AnswersOf) -> dict[str, Values]:
    """Equal weights of the questions that each model was asked."""
    return {name: np.ones(len(own.texts)) for name, own in answers.items()}


def calibration_bins(own: Answers) -> list[Bin]:
    """Bins of equally many answers, from the least to the most confident."""
    return reliability_of(own.confidence, own.correct, min(BINS, len(own.texts)))


def _calibration_error(own: Answers) -> Statistic:
    def statistic(places: Contexts) -> float:
        bins = reliability_of(own.confidence[places], own.correct[places], min(BINS, len(places)))
        return calibration_error(bins)

    return statistic


def _distinct(texts: Sequence[str]) -> Statistic:
    return lambda places: distinct_2([texts[place] for place in places])
