"""Stage `collect`: what people said since the champion's watermark, and earlier judgements to learn again."""

from typing import Any

from configs.schema import DataConfig
from configs.schema_nightly import CollectConfig
from tasks.feedback.audit import audit, headline
from tasks.feedback.description import describe, rankings_shown
from tasks.feedback.events import write_events
from tasks.feedback.redaction import redact_events
from tasks.feedback.store.window import read_window
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `events.jsonl`, new and replayed ones, and `audit.json` of the new ones."""
    config = context.section(CollectConfig, "collect")
    window = read_window(context.feedback_url, context.external["window"], config.replay)
    data = context.section(DataConfig, "data")
    replayed, new = redact_events(window.replayed, data), redact_events(window.new, data)
    events = [*replayed.events, *new.events]
    write_events(context.out / "events.jsonl", events)
    audited = audit(new.events, context.seed)
    (context.out / "audit.json").write_text(audited.model_dump_json(indent=1), encoding="utf-8")
    counts = {"new": len(window.new), "replayed": len(window.replayed), "watermark": window.watermark}
    summary = describe(events) | counts | headline(audited) | new.summary()
    context.run.metrics(
        {f"collect/{name}": float(value) for name, value in summary.items() if value is not None}
    )
    context.run.table("rankings.json", rankings_shown(new.events[:20]))
    return summary
