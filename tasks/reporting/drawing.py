"""How every plot looks, and how it gets onto a page: as SVG that follows the page's colours, or as PNG."""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each stands in the SVG as written here; a page may give it another value where its ground is dark. The
# colours of series are told apart with any of the common kinds of colour blindness (Okabe and Ito 2008).
INK, FAINT, PAPER = "#17211f", "#8b9693", "#fbfaf7"
BLUE, GREEN, ORANGE, PURPLE, GREY = "#0072b2", "#00805e", "#c15300", "#a8508a", "#6b7472"
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    PAPER: "--paper",
    BLUE: "--blue",
    GREEN: "--green",
    ORANGE: "--orange",
    PURPLE: "--purple",
    GREY: "--grey",
}
OF_MODEL = {
    "unrefined": GREY,
    "teacher": ORANGE,
    "teacher_zero_shot": PURPLE,
    "teacher_few_shot": ORANGE,
    "distilled": BLUE,
    "aligned": GREEN,
}
SERIES = (BLUE, ORANGE, GREEN, PURPLE, GREY)
_LEAST_GAP = 0.075  # between names, of the height of a plot
MARKS = ("o", "s", "D", "^", "v")
PNG_DPI = 160
_PIXELS_PER_INCH = 112  # on a page: a little larger than life, so that small print can be read

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.hashsalt": "retort",
    "svg.fonttype": "path",
    # What people and data wrote is no formula.
    "text.parse_math": False,
}


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches; draw on it inside `styled`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Inches between panels, so that the names at the ends of lines do not touch the next one's axis.
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06))


def styled() -> Any:
    """A context in which everything is drawn in the house style."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def label_ends(axes: "Axes", ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name lines at their last points, as a legend would have to be matched by colour; no name hides another.

    Args:
        axes: With its final limits.
        ends: Of each line x, y, name and colour.
    """
    low, high = axes.get_ylim()
    places = spread([(y - low) / (high - low) for _, y, _, _ in ends], _LEAST_GAP)
    for (x, _, text, colour), place in zip(ends, places, strict=True):
        axes.annotate(
            f" {text}",
            (x, low + place * (high - low)),
            xytext=(4, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move places apart, in their order, until each is a gap from the next; as little as needed upwards."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda index: places[index])
    for before, after in zip(order, order[1:], strict=False):
        moved[after] = max(moved[after], moved[before] + gap)
    return moved


def svg_of(figure: "Figure", name: str, label: str) -> str:
    """The figure as an `<svg>` element in the page's colours; the same figure always gives the same text.

    Args:
        figure: What to draw.
        name: Goes before every id, so that several figures can stand on one page.
        label: What a screen reader says of it.
    """
    from xml.sax.saxutils import quoteattr

    buffer = io.StringIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    size = re.search(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', text)
    if size is None:
        raise ValueError("matplotlib wrote no SVG")
    own = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = (
        f'<svg {own} viewBox="{size[1]}" width="{pixels(figure)}" role="img" aria-label={quoteattr(label)}>'
    )
    text = text[: size.start()] + head + text[size.end() :]
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.strip()


def pixels(figure: "Figure") -> int:
    """How wide a figure stands on a page, CSS pixels."""
    return round(figure.get_figwidth() * _PIXELS_PER_INCH)


def png_of(figure: "Figure") -> bytes:
    """The figure as a PNG on white."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
