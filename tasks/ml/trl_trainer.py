"""TRL's trainers as every stage uses them: on the processor, silent, leaving no trace but the weights."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PrinterCallback

# Settings of every trainer.
SILENT: Mapping[str, Any] = {
    "use_cpu": True,
    "activation_checkpointing": False,
    "dataloader_pin_memory": False,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}


@contextmanager
def aside() -> Iterator[None]:
    """Keep TRL's seeds to itself, and silence what it does by an old name that only it can change."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        old_name = "`is_gradient_checkpointing` is deprecated"
        warnings.filterwarnings("ignore", old_name, FutureWarning)
        yield


def make_trainer(
    name: str,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    methods: Mapping[str, Any],
    **parts: Any,
) -> Any:
    """The trainer of an algorithm, silent on the terminal and in the network.

    Args:
        name: As TRL spells it: DPO, GRPO, KTO, RLOO.
        settings: What its configuration is told beside `SILENT`.
        rows: The dataset.
        methods: Its methods that are replaced, by name.
        parts: What its constructor is told.
    """
    # These take seconds to import, which a run that does without TRL need not pay.
    import trl
    from datasets import Dataset

    # The constructor sends telemetry, and no argument stops it.
    quiet = {"_send_telemetry": lambda trainer: None, **methods}
    trainer_class = type(f"Silent{name}", (getattr(trl, f"{name}Trainer"),), quiet)
    config = getattr(trl, f"{name}Config")(**SILENT, **settings)
    trainer = trainer_class(args=config, train_dataset=Dataset.from_list(list(rows)), **parts)
    # Without a bar, it prints each point.
    trainer.remove_callback(PrinterCallback)
    return trainer
