"""An exam: models, the held-out questions that they were asked, and what can be told from the answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.schema_evaluate import EvaluateConfig
from tasks.ml.answer_columns import (
    calibration_bins,
    confidence_columns,
    forecast_columns,
    rubric_columns,
    text_columns,
)
from tasks.ml.columns import Column, Contexts, Sample, counted
from tasks.ml.comparing import CONFIDENCE
from tasks.ml.evaluation import Answers, Contestant, response_kl
from tasks.ml.figures import Figure, calibration_rows, figure, sample_figures, slice_rows
from tasks.ml.likelihoods import Likelihoods, forgetting_figures, general_sample, measure_likelihoods
from tasks.ml.metrics import QuestionBootstrap
from tasks.ml.rows import Row
from tasks.ml.slicing import slice_figures, slices_of
from tasks.ml.speed import latency_column, latency_figures, throughput, throughput_figures

UNREFINED, TEACHER, BASELINE, ALIGNED = "unrefined", "teacher_zero_shot", "distilled", "aligned"
# What a model is held against: all that the teacher knew, or what was left when the student was cut out.
FORGETTING = {"forgetting": TEACHER, "forgetting_since_cut": UNREFINED}


@dataclass(frozen=True)
class Exam:
    """Models, Q held-out questions, and what each model answered.

    Attributes:
        config: The section.
        rows: The questions.
        contexts: Number of each question's context. Shape [Q].
        contestants: The models, in the order of the closing table.
        answers: By name of the model; of some, only to the first questions.
        seed: Of every draw.
    """

    config: EvaluateConfig
    rows: list[Row]
    contexts: Contexts
    contestants: list[Contestant]
    answers: dict[str, Answers]
    seed: int

    @property
    def bootstrap(self) -> QuestionBootstrap:
        """Draws whole contexts, the same for every figure."""
        return QuestionBootstrap(self.contexts, self.config.resamples, CONFIDENCE, self.seed)

    def named(self, name: str) -> Contestant:
        """The model of that name."""
        return next(one for one in self.contestants if one.name == name)

    def columns(self) -> Iterator[Column]:
        """What the rubric, the gold answers and the models' own certainty say of the answers."""
        yield from rubric_columns(self.answers, self.rows)
        yield from forecast_columns(self.answers, self.rows)
        yield from text_columns(self.answers, self.rows, self.contexts)
        yield from confidence_columns(self.answers, self.contexts)

    def likelihoods(self) -> Likelihoods:
        """Likelihoods of the gold answers to the first questions."""
        return measure_likelihoods(self.contestants, self.rows, self.config.likelihood_questions)

    def latencies(self) -> Column:
        """Seconds to an answer, of one question alone."""
        config = self.config
        return latency_column(
            self.contestants, self.rows, self.contexts, config.latency_questions, config.max_new_tokens
        )

    def sample(self, columns: list[Column]) -> Sample:
        """The held-out questions with these columns."""
        return Sample("held_out", tuple(row.id for row in self.rows), self.contexts, tuple(columns))

    def speed_figures(self, latencies: Column) -> Iterator[Figure]:
        """Latency alone, and tokens per second side by side."""
        config = self.config
        yield from latency_figures(latencies, config.resamples, self.seed)
        rows = self.rows[: config.speed_rows]
        # Worked examples are read before the clock starts: with them a model writes as fast as without.
        models = [one for one in self.contestants if not one.shots]
        speeds = throughput(models, rows, config.speed_tokens, config.speed_repeats)
        yield from throughput_figures(speeds, TEACHER, config.resamples, self.seed)

    def divergence_figure(self, bootstrap: QuestionBootstrap) -> Figure:
        """How far the aligned model moved from the distilled one, on its first answers."""
        aligned, count = self.named(ALIGNED), self.config.likelihood_questions
        responses = self.answers[ALIGNED].responses[:count]
        nats, weights = np.zeros(len(self.rows)), np.zeros(len(self.rows))
        nats[:count] = response_kl(aligned.model, self.named(BASELINE), self.rows[:count], responses)
        weights[:count] = 1
        interval = counted(bootstrap, nats, weights)
        return figure("kl_to_distilled", ALIGNED, interval, "nats per response")

    def slices(self, sample: Sample, bootstrap: QuestionBootstrap) -> list[Figure]:
        """Figures by task, length and food group."""
        return slice_rows(list(slice_figures(sample, list(slices_of(self.rows)), bootstrap)))

    def calibration(self) -> list[Figure]:
        """Each model's confidence beside how often it was right."""
        return calibration_rows({name: calibration_bins(own) for name, own in self.answers.items()})

    def side_by_side(self) -> list[dict[str, Any]]:
        """The first questions with every model's answer and whether it is right."""
        return [
            {
                "id": row.id,
                "task": row.task,
                "context": row.context,
                "question": row.question,
                "gold": row.answer,
                **{name: own.texts[place] for name, own in self.answers.items()},
                **{f"{name}_correct": own.judgements[place].correct for name, own in self.answers.items()},
            }
            for place, row in enumerate(self.rows[: self.config.samples_shown])
            if all(place < len(own.texts) for own in self.answers.values())
        ]


def general_figures(
    contestants: list[Contestant], general: list[Row], config: EvaluateConfig, seed: int
) -> tuple[list[Sample], list[Figure]]:
    """How models take general instructions, and how much they forgot of them; nothing without any."""
    if not general:
        return [], []
    sample = general_sample(contestants, general)
    bootstrap = QuestionBootstrap(sample.contexts, config.resamples, CONFIDENCE, seed)
    figures = [
        *sample_figures(sample, bootstrap, BASELINE),
        *forgetting_figures(sample, FORGETTING, (BASELINE, ALIGNED), config.resamples, seed),
    ]
    return [sample], figures
