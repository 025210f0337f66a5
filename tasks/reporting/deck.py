"""Slides as such: titles, texts that are made to fit, tables and pictures, on sheets of 16 to 9."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from tasks.reporting.pens import TextPen, plain

WIDTH, HEIGHT = 13.333, 7.5  # inches
FONT = "Arial"
MARGIN = 0.08  # inches around the text in a box or a cell
_INK, _ACCENT, _SOFT, _WHITE = "17211F", "1F6F66", "E8EFEC", "FFFFFF"
_LEADING = 1.22  # height of a line, of the size of its font
_POINTS = 72.0  # of an inch
_SMALLEST = 8


@dataclass(frozen=True)
class Box:
    """A place on a slide, inches."""

    left: float
    top: float
    width: float
    height: float


class Deck:
    """Slides in the making.

    Attributes:
        pen: Writes all numbers on them.
    """

    def __init__(self, pen: TextPen) -> None:
        from pptx import Presentation
        from pptx.util import Inches

        self.pen = pen
        self._show = Presentation()
        self._show.slide_width, self._show.slide_height = Inches(WIDTH), Inches(HEIGHT)
        self._said: list[list[str]] = []

    def blank(self, title: str, is_title: bool = False) -> Any:
        """A new slide with a title."""
        slide = self._show.slides.add_slide(self._show.slide_layouts[5])
        self._said.append([])
        box = Box(0.8, 1.4, 11.7, 1.7) if is_title else Box(0.6, 0.4, 12.1, 0.85)
        shape = slide.shapes.title
        _place(shape, box)
        self._fill(shape.text_frame, box, [title], 40 if is_title else 28, bold=True, colour=_ACCENT)
        return slide

    def text(self, slide: Any, box: Box, lines: Sequence[str], size: int, bold: bool = False) -> None:
        """Paragraphs in a box, in the largest type up to a size in which they fit."""
        from pptx.util import Inches

        shape = slide.shapes.add_textbox(*(Inches(x) for x in (box.left, box.top, box.width, box.height)))
        self._fill(shape.text_frame, box, lines, size, bold)

    def table(self, slide: Any, box: Box, rows: Sequence[Sequence[str]], first: float) -> None:
        """A table, its first row the head, its first column of a width of its own, that fits its box."""
        from pptx.util import Inches

        columns = len(rows[0])
        widths = [first, *[(box.width - first) / max(1, columns - 1)] * (columns - 1)]
        size = next(
            (s for s in range(16, _SMALLEST, -1) if _table_height(rows, widths, s) <= box.height), _SMALLEST
        )
        places = (Inches(x) for x in (box.left, box.top, box.width, _table_height(rows, widths, size)))
        table = slide.shapes.add_table(len(rows), columns, *places).table
        for column, width in enumerate(widths):
            table.columns[column].width = Inches(width)
        for number, row in enumerate(rows):
            table.rows[number].height = Inches(_row_height(row, widths, size))
            for column, text in enumerate(row):
                self._cell(table.cell(number, column), text, size, number == 0, number % 2 == 0)

    def picture(self, slide: Any, box: Box, png: bytes, says: str) -> None:
        """A picture as large as its box allows, in the middle of it, with a text for who cannot see it."""
        from PIL import Image
        from pptx.util import Inches

        wide, high = Image.open(io.BytesIO(png)).size
        width = min(box.width, box.height * wide / high)
        height = width * high / wide
        left, top = box.left + (box.width - width) / 2, box.top + (box.height - height) / 2
        places = (Inches(x) for x in (left, top, width, height))
        shape = slide.shapes.add_picture(io.BytesIO(png), *places)
        shape._element._nvXxPr.cNvPr.set("descr", plain(says))

    def number_sources(self, words: str) -> None:
        """Write below each slide where its numbers come from: a sentence, then an index as JSON."""
        for slide, said in zip(self._show.slides, self._said, strict=True):
            index = json.dumps(self.pen.resolve("\n".join(said)), ensure_ascii=False)
            slide.notes_slide.notes_text_frame.text = f"{words}\n{index}"

    def to_bytes(self, title: str, made: datetime | None) -> bytes:
        """The finished file."""
        properties = self._show.core_properties
        properties.title, properties.author = title, "Retort"
        moment = (made or datetime(1980, 1, 1)).replace(tzinfo=None)
        properties.created = properties.modified = moment
        properties.last_modified_by, properties.revision = "Retort", 1
        out = io.BytesIO()
        self._show.save(out)
        return out.getvalue()

    def _fill(
        self, frame: Any, box: Box, lines: Sequence[str], size: int, bold: bool = False, colour: str = _INK
    ) -> None:
        from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE

        plains = [plain(line) for line in lines]
        fits = (
            s for s in range(size, _SMALLEST, -1) if text_height(plains, box.width, s, bold) <= box.height
        )
        frame.word_wrap, frame.auto_size, frame.vertical_anchor = True, MSO_AUTO_SIZE.NONE, MSO_ANCHOR.TOP
        self._write(frame, lines, next(fits, _SMALLEST), bold, colour)

    def _cell(self, cell: Any, text: str, size: int, is_head: bool, is_even: bool) -> None:
        from pptx.dml.color import RGBColor
        from pptx.util import Inches

        cell.margin_left = cell.margin_right = Inches(MARGIN)
        cell.margin_top = cell.margin_bottom = Inches(MARGIN / 2)
        cell.fill.solid()
        ground = _ACCENT if is_head else _SOFT if is_even else _WHITE
        cell.fill.fore_color.rgb = RGBColor.from_string(ground)
        self._write(cell.text_frame, [text], size, is_head, _WHITE if is_head else _INK)

    def _write(self, frame: Any, lines: Sequence[str], size: int, bold: bool, colour: str) -> None:
        from pptx.dml.color import RGBColor
        from pptx.enum.text import PP_ALIGN
        from pptx.util import Inches, Pt

        for name in ("margin_left", "margin_right"):
            setattr(frame, name, Inches(MARGIN))
        for number, line in enumerate(lines):
            paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
            paragraph.alignment = PP_ALIGN.LEFT
            run = paragraph.add_run()
            run.text = plain(line)
            run.font.size, run.font.bold, run.font.name = Pt(size), bold, FONT
            run.font.color.rgb = RGBColor.from_string(colour)
            self._said[-1].append(line)


def _place(shape: Any, box: Box) -> None:
    from pptx.util import Inches

    shape.left, shape.top = Inches(box.left), Inches(box.top)
    shape.width, shape.height = Inches(box.width), Inches(box.height)


def _table_height(rows: Sequence[Sequence[str]], widths: Sequence[float], size: int) -> float:
    return sum(_row_height(row, widths, size) for row in rows)


def _row_height(row: Sequence[str], widths: Sequence[float], size: int) -> float:
    """The head is bold, which is wider: all rows are measured so."""
    heights = [text_height([plain(text)], w, size, bold=True) for text, w in zip(row, widths, strict=True)]
    return max(heights) + MARGIN


def text_height(paragraphs: Sequence[str], width: float, size: int, bold: bool) -> float:
    """Height of wrapped text in a box of a width, inches, measured with a font that is wider than Arial."""
    room = (width - 2 * MARGIN) * _POINTS
    lines = sum(len(wrapped(text, room, size, bold)) for text in paragraphs)
    return lines * size * _LEADING / _POINTS + MARGIN


def wrapped(text: str, room: float, size: int, bold: bool) -> list[str]:
    """The lines of a paragraph; a word that is longer than a line is broken.

    Args:
        text: The paragraph.
        room: Length of a line, points.
        size: Of the font, points.
        bold: Whether it is bold.
    """
    font = _font(size, bold)
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(longer) <= room:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        while font.getlength(word) > room and len(word) > 1:
            fitting = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= room)
            lines[-1], word = word[:fitting], word[fitting:]
            lines.append("")
        lines[-1] = word
    return lines


@cache
def _font(size: int, bold: bool) -> Any:
    from matplotlib import font_manager
    from PIL import ImageFont

    weight = "bold" if bold else "normal"
    name = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(name, size)
