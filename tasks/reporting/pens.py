"""How a number gets onto a page with its source: as HTML that leads there, or as text with an index."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from tasks.reporting.numbers import Number
from tasks.reporting.words import Words

# How a number is written: as it is; with its sign, as a difference; within brackets, without the sign of its
# unit; as a probability; as a definition, with no more digits than it has.
Style = Literal["plain", "signed", "end", "p", "defined"]


@dataclass(frozen=True)
class Links:
    """Where a tracker's runs can be looked at.

    Attributes:
        runs: Address of a run without its id; None where there is no server.
    """

    runs: str | None = None

    @classmethod
    def beside(cls, run_url: str | None) -> "Links":
        """The links of all runs, from that of one of them."""
        return cls(run_url.rpartition("/")[0] if run_url else None)

    def run(self, run_id: str | None) -> str | None:
        """The address of a run."""
        return f"{self.runs}/{run_id}" if self.runs and run_id else None


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, where it has one.

    Attributes:
        value: The value.
        unit: Its unit.
        low: Lower end of the interval.
        high: Upper end.
        doubts: Rules that it breaks, by the names of their messages.
    """

    value: Number
    unit: str = ""
    low: Number | None = None
    high: Number | None = None
    doubts: tuple[str, ...] = ()

    @property
    def has_width(self) -> bool:
        """Whether the interval says more than the value."""
        return self.low is not None and self.high is not None and self.low.value != self.high.value


class Pen:
    """Writes numbers as text, and refuses any that has no source."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def number(self, number: Number, unit: str = "", style: Style = "plain") -> Any:
        """A number as it is shown."""
        return self.written(number.value, unit, style)

    def written(self, value: float, unit: str, style: Style) -> str:
        """The text of a number."""
        writer = self.words.writer
        if style == "p":
            return writer.probability(value)
        if style == "defined":
            return writer.exact(value, unit)
        if style == "signed":
            return writer.signed(value, unit)
        text = writer.number(value, unit)
        return text.removesuffix("%").rstrip() if style == "end" else text

    def estimate(self, found: Estimate, style: Style = "plain") -> Any:
        """A value with its interval in brackets."""
        value = self.number(found.value, found.unit, style)
        if not found.has_width or found.low is None or found.high is None:
            return value
        ends = [self.number(end, found.unit, "end") for end in (found.low, found.high)]
        return self.join("{} [{}{} {}]", value, ends[0], self.words("list_separator"), ends[1])

    def say(self, key: str, **parts: Any) -> Any:
        """A message of the catalogue."""
        return self.words(key, **parts)

    def quote(self, text: str) -> Any:
        """What a stage, a model or a person said, in their own words and numbers."""
        return text

    def name(self, text: str) -> Any:
        """What something is called; a digit in it is no measurement."""
        return self.quote(text) if _DIGIT.search(text) else text

    def join(self, form: str, *parts: Any) -> Any:
        """Parts put together."""
        return form.format(*parts)


class HtmlPen(Pen):
    """Each number is an element that names its metric, run and artifact, and leads to the run."""

    def __init__(self, words: Words, links: Links) -> None:
        super().__init__(words)
        self._links = links

    def number(self, number: Number, unit: str = "", style: Style = "plain") -> Markup:
        """A link to the run, or to where this page says what is known of it."""
        address = self._links.run(number.run_id) or f"#made-{number.stage}"
        # Ends of intervals would treble the stops of whoever goes through the page with the keyboard.
        skipped = Markup(' tabindex="-1"') if style == "end" else ""
        return Markup(
            '<a class="num" href="{}" data-metric="{}" data-unit="{}" data-stage="{}" data-run="{}"'
            ' data-artifact="{}" title="{}"{}>{}</a>'
        ).format(
            address,
            number.metric,
            unit,
            number.stage,
            number.run_id or "",
            number.artifact,
            number.metric,
            skipped,
            self.written(number.value, unit, style),
        )

    def say(self, key: str, **parts: Any) -> Markup:
        """A message; what fills its gaps is escaped unless it is an element already."""
        return Markup(self.words(key, **{name: f"{{{name}}}" for name in parts})).format(**parts)

    def quote(self, text: str) -> Markup:
        """A quotation, escaped."""
        return Markup('<span class="quote">{}</span>').format(text)

    def join(self, form: str, *parts: Any) -> Markup:
        """Parts put together, escaped unless they are elements already."""
        return Markup(form).format(*parts)


class TextPen(Pen):
    """Numbers are marked in the text; `resolve` takes the marks out, and gives the index of a text."""

    def __init__(self, words: Words) -> None:
        super().__init__(words)
        self._entries: list[dict[str, Any]] = []

    def number(self, number: Number, unit: str = "", style: Style = "plain") -> str:
        """The number between two characters of private use, which name its entry."""
        text = self.written(number.value, unit, style)
        self._entries.append(
            {
                "text": text,
                "metric": number.metric,
                "value": number.value,
                "unit": unit,
                "stage": number.stage,
                "run": number.run_id,
                "artifact": number.artifact,
            }
        )
        return f"\ue000{len(self._entries) - 1}\ue001{text}\ue002"

    def quote(self, text: str) -> str:
        """A quotation between two characters of private use."""
        return f"\ue003{_PRIVATE.sub('', text)}\ue004"

    def resolve(self, text: str) -> dict[str, list[Any]]:
        """What stands in a text: an entry for each of its `numbers`, and what is `quoted`, both in order."""
        numbers = [self._entries[int(number)] for number in _MARK.findall(text)]
        return {"numbers": numbers, "quoted": _QUOTED.findall(text)}


_DIGIT = re.compile(r"\d")
_PRIVATE = re.compile("[\ue000-\ue00f]")
_MARK = re.compile("\ue000(\\d+)\ue001")
_QUOTED = re.compile("\ue003(.*?)\ue004", re.DOTALL)


def plain(text: str) -> str:
    """A text of `TextPen` without its marks."""
    return _PRIVATE.sub("", _MARK.sub("", text))
