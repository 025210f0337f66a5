"""A relay before the S3 server that lets the server die in the middle of an upload or a download."""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_CHUNK = 4096
# Of the file's bytes, what still passes before the server dies.
_PASSED = 2 * _CHUNK


@dataclass
class Cut:
    """A transfer to be interrupted.

    Attributes:
        request: Pattern of the request line, such as `PUT /retort/artifacts/distill/.*safetensors`.
        uploads: Whether the file travels to the server.
        on_cut: Called in the middle of the transfer, once.
        done: Set when that has happened.
    """

    request: str
    uploads: bool
    on_cut: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)


class Relay:
    """Passes bytes on between clients and the S3 server, and makes the cuts, in any order, once each."""

    def __init__(self, port: int, cuts: list[Cut]) -> None:
        self._port, self._cuts = port, cuts
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Give the relay's address."""
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    relay.carry(self.request)

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()

    def carry(self, client: socket.socket) -> None:
        """Serve one connection; it ends when either side closes, or with a cut."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=2) as server:
            server.settimeout(None)
            line = Connection(client, server)
            back = threading.Thread(target=line.download, args=(self.make,), daemon=True)
            back.start()
            line.upload(self.find, self.make)
            back.join()

    def find(self, sent: bytes) -> Cut | None:
        """The cut that a request is waiting for, if it is one."""
        for cut in self._cuts:
            if not cut.done.is_set() and re.match(cut.request.encode(), sent):
                return cut
        return None

    def make(self, cut: Cut) -> None:
        """Make a cut, unless another connection did."""
        with self._lock:
            if not cut.done.is_set():
                cut.on_cut()
                cut.done.set()


class Connection:
    """The two sockets of a connection; `cut` is that of the request under way."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server
        self._cut: Cut | None = None

    def upload(self, find: Callable[[bytes], Cut | None], make: Callable[[Cut], None]) -> None:
        """Pass on what the client sends."""
        passed = 0
        with contextlib.suppress(OSError):
            while data := self._client.recv(_CHUNK):
                if found := find(data):
                    self._cut, passed = found, 0
                self._server.sendall(data)
                passed += len(data)
                if self._cut and self._cut.uploads and passed > _PASSED:
                    make(self._cut)
                    self.close()
            # The answer may still be on its way.
            self._server.shutdown(socket.SHUT_WR)

    def download(self, make: Callable[[Cut], None]) -> None:
        """Pass on what the server answers."""
        passed = 0
        with contextlib.suppress(OSError):
            while data := self._server.recv(_CHUNK):
                self._client.sendall(data)
                wanted = self._cut is not None and not self._cut.uploads
                passed = passed + len(data) if wanted else 0
                if self._cut and wanted and passed > _PASSED:
                    make(self._cut)
                    break
        self.close()

    def close(self) -> None:
        """End both sides, whoever is reading."""
        for one in (self._client, self._server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
