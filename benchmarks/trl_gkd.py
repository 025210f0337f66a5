"""Worker: TRL's GKDTrainer on given answers (lmbda 0, forward KL), which asks its teacher at every step.

Tuned: no gradient checkpointing, the questions of a step sorted by length and cut into passes, so that little
is padded; no logging, saving or telemetry.
"""

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset

from benchmarks.distill_parts import dense_divergence, parse, print_answer, teacher_and_work
from benchmarks.distill_workload import (
    EXAMPLES_PER_STEP,
    LEARNING_RATE,
    Questions,
    step_order,
    student_folder,
)
from benchmarks.probe import peak_rss_mb
from benchmarks.trl_parts import be_quiet, quiet_arguments
from tasks.ml.models import load_model
from tasks.shared.hardware import keep_freed_memory


def arranged(work: Questions, epochs: int) -> list[int]:
    """Examples in the order in which they are taken: those of a step together, sorted by length."""
    groups = work.groups()
    per_step = max(1, EXAMPLES_PER_STEP * len(groups) // len(work.examples))
    order = []
    for epoch in step_order(len(groups), epochs):
        for start in range(0, len(epoch), per_step):
            step = [
                branch.index
                for number in epoch[start : start + per_step]
                for branch in groups[number].branches
            ]
            order += sorted(step, key=lambda index: len(_tokens(work, index)))
    return order


def _tokens(work: Questions, index: int) -> tuple[int, ...]:
    return work.examples[index].prompt + work.examples[index].response


class Collator:
    """Pads token ids at the right; labels are -100 on prompts and padding."""

    def __init__(self, work: Questions, pad: int) -> None:
        self.work, self.pad = work, pad

    def __call__(self, rows: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """One batch as the trainer wants it."""
        chosen = [self.work.examples[row["index"]] for row in rows]
        ids = [torch.tensor(one.prompt + one.response) for one in chosen]
        labels = [torch.tensor((-100,) * len(one.prompt) + one.response) for one in chosen]
        masks = [torch.ones(len(one), dtype=torch.long) for one in ids]
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(ids, batch_first=True, padding_value=self.pad),
            "attention_mask": pad(masks, batch_first=True),
            "labels": pad(labels, batch_first=True, padding_value=-100),
        }


def main() -> None:
    """Train, and print seconds."""
    options = parse(__doc__)
    be_quiet()
    keep_freed_memory()
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    rss_before_mb = peak_rss_mb()

    class InOrder(GKDTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    teacher, tokenizer, work, held_out = teacher_and_work(options)
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    student = load_model(student_folder(options.workload, options.student)).to(dtype)
    order = arranged(work, options.epochs)
    with tempfile.TemporaryDirectory() as scratch:
        config = GKDConfig(
            **quiet_arguments(scratch),
            lmbda=0.0,
            beta=0.0,
            temperature=1.0,
            num_train_epochs=1,
            per_device_train_batch_size=options.rows,
            gradient_accumulation_steps=max(1, EXAMPLES_PER_STEP // options.rows),
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            max_length=None,
        )
        trainer = InOrder(
            model=student,
            teacher_model=teacher.to(dtype),
            args=config,
            data_collator=Collator(work, tokenizer.pad_token_id),
            train_dataset=Dataset.from_dict({"index": order}),
            processing_class=tokenizer,
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    memory = peak_rss_mb()
    divergence = dense_divergence(teacher.float(), student.float().eval(), held_out, tokenizer.pad_token_id)
    extra = {
        "seconds": seconds,
        "valid_kl": divergence,
        "peak_rss_mb": memory,
        "rss_before_mb": rss_before_mb,
    }
    print_answer(work, options, extra)


if __name__ == "__main__":
    main()
