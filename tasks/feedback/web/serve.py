"""Listen on an address, and serve until told to end."""

import ipaddress
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from configs.errors import Problem, RetortError

BACKLOG = 128
LAST_SECONDS = 5  # for the requests that are under way when it is told to end


class AddressError(RetortError):
    """Raised when an address cannot be listened on."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: A name or an address of this machine.
        port: 0 for any that is free.

    Raises:
        AddressError: Another program has it, or it is not an address of this machine.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise AddressError(
            Problem(
                f"{host}:{port}",
                str(error),
                "an address of this machine that is free",
                "Choose another with --host and --port, or end the program that has it.",
            )
        ) from None


def shown(listening: socket.socket) -> str:
    """Its address as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listening: socket.socket) -> bool:
    """Whether nobody but this machine can reach it."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are under way are answered first."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    with _ending_quietly():
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """Uvicorn sends itself the signal once more when it has ended: the process would die of it."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
