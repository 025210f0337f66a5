"""`retort feedback serve`: the page and the API where people judge."""

from typing import Annotated

import typer

FAILED_LOGINS_PER_MINUTE = 20
BODY_BYTES = 256 * 1024
OPEN_TO_ALL = (
    "Warning: other machines can reach it, and what goes there is not encrypted. "
    "Put a proxy with TLS before it, or bind to 127.0.0.1."
)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; other machines reach it if not loopback.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8765,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute that one annotator may make.")] = 240,
) -> None:
    """Serve the comparisons that wait to people with a token (see `invite`), until Ctrl-C."""
    from flows.feedback_cli import opened
    from tasks.feedback.web.app import make_app
    from tasks.feedback.web.guard import Settings
    from tasks.feedback.web.serve import is_loopback, listen, shown
    from tasks.feedback.web.serve import serve as run
    from tasks.shared.announcer import Announcer
    from tasks.shared.env import read_env

    settings = Settings(rate, FAILED_LOGINS_PER_MINUTE, BODY_BYTES)
    with listen(host, port) as listening, opened() as database:
        if not is_loopback(listening):
            typer.echo(OPEN_TO_ALL, err=True)
        typer.echo(f"People judge at {shown(listening)} until Ctrl-C.")
        announcer = Announcer(read_env().home)
        run(make_app(database, settings, announcer.recorded), listening)
        announcer.close()
    typer.echo("Ended.")
