"""Stage `report`: one self-contained page with the comparison, the curves and answers side by side."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from tasks.ml.card_files import headline, load_card
from tasks.ml.closing import METHODS, MODELS, closing_rows, not_people
from tasks.stage import StageContext

TEMPLATES = Path(__file__).parent / "templates"


def run(context: StageContext) -> dict[str, Any]:
    """Write `report.html` and `summary.json` (figures, how the student was aligned, on what feedback)."""
    figures = json.loads((context.inputs["evaluate"] / "figures.json").read_text(encoding="utf-8"))
    answers = json.loads((context.inputs["evaluate"] / "answers.json").read_text(encoding="utf-8"))
    feedback = context.refs["feedback"].summary
    simulated = feedback["simulated"] > 0
    # Without a reward model there is no card of one.
    verdict, card = load_card(context.inputs["reward"]) if "reward" in context.inputs else (None, [])
    aligned = context.refs["aligned"].summary
    method, alarm = METHODS[aligned["algorithm"]], aligned.get("alarm")
    page = render(
        {
            "name": context.config["name"],
            "columns": MODELS,
            "rows": closing_rows(figures),
            "chart": accuracy_chart(figures),
            "answers": answers,
            "simulated": simulated,
            "method": method,
            "alarm": alarm,
            "card": card,
            "card_says": headline(verdict) if verdict else "",
            "card_reasons": [str(reason) for reason in verdict.reasons] if verdict else [],
            "feedback": feedback,
            "made_by": not_people(feedback),
            "summaries": {name: ref.summary for name, ref in context.refs.items()},
        }
    )
    (context.out / "report.html").write_text(page, encoding="utf-8")
    summary = {
        "figures": figures,
        "aligned_by": method,
        "simulated_feedback": simulated,
        "ppo_alarm": alarm,
        "reward_card": verdict.decision if verdict else None,
        "feedback_by": not_people(feedback),
    }
    (context.out / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    context.run.file(context.out / "report.html", "report")
    _plot(context, figures)
    return {"rows": len(figures), "simulated_feedback": simulated}


def render(values: dict[str, Any]) -> str:
    """The page; everything that models and people wrote is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(**values)


def accuracy_chart(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One bar a model, also where the table has no room for it: accuracy and its interval, in percent."""
    return [
        {"model": found["model"], **{name: 100 * found[name] for name in ("value", "low", "high")}}
        for found in figures
        if found["metric"] == "accuracy"
    ]


def _plot(context: StageContext, figures: list[dict[str, Any]]) -> None:
    """The accuracy of every model as a picture for MLflow."""
    from matplotlib.figure import Figure

    bars = accuracy_chart(figures)
    picture = Figure(figsize=(7, 3.2), layout="constrained")
    axes = picture.subplots()
    low = [bar["value"] - bar["low"] for bar in bars]
    high = [bar["high"] - bar["value"] for bar in bars]
    axes.barh(
        [bar["model"].replace("_", " ") for bar in bars],
        [bar["value"] for bar in bars],
        xerr=[low, high],
        color="#2f6f6b",
        capsize=3,
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy on held-out foods, % (95 % interval)")
    context.run.figure("accuracy.png", picture)
