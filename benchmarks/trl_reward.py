"""Worker: TRL's RewardTrainer on the same pairs in the same optimiser steps.

Tuned: no gradient checkpointing; the pairs of a step sorted by length and cut into as many passes as are
fastest, so that little is padded; our optimiser and schedule; no worker processes; nothing saved, logged or
reported.
"""

import copy
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification

from benchmarks.probe import peak_rss_mb
from benchmarks.reward_parts import load_trunk, load_work, parse, print_answer, right_pairs
from benchmarks.reward_workload import Work, pairs_of_steps, settings, tokenizer_of_teacher
from benchmarks.trl_parts import be_quiet, quiet_arguments
from tasks.ml.models import ScoredModel, freeze_bottom
from tasks.ml.optim import adamw, rate_factor
from tasks.shared.hardware import keep_freed_memory


def cut_steps(sizes: Sequence[Sequence[int]], passes: int) -> list[list[int]]:
    """Numbers of the pairs of every pass: each step's, sorted by length, in so many parts as even as can be.

    A step of fewer pairs than passes is read whole in each of them, which gives the same gradient.

    Args:
        sizes: Tokens of each pair, step by step; pairs are numbered through.
        passes: Of a step.
    """
    parts: list[list[int]] = []
    first = 0
    for step in sizes:
        order = [first + place for place in sorted(range(len(step)), key=step.__getitem__)]
        if len(step) < passes:
            parts += [order] * passes
        else:
            bounds = [len(step) * part // passes for part in range(passes + 1)]
            parts += [order[low:high] for low, high in zip(bounds, bounds[1:], strict=False)]
        first += len(step)
    return parts


def rows_of(work: Work) -> tuple[list[dict[str, list[int]]], list[list[int]]]:
    """All pairs in the order of steps as TRL takes them, and the longer answer's tokens of each, by step."""
    rows, sizes = [], []
    for step in pairs_of_steps(work):
        own = []
        for pair in step:
            chosen, rejected = (list(work.examples[i].prompt + work.examples[i].response) for i in pair)
            rows.append({"chosen_ids": chosen, "rejected_ids": rejected})
            own.append(max(len(chosen), len(rejected)))
        sizes.append(own)
    return rows, sizes


def classifier(trunk: Any, dtype: torch.dtype) -> Any:
    """The trunk below a head of zeros, as our own starts."""
    config = copy.deepcopy(trunk.config)
    config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    model.model.load_state_dict(trunk.model.state_dict())
    torch.nn.init.zeros_(model.score.weight)
    return model.to(dtype)


def scored(trunk: Any, model: Any) -> ScoredModel:
    """What was trained, as our own examination reads it."""
    trunk.model.load_state_dict({name: value.float() for name, value in model.model.state_dict().items()})
    found = ScoredModel(trunk)
    found.head.weight.data.copy_(model.score.weight.float())
    return found.eval()


def main() -> None:
    """Train, and print seconds."""
    options = parse(__doc__)
    be_quiet()
    keep_freed_memory()
    from trl import RewardConfig, RewardTrainer

    rss_before_mb = peak_rss_mb()
    work, held_out = load_work(options)
    rows, sizes = rows_of(work)
    own, steps = settings(options.precision), len(sizes)

    class InOrder(RewardTrainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            batches = cut_steps(sizes, options.passes)
            return torch.utils.data.DataLoader(
                self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator
            )

    trunk = load_trunk(options)
    model = classifier(trunk, torch.bfloat16 if options.precision == "bf16" else torch.float32)
    freeze_bottom(model, own.frozen_layers)
    optimizer = adamw(model.parameters(), own.learning_rate, own.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor("cosine", step, steps, own.warmup_steps)
    )
    with tempfile.TemporaryDirectory() as scratch:
        quiet = {**quiet_arguments(scratch), "max_grad_norm": own.max_grad_norm, "max_length": None}
        trainer = InOrder(
            model=model,
            args=RewardConfig(**quiet, max_steps=steps, gradient_accumulation_steps=options.passes),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer_of_teacher(),
            optimizers=(optimizer, schedule),
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    memory = peak_rss_mb()
    extra = {
        "seconds": seconds,
        "pairs": len(rows),
        "steps": trainer.state.global_step,
        "losses": [point["loss"] for point in trainer.state.log_history if "loss" in point],
        **right_pairs(scored(trunk, model), held_out),
    }
    print_answer(options, rss_before_mb, memory, extra)


if __name__ == "__main__":
    main()
