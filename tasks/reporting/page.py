"""The report as one self-contained HTML page; the same page, all open and in plain colours, is printed."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tasks.reporting.definitions import DEFINITIONS
from tasks.reporting.drawing import pixels, svg_of
from tasks.reporting.footprint import REPORT
from tasks.reporting.parts import ALIGNED
from tasks.reporting.pens import HtmlPen, Links, Pen
from tasks.reporting.plots import MOST_COMPARISONS, Plot
from tasks.reporting.story import LEADING, Notice, Story
from tasks.reporting.words import LANGUAGES, TEMPLATES, Words, messages

MOST_SHOWN = 8  # answers side by side, and examples of a check
_DEFINED_UNITS = {"confidence": "share", "significance": ""}


@dataclass(frozen=True)
class Medium:
    """What differs between the page on a screen and the page in print.

    Attributes:
        drawn: Whether plots are drawings, which follow the page's colours; else they are pictures, which take
            a third of the time to print.
        open: Whether everything that can be folded is open.
    """

    drawn: bool
    open: bool


SCREEN, PRINT = Medium(drawn=True, open=False), Medium(drawn=False, open=True)


def render_page(
    story: Story,
    plots: Mapping[str, Plot],
    words: Words,
    links: Links,
    beside: Mapping[str, Any],
    medium: Medium = SCREEN,
) -> str:
    """The page; everything that models and people wrote is escaped.

    Args:
        story: The run.
        plots: By name.
        words: Of the page's language.
        links: Where runs can be looked at.
        beside: `languages`: (code, address) of the page in other languages; `files`: names of other forms.
        medium: Screen or print.
    """
    pen = HtmlPen(words, links)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        story=story,
        words=words,
        pen=pen,
        say=pen.say,
        links=links,
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        languages={code: messages(code)["language_name"] for code in LANGUAGES},
        others=beside["languages"],
        files=beside["files"],
        open=medium.open,
        plotted=MOST_COMPARISONS,
        plots={name: _placed(name, plot, words, medium) for name, plot in plots.items()},
        sections=_sections(story, plots),
        tiles=tiles(story),
        sentences=sentences(story, pen),
        answers=story.load("evaluate", "answers.json")[:MOST_SHOWN],
        definition=lambda name: definition(pen, name),
        notice_text=lambda notice: notice_text(pen, notice),
        stage_name=lambda stage: words(f"stage.{story.parts[stage].ref.kind}"),
        told=lambda text: told(text, words.language),
        **assessment(story),
    )


def _placed(name: str, plot: Plot, words: Words, medium: Medium) -> dict[str, Any]:
    label = words(f"caption.{name}")
    if medium.drawn:
        return {"markup": Markup(svg_of(plot.figure, name, label)), "stages": plot.stages}
    picture = base64.b64encode(plot.png).decode()
    width = pixels(plot.figure)
    markup = Markup('<img src="data:image/png;base64,{}" width="{}" alt="{}">').format(picture, width, label)
    return {"markup": markup, "stages": plot.stages}


def _sections(story: Story, plots: Mapping[str, Plot]) -> list[str]:
    """Which sections a page has, in their order."""
    there = {
        "glance": True,
        "comparison": story.closing,
        "differences": story.differences,
        "families": story.families,
        "slices": story.slices,
        "cost": "quality_and_cost" in plots,
        "training": {"learning_curves", "divergence_and_reward"} & plots.keys(),
        "reward": story.reward_card,
        "calibration": "answer_calibration" in plots,
        "map": "theme_map" in plots,
        "answers": story.load("evaluate", "answers.json"),
        "assessment": story.assessed,
        "impact": story.load("assess", "impact.json"),
        "licences": story.load("assess", "licences.json"),
        "doubts": True,
        "pipeline": True,
        "others": story.others,
        "how": True,
    }
    return [key for key, is_there in there.items() if is_there]


def tiles(story: Story) -> list[dict[str, Any]]:
    """The figures of the aligned model that a page leads with."""
    found = [(metric, story.estimate("evaluate", metric, ALIGNED)) for metric in LEADING]
    return [{"metric": metric, "model": ALIGNED, "estimate": one} for metric, one in found if one]


def sentences(story: Story, pen: Pen) -> list[Any]:
    """The run in a few sentences; what is not known is left out."""
    found = []
    shares = {
        name: story.estimate("evaluate", "accuracy", model)
        for name, model in (
            ("aligned", "aligned"),
            ("distilled", "distilled"),
            ("unrefined", "unrefined"),
            ("teacher", "teacher_zero_shot"),
        )
    }
    aligned = shares["aligned"]
    asked = story.numbers.find("evaluate", "evaluate/rows")
    if aligned and asked and all(shares.values()):
        parts = {name: pen.estimate(one) for name, one in shares.items() if one}
        found.append(pen.say("glance.accuracy", n=pen.number(asked), **parts))
    for one in story.differences:
        if one.row["metric"] == "accuracy" and one.row["model"] == ALIGNED and one.p:
            found.append(_difference(one, pen))
    sizes = [story.estimate("evaluate", "parameters", model) for model in (ALIGNED, "teacher_zero_shot")]
    if sizes[0] and sizes[1]:
        student, teacher = (pen.number(size.value, size.unit) for size in sizes if size)
        found.append(pen.say("glance.smaller", student=student, teacher=teacher))
    total = {name: story.numbers.find(REPORT, f"{REPORT}/{name}") for name in ("seconds", "kwh", "kg_co2e")}
    if total["seconds"] and total["kwh"]:
        parts = {name: pen.number(number) for name, number in total.items() if number}
        found.append(pen.say("glance.emissions" if total["kg_co2e"] else "glance.energy", **parts))
    return found


def _difference(one: Any, pen: Pen) -> Any:
    words, row = pen.words, one.row
    said = pen.say(
        "glance.difference",
        model=words.model(row["model"]),
        against=words.model(row["against"]),
        metric=words.metric(row["metric"]),
        difference=pen.estimate(one.estimate, "signed"),
        p=pen.number(one.p, "", "p"),
    )
    winner = row["winner"]
    verdict = pen.say("glance.winner", winner=words.model(winner)) if winner else pen.say("glance.undecided")
    return pen.join("{} {}", said, verdict)


def definition(pen: Pen, name: str) -> Any:
    """A number that is no measurement, with its name."""
    return pen.number(DEFINITIONS[name], _DEFINED_UNITS[name], "defined")


def notice_text(pen: Pen, notice: Notice) -> Any:
    """A notice with its numbers; what a stage said is quoted."""
    parts = {
        name: pen.quote(part) if isinstance(part, str) else pen.number(part)
        for name, part in notice.parts.items()
    }
    return pen.say(f"notice.{notice.key}", **parts)


def told(text: Any, language: str) -> str:
    """A text that is given in several languages, or in one."""
    if isinstance(text, Mapping):
        return str(text.get(language) or next(iter(text.values())))
    return str(text)


def assessment(story: Story) -> dict[str, Sequence[Any]]:
    """Flags, examples, scenarios and licences, each with its numbers where they were logged."""
    flags = [
        {**flag, "estimate": story.anywhere(flag["check"], flag["model"])}
        for flag in story.load("assess", "flags.json")
    ]
    scenarios = []
    for scenario in story.load("assess", "impact.json"):
        facts = [
            {"flagged": False, **fact, "estimate": story.anywhere(fact["metric"], fact["model"])}
            for fact in scenario["facts"]
        ]
        scenarios.append({"title": None, **scenario, "facts": [fact for fact in facts if fact["estimate"]]})
    return {
        "flags": sorted(flags, key=lambda flag: not flag["flagged"]),
        "examples": story.load("assess", "examples.json")[:MOST_SHOWN],
        "impact": scenarios,
        "licences": story.load("assess", "licences.json"),
    }
