"""The printed report: the page as PDF, by WeasyPrint, which needs the system's library Pango."""

import logging
from functools import cache
from pathlib import Path


@cache
def printable() -> str:
    """Why no PDF can be made here; empty if one can."""
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError):
        return "the system has no Pango (Debian: `apt install libpango-1.0-0 libpangoft2-1.0-0`)"
    return ""


def write_pdf(page: str, path: Path) -> None:
    """Print a self-contained page; nothing is fetched from anywhere."""
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    # It tells of every rule of the stylesheet that is for screens.
    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    logging.getLogger("fontTools").setLevel(logging.CRITICAL)
    fetcher = URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    HTML(string=page, url_fetcher=fetcher).write_pdf(str(path))
