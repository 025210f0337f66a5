"""Slides as pictures would show them: nothing lies outside, is longer than its box, or over another."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFont
from pptx import Presentation
from pptx.util import Emu, Pt

from tasks.reporting.deck import wrapped
from tasks.reporting.pages import Pages
from tasks.reporting.pens import Links
from tasks.reporting.story import Story

LINE = 1.2  # height of a line, of the size of its font


@pytest.fixture(params=["en", "fr"])
def show(request: pytest.FixtureRequest, story: Story, themes: Any, tmp_path: Path) -> Any:
    Pages(story, themes, (request.param,), ("slides",), Links(), print).write(tmp_path)
    return Presentation(str(tmp_path / "slides.pptx"))


def test_no_shape_is_outside_its_slide_or_over_another(show: Any) -> None:
    for slide in show.slides:
        boxes = [(s.left, s.top, s.left + s.width, s.top + s.height) for s in slide.shapes]
        for left, top, right, bottom in boxes:
            assert left >= 0
            assert top >= 0
            assert right <= show.slide_width
            assert bottom <= show.slide_height
        for one, other in combinations(boxes, 2):
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, [shape.name for shape in slide.shapes]


def test_no_text_is_longer_than_its_box(show: Any) -> None:
    for slide in show.slides:
        for shape in slide.shapes:
            if shape.has_text_frame and shape.text_frame.text:
                assert height_of(shape.text_frame, shape.width) <= shape.height, shape.text_frame.text
            if shape.has_table:
                table = shape.table
                for row in table.rows:
                    for cell, column in zip(row.cells, table.columns, strict=True):
                        assert height_of(cell.text_frame, column.width) <= row.height, cell.text_frame.text


def height_of(frame: Any, width: int) -> int:
    """Height of a text, measured line by line with a font that is wider than the one shown."""
    total = 0.0
    room = Emu(width).pt - frame.margin_left.pt - frame.margin_right.pt
    for paragraph in frame.paragraphs:
        for run in paragraph.runs:
            size = run.font.size.pt
            total += len(lines_of(run.text, room, int(size), bool(run.font.bold))) * size * LINE
    return Pt(total)


def lines_of(text: str, room: float, size: int, bold: bool) -> list[str]:
    """Greedy wrapping, by a loop of this test's own."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
    lines, current = [], ""
    for word in text.split(" "):
        longer = f"{current} {word}".strip()
        if font.getlength(longer) > room and current:
            lines.append(current)
            longer = word
        current = longer
    return [*lines, current]


def test_every_picture_has_a_text_for_who_cannot_see_it(show: Any) -> None:
    pictures = [shape for slide in show.slides for shape in slide.shapes if shape.shape_type == 13]
    assert len(pictures) >= 5
    for picture in pictures:
        assert len(picture._element._nvXxPr.cNvPr.get("descr")) > 20


def test_a_word_longer_than_a_line_is_broken() -> None:
    lines = wrapped("a " + "x" * 200, 100.0, 12, bold=False)
    assert len(lines) > 5
    assert "".join(lines).replace(" ", "") == "a" + "x" * 200


def test_slides_of_one_run_are_the_same_bytes(story: Story, themes: Any, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Pages(story, themes, ("en",), ("slides",), Links(), print).write(tmp_path / name)
        made.append((tmp_path / name / "slides.pptx").read_bytes())
    assert made[0] == made[1]
