"""Worker: this project's reward training: a question is read once with all its answers."""

import time

from benchmarks.probe import peak_rss_mb
from benchmarks.reward_parts import load_trunk, load_work, parse, print_answer, right_pairs
from benchmarks.reward_workload import SEED, pairs_of_steps, settings, steps_of, useful_flops
from tasks.ml.models import ScoredModel
from tasks.ml.train_reward import train_reward
from tasks.ml.trainer import Watch
from tasks.shared.hardware import keep_freed_memory


def main() -> None:
    """Train, and print seconds."""
    options = parse(__doc__)
    keep_freed_memory()
    rss_before_mb = peak_rss_mb()
    work, held_out = load_work(options)
    model = ScoredModel(load_trunk(options))
    config = settings(options.precision)
    losses: list[float] = []
    watch = Watch(log=lambda points, step: losses.append(points["loss"]))
    started = time.perf_counter()
    train_reward(model, work.groups, work.targets, config, SEED, watch)
    seconds = time.perf_counter() - started
    memory = peak_rss_mb()
    layers = model.language_model.model.layers
    sizes = [sum(weight.numel() for weight in layer.parameters()) for layer in layers]
    extra = {
        "seconds": seconds,
        "pairs": sum(map(len, pairs_of_steps(work))),
        "steps": len(steps_of(work)),
        "losses": losses,
        "useful_flops": useful_flops(work, sum(sizes), sum(sizes[config.frozen_layers :])),
        **right_pairs(model, held_out),
    }
    print_answer(options, rss_before_mb, memory, extra)


if __name__ == "__main__":
    main()
