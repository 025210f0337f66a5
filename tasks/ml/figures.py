"""Figures: one value of one metric of one model, with its interval; the lines of the closing table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tasks.ml.calibration import Bin, calibration_error
from tasks.ml.columns import Sample, counted
from tasks.ml.metrics import Interval, QuestionBootstrap
from tasks.ml.slicing import SliceFigure

Figure = dict[str, Any]


def figure(metric: str, model: str, interval: Interval, unit: str) -> Figure:
    """One line of the closing table."""
    return {"metric": metric, "model": model, **asdict(interval), "unit": unit}


def single(metric: str, model: str, value: float, unit: str) -> Figure:
    """A value that was measured once, so that nothing is known of its spread: its interval is itself."""
    return figure(metric, model, Interval(value, value, value, 1), unit)


def sample_figures(sample: Sample, bootstrap: QuestionBootstrap, baseline: str) -> Iterator[Figure]:
    """Every column's mean of every model, whole contexts resampled; win rates are over the baseline.

    Perplexity is left out: its interval is that of a logarithm (`tasks.ml.likelihoods`).
    """
    for column in sample.columns:
        if column.metric == "perplexity":
            continue
        for model in column.values:
            interval = counted(bootstrap, *column.level(model, baseline))
            yield figure(column.metric, model, interval, column.unit)


def slice_rows(figures: Sequence[SliceFigure]) -> list[Figure]:
    """The figures of slices for a JSON file."""
    return [
        {"by": one.by, "slice": one.slice, **figure(one.metric, one.model, one.interval, one.unit)}
        for one in figures
    ]


def calibration_rows(bins: Mapping[str, Sequence[Bin]]) -> list[Figure]:
    """The bins of each model's confidence, from the least to the most confident, and the error they make."""
    return [
        {
            "model": model,
            "bins": [
                {
                    "low": part.low,
                    "high": part.high,
                    "confidence": part.certainty,
                    "accuracy": part.right,
                    "n": part.count,
                }
                for part in own
            ],
            "error": calibration_error(list(own)),
        }
        for model, own in bins.items()
    ]
