"""Stage `label`: the teacher answers questions; what does not survive the filters is dropped.

Every answer is kept as a record the moment its shard is full, so no question is asked twice: not after a
kill, and not by another configuration.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from configs.schema_label import LabelConfig
from tasks.ml.precision import frozen_copy
from tasks.ml.progress import Bar
from tasks.ml.prompts import chat
from tasks.ml.records import SHARD_RECORDS, complete, record_key, records_namespace
from tasks.ml.rows import Row, load_rows, write_rows
from tasks.ml.teacher import load_teacher, load_teacher_tokenizer
from tasks.ml.teacher_answers import (
    KIND,
    Asked,
    LocalWriter,
    Reply,
    Writer,
    keep,
    manner,
    rows_to_answer,
    stream,
)
from tasks.shared.endpoint import ChatRequest, Endpoint, ask
from tasks.shared.env import endpoint_key
from tasks.stage import StageContext

TABLE_ROWS = 1000
SEED_BITS = 31  # what every server takes


def run(context: StageContext) -> dict[str, Any]:
    """Write `rows.jsonl`: training rows with an answer, gold or the teacher's."""
    config = context.section(LabelConfig, "label")
    train = load_rows(context.inputs["clean"] / "rows.jsonl", "train")
    gold = [row for row in train if row.answer is not None]
    rows = rows_to_answer(train, config)
    asked, replies = ask_teacher(context, config, rows) if rows else ([], [])
    kept = keep(asked, replies, config)
    labelled = gold + kept.rows
    write_rows(context.out / "rows.jsonl", labelled)
    context.run.table("teacher_answers.json", kept.table[:TABLE_ROWS])
    summary = {
        "rows": len(labelled),
        "gold": len(gold),
        "asked": len(rows),
        "answers": len(asked),
        "kept": len(kept.rows),
    }
    context.run.metrics({f"label/{name}": float(value) for name, value in summary.items()})
    context.run.metrics({f"label/dropped/{name}": float(n) for name, n in kept.dropped.items()})
    return summary | {"dropped": dict(kept.dropped)}


def ask_teacher(
    context: StageContext, config: LabelConfig, rows: Sequence[Row]
) -> tuple[list[Asked], list[Reply]]:
    """All answers to all rows; only those that no record holds are made."""
    writer = make_writer(context, config)
    asked = [Asked(row, n, key) for row in rows for n, key in enumerate(writer.keys(row))]
    by_key = {one.key: one for one in asked}
    records = context.records(records_namespace(KIND, writer.teacher))
    known = records.known(by_key)
    bar = context.bar("label: teacher answers", len(by_key), "answers")
    bar.advance(len(known))
    context.run.metrics({"label/known": float(len(known))})
    found = complete(
        records, list(by_key), lambda missing: writer.answer([by_key[key] for key in missing], bar)
    )
    return asked, [Reply.from_bytes(found[one.key]) for one in asked]


def make_writer(context: StageContext, config: LabelConfig) -> Writer:
    """The teacher that the configuration names; weights are not loaded yet."""
    if config.endpoint is not None:
        return EndpointWriter(config, context.seed)
    source = context.teacher_source

    def load() -> Any:
        return frozen_copy(load_teacher(*source)[0], config.precision)

    tokenizer = load_teacher_tokenizer(*source)
    return LocalWriter(context.external["teacher"], tokenizer, load, config, context.seed)


class EndpointWriter:
    """A teacher behind an address; nothing is known of it but its name there."""

    def __init__(self, config: LabelConfig, seed: int) -> None:
        assert config.endpoint is not None
        assert config.endpoint_model is not None
        self.teacher = f"{config.endpoint_model}@{config.endpoint}"
        self._how, self._samples = manner(config, seed), config.samples
        self._is_sampled = config.decoding == "sampled"
        self._endpoint = Endpoint(
            setting="label.endpoint",
            url=config.endpoint,
            model=config.endpoint_model,
            max_tokens=config.max_new_tokens,
            temperature=config.temperature if self._is_sampled else 0.0,
            concurrency=config.concurrency,
            retries=config.retries,
            timeout=config.timeout,
        )

    def keys(self, row: Row) -> list[str]:
        """Decided by the address, the model's name, the messages and how they are continued."""
        decided = (KIND, self._endpoint.url, self._endpoint.model, chat(row), self._how)
        return [record_key(*decided, sample) for sample in range(self._samples)]

    def answer(self, asked: Sequence[Asked], bar: Bar) -> Iterator[dict[str, bytes]]:
        """Ask, and keep what was answered even if the server fails in the end."""
        requests = {
            one.key: ChatRequest(
                chat(one.row), stream(one.key) >> (64 - SEED_BITS) if self._is_sampled else None
            )
            for one in asked
        }
        for replies in ask(self._endpoint, endpoint_key(), requests, SHARD_RECORDS, bar.advance):
            yield {key: Reply(reply.text, reply.stopped).to_bytes() for key, reply in replies.items()}
