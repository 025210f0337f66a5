"""Tasks of lm-evaluation-harness from files on this machine, put to models that are in memory.

Source: Gao et al., lm-evaluation-harness, https://github.com/EleutherAI/lm-evaluation-harness. Its own tasks
are not indexed, as most fetch their data.
"""

import importlib.util
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from configs.errors import Problem, RetortError
from configs.schema_evaluate import HarnessConfig
from tasks.ml.evaluation import Contestant
from tasks.ml.metrics import Interval

BATCH = 8
_Z = NormalDist().inv_cdf(0.975)
_NOT_IN_NAMES = re.compile(r"[^\w./-]")


class HarnessError(RetortError):
    """Raised when the tasks that a configuration names cannot be run here."""


@dataclass(frozen=True)
class HarnessFigure:
    """One metric of one model on one task.

    Attributes:
        metric: `harness/<task>/<metric>`, with the filter of answers at its end if the task names one.
        model: The model.
        interval: The value, with the harness's standard error times 1.96 on either side; both ends are the
            value where it gives no error.
        unit: That of the harness, which has none for shares.
    """

    metric: str
    model: str
    interval: Interval
    unit: str


def check_harness(config: HarnessConfig) -> None:
    """Look for the library and the tasks before anything is computed.

    Raises:
        HarnessError: The extra is not installed, or tasks are unknown.
    """
    if not config.tasks:
        return
    if importlib.util.find_spec("lm_eval") is None:
        remedy = 'Install it: `pip install "retort[harness]"`; or leave `evaluate.harness.tasks` empty.'
        got = f"{', '.join(config.tasks)}, but no lm-eval"
        raise HarnessError(Problem("evaluate.harness.tasks", got, "the extra `harness`", remedy))
    known = sorted(_task_manager(config).all_tasks)
    unknown = [name for name in config.tasks if name not in known]
    if unknown:
        expected = f"tasks in {config.include_path}: {', '.join(known) or 'it has none'}"
        remedy = "Correct the names, or put the tasks' YAML files there."
        raise HarnessError(Problem("evaluate.harness.tasks", ", ".join(unknown), expected, remedy))


def run_harness(
    contestants: Mapping[str, Contestant], config: HarnessConfig, seed: int
) -> Iterator[HarnessFigure]:
    """Put each model through the tasks, without a chat template, and give every metric of every task.

    Args:
        contestants: By the name that figures get.
        config: The section; without tasks nothing is done.
        seed: Of the draw of worked examples.
    """
    if not config.tasks:
        return
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = _task_manager(config)
    for name, contestant in contestants.items():
        model = HFLM(
            pretrained=contestant.model, tokenizer=contestant.tokenizer, device="cpu", batch_size=BATCH
        )
        found: dict[str, Any] | None = simple_evaluate(
            model=model,
            tasks=list(config.tasks),
            limit=config.limit,
            task_manager=manager,
            bootstrap_iters=1000,
            log_samples=False,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
        )
        assert found is not None  # only other processes of several get nothing
        yield from _figures(name, found)


def _task_manager(config: HarnessConfig) -> Any:
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return TaskManager(include_path=str(Path(config.include_path or "")), include_defaults=False)


def _figures(model: str, found: Mapping[str, Any]) -> Iterator[HarnessFigure]:
    for task, results in found["results"].items():
        count = int(found["n-samples"][task]["effective"]) if task in found["n-samples"] else 1
        for key, value in results.items():
            metric, _, filtered = key.partition(",")
            if not filtered or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = results.get(f"{metric}_stderr,{filtered}")
            half = _Z * error if isinstance(error, int | float) else 0.0
            name = f"harness/{task}/{metric}" + ("" if filtered == "none" else f"/{filtered}")
            interval = Interval(float(value), float(value) - half, float(value) + half, count)
            yield HarnessFigure(_NOT_IN_NAMES.sub("_", name), model, interval, "as the task says")
