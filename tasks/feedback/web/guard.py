"""What stands before every request: how large it may be, how many there may be, and what browsers may do."""

from dataclasses import dataclass
from math import ceil
from time import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.feedback.store.annotators import digest
from tasks.feedback.web.refusals import refuse

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # No other site learns where people came from. `no-referrer` would hide the origin of our own forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SCHEME = "bearer "


@dataclass(frozen=True)
class Settings:
    """How much the server takes.

    Attributes:
        requests_per_minute: Of one annotator.
        failed_logins_per_minute: From one address; then it can log in no more for up to a minute.
        body_bytes: Of one request.
    """

    requests_per_minute: int
    failed_logins_per_minute: int
    body_bytes: int


class Guard:
    """ASGI middleware; a session, where there is one, must be read before it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._body_bytes = settings.body_bytes
        self._requests = RateLimitItemPerMinute(settings.requests_per_minute, namespace="requests")
        self._failures = RateLimitItemPerMinute(settings.failed_logins_per_minute, namespace="failures")
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on; either way the answer gets our headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        address = request.client.host if request.client else ""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if message["status"] == 401:
                    self._limiter.hit(self._failures, address)
            await send(message)

        refusal = self._refusal(request, address)
        if refusal is not None:
            await refusal(scope, receive, answer)
        else:
            await self._app(scope, self._counted(receive), answer)

    def _refusal(self, request: Request, address: str) -> Response | None:
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._body_bytes:
            return refuse(request, 413, [self._too_large])
        token = bearer(request)
        is_login = token is not None or (request.method == "POST" and request.url.path == "/login")
        if is_login and not self._limiter.test(self._failures, address):
            return self._too_many(request, self._failures, address)
        session = request.scope.get("session", {})
        login = digest(token) if token is not None else str(session.get("token_sha256", ""))
        if login and not self._limiter.hit(self._requests, login):
            return self._too_many(request, self._requests, login)
        return None

    @property
    def _too_large(self) -> str:
        return f"More than {self._body_bytes} bytes. Send less."

    def _too_many(self, request: Request, limit: RateLimitItem, whose: str) -> Response:
        until = self._limiter.get_window_stats(limit, whose).reset_time
        wait = max(1, ceil(until - time()))
        return refuse(request, 429, [f"Too many. Wait {wait} s."], {"Retry-After": str(wait)})

    def _counted(self, receive: Receive) -> Receive:
        """The body, which may be larger than its header says, or have none that says it."""
        taken = 0

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_bytes:
                raise HTTPException(413, self._too_large)
            return message

        return counting


def bearer(request: Request) -> str | None:
    """The token in the header `Authorization`; None if there is none."""
    value = request.headers.get("authorization", "")
    return value[len(SCHEME) :].strip() if value.lower().startswith(SCHEME) else None
