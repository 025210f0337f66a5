"""Answers from an OpenAI-compatible server: many requests at a time, tried again while it is busy.

The client waits as long as the server says in Retry-After (two minutes at most), otherwise 0.5 s doubling to
8 s. It tries again after 408, 409, 429, 5xx, a broken connection and a timeout.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tasks.shared.errors import Problem, ServiceError

# A rejection of one request, after which others may still succeed; whatever else is final stops all.
_REJECTED = (400, 413, 422)
_SHOWN = 300


@dataclass(frozen=True)
class Endpoint:
    """Where to ask and how.

    Attributes:
        setting: The key of the configuration that holds the address, for messages.
        url: Address of the server, without a secret.
        model: Name of the model there.
        max_tokens: Longest answer, tokens.
        temperature: 0 is greedy.
        concurrency: Requests at a time.
        retries: Further tries of a request.
        timeout: Seconds to wait for one answer.
    """

    setting: str
    url: str
    model: str
    max_tokens: int
    temperature: float
    concurrency: int
    retries: int
    timeout: float


@dataclass(frozen=True)
class ChatRequest:
    """The messages of one request, and the seed of its sampling, which a server may heed."""

    messages: list[dict[str, str]]
    seed: int | None = None


@dataclass(frozen=True)
class ChatReply:
    """The text of an answer, and whether it ended by itself."""

    text: str
    stopped: bool


@dataclass
class _Outcome:
    """What became of some requests; `is_over` once asking on is no use."""

    replies: dict[str, ChatReply] = field(default_factory=dict)
    failure: str | None = None
    is_over: bool = False


def ask(
    endpoint: Endpoint,
    secret: str | None,
    requests: Mapping[str, ChatRequest],
    piece: int,
    on_reply: Callable[[], None],
) -> Iterator[dict[str, ChatReply]]:
    """Replies by the names of the requests, piece by piece.

    Args:
        endpoint: Where and how.
        secret: The server's key; None if it wants none.
        requests: By a name.
        piece: Requests of a piece; what was answered of it is given even if others failed.
        on_reply: Called after each reply.

    Raises:
        ServiceError: After all that was answered was given: some requests failed, with their number.
    """
    answered, failure = 0, None
    left = iter(requests.items())
    while some := dict(islice(left, piece)):
        outcome = asyncio.run(_ask_piece(endpoint, secret, some, on_reply))
        answered += len(outcome.replies)
        failure = failure or outcome.failure
        if outcome.replies:
            yield outcome.replies
        if outcome.is_over:
            break
    if failure is not None:
        missing = len(requests) - answered
        raise _incomplete(endpoint, f"{missing} of {len(requests)} answers missing ({failure})")


async def _ask_piece(
    endpoint: Endpoint, secret: str | None, requests: Mapping[str, ChatRequest], on_reply: Callable[[], None]
) -> _Outcome:
    from openai import AsyncOpenAI, Omit

    outcome, slots = _Outcome(), asyncio.Semaphore(endpoint.concurrency)
    # Without these the client would send what the environment holds for another server.
    others: Any = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    client = AsyncOpenAI(
        api_key=secret or "none",
        base_url=endpoint.url,
        timeout=endpoint.timeout,
        max_retries=endpoint.retries,
        default_headers=others,
    )

    async def one(name: str, request: ChatRequest) -> None:
        async with slots:
            if outcome.is_over:
                return
            reply = await _reply(client, endpoint, request, outcome, secret)
        if reply is not None:
            outcome.replies[name] = reply
            on_reply()

    async with client:
        await asyncio.gather(*(one(name, request) for name, request in requests.items()))
    return outcome


async def _reply(
    client: Any, endpoint: Endpoint, request: ChatRequest, outcome: _Outcome, secret: str | None
) -> ChatReply | None:
    """One reply, or a note of the failure in the outcome."""
    from openai import APIError, APIStatusError

    options = {} if request.seed is None else {"seed": request.seed}
    try:
        completion = await client.chat.completions.create(
            model=endpoint.model,
            messages=request.messages,
            max_tokens=endpoint.max_tokens,
            temperature=endpoint.temperature,
            **options,
        )
        choice = completion.choices[0]
        return ChatReply((choice.message.content or "").strip(), choice.finish_reason == "stop")
    except APIStatusError as error:
        outcome.is_over = outcome.is_over or error.status_code not in _REJECTED
        said = f"HTTP {error.status_code}: {error.response.text}"
    except APIError as error:
        outcome.is_over = True
        said = str(error)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        outcome.is_over = True
        said = f"no chat completion: {error}"
    outcome.failure = outcome.failure or _without(said, secret)
    return None


def _without(text: str, secret: str | None) -> str:
    """A server's words in one short line, without the key that it may repeat."""
    plain = " ".join((text.replace(secret, "***") if secret else text).split())
    return plain if len(plain) <= _SHOWN else plain[:_SHOWN] + "…"


def _incomplete(endpoint: Endpoint, got: str) -> ServiceError:
    return ServiceError(
        Problem(
            endpoint.setting,
            f"{got} from {endpoint.url}",
            f"an answer of {endpoint.model} to each question",
            "Mend it (its key is read from RETORT_ENDPOINT_KEY), then run again: what was answered is kept.",
        )
    )
