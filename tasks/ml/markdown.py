"""Tables and strange texts in Markdown, escaped so that they stay what they are."""

import html
import re
from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"([\\`*_{}\[\]#!|~])")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table. Names in cells may hold anything but marks that are meant as such."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def quoted(text: str) -> str:
    """What a model or a person wrote, in one line: no markup, no link, no picture of theirs comes alive."""
    return _MARKS.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
