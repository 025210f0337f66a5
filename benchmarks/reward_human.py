"""How often a reward model is right on what people preferred, beside the guess that length decides.

Each set goes in as `retort feedback import` takes it. The reward model is the lower part of the default
teacher; its uppermost layers are trained. Questions are held out in folds, so that every pair is examined
once, by a model that has seen neither it nor its question. The last line on stdout is the result, one JSON
object; a table goes to stderr.
"""

import argparse
import copy
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from transformers.utils import logging as transformers_logging

from benchmarks.distill_workload import FOLDER, TEACHER
from benchmarks.frozen_trunk import TopModel, bottom_states, split_layers
from benchmarks.harness import BenchmarkError, note, print_result
from benchmarks.human_sets import SEED, SETS, Judged, import_set, prepare_set, some_questions
from tasks.ml.metrics import bootstrap_ratio
from tasks.ml.preferences import Preferences, groups_with, pair_accuracy
from tasks.ml.reward_scores import score_groups
from tasks.ml.seeding import random_for
from tasks.ml.teacher import load_teacher
from tasks.ml.train_reward import train_reward
from tasks.ml.trainer import Watch
from tasks.shared.hardware import keep_freed_memory

DATA = Path(__file__).parents[2] / "shared" / "data"
RESAMPLES = 5000


def parse(arguments: Sequence[str] | None = None) -> Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward_human", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--sets", default=",".join(SETS), help="names, with commas")
    parser.add_argument("--pairs", type=int, help="most pairs of a set: does it run?")
    parser.add_argument("--layers", type=int, default=12, help="of the teacher, from below")
    parser.add_argument("--trained", type=int, default=2, help="of these, from above")
    options = parser.parse_args(arguments)
    options.sets = [name.strip() for name in options.sets.split(",")]
    unknown = sorted(set(options.sets) - SETS.keys())
    if unknown:
        parser.error(f"`--sets`: got {', '.join(unknown)}, expected names out of {', '.join(SETS)}")
    if not 0 < options.trained <= options.layers:
        parser.error("`--trained`: expected 1 or more, and no more than `--layers`")
    return options


def folds_of(rows: Sequence[str], count: int) -> list[set[str]]:
    """Questions in so many parts of nearly one size, drawn at random."""
    order = sorted(set(rows))
    random_for("folds", SEED).shuffle(order)
    return [set(order[number::count]) for number in range(count)]


def fold_scores(
    judged: Judged, top: Any, states: dict[int, torch.Tensor], held_out: set[str]
) -> torch.Tensor:
    """What a model that learns all but the questions held out says of their answers. Shape [M], else NaN."""
    model = TopModel(copy.deepcopy(top), states)
    rows = {row for row, _ in judged.answers} - held_out
    targets = judged.targets(rows)
    groups = groups_with(judged.groups, targets.answers)
    train_reward(model, groups, targets, judged.config, SEED, Watch())
    unseen = judged.preferences(held_out)
    groups = groups_with(judged.groups, torch.cat([unseen.chosen, unseen.rejected]))
    config = judged.config
    return score_groups(model, groups, len(judged.answers), config.token_budget, config.precision)


def length_rule(lengths: torch.Tensor, train: Preferences, test: Preferences) -> torch.Tensor:
    """Whether length alone is right: the longer or the shorter wins, whichever did among the others. [P]."""
    sign = 1.0 if pair_accuracy(lengths, train).mean() >= 0.5 else -1.0
    return pair_accuracy(sign * lengths, test)


def measure_set(judged: Judged, folds: int, trunk: tuple[Any, Any]) -> dict[str, Any]:
    """Held-out accuracy over all folds, beside that of length; intervals are over questions."""
    bottom, top = trunk
    states = bottom_states(bottom, judged.groups)
    rows = {pair.row for pair in judged.pairs}
    folds, lengths = min(folds, len(rows)), judged.lengths()
    columns: dict[str, list[torch.Tensor]] = {"accuracy": [], "longer_wins": [], "length_rule": []}
    questions: list[str] = []
    for number, held_out in enumerate(folds_of(sorted(rows), folds), 1):
        scores = fold_scores(judged, top, states, held_out)
        train, test = judged.preferences(rows - held_out), judged.preferences(held_out)
        columns["accuracy"].append(pair_accuracy(scores, test))
        columns["longer_wins"].append(pair_accuracy(lengths, test))
        columns["length_rule"].append(length_rule(lengths, train, test))
        questions += [judged.answers[index][0] for index in test.chosen.tolist()]
        note(f"  fold {number} of {folds}: {columns['accuracy'][-1].mean():.3f} on {len(test)} pairs")
    right = {name: torch.cat(parts).double().numpy() for name, parts in columns.items()}
    right["gain_over_length"] = right["accuracy"] - right["length_rule"]
    return {
        "questions": len(rows),
        "pairs": len(questions),
        "tokens": sum(len(group) for group in judged.groups),
        "folds": folds,
        **{name: by_question(values, questions) for name, values in right.items()},
    }


def by_question(values: Any, questions: Sequence[str]) -> list[float]:
    """Mean over pairs with its 95 % interval over questions: pairs about one question are not independent."""
    names = {name: number for number, name in enumerate(dict.fromkeys(questions))}
    places = np.array([names[name] for name in questions])
    sums, counts = np.bincount(places, weights=values), np.bincount(places).astype(np.float64)
    found = bootstrap_ratio(sums, counts, RESAMPLES, SEED)
    return [found.value, found.low, found.high]


def measure(options: Namespace) -> dict[str, Any]:
    """Measure set after set.

    Raises:
        BenchmarkError: The folder of the sets is not there.
    """
    if not options.data.is_dir():
        raise BenchmarkError(
            str(options.data), "no such folder", "the folder of the sets", "Name it: `--data`."
        )
    keep_freed_memory()
    # It warns of answers that are longer than the model's positions; they are cut before they come to it.
    transformers_logging.set_verbosity_error()
    teacher, tokenizer = load_teacher(TEACHER, "main", FOLDER.parent / "teacher")
    teacher.config.pad_token_id = tokenizer.pad_token_id
    trunk = split_layers(teacher, options.layers, options.trained)
    results = {}
    for name in options.sets:
        started = time.monotonic()
        human = SETS[name]
        events = import_set(options.data, human)
        note(f"{name}: {len(events)} events imported")
        chosen = some_questions(events, min(human.pairs, options.pairs or human.pairs))
        found = measure_set(prepare_set(tokenizer, chosen, human), human.folds, trunk)
        results[name] = {"events": len(events), **found, "seconds": time.monotonic() - started}
    show(results)
    return {
        "suite": "reward_human",
        "layers": options.layers,
        "trained": options.trained,
        "results": results,
    }


def show(results: dict[str, dict[str, Any]]) -> None:
    """A table of accuracies in percent, on stderr."""
    title = "Held-out pairs ordered as people did, %, 95 % intervals"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("set", no_wrap=True)
    for name in ("asked", "pairs", "model", "longer", "length rule", "gain", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in results.items():
        shares = [found[key] for key in ("accuracy", "longer_wins", "length_rule", "gain_over_length")]
        cells = ["{:.1f}\n[{:.0f}, {:.0f}]".format(*(100 * value for value in share)) for share in shares]
        table.add_row(name, str(found["questions"]), str(found["pairs"]), *cells, f"{found['seconds']:.0f}")
    Console(stderr=True).print(table, markup=False)


if __name__ == "__main__":
    print_result(measure, parse())
