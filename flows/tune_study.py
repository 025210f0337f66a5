"""What was tried in a hyper-parameter search, kept by Optuna in an SQLite file, so that a search goes on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.space import Axis
from tasks.ml.seeding import stable_hash

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

# Trials drawn at random before the estimator is believed; Optuna's ten would be all of a short search.
STARTUP = 4
ERROR = "error"
RUN = "run"


@contextmanager
def open_study(path: Path, name: str) -> Iterator["Study"]:
    """The study of that name, new or begun before; a lower value is better."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        yield optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def take_up(study: "Study", axes: Sequence[Axis], base: Mapping[str, Any]) -> None:
    """Put what was cut short in line again; a new study begins with the configuration as it stands.

    Args:
        study: A study that no other process works on.
        axes: What varies.
        base: The values of the configuration by dotted key; only if the space reaches all of them.
    """
    from optuna.trial import TrialState

    if not study.trials and all(axis.holds(base[axis.key]) for axis in axes):
        study.enqueue_trial({axis.key: base[axis.key] for axis in axes})
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def ask(study: "Study", axes: Sequence[Axis], seed: int) -> "Trial":
    """The next trial, by the tree-structured Parzen estimator (Bergstra et al. 2011).

    The sampler is seeded anew for each, by how many have ended: a search that was cut short draws what it
    would have drawn undisturbed, and does not begin its random numbers again.
    """
    from optuna.samplers import TPESampler

    study.sampler = TPESampler(
        n_startup_trials=STARTUP, seed=stable_hash("tune", seed, len(ended(study))) % 2**32
    )
    return study.ask({axis.key: _distribution(axis) for axis in axes})


def ended(study: "Study") -> list["FrozenTrial"]:
    """The trials that ended by themselves, with a value or an error."""
    from optuna.trial import TrialState

    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.FAIL))
    return [t for t in trials if t.state == TrialState.COMPLETE or ERROR in t.user_attrs]


def records(study: "Study") -> list[dict[str, Any]]:
    """What became of every trial that ended, best first, failed ones last."""
    rows = [
        {
            "trial": trial.number,
            "value": trial.values[0] if trial.values else None,
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
            "params": trial.params,
            "error": trial.user_attrs.get(ERROR),
            "run": trial.user_attrs.get(RUN),
        }
        for trial in ended(study)
    ]
    return sorted(rows, key=lambda row: (row["value"] is None, row["value"] or 0.0, row["trial"]))


def _distribution(axis: Axis) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.low is None or axis.high is None:
        return CategoricalDistribution(axis.choices)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)
