"""Loaded by every Python process of a watched run: notes what it does, and stops traffic to other machines.

Python runs a `sitecustomize` that it finds on its path before anything else. An audit hook sees what C code
does with sockets too, and nobody can take it off again.
"""

import os
import sys

_EVENTS = os.environ["RETORT_TEST_EVENTS"]
_LOOPBACK = ("127.", "::1", "localhost")
_MODEL_LIBRARIES = ("torch", "transformers", "mlflow", "prefect")


def _note(kind: str, what: object) -> None:
    line = f"{kind}\t{os.getpid()}\t{what}\n".replace("\0", "")
    file = os.open(_EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, line.encode())
    os.close(file)


def _is_outside(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    return isinstance(text, str) and text != "" and not text.startswith(_LOOPBACK)


def _hosts(event: str, arguments: tuple[object, ...]) -> list[object]:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        # A text in place of a pair names a socket of this machine, as does None.
        address = arguments[1]
        return [address[0]] if isinstance(address, tuple) else []
    return [arguments[0]] if event in ("socket.getaddrinfo", "socket.gethostbyname") else []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "import" and arguments[0] in _MODEL_LIBRARIES:
        _note("import", arguments[0])
    elif event == "subprocess.Popen":
        _note("process", arguments[1])
    elif event.startswith("socket."):
        for host in _hosts(event, arguments):
            if _is_outside(host):
                _note("network", f"{event} {host!r}")
                raise PermissionError(f"this test blocks the network: {event} {host!r}")


_note("start", sys.argv[1:] if hasattr(sys, "argv") else "")
sys.addaudithook(_watch)
