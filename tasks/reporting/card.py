"""The model card in Hugging Face's form: a header for machines, a text for people, an index of numbers."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.ml.markdown import table
from tasks.reporting.page import definition, notice_text, sentences
from tasks.reporting.parts import ALIGNED
from tasks.reporting.pens import Estimate, TextPen, plain
from tasks.reporting.story import Story, TableRow
from tasks.reporting.words import TEMPLATES, Words

INDEX = "retort-numbers"
# As licences are named in headers: not a sentence.
_IDENTIFIER = re.compile(r"[A-Za-z]+-?[\w.-]*\d[\w.-]*|MIT")


def write_card(story: Story, words: Words, path: Path) -> None:
    """Write the card; its last lines, a comment, list every number of the text in order, with its source."""
    pen = TextPen(words)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("card.md").render(
        story=story,
        pen=pen,
        say=pen.say,
        header=yaml.safe_dump(header(story, words), allow_unicode=True, sort_keys=False),
        notice_text=lambda notice: notice_text(pen, notice),
        data=_data(story, pen),
        feedback=_number(story, pen, "feedback", "feedback/rows"),
        how=pen.say("how.intervals", level=definition(pen, "confidence")),
        sentences=sentences(story, pen),
        closing=_table(pen, story.closing, story.models()),
        families=_table(pen, story.families, story.models()),
        assessed=_table(pen, story.assessed, story.models("assess")),
        doubts=_doubts(story, pen),
        stages=_stages(story, pen),
    )
    # Two hyphens would end the comment.
    index = json.dumps(pen.resolve(text), ensure_ascii=False).replace("--", "-\\u002d")
    path.write_text(f"{plain(text)}\n<!-- {INDEX}\n{index}\n-->\n", encoding="utf-8")


def header(story: Story, words: Words) -> dict[str, Any]:
    """The card's header, with the figures of the aligned model as they were logged."""
    figures = [row for row in story.figures["evaluate"] if row["model"] == ALIGNED]
    found = [(row["metric"], story.estimate("evaluate", row["metric"], ALIGNED)) for row in figures]
    metrics = [
        {"type": metric, "name": words.measured(metric, one.unit), "value": one.value.value}
        for metric, one in found
        if one
    ]
    result = {
        "task": {"type": "text-generation", "name": words("card.task_name")},
        "dataset": {"type": story.name, "name": story.name, "split": "test"},
        "metrics": metrics,
    }
    return {
        "language": "en",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **_licence(story),
        "tags": ["retort", "distillation", story.parts[ALIGNED].ref.kind],
        "model-index": [{"name": f"{story.name}-{ALIGNED}", "results": [result]}],
    }


def _licence(story: Story) -> dict[str, str]:
    """The student's licence is its teacher's, whose weights it began with."""
    rows = [row for row in story.load("assess", "licences.json") if row["what"] in ("model", "teacher")]
    name = str(rows[0].get("licence")) if rows else ""
    return {"license": name.lower()} if _IDENTIFIER.fullmatch(name) else {}


def _number(story: Story, pen: TextPen, stage: str, metric: str) -> str | None:
    number = story.numbers.find(stage, metric)
    return pen.number(number) if number else None


def _data(story: Story, pen: TextPen) -> dict[str, str] | None:
    names = {split: f"clean/splits.{split}" for split in ("train", "valid", "test")}
    found = {name: _number(story, pen, "clean", metric) for name, metric in names.items()}
    found["dropped"] = _number(story, pen, "clean", "clean/dropped")
    known = {name: text for name, text in found.items() if text is not None}
    return known if len(known) == len(found) else None


def _table(pen: TextPen, rows: Sequence[TableRow], models: Sequence[str]) -> str:
    words = pen.words
    head = [words("table.metric"), *(words.model(model) for model in models)]
    body = [
        [pen.name(words.measured(row.metric, row.unit)), *(_cell(pen, row.cells.get(m)) for m in models)]
        for row in rows
    ]
    return "\n".join(table(head, body)) if rows else ""


def _cell(pen: TextPen, found: Estimate | None) -> str:
    if found is None:
        return ""
    return f"{pen.estimate(found)}{' ⚠' if found.doubts else ''}"


def _doubts(story: Story, pen: TextPen) -> list[str]:
    lines = []
    for (metric, model), rules in story.doubts.items():
        found = story.anywhere(metric, model)
        value = f": {pen.estimate(found)}" if found else ""
        says = "; ".join(pen.say(f"doubt.{rule}") for rule in rules)
        lines.append(f"⚠ {pen.name(pen.words.metric(metric))}, {pen.words.model(model)}{value}: {says}")
    return lines


def _stages(story: Story, pen: TextPen) -> str:
    words = pen.words
    head = [words(f"table.{key}") for key in ("stage", "seconds", "energy", "run", "artifact")]
    body = [
        [
            words(f"stage.{one.name}"),
            pen.number(one.seconds) if one.seconds else "",
            pen.number(one.kwh) if one.kwh else "",
            f"`{one.part.run_id}`" if one.part.run_id else words("unknown"),
            f"`{one.part.ref.sha256}`",
        ]
        for one in story.stages
    ]
    return "\n".join(table(head, body))
