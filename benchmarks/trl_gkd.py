"""Worker: TRL's GKDTrainer on given answers (lmbda 0, forward KL), which asks its teacher at every step.

Tuned: no gradient checkpointing; the questions of a step sorted by length and cut into two passes, so that
little is padded; nothing saved or reported.
"""

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset

from benchmarks.distill_parts import dense_divergence, parse, print_answer, teacher_and_work
from benchmarks.distill_workload import LEARNING_RATE, Questions, steps_of, student_folder
from benchmarks.probe import peak_rss_mb
from benchmarks.trl_parts import be_quiet, quiet_arguments
from tasks.ml.models import load_model
from tasks.shared.hardware import keep_freed_memory

PASSES = 2  # of an optimiser step


def passes(work: Questions, form: str, epochs: int) -> list[list[int]]:
    """Examples of every pass: an optimiser step's questions, sorted by length, in two halves."""
    found = []
    for groups in steps_of(work, form, epochs):
        step = [branch.index for group in groups for branch in group.branches]
        step.sort(key=lambda index: len(_tokens(work, index)))
        found += [step[: len(step) // PASSES], step[len(step) // PASSES :]]
    return found


def _tokens(work: Questions, index: int) -> tuple[int, ...]:
    return work.examples[index].prompt + work.examples[index].response


class Collator:
    """Pads token ids at the right; labels are -100 on prompts and padding."""

    def __init__(self, work: Questions, pad: int) -> None:
        self.work, self.pad = work, pad
        self.seen = 0  # real tokens

    def __call__(self, rows: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """One batch as the trainer wants it."""
        chosen = [self.work.examples[row["index"]] for row in rows]
        ids = [torch.tensor(one.prompt + one.response) for one in chosen]
        labels = [torch.tensor((-100,) * len(one.prompt) + one.response) for one in chosen]
        self.seen += sum(len(one) for one in ids)
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
        def get_train_dataloader(self) -> Any:
            dataset, batches = self.train_dataset, passes(work, options.form, options.epochs)
            return torch.utils.data.DataLoader(dataset, batch_sampler=batches, collate_fn=collator)

    teacher, tokenizer, work, held_out = teacher_and_work(options)
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    student = load_model(student_folder(options.workload, options.student)).to(dtype)
    collator = Collator(work, tokenizer.pad_token_id)
    steps = len(steps_of(work, options.form, options.epochs))
    with tempfile.TemporaryDirectory() as scratch:
        config = GKDConfig(
            **quiet_arguments(scratch),
            lmbda=0.0,
            beta=0.0,
            temperature=1.0,
            max_steps=steps,
            gradient_accumulation_steps=PASSES,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            max_length=None,
        )
        trainer = InOrder(
            model=student,
            teacher_model=teacher.to(dtype),
            args=config,
            data_collator=collator,
            train_dataset=Dataset.from_dict({"index": list(range(len(work.examples)))}),
            processing_class=tokenizer,
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    memory = peak_rss_mb()
    divergence = dense_divergence(teacher.float(), student.float().eval(), held_out, tokenizer.pad_token_id)
    extra = {
        "seconds": seconds,
        "tokens": collator.seen,
        "steps": trainer.state.global_step,
        "valid_kl": divergence,
        "peak_rss_mb": memory,
        "rss_before_mb": rss_before_mb,
    }
    print_answer(options, extra)


if __name__ == "__main__":
    main()
