"""Stage `feedback`: rankings of the student's answers, by people or, until there are any, by simulation."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.schema import FeedbackConfig
from tasks.feedback.events import FeedbackEvent, Shown, load_events, write_events
from tasks.feedback.pairs import majority_pairs, pairs_of
from tasks.feedback.simulate import annotate
from tasks.ml.answering import write_answers
from tasks.ml.batching import draw_whole_groups
from tasks.ml.models import load_model, load_tokenizer
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import load_rows
from tasks.ml.sampling import Sampling
from tasks.ml.seeding import random_for
from tasks.shared.errors import DataError, Problem
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `events.jsonl`: every act of feedback that the reward model may learn from."""
    config = context.section(FeedbackConfig, "feedback")
    events = read_people(Path(config.events)) if config.events else simulate(context, config)
    write_events(context.out / "events.jsonl", events)
    summary = describe(events)
    context.run.metrics({f"feedback/{k}": float(v) for k, v in summary.items()})
    context.run.table("rankings.json", shown(events[:20]))
    return summary


def simulate(context: StageContext, config: FeedbackConfig) -> list[FeedbackEvent]:
    """Sample answers of the distilled student and put them before simulated annotators."""
    folder = context.inputs["distill"] / "model"
    tokenizer = load_tokenizer(folder)
    model = frozen_copy(load_model(folder), config.precision)
    rows = [
        row for row in load_rows(context.inputs["clean"] / "rows.jsonl", "train") if row.answer is not None
    ]
    draw = random_for("asked", context.seed)
    asked = [rows[index] for index in draw_whole_groups([row.context for row in rows], config.prompts, draw)]
    samples = [row for row in asked for _ in range(config.samples)]
    sampling = Sampling(
        config.max_new_tokens,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        config.temperature,
        context.seed,
    )
    bar = context.bar("feedback: sample answers", len(samples), "answers")
    author = context.refs["distill"].sha256
    answers = [
        Shown(text=written.text, model=author, stopped=written.stopped)
        for written in write_answers(model, tokenizer, samples, sampling, bar)
    ]
    return [
        event
        for place, row in enumerate(asked)
        for event in annotate(row, distinct(answers, place, config.samples), config, context.seed)
    ]


def distinct(answers: list[Shown], place: int, samples: int) -> list[Shown]:
    """The different answers to one question; where all are the same, twice that one, which can only tie."""
    own = answers[place * samples : (place + 1) * samples]
    unique = list({answer.text: answer for answer in own}.values())
    return unique if len(unique) > 1 else own[:2]


def read_people(path: Path) -> list[FeedbackEvent]:
    """Read people's events; every malformed line is named.

    Raises:
        DataError: The file is missing or has malformed lines.
    """
    try:
        return load_events(path)
    except OSError as error:
        raise DataError(
            Problem(str(path), str(error.strerror), "a file of events", "Check `feedback.events`.")
        ) from None
    except ValidationError:
        raise DataError(list(malformed(path))) from None


def malformed(path: Path) -> list[Problem]:
    """One problem for each line that is no event."""
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            FeedbackEvent.model_validate_json(line)
        except ValidationError as error:
            reason = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors()[:3]
            )
            problems.append(
                Problem(f"{path}:{number}", reason, "a feedback event", "Mend or remove the line.")
            )
    return problems


def describe(events: list[FeedbackEvent]) -> dict[str, Any]:
    """Counts that say what the feedback is worth."""
    ranks = [rank for event in events for rank in event.ranks]
    tied = sum(len(set(event.ranks)) < len(event.ranks) for event in events)
    return {
        "rows": len(events),
        "simulated": sum(event.simulated for event in events),
        "questions": len({event.row for event in events}),
        "annotators": len({event.annotator for event in events}),
        "pairs": sum(len(pairs_of(event)) for event in events),
        "majority_pairs": len(majority_pairs(events)),
        "events_with_ties": tied,
        "fails": sum(rank is None for rank in ranks),
    }


def shown(events: list[FeedbackEvent]) -> list[dict[str, str | bool]]:
    """Rankings for people to look at; simulated ones say so."""
    return [
        {
            "annotator": event.annotator,
            "simulated": event.simulated,
            "prompt": event.prompt,
            "ranking": "\n".join(
                f"{'F' if rank is None else rank}: {answer.text}"
                for rank, answer in zip(event.ranks, event.answers, strict=True)
            ),
        }
        for event in events
    ]
