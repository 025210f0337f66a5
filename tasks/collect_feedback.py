"""Stage `feedback`: judgements of the student's answers, by people, by the teacher or by simulation."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from configs.principles import read_principles
from configs.schema import FEEDBACK_AI, FEEDBACK_STORE, DataConfig, FeedbackConfig
from tasks.ai_endpoint import endpoint_annotator
from tasks.event_file import read_people
from tasks.feedback.ai_agreement import agree, by_ai, conduct
from tasks.feedback.ai_annotator import AIAnnotator, local_annotator
from tasks.feedback.ai_judge import judge_pairs, pairings_of
from tasks.feedback.ai_revise import Draft, revise
from tasks.feedback.audit import audit, headline
from tasks.feedback.description import describe, rankings_shown
from tasks.feedback.events import FeedbackEvent, Shown, standing, write_events
from tasks.feedback.redaction import redact_events
from tasks.feedback.samples import sample_answers
from tasks.feedback.simulate import annotate
from tasks.ml.batching import draw_whole_groups
from tasks.ml.progress import Bar
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row, load_rows
from tasks.ml.seeding import random_for
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `events.jsonl`: every act of feedback that the reward model may learn from; and `audit.json`."""
    config = context.section(FeedbackConfig, "feedback")
    redacted = redact_events(gather(context, config), context.section(DataConfig, "data"))
    events = redacted.events
    write_events(context.out / "events.jsonl", events)
    audited = audit(events, context.seed)
    (context.out / "audit.json").write_text(audited.model_dump_json(indent=1), encoding="utf-8")
    summary = describe(events) | describe_ai(events, context.seed) | headline(audited)
    summary |= redacted.summary()
    figures = {f"feedback/{name}": float(value) for name, value in summary.items() if value is not None}
    context.run.metrics(figures)
    context.run.table("rankings.json", rankings_shown(events[:20]))
    return summary


def gather(context: StageContext, config: FeedbackConfig) -> list[FeedbackEvent]:
    """People's events from the store or a file, the teacher's, or simulated ones."""
    if config.events is None:
        return simulate(context, config)
    if config.events == FEEDBACK_AI:
        return ask_ai(context, config)
    if config.events == FEEDBACK_STORE:
        from tasks.feedback.store.snapshot import read_snapshot

        return read_snapshot(context.feedback_url, context.external["people"])
    return standing(read_people(Path(config.events)))


def simulate(context: StageContext, config: FeedbackConfig) -> list[FeedbackEvent]:
    """Put answers of the distilled student before simulated annotators."""
    return [
        event
        for row, answers in sampled(context, config)
        for event in annotate(row, answers, config, context.seed)
    ]


def ask_ai(context: StageContext, config: FeedbackConfig) -> list[FeedbackEvent]:
    """Let the teacher judge pairs of the distilled student's answers, and revise some, by principles."""
    asked = sampled(context, config)
    principles = read_principles(Path(config.ai.principles))
    pairings = [
        pairing
        for row, answers in asked
        for pairing in pairings_of(row, answers, config.ai.pairs, context.seed)
    ]
    drafts = [
        Draft(row.id, row.task, user_text(row), answers[0]) for row, answers in asked[: config.ai.revisions]
    ]
    count = 2 * len(pairings) + 2 * len(principles) * len(drafts)
    teacher = annotator(context, config, context.bar("feedback: ask the teacher", count, "replies"))
    return [
        *judge_pairs(teacher.judge, pairings, principles),
        *revise(teacher.judge.name, teacher.ask, drafts, principles),
    ]


def annotator(context: StageContext, config: FeedbackConfig, bar: Bar) -> AIAnnotator:
    """The model that the configuration names."""
    if config.ai.endpoint is not None:
        return endpoint_annotator(config.ai, context.records, bar)
    return local_annotator(config.ai, context.teacher_source, context.external["teacher"], bar)


def sampled(context: StageContext, config: FeedbackConfig) -> list[tuple[Row, list[Shown]]]:
    """Different answers of the distilled student to each of some training questions."""
    rows = [
        row for row in load_rows(context.inputs["clean"] / "rows.jsonl", "train") if row.answer is not None
    ]
    draw = random_for("asked", context.seed)
    asked = [rows[index] for index in draw_whole_groups([row.context for row in rows], config.prompts, draw)]
    bar = context.bar("feedback: sample answers", len(asked) * config.samples, "answers")
    folder, author = context.inputs["distill"] / "model", context.refs["distill"].sha256
    answers = sample_answers(folder, author, asked, config, context.seed, bar)
    return list(zip(asked, answers, strict=True))


def describe_ai(events: list[FeedbackEvent], seed: int) -> dict[str, Any]:
    """What the teacher judged, how the order swayed it, and its agreement with people; empty if nothing."""
    judged = conduct(events)
    revised = sum(by_ai(event) for event in events) - judged.judged
    if not judged.judged + revised:
        return {}
    summary: dict[str, Any] = {f"ai_{name}": value for name, value in asdict(judged).items()}
    summary |= {"ai_swayed_share": judged.swayed_share, "ai_revised": revised}
    found = agree(events, seed)
    if found is not None:
        summary |= {"ai_agreement_pairs": found.pairs, "ai_agreement": found.raw}
        summary |= {"ai_agreement_low": found.raw_interval[0], "ai_agreement_high": found.raw_interval[1]}
    if found is not None and found.kappa is not None and found.kappa_interval is not None:
        low, high = found.kappa_interval
        summary |= {"ai_kappa": found.kappa, "ai_kappa_low": low, "ai_kappa_high": high}
    return summary
