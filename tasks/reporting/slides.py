"""The run as slides (PPTX): twelve at most, every number listed with its source in the notes below."""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tasks.reporting.deck import Box, Deck
from tasks.reporting.page import notice_text, sentences, tiles
from tasks.reporting.pens import Estimate, TextPen
from tasks.reporting.plots import Plot
from tasks.reporting.story import Story, TableRow
from tasks.reporting.words import Words

BODY = Box(0.6, 1.45, 12.1, 5.5)
LEFT, RIGHT = Box(0.6, 1.45, 5.9, 5.5), Box(6.8, 1.45, 5.9, 5.5)
MOST_ROWS, MOST_FLAGS = 10, 9


def write_slides(story: Story, plots: Mapping[str, Plot], words: Words, path: Path) -> None:
    """Write the slides; what the run has no numbers for has none. The same run gives the same bytes."""
    pen = TextPen(words)
    deck = Deck(pen)
    for make in _slides(story, plots):
        make(deck)
    deck.number_sources(words("slides.sources_text"))
    path.write_bytes(steady(deck.to_bytes(story.name, story.date)))


def steady(data: bytes) -> bytes:
    """The same archive without the time at which it was made."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(old.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            new.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), old.read(name), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _slides(story: Story, plots: Mapping[str, Plot]) -> Iterator[Callable[[Deck], None]]:
    """What makes each slide, in order."""
    yield partial(_title, story=story)
    yield partial(_glance, story=story)
    for key, rows in (("comparison", story.closing), ("families", story.families)):
        if rows:
            yield partial(_table, key=key, rows=rows[:MOST_ROWS], models=story.models())
        if key == "comparison" and "forest" in plots:
            yield partial(_picture, key="differences", name="forest", plots=plots)
    if "quality_and_cost" in plots:
        yield partial(_picture, key="cost", name="quality_and_cost", plots=plots)
    trained = [name for name in ("learning_curves", "divergence_and_reward") if name in plots]
    if trained:
        yield partial(_training, names=trained, plots=plots)
    if story.reward_card:
        yield partial(_reward, story=story, plots=plots)
    if "answer_calibration" in plots:
        yield partial(_picture, key="calibration", name="answer_calibration", plots=plots)
    if flags := story.load("assess", "flags.json"):
        yield partial(_flags, story=story, flags=flags)
    elif "theme_map" in plots:
        yield partial(_picture, key="map", name="theme_map", plots=plots)
    if answers := story.load("evaluate", "answers.json"):
        yield partial(_answers, story=story, answer=answers[0])
    yield partial(_picture, key="pipeline", name="pipeline", plots=plots)


def _title(deck: Deck, story: Story) -> None:
    pen, words = deck.pen, deck.pen.words
    slide = deck.blank(pen.say("title", name=pen.name(story.name)), is_title=True)
    lines = [words("slides.subtitle"), pen.say("how.method", method=story.method)]
    if story.date:
        lines.append(pen.say("made_on", date=pen.quote(words.writer.date(story.date))))
    deck.text(slide, Box(0.8, 3.3, 11.7, 1.6), lines, 20)
    notices = [notice_text(pen, notice) for notice in story.notices]
    deck.text(slide, Box(0.8, 5.0, 11.7, 1.7), [*notices, words("slides.limits_text")], 14)


def _glance(deck: Deck, story: Story) -> None:
    pen = deck.pen
    slide = deck.blank(pen.say("section.glance"))
    for place, tile in enumerate(tiles(story)[:6]):
        x, y = 0.6 + 4.1 * (place % 3), 1.45 + 1.45 * (place // 3)
        label = f"{pen.name(pen.words.metric(tile['metric']))}, {pen.words.model(tile['model'])}"
        deck.text(slide, Box(x, y, 3.9, 0.66), [label], 13)
        deck.text(slide, Box(x, y + 0.68, 3.9, 0.6), [pen.estimate(tile["estimate"])], 20, bold=True)
    deck.text(slide, Box(0.6, 4.5, 12.1, 2.4), sentences(story, pen), 15)


def _table(deck: Deck, key: str, rows: Sequence[TableRow], models: Sequence[str]) -> None:
    pen, words = deck.pen, deck.pen.words
    slide = deck.blank(pen.say(f"section.{key}"))
    head = [words("table.metric"), *(words.model(model) for model in models)]
    body = [
        [pen.name(words.measured(row.metric, row.unit)), *(_cell(pen, row.cells.get(m)) for m in models)]
        for row in rows
    ]
    deck.table(slide, BODY, [head, *body], first=3.1)


def _cell(pen: TextPen, found: Estimate | None) -> str:
    if found is None:
        return ""
    doubt = f" ⚠ {pen.say('doubt.mark')}" if found.doubts else ""
    return f"{pen.estimate(found)}{doubt}"


def _picture(deck: Deck, key: str, name: str, plots: Mapping[str, Plot]) -> None:
    pen = deck.pen
    slide = deck.blank(pen.say(f"section.{key}"))
    deck.picture(slide, Box(0.6, 1.4, 12.1, 4.6), plots[name].png, pen.say(f"caption.{name}"))
    deck.text(slide, Box(0.6, 6.1, 12.1, 0.95), [pen.say(f"caption.{name}")], 13)


def _training(deck: Deck, names: Sequence[str], plots: Mapping[str, Plot]) -> None:
    pen = deck.pen
    slide = deck.blank(pen.say("section.training"))
    height = 5.6 / len(names)
    for place, name in enumerate(names):
        box = Box(0.6, 1.35 + height * place, 8.3, height - 0.1)
        deck.picture(slide, box, plots[name].png, pen.say(f"caption.{name}"))
        deck.text(slide, Box(9.1, box.top, 3.6, box.height), [pen.say(f"caption.{name}")], 13)


def _reward(deck: Deck, story: Story, plots: Mapping[str, Plot]) -> None:
    pen, words = deck.pen, deck.pen.words
    slide = deck.blank(pen.say("section.reward"))
    head = [words("table.who"), words("table.right"), words("table.lead")]
    body = [
        [words(f"rule.{who}"), pen.estimate(right), pen.estimate(lead, "signed") if lead else ""]
        for who, right, lead in story.reward_card
    ]
    deck.table(slide, LEFT, [head, *body], first=2.3)
    name = next((one for one in ("reward_calibration", "reward_distribution") if one in plots), None)
    if name:
        deck.picture(slide, RIGHT, plots[name].png, pen.say(f"caption.{name}"))


def _flags(deck: Deck, story: Story, flags: Sequence[Mapping[str, Any]]) -> None:
    pen, words = deck.pen, deck.pen.words
    slide = deck.blank(pen.say("section.assessment"))
    head = [words(f"table.{key}") for key in ("check", "model", "value", "flagged")]
    body = []
    for flag in sorted(flags, key=lambda flag: not flag["flagged"])[:MOST_FLAGS]:
        found = story.anywhere(flag["check"], flag["model"])
        says = words("flag.raised" if flag["flagged"] else "flag.clear")
        check = pen.name(words.metric(flag["check"]))
        body.append([check, words.model(flag["model"]), _cell(pen, found), says])
    deck.table(slide, BODY, [head, *body], first=4.5)


def _answers(deck: Deck, story: Story, answer: Mapping[str, Any]) -> None:
    pen, words = deck.pen, deck.pen.words
    slide = deck.blank(pen.say("section.answers"))
    asked = [pen.quote(_short(answer["question"], 300)), pen.quote(_short(answer["context"], 500))]
    deck.text(slide, Box(0.6, 1.4, 12.1, 1.6), asked, 14)
    rows = [[words("answer.gold"), pen.quote(_short(answer["gold"], 200))]]
    for model in story.models():
        if model in answer:
            mark = "✓" if answer[f"{model}_correct"] else "✗"
            rows.append([f"{mark} {words.model(model)}", pen.quote(_short(answer[model], 200))])
    deck.table(slide, Box(0.6, 3.1, 12.1, 3.9), [["", words("section.answers")], *rows], first=2.8)


def _short(text: str, most: int) -> str:
    """The beginning of a text that is too long for a slide."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
