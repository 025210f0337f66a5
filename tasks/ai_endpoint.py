"""A model behind an address that judges and revises."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from configs.schema_ai_feedback import JudgingSection
from tasks.feedback.ai_annotator import AIAnnotator
from tasks.feedback.ai_judge import Messages, judge_in_words
from tasks.ml.progress import Bar
from tasks.ml.records import SHARD_RECORDS, Records, complete, record_key, records_namespace
from tasks.shared.endpoint import ChatRequest, Endpoint, ask
from tasks.shared.env import endpoint_key

KIND = "chat"


def endpoint_annotator(config: JudgingSection, records: Callable[[str], Records], bar: Bar) -> AIAnnotator:
    """A model behind the section's `endpoint`; what it replied is kept, and not paid for again."""
    replies = EndpointReplies(config, records, bar)
    return AIAnnotator(judge_in_words(f"ai-{config.endpoint_model}"[:128], replies), replies)


class EndpointReplies:
    """Asks an endpoint, greedily, what no record holds yet."""

    def __init__(self, config: JudgingSection, records: Callable[[str], Records], bar: Bar) -> None:
        assert config.endpoint is not None
        assert config.endpoint_model is not None
        self._endpoint = Endpoint(
            setting=f"{config.section_name}.endpoint",
            url=config.endpoint,
            model=config.endpoint_model,
            max_tokens=config.max_new_tokens,
            temperature=0.0,
            concurrency=config.concurrency,
            retries=config.retries,
            timeout=config.timeout,
        )
        where = f"{config.endpoint_model}@{config.endpoint}"
        self._records, self._bar = records(records_namespace(KIND, where)), bar
        self._decided = (KIND, where, config.max_new_tokens)

    def __call__(self, chats: Sequence[Messages]) -> list[str]:
        """The reply to each conversation."""
        keys = [record_key(*self._decided, chat) for chat in chats]
        by_key = dict(zip(keys, chats, strict=True))
        self._bar.advance(len(self._records.known(by_key)))
        found = complete(
            self._records, keys, lambda missing: self._replies({key: by_key[key] for key in missing})
        )
        return [str(json.loads(found[key])) for key in keys]

    def _replies(self, chats: Mapping[str, Messages]) -> Iterator[dict[str, bytes]]:
        requests = {key: ChatRequest(chat) for key, chat in chats.items()}
        for some in ask(self._endpoint, endpoint_key(), requests, SHARD_RECORDS, self._bar.advance):
            yield {key: json.dumps(reply.text).encode() for key, reply in some.items()}
