"""Worker: label real questions through our path or through `generate`, or label them again from records.

Questions are those of the default case, all that its sheets ask, so prompts differ in length and share their
sheets. Every answer gets a length beforehand, which both systems are made to keep; the model is that of
`ppo_workload`, cut and talking nonsense, but of real shapes.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LogitsProcessorList

from benchmarks.ppo_workload import MAX_NEW_TOKENS, SEED, Workload, draw_lengths, load_workload, policy_folder
from benchmarks.probe import DTYPES, peak_rss_mb
from benchmarks.trl_parts import ForcedLengths, be_quiet, load
from configs.load import load_run_config
from tasks.ml import teacher_answers
from tasks.ml.decode import Decoded, DecodeEngine
from tasks.ml.facts import load_foods
from tasks.ml.models import load_model, load_tokenizer
from tasks.ml.precision import frozen_copy
from tasks.ml.progress import NoBar
from tasks.ml.prompts import encode_prompt
from tasks.ml.questions import Style, make_rows, make_sheets
from tasks.ml.records import complete, record_key, records_namespace
from tasks.ml.rows import Row
from tasks.ml.teacher_answers import Asked, LocalWriter, Reply
from tasks.shared.hardware import keep_freed_memory
from tasks.shared.local_store import LocalStore
from tasks.shared.record_shards import RecordShards

FOODS = Path(__file__).parents[1] / "configs" / "data" / "usda_foods.csv"
TEACHER = "benchmark"
SINGLES_PER_PAIR = 3  # as many sheets about one food as the default case has for each sheet about two
MANY = 100_000
SHARES = (0.0, 0.01, 0.1)

Prompt = tuple[int, ...]


def question_rows(count: int) -> list[Row]:
    """The first questions of the default case's sheets, sheet by sheet."""
    config = load_run_config(None, [])
    data, foods = config.data, load_foods(FOODS)
    sheets = count // len(data.single_plan) + 2
    singles = make_sheets(foods, sheets, 1, data.single_nutrients, "label", SEED)
    pairs = make_sheets(foods, sheets, 2, data.pair_nutrients, "label", SEED)
    rows: list[Row] = []
    for number, sheet in enumerate(singles):
        rows += make_rows(sheet, "train", data.single_plan, Style(0, 0), SEED)
        if number % SINGLES_PER_PAIR == 0:
            rows += make_rows(pairs[number], "train", data.pair_plan, Style(0, 0), SEED)
    return rows[:count]


def distinct_tokens(prompts: Sequence[Prompt]) -> int:
    """Prompt tokens that must be read: a beginning that prompts share counts once."""
    seen: set[int] = set()
    for prompt in prompts:
        state = 0
        for token in prompt:
            state = hash((state, token))
            seen.add(state)
    return len(seen)


def useful_flops(workload: Workload, prompts: Sequence[Prompt], lengths: Sequence[int]) -> float:
    """Operations that labelling cannot do without; the last token of an answer is never read."""
    body, head = 2 * workload.body_parameters, 2 * workload.head_parameters
    responses = sum(lengths)
    return (distinct_tokens(prompts) + responses - len(lengths)) * body + responses * head


class Labels:
    """What both systems are given.

    Attributes:
        rows: Questions.
        prompts: Their token ids.
        lengths: Tokens of their answers; equal prompts have equal lengths.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.workload, self.policy = load_workload(folder), policy_folder(folder)
        self.tokenizer = load_tokenizer(self.policy)
        self.rows = question_rows(count)
        self.prompts = [encode_prompt(self.tokenizer, row) for row in self.rows]
        self.by_prompt = dict(zip(self.prompts, draw_lengths(count, SEED), strict=True))
        self.lengths = [self.by_prompt[prompt] for prompt in self.prompts]


def our_writer(
    labels: Labels, precision: str, batch: int, model: torch.nn.Module | None = None
) -> LocalWriter:
    """The writer of the stage, whose answers stop at their length; it loads a model if it has none."""

    class ForcedEngine(DecodeEngine):
        def run(self, prompts: Any, keys: Any, limits: Any = None, streams: Any = None) -> Decoded:
            self.sampling = replace(self.sampling, stop=-1, rows=batch)
            forced = [labels.by_prompt[tuple(prompt)] for prompt in prompts]
            return super().run(prompts, keys, forced, streams)

    teacher_answers.DecodeEngine = ForcedEngine  # type: ignore[misc]
    config = load_run_config(None, []).label.model_copy(
        update={"samples": 1, "max_new_tokens": MAX_NEW_TOKENS, "precision": precision}
    )
    return LocalWriter(TEACHER, labels.tokenizer, lambda: model or our_model(labels, precision), config, SEED)


def our_model(labels: Labels, precision: str) -> Any:
    """The model as the stage loads it."""
    return frozen_copy(load_model(labels.policy), precision)


def our_labelling(labels: Labels, options: argparse.Namespace) -> Callable[[], None]:
    """Label by the stage's writer, records and all; the model is loaded once, before."""
    model = our_model(labels, options.precision)
    writer = our_writer(labels, options.precision, options.batch, model)

    def label() -> None:
        asked = [Asked(row, 0, writer.keys(row)[0]) for row in labels.rows]
        found = {key: payload for piece in writer.answer(asked, NoBar()) for key, payload in piece.items()}
        if len(found) != len(labels.by_prompt):
            raise RuntimeError(f"{len(found)} answers instead of {len(labels.by_prompt)}")

    return label


