"""Stage `report`: pages that show what the run measured, each number with where it comes from."""

import json
from typing import Any

from configs.schema_report import ReportConfig
from tasks.feedback.drift_texts import texts_of
from tasks.feedback.events import load_events, standing
from tasks.ml.card_files import load_card
from tasks.ml.closing import METHODS, not_people
from tasks.ml.compared_texts import thinned
from tasks.ml.embedding import embed_prompts, lower_half
from tasks.ml.models import load_model, load_tokenizer
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import load_rows
from tasks.ml.theme_map import map_themes
from tasks.reporting.footprint import footprint
from tasks.reporting.pages import Pages
from tasks.reporting.parts import Part
from tasks.reporting.pens import Links
from tasks.reporting.story import Story
from tasks.stage import StageContext

THEMES = "themes.json"


def run(context: StageContext) -> dict[str, Any]:
    """Write the pages, and `summary.json` (figures, how the student was aligned, on what feedback)."""
    config = context.section(ReportConfig, "report")
    parts = {
        name: Part(folder, context.refs[name], context.made.get(name, {}))
        for name, folder in context.inputs.items()
    }
    story = Story(context.config["name"], parts)
    themes = themes_of(context, config.map_questions)
    (context.out / THEMES).write_text(json.dumps(themes), encoding="utf-8")
    forms = tuple(dict.fromkeys(("html", *config.formats)))
    links = Links.beside(context.tracker.url)
    pages = Pages(story, themes, config.languages, forms, links, context.bars.say)
    context.run.metrics({number.metric: number.value for number in footprint(story)})
    for path in pages.write(context.out):
        context.run.file(path, "report")
    summary = summarise(context)
    (context.out / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return {
        "rows": len(summary["figures"]),
        "simulated_feedback": summary["simulated_feedback"],
        "doubts": len(story.doubts),
    }


def summarise(context: StageContext) -> dict[str, Any]:
    """What the closing table in the terminal is made of."""
    feedback = context.refs["feedback"].summary
    aligned = context.refs["aligned"].summary
    # Without a reward model there is no card of one.
    verdict = load_card(context.inputs["reward"])[0] if "reward" in context.inputs else None
    figures = json.loads((context.inputs["evaluate"] / "figures.json").read_text(encoding="utf-8"))
    return {
        "figures": figures,
        "aligned_by": METHODS[aligned["algorithm"]],
        "simulated_feedback": feedback["simulated"] > 0,
        "ppo_alarm": aligned.get("alarm"),
        "reward_card": verdict.decision if verdict else None,
        "feedback_by": not_people(feedback),
    }


def themes_of(context: StageContext, questions: int) -> dict[str, Any] | None:
    """A map of questions, half of them put to annotators, as the lower half of the student sees them.

    Returns:
        `points`, each with `x`, `y`, `theme` (its number) and `judged`, and the `themes` with their names;
        None where no map is asked for.
    """
    if not questions:
        return None
    events = standing(load_events(context.inputs["feedback"] / "events.jsonl"))
    rows = load_rows(context.inputs["clean"] / "rows.jsonl", "train")
    half = (questions + 1) // 2
    judged, others = (thinned(texts, half, context.seed) for texts in (texts_of(events), texts_of([], rows)))
    known = set(judged.prompts)
    asked = [*zip(judged.prompts, judged.tasks, judged.units, strict=True)]
    asked += [
        one for one in zip(others.prompts, others.tasks, others.units, strict=True) if one[0] not in known
    ]
    prompts, tasks, units = (list(column) for column in zip(*asked, strict=True))
    folder = context.inputs["distill"] / "model"
    model = frozen_copy(lower_half(load_model(folder)), "fp32")
    bar = context.bar("report: read questions", len(prompts), "questions")
    vectors = embed_prompts(model, load_tokenizer(folder), prompts, tasks, units, bar)
    found = map_themes(vectors.double().numpy(), [text.splitlines()[-1] for text in prompts], context.seed)
    points = [
        {"x": round(x, 4), "y": round(y, 4), "theme": theme, "judged": prompt in known}
        for (x, y), theme, prompt in zip(found.places.tolist(), found.themes.tolist(), prompts, strict=True)
    ]
    return {"points": points, "themes": [{"name": name} for name in found.names]}
