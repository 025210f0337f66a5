"""What both TRL workers share: forced lengths, the adapter, quiet settings, the clock of whole updates."""

import json
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig
from transformers import LogitsProcessor, LogitsProcessorList, TrainerCallback
from transformers.utils import logging as transformers_logging

from benchmarks.ppo_workload import Workload
from benchmarks.probe import peak_rss_mb

LARGE = 1e9  # finite, so that no product of 0 and infinity arises
RANK, ALPHA = 16, 32
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# fp32; bf16: weights too, adapters stay fp32; autocast: fp32 weights, only what accelerate wraps is bf16
TRLPrecision = Literal["fp32", "bf16", "autocast"]
PRECISIONS: tuple[TRLPrecision, ...] = ("fp32", "bf16", "autocast")


class ForcedLengths(LogitsProcessor):
    """Let each row stop exactly at its length: the stop token is impossible before and certain then."""

    def __init__(self, lengths: Sequence[int], prompt_tokens: int, stop: int, pad: int) -> None:
        self.lengths = torch.tensor(lengths)
        self.prompt_tokens, self.stop, self.pad = prompt_tokens, stop, pad

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Change the scores of the next token. Shapes [B, S] and [B, V]."""
        last = self.lengths == input_ids.shape[1] - self.prompt_tokens + 1
        scores = scores.clone()
        scores[:, self.pad] = -LARGE
        scores[:, self.stop] = torch.where(last, LARGE, -LARGE)
        return scores


def force_lengths(model: Any, workload: Workload) -> None:
    """Make `model.generate` answer with the workload's lengths, in the order of the calls."""
    generate = model.generate
    sampled = 0

    def forced(*arguments: Any, **options: Any) -> Any:
        nonlocal sampled
        rows, prompt_tokens = options["input_ids"].shape
        lengths = workload.lengths_of(sampled, rows)
        sampled += rows
        oracle = ForcedLengths(lengths, prompt_tokens, workload.stop, workload.pad)
        return generate(*arguments, **options, logits_processor=LogitsProcessorList([oracle]))

    model.generate = forced


class UpdateClock(TrainerCallback):
    """Seconds of each whole update, and what the trainer logged.

    Attributes:
        steps_per_update: Trainer steps that make up one update.
        seconds: One number an update.
        processor_seconds: Likewise, of all threads together; a busy machine hardly moves it.
        logged: Everything that the trainer logged, in order.
    """

    def __init__(self, steps_per_update: int = 1) -> None:
        self.steps_per_update = steps_per_update
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self.logged: list[dict[str, float]] = []
        self._last = (0.0, 0.0)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._last = (time.perf_counter(), time.process_time())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Read the clock where an update ends."""
        if state.global_step % self.steps_per_update == 0:
            now = (time.perf_counter(), time.process_time())
            self.seconds.append(now[0] - self._last[0])
            self.processor_seconds.append(now[1] - self._last[1])
            self._last = now

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep what is logged."""
        self.logged.append(dict(logs or {}))


def lora() -> LoraConfig:
    """The adapter that all systems train: every linear layer of the trunk, no dropout."""
    return LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=LINEAR)


def load(auto_class: Any, folder: Path, precision: TRLPrecision, **options: Any) -> Any:
    """Load a model in the dtype that the precision wants its weights in."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return auto_class.from_pretrained(folder, dtype=dtype, local_files_only=True, **options)


def be_quiet() -> None:
    """Keep warnings and progress bars of the libraries out of a worker's output."""
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.disable(logging.WARNING)


def quiet_arguments(scratch: str) -> dict[str, Any]:
    """Trainer settings that write, report and log nothing more than is asked for."""
    return {
        "output_dir": scratch,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "bf16": False,
        "dataloader_pin_memory": False,
    }


def print_answer(
    clock: UpdateClock, workload: Workload, episodes: int, rss_before_mb: float, extra: dict[str, Any]
) -> None:
    """Print the worker's answer."""
    answer = {
        "seconds": clock.seconds,
        "processor_seconds": clock.processor_seconds,
        "episodes_per_update": episodes,
        "tokens": workload.measured_tokens(len(clock.seconds), episodes),
        "peak_rss_mb": peak_rss_mb(),
        "rss_before_mb": rss_before_mb,
        "metrics": max(clock.logged, key=len),
    }
    print(json.dumps(answer | extra))
