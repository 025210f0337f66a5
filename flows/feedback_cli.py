"""The commands `retort feedback ...`: each opens the feedback store and hands it to who knows the work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flows import feedback_exchange
from flows.feedback_ask import ask
from flows.feedback_audit import audit
from flows.feedback_judge import judge
from flows.feedback_plan import plan
from flows.feedback_serve import serve
from flows.feedback_withdraw import withdraw
from tasks.shared.env import feedback_url, read_env

if TYPE_CHECKING:
    from tasks.feedback.store.database import Database

app = typer.Typer(
    name="feedback",
    no_args_is_help=True,
    help="Collect people's judgements, look after them, and learn from them.",
    epilog="Kept in RETORT_HOME/feedback.db, or in the PostgreSQL database that RETORT_FEEDBACK_URL names.",
)

app.command("import")(feedback_exchange.import_)
app.command("export")(feedback_exchange.export)
app.command()(audit)
app.command()(withdraw)
app.command()(ask)
app.command()(serve)
app.command()(judge)
app.command()(plan)


@app.command()
def invite(
    annotator: Annotated[str, typer.Argument(help="A pseudonym; it stands beside every judgement.")],
) -> None:
    """Give an annotator a token to log in with; it is shown this once, and ends any older one."""
    from tasks.feedback.store.annotators import Annotators

    with opened() as database:
        typer.echo(Annotators(database).invite(annotator))


@contextmanager
def opened() -> Iterator["Database"]:
    """The database of the feedback store."""
    from tasks.feedback.store.database import Database

    database = Database(feedback_url(read_env().home))
    try:
        yield database
    finally:
        database.close()