def their_labelling(labels: Labels, options: argparse.Namespace) -> Callable[[], None]:
    """Label by `generate`: prompts sorted by length, padded on the left, batch by batch."""
    model = load(AutoModelForCausalLM, labels.policy, options.precision).eval()
    workload, size = labels.workload, options.batch
    prompts = sorted(labels.by_prompt, key=len)

    def label() -> None:
        for start in range(0, len(prompts), size):
            some = prompts[start : start + size]
            width = max(map(len, some))
            ids = torch.tensor([[workload.pad] * (width - len(p)) + list(p) for p in some])
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in some])
            oracle = ForcedLengths([labels.by_prompt[p] for p in some], width, workload.stop, workload.pad)
            found = model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=True,
                temperature=0.7,
                top_k=0,
                top_p=1.0,
                max_new_tokens=MAX_NEW_TOKENS,
                eos_token_id=workload.stop,
                pad_token_id=workload.pad,
                logits_processor=LogitsProcessorList([oracle]),
            )
            labels.tokenizer.batch_decode(found[:, width:], skip_special_tokens=True)

    return label


def speed(labels: Labels, label: Callable[[], None], options: argparse.Namespace) -> dict[str, Any]:
    """Label in turns; the first warms up."""
    seconds = []
    for _ in range(options.turns + 1):
        started = time.perf_counter()
        label()
        seconds.append(time.perf_counter() - started)
    lengths = list(labels.by_prompt.values())
    widths = [len(prompt) for prompt in labels.by_prompt]
    return {
        "seconds": statistics.median(seconds[1:]),
        "turns": seconds,
        "answers": len(lengths),
        "tokens": sum(lengths),
        "prompt_tokens": [min(widths), statistics.median(widths), max(widths)],
        "useful_flops": useful_flops(labels.workload, list(labels.by_prompt), lengths),
        "peak_rss_mb": peak_rss_mb(),
        "precision": options.precision,
        "batch": options.batch,
    }


def relabel(labels: Labels, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a job from nothing, and of the same job with some questions replaced by new ones.

    Each job starts as the stage does: it reads the tokeniser, makes keys, looks for records on the disk, and
    loads the model if one is missing.
    """
    count = len(labels.rows) * 10 // 12
    scratch = Path(tempfile.mkdtemp())
    try:
        store = LocalStore(scratch)

        def job(rows: Sequence[Row]) -> tuple[float, int]:
            started = time.perf_counter()
            labels.tokenizer = load_tokenizer(labels.policy)
            writer = our_writer(labels, options.precision, options.batch)
            asked = {key: Asked(row, 0, key) for row in rows for key in writer.keys(row)}
            made: list[str] = []

            def make(missing: list[str]) -> Any:
                made.extend(missing)
                return writer.answer([asked[key] for key in missing], NoBar())

            records = RecordShards(store, records_namespace("answer", writer.teacher), print)
            found = complete(records, list(asked), make)
            [Reply.from_bytes(payload) for payload in found.values()]
            return time.perf_counter() - started, len(made)

        full, _ = job(labels.rows[:count])
        again: dict[str, Any] = {}
        fresh = count
        for share in SHARES:
            new = round(share * count)
            rows = labels.rows[new:count] + labels.rows[fresh : fresh + new]
            seconds, made = job(rows)
            again[f"{share:.0%}"] = {"seconds": seconds, "made": made, "ratio": seconds / full}
            fresh += new
        return {"prompts": count, "full_seconds": full, "new": again, "many": many(labels, full / count)}
    finally:
        shutil.rmtree(scratch)


def many(labels: Labels, seconds_a_prompt: float) -> dict[str, float]:
    """A job of which nothing is new, at a size that cannot be labelled here: its two costs, measured."""
    scratch = Path(tempfile.mkdtemp())
    try:
        namespace = records_namespace("answer", TEACHER)
        payload = Reply("x" * 100, True).to_bytes()
        keys = [record_key(number) for number in range(MANY)]
        RecordShards(LocalStore(scratch), namespace, print).append(
            {key: payload + os.urandom(100) for key in keys}
        )
        started = time.perf_counter()
        found = complete(RecordShards(LocalStore(scratch), namespace, print), keys, lambda missing: [])
        looked_up = time.perf_counter() - started
        assert len(found) == MANY
        writer = our_writer(labels, "fp32", 1)
        started = time.perf_counter()
        for row in labels.rows:
            writer.keys(row)
        keyed = (time.perf_counter() - started) / len(labels.rows) * MANY
    finally:
        shutil.rmtree(scratch)
    full = seconds_a_prompt * MANY
    return {
        "prompts": MANY,
        "lookup_seconds": looked_up,
        "key_seconds": keyed,
        "ratio": (looked_up + keyed) / full,
    }


def main() -> None:
    """Do the work of one system, and print its answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", choices=("ours", "generate", "relabel"), required=True)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--precision", choices=tuple(DTYPES), required=True)
    parser.add_argument("--answers", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64, help="answers decoded side by side")
    parser.add_argument("--turns", type=int, default=2, help="measured turns; one more warms up")
    options = parser.parse_args()
    be_quiet()
    keep_freed_memory()
    labels = Labels(options.workload, options.answers)
    if options.system == "relabel":
        print(json.dumps(relabel(labels, options)))
        return
    make = our_labelling if options.system == "ours" else their_labelling
    print(json.dumps(speed(labels, make(labels, options), options)))


if __name__ == "__main__":
    main()
