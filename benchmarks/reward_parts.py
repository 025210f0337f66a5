"""What both reward workers share: command line, accuracy on held-out questions, the answer."""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.distill_workload import student_folder
from benchmarks.probe import DTYPES
from benchmarks.reward_workload import FORMS, Work, judged_answers, tokenizer_of_teacher
from tasks.ml.models import ScoredModel, load_model
from tasks.ml.preferences import pair_accuracy
from tasks.ml.reward_scores import score_groups

_PASS_TOKENS = 1200


def parse(description: str | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--workload", type=Path, required=True, help="folder of `benchmarks.distill_workload`"
    )
    parser.add_argument("--form", choices=FORMS, required=True)
    parser.add_argument("--sheets", type=int, required=True, help="to learn from")
    parser.add_argument(
        "--held-out", type=int, required=True, help="sheets to be examined on; 0: no examination"
    )
    parser.add_argument("--precision", choices=tuple(DTYPES), default="fp32")
    parser.add_argument("--passes", type=int, default=1, help="TRL: passes of an optimiser step")
    return parser.parse_args()


def load_trunk(options: argparse.Namespace) -> Any:
    """The language model below the head, in fp32."""
    return load_model(student_folder(options.workload, "large"))


def load_work(options: argparse.Namespace) -> tuple[Work, Work | None]:
    """What is learnt and what is held out."""
    tokenizer = tokenizer_of_teacher()
    learnt = judged_answers(tokenizer, options.form, options.sheets, "train")
    if not options.held_out:
        return learnt, None
    return learnt, judged_answers(tokenizer, options.form, options.held_out, "test")


def right_pairs(model: ScoredModel, work: Work | None) -> dict[str, list[float]]:
    """Pairs ordered as people did, and pairs, of each held-out question."""
    if work is None:
        return {"right": [], "asked": []}
    scores = score_groups(model, work.groups, len(work.examples), _PASS_TOKENS, "fp32")
    right: dict[str, float] = {}
    asked: dict[str, float] = {}
    for index, share in zip(
        work.pairs.chosen.tolist(), pair_accuracy(scores, work.pairs).tolist(), strict=True
    ):
        question = work.questions[index]
        right[question] = right.get(question, 0.0) + share
        asked[question] = asked.get(question, 0.0) + 1.0
    return {"right": list(right.values()), "asked": list(asked.values())}


def print_answer(
    options: argparse.Namespace, rss_before_mb: float, peak_mb: float, extra: dict[str, Any]
) -> None:
    """Print the worker's answer."""
    known = {"precision": options.precision, "peak_rss_mb": peak_mb, "rss_before_mb": rss_before_mb}
    print(json.dumps({**known, **extra}))
