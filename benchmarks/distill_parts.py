"""What both distillation workers share: command line, models, the dense divergence on held-out answers."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.distill_workload import FOLDER, PLAN, STUDENTS, TEACHER, Questions, questions
from benchmarks.probe import DTYPES
from tasks.ml.batching import fill, pack
from tasks.ml.kd_loss import forward_kl
from tasks.ml.models import hidden_states, response_log_probs
from tasks.ml.teacher import load_teacher

HELD_OUT_STEPS = 4
_PASS_TOKENS = 600


def parse(description: str | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--workload", type=Path, required=True, help="folder of `benchmarks.distill_workload`"
    )
    parser.add_argument("--student", choices=STUDENTS, required=True)
    parser.add_argument("--form", choices=tuple(PLAN), required=True)
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps of an epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", choices=tuple(DTYPES), default="fp32")
    parser.add_argument("--targets", choices=("stored", "dense"), default="stored")
    return parser.parse_args()


def teacher_and_work(options: argparse.Namespace) -> tuple[Any, Any, Questions, Questions]:
    """The teacher in fp32, its tokeniser, what is learnt and what is held out."""
    model, tokenizer = load_teacher(TEACHER, "main", FOLDER.parent / "teacher")
    work = questions(tokenizer, options.form, options.steps, "train")
    return model, tokenizer, work, questions(tokenizer, options.form, HELD_OUT_STEPS, "test")


@torch.inference_mode()
def dense_divergence(teacher: Any, student: Any, held_out: Questions, pad: int) -> float:
    """KL(teacher || student) over the whole vocabulary, mean over response tokens, nats."""
    total, tokens = 0.0, 0
    for groups in fill(held_out.groups(), _PASS_TOKENS):
        batch = pack(groups, pad)
        theirs, ours = (response_log_probs(m, hidden_states(m, batch), batch) for m in (teacher, student))
        total += float(forward_kl(theirs, ours).sum())
        tokens += len(batch.target)
    return total / tokens


def print_answer(options: argparse.Namespace, extra: dict[str, Any]) -> None:
    """Print the worker's answer."""
    answer = {"precision": options.precision, **extra}
    print(json.dumps(answer))
