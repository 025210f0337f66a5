"""Stage `score`: what the teacher thinks of every token of the answers, for all students alike.

Answers that were scored in an earlier run are not scored again; the teacher's weights are loaded only if
there is something new.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from configs.schema_label import ScoreConfig
from tasks.ml.batching import Group, fill, group_examples, pack, plan_batches
from tasks.ml.precision import frozen_copy
from tasks.ml.prompts import Example, encode
from tasks.ml.records import SHARD_RECORDS, complete, record_key, records_namespace
from tasks.ml.rows import Row, load_rows
from tasks.ml.seeding import stable_fraction, stable_hash
from tasks.ml.signal_gate import GateDecision, decide_top_k
from tasks.ml.teacher import load_teacher, load_teacher_tokenizer
from tasks.ml.teacher_signal import Scores, TeacherSignal, dense_log_probs, score_batch
from tasks.stage import StageContext

ROW_TOKENS = 1024
GATE_TOKENS = 1000


def run(context: StageContext) -> dict[str, Any]:
    """Write `signal/`: the teacher's top-k at every token of a share of the answers."""
    scorer = Scorer(context, load_rows(context.inputs["label"] / "rows.jsonl"))
    decision = scorer.gate()
    signal = scorer.score(decision.top_k)
    signal.save(context.out / "signal")
    lost = [{"top_k": top_k, "lost": share} for top_k, share in decision.lost.items()]
    context.run.table("gate.json", lost)
    summary = {
        "rows": len(scorer.rows),
        "tokens": len(signal.log_tail),
        "top_k": decision.top_k,
        "lost": decision.lost.get(decision.top_k, 0.0),
        "bytes_per_token": signal.bytes_per_token,
        "gold_nll": gold_nll(signal, [example.response for example in scorer.examples]),
    }
    context.run.metrics({f"score/{name}": value for name, value in summary.items()})
    return summary


class Scorer:
    """The teacher and what it has to score.

    Args:
        context: Of the stage.
        rows: Questions with answers.

    Attributes:
        examples: The rows in the teacher's token ids.
        groups: Those of the rows in the share that is scored.
    """

    def __init__(self, context: StageContext, rows: list[Row]) -> None:
        self.context, self.rows = context, rows
        self.config = context.section(ScoreConfig, "score")
        self._source = context.teacher_source
        self.tokenizer = load_teacher_tokenizer(*self._source)
        self.examples = [encode(self.tokenizer, row) for row in rows]
        groups = group_examples(self.examples, [row.context for row in rows], ROW_TOKENS)
        self.groups = [group for group in groups if is_scored(rows, group, self.config.share)]
        teacher = context.external["teacher"]
        self._records = context.records(records_namespace("score", teacher))

    @cached_property
    def teacher(self) -> Any:
        """The model, loaded when it is first needed."""
        return frozen_copy(load_teacher(*self._source)[0], self.config.precision)

    def gate(self) -> GateDecision:
        """How many tokens to keep, decided on whole groups that a stable draw puts first."""
        sample = self._sample()
        config = self.config
        texts = [_tokens(self.examples[branch.index]) for group in sample for branch in group.branches]
        key = record_key("gate", texts, config.top_k, config.most_lost, config.temperature, config.precision)

        def decide(keys: list[str]) -> Iterator[dict[str, bytes]]:
            dense = (
                log_probs
                for part in fill(sample, config.token_budget)
                for log_probs in dense_log_probs(self.teacher, self._pack(part), config.temperature)
            )
            decision = decide_top_k(dense, config.top_k, config.most_lost)
            yield {key: json.dumps(asdict(decision)).encode()}

        found = json.loads(complete(self._records, [key], decide)[key])
        lost = {int(top_k): share for top_k, share in found["lost"].items()}
        return GateDecision(found["top_k"], lost, found["tokens"])

    def score(self, top_k: int) -> TeacherSignal:
        """The teacher's top-k on the answers of the groups."""
        chosen = [branch.index for group in self.groups for branch in group.branches]
        keys = {index: self._key(index, top_k) for index in chosen}
        bar = self.context.bar("score: teacher logits", len(set(keys.values())), "answers")
        bar.advance(len(self._records.known(keys.values())))

        def make(missing: list[str]) -> Iterator[dict[str, bytes]]:
            yield from self._shards({key: index for index, key in keys.items()}, missing, top_k, bar)

        found = complete(self._records, list(keys.values()), make)
        scored = {index: Scores.from_bytes(found[key], top_k) for index, key in keys.items()}
        return TeacherSignal.join(scored, len(self.rows), top_k, self.config.temperature)

    def _shards(
        self, index_of: dict[str, int], missing: list[str], top_k: int, bar: Any
    ) -> Iterator[dict[str, bytes]]:
        """Score what is missing, a shard of records at a time."""
        key_of = {index_of[key]: key for key in missing}
        wanted = sorted(key_of)
        contexts = [self.rows[index].context for index in wanted]
        groups = group_examples([self.examples[index] for index in wanted], contexts, ROW_TOKENS)
        shard: dict[str, bytes] = {}
        for part in plan_batches(groups, self.config.token_budget, self.context.seed, 0):
            scored = score_batch(
                self.teacher, part, top_k, self.config.temperature, self.tokenizer.pad_token_id
            )
            shard |= {key_of[wanted[place]]: scores.to_bytes() for place, scores in scored.items()}
            bar.advance(len(scored))
            if len(shard) >= SHARD_RECORDS // 4:
                yield shard
                shard = {}
        if shard:
            yield shard

    def _key(self, index: int, top_k: int) -> str:
        config = self.config
        tokens = _tokens(self.examples[index])
        return record_key("score", tokens, top_k, config.temperature, config.precision)

    def _sample(self) -> list[Group]:
        order = sorted(self.groups, key=lambda group: stable_hash("gate", self.rows[_first(group)].id))
        sample: list[Group] = []
        tokens = 0
        for group in order:
            if tokens >= GATE_TOKENS:
                break
            sample.append(group)
            tokens += sum(len(branch.response) for branch in group.branches)
        return sample

    def _pack(self, groups: list[Group]) -> Any:
        return pack(groups, self.tokenizer.pad_token_id)


def is_scored(rows: list[Row], group: Group, share: float) -> bool:
    """Whether a group is in the share that the teacher scores; the draw is by the text of its facts."""
    row = rows[_first(group)]
    return stable_fraction("scored", row.context or row.question) < share


def gold_nll(signal: TeacherSignal, answers: list[tuple[int, ...]]) -> float:
    """The teacher's mean negative log-likelihood of scored answers, nats a token, bounded by its top-k."""
    scored = signal.spans[:, 1] > signal.spans[:, 0]
    known = [answer for answer, is_known in zip(answers, scored, strict=True) if is_known]
    targets = np.array([token for answer in known for token in answer])
    if not len(targets):
        return 0.0
    hit = signal.ids == targets[:, None]
    chosen = np.where(hit, signal.log_probs, 0).sum(1, dtype=np.float64)
    return -float(np.where(hit.any(1), chosen, signal.log_probs[:, -1]).mean())


def _tokens(example: Example) -> list[list[int]]:
    return [list(example.prompt), list(example.response)]


def _first(group: Group) -> int:
    return group.branches[0].index
