"""What the teacher is asked, under which key each answer is kept, and which answers become training rows."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

from configs.schema_label import LabelConfig
from tasks.ml.answer_filters import Candidate, dropped_by, filter_chain
from tasks.ml.beam import beam_search
from tasks.ml.decode import DecodeEngine, stopped
from tasks.ml.progress import Bar
from tasks.ml.prompts import decode_answer, encode_prompt
from tasks.ml.records import SHARD_RECORDS, record_key
from tasks.ml.rows import Row
from tasks.ml.sampling import Sampling
from tasks.ml.seeding import stable_fraction

KIND = "answer"


@dataclass(frozen=True)
class Asked:
    """One answer that is wanted: the `sample`-th to a row's question, kept under `key`."""

    row: Row
    sample: int
    key: str


@dataclass(frozen=True)
class Reply:
    """What a record holds: the text of an answer, and whether it ended by itself."""

    text: str
    stopped: bool

    def to_bytes(self) -> bytes:
        """The payload of a record."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Reply":
        """Read what `to_bytes` wrote."""
        return cls(**json.loads(payload))


class Writer(Protocol):
    """A teacher who answers, here or elsewhere; `teacher` names it for good."""

    teacher: str

    def keys(self, row: Row) -> list[str]:
        """The key of each sample's answer: a digest of everything that decides it."""
        ...

    def answer(self, asked: Sequence[Asked], bar: Bar) -> Iterator[dict[str, bytes]]:
        """Records of answers by key, in pieces of at most `SHARD_RECORDS`; the bar is advanced by each."""
        ...


def rows_to_answer(train: Sequence[Row], config: LabelConfig) -> list[Row]:
    """Open questions, and the questions of a share of the contexts that have gold answers.

    The draw is by the text of the context, so a larger share asks the same questions and more.
    """
    unanswered = [row for row in train if row.answer is None][: config.open_questions]
    return unanswered + [
        row
        for row in train
        if row.answer is not None
        and stable_fraction("answered", row.context or row.question) < config.answered_share
    ]


def manner(config: LabelConfig, seed: int) -> dict[str, Any]:
    """How answers are decoded, as it stands in their keys; what does not matter is left out."""
    said: dict[str, Any] = {"decoding": config.decoding, "max_new_tokens": config.max_new_tokens}
    if config.decoding == "sampled":
        said |= {"temperature": config.temperature, "seed": seed}
    if config.decoding == "beam":
        said |= {"beams": config.beams}
    return said


def pieces(asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """What makes one shard each."""
    return (asked[start : start + SHARD_RECORDS] for start in range(0, len(asked), SHARD_RECORDS))


class LocalWriter:
    """A teacher on this machine.

    Args:
        teacher: Digest of its weights.
        tokenizer: Its tokeniser.
        load: Gives the model, in the precision of inference; called when there is something to answer.
        config: How it answers.
        seed: Of the noise.
    """

    def __init__(
        self,
        teacher: str,
        tokenizer: PreTrainedTokenizerBase,
        load: Callable[[], Any],
        config: LabelConfig,
        seed: int,
    ) -> None:
        self.teacher = teacher
        self._tokenizer, self._load, self._config, self._seed = tokenizer, load, config, seed

    def keys(self, row: Row) -> list[str]:
        """Decided by the teacher, its arithmetic, the prompt's tokens and how they are continued."""
        prompt = encode_prompt(self._tokenizer, row)
        how = manner(self._config, self._seed)
        decided = (KIND, self.teacher, self._config.precision, prompt, how)
        return [record_key(*decided, sample) for sample in range(self._config.samples)]

    def answer(self, asked: Sequence[Asked], bar: Bar) -> Iterator[dict[str, bytes]]:
        """Answer shard by shard; the noise of an answer is that of its key, whatever is beside it."""
        model = self._load()
        for piece in pieces(asked):
            responses = self._decode(model, piece, bar)
            yield {
                one.key: self._reply(response).to_bytes()
                for one, response in zip(piece, responses, strict=True)
            }

    def _decode(self, model: Any, asked: Sequence[Asked], bar: Bar) -> list[tuple[int, ...]]:
        config, tokenizer = self._config, self._tokenizer
        sampling = Sampling(
            max_new_tokens=config.max_new_tokens,
            stop=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
            temperature=config.temperature if config.decoding == "sampled" else 0.0,
            seed=self._seed,
        )
        prompts = [encode_prompt(tokenizer, one.row) for one in asked]
        if config.decoding == "beam":
            return beam_search(model, prompts, sampling, config.beams, bar)
        engine = DecodeEngine(model, sampling, bar=bar)
        contexts = [one.row.context for one in asked]
        return engine.run(prompts, contexts, streams=[stream(one.key) for one in asked]).responses()

    def _reply(self, response: tuple[int, ...]) -> Reply:
        text = decode_answer(self._tokenizer, response)
        return Reply(text, stopped(response, self._tokenizer.eos_token_id))


def stream(key: str) -> int:
    """The number of a record's stream of noise: the first 64 bits of its key."""
    return int(key[:16], 16)


@dataclass(frozen=True)
class Kept:
    """What became of the answers.

    Attributes:
        rows: Training rows with a teacher's answer.
        dropped: How many answers each filter dropped, all filters of the chain in their order.
        table: One entry an answer, for people.
    """

    rows: list[Row]
    dropped: Counter[str]
    table: list[dict[str, str]]


def keep(asked: Sequence[Asked], replies: Sequence[Reply], config: LabelConfig) -> Kept:
    """Put answers through the filters; of each row keep the first that survives, or all that differ."""
    chain = filter_chain(config)
    kept = Kept([], Counter(dict.fromkeys(chain, 0)), [])
    texts: dict[str, set[str]] = {}
    for one, reply in zip(asked, replies, strict=True):
        reason = dropped_by(chain, Candidate(one.row, reply.text, reply.stopped))
        kept.table.append({"question": one.row.question, "answer": reply.text, "dropped": reason or ""})
        if reason:
            kept.dropped[reason] += 1
            continue
        before = texts.setdefault(one.row.id, set())
        if reply.text in before or (before and config.keep == "first"):
            continue
        kept.rows.append(_taught(one, reply, is_first=not before))
        before.add(reply.text)
    return kept


def _taught(one: Asked, reply: Reply, is_first: bool) -> Row:
    """A row with the teacher's answer; one beside another row of that question gets an id of its own."""
    is_alone = is_first and one.row.answer is None
    name = one.row.id if is_alone else f"{one.row.id}/teacher-{one.sample}"
    return one.row.model_copy(update={"id": name, "answer": reply.text, "source": "teacher"})
