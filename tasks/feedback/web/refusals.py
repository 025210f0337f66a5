"""How the server says no: to a program as JSON, to a person as a page that says what to do next."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

API = "/api"
TITLES = {
    403: "That was not done",
    404: "There is no such page",
    413: "That was too much at once",
    429: "Please wait a moment",
    503: "The answers cannot be reached just now",
}
OTHERWISE = "That did not work"
# A form that is sent again is stored once; these may succeed when they are.
PASSING = (429, 503)
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


def refuse(
    request: Request, status: int, errors: Sequence[str], headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that says what is wrong.

    It needs neither the store nor a session, either of which may be what is missing.

    Args:
        request: What is refused.
        status: HTTP's number for it.
        errors: What is wrong, a sentence each.
        headers: Of the answer.
    """
    path = request.url.path
    if path == API or path.startswith(f"{API}/"):
        return JSONResponse({"errors": list(errors)}, status, headers)
    page = _ENVIRONMENT.get_template("refused.html").render(
        annotator=None,
        title=TITLES.get(status, OTHERWISE),
        errors=errors,
        was_sent=request.method == "POST",
        may_pass=status in PASSING,
    )
    return HTMLResponse(page, status, headers)
