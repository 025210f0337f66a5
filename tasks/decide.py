"""Stage `decide`: whether the challenger takes the champion's place, and why."""

import json
import math
from dataclasses import asdict
from typing import Any

from configs.schema_promotion import PromotionConfig
from tasks.ml.decision_page import decision_text
from tasks.ml.examined import load_examined
from tasks.ml.promotion import Decision, decide
from tasks.stage import StageContext

DECISION, PAGE = "decision.json", "decision.md"
MODELS = ("challenger", "champion", "unrefined")


def run(context: StageContext) -> dict[str, Any]:
    """Write `decision.json` and `decision.md`; the summary holds the decision, its reason and the gain."""
    config = context.section(PromotionConfig, "promotion")
    models = {name: load_examined(context.inputs[name]) for name in MODELS}
    decision = decide(models["challenger"], models["champion"], models["unrefined"], config, context.seed)
    saved = finite(asdict(decision) | {"models": {name: model.figures() for name, model in models.items()}})
    (context.out / DECISION).write_text(json.dumps(saved, indent=1, allow_nan=False), encoding="utf-8")
    (context.out / PAGE).write_text(decision_text(decision, models, config), encoding="utf-8")
    report(context, decision)
    gain = decision.gain
    return {
        "rows": decision.power.questions,
        "decision": "promote" if decision.promote else "keep",
        "reason": decision.reason,
        "metric": config.metric,
        "gain": finite([gain.value, gain.low, gain.high]),
    }


def report(context: StageContext, decision: Decision) -> None:
    """Record the figures and say the verdict."""
    figures = {f"promotion/{rule.name}": rule.difference.value for rule in decision.rules}
    ends = {"gain": decision.gain.value, "gain_low": decision.gain.low, "gain_high": decision.gain.high}
    figures |= {f"promotion/{name}": value for name, value in ends.items() if math.isfinite(value)}
    context.run.metrics(figures | {"promotion/promote": float(decision.promote)})
    context.run.file(context.out / PAGE, "decision")
    verdict = "promote" if decision.promote else "keep the champion"
    context.bars.say(f"decide: {verdict}: {decision.reason}")


def finite(tree: Any) -> Any:
    """The tree with None for numbers that JSON cannot say: ends of an interval from too few contexts."""
    if isinstance(tree, dict):
        return {name: finite(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
