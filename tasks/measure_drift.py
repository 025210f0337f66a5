"""Stage `drift`: how far new prompts and feedback are from what the student and its reward model learnt."""

from dataclasses import replace
from typing import Any

from configs.schema_drift import DriftConfig
from tasks.feedback.drift_page import PAGE, picture_of, write_drift
from tasks.feedback.drift_texts import alike, texts_of
from tasks.feedback.events import load_events, standing
from tasks.ml.compared_texts import Texts, thinned
from tasks.ml.drift import drift_of
from tasks.ml.embedding import embed_prompts, lower_half
from tasks.ml.models import load_model, load_tokenizer
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import load_rows
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `drift.json`, `drift.md` and `drift.png`; the summary says the verdict and why.

    Reads the training questions of `clean`, the student of `distill`, and the events of `collect`: replayed
    ones, which the champion has learnt from, stand before the new ones.
    """
    config = context.section(DriftConfig, "drift")
    events, replayed = (
        load_events(context.inputs["collect"] / "events.jsonl"),
        context.refs["collect"].summary["replayed"],
    )
    learnt, new = standing(events[:replayed]), standing(events[replayed:])
    if not new:
        (context.out / PAGE).write_text("# No feedback, so nothing has shifted\n", encoding="utf-8")
        return {"rows": 0, "drift": "go", "reasons": []}
    # What only the teacher answers is not put to people.
    rows = [
        row for row in load_rows(context.inputs["clean"] / "rows.jsonl", "train") if row.answer is not None
    ]
    sides = texts_of(alike(learnt, new), rows), texts_of(new)
    reference, recent = embedded(context, config, sides) if config.embedded_questions else sides
    drift = drift_of(reference, recent, config, context.seed)
    summary = write_drift(context.out, drift)
    context.run.metrics({name: value for name, value in summary.items() if isinstance(value, float)})
    context.run.figure("drift", picture_of(drift))
    context.run.file(context.out / PAGE, "drift")
    context.bars.say(f"drift: {drift.verdict}")
    return {"rows": len(new), **summary}


def embedded(context: StageContext, config: DriftConfig, sides: tuple[Texts, Texts]) -> list[Texts]:
    """Both sides with how the lower half of the student sees some of their prompts."""
    folder = context.inputs["distill"] / "model"
    tokenizer, model = load_tokenizer(folder), frozen_copy(lower_half(load_model(folder)), config.precision)
    found = []
    for name, side in zip(("training", "new"), sides, strict=True):
        some = thinned(side, config.embedded_questions, context.seed)
        bar = context.bar(f"drift: read {name} questions", len(some.prompts), "questions")
        vectors = embed_prompts(model, tokenizer, some.prompts, some.tasks, some.units, bar)
        found.append(replace(side, vectors=dict(zip(some.prompts, vectors.double().numpy(), strict=True))))
    return found
