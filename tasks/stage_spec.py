"""What a stage is asked for and what it answers: plain records, cheap to import."""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from configs.schema_platform import Resources
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.tracking import Scalar

# What the tracker takes for a name.
_METRIC_NAME = re.compile(r"[\w.:/ -]+")

State = Literal["executed", "cached", "resumed"]


class StageSpec(BaseModel):
    """What one stage is to compute; all of it but `resources` is part of the stage's key.

    Attributes:
        stage: Name of the stage.
        module: Dotted name of the module that holds its `run`.
        key: Where its artifact is kept.
        config: The sections of the configuration that it reads, and the seed.
        inputs: Its input artifacts by the name of the stage that made them, or by what they are to it.
        external: Digest of each input from outside the store, by name.
        resources: What it needs where it does not run in the process of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    module: str
    key: str
    config: dict[str, Any]
    inputs: dict[str, ArtifactRef]
    external: dict[str, str]
    resources: Resources


class StageResult(BaseModel):
    """What became of a stage.

    Attributes:
        ref: Its artifact.
        state: Whether it was computed now, found, or gone on with from a checkpoint.
        seconds: What it took in this run.
        run_id: The tracker's run in which it was computed, if known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ref: ArtifactRef
    state: State
    seconds: float
    run_id: str | None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Nested mappings as one with dotted keys; lists become text."""
    flat: dict[str, Scalar] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str | int | float | None) else str(value)
    return flat


def summary_points(prefix: str, summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a summary as the tracker's metrics: `<prefix>/<dotted key>`.

    Whatever a page shows of a stage's summary can so be looked up in the stage's run.
    """
    return {
        f"{prefix}/{name}": float(value)
        for name, value in flatten(summary).items()
        if isinstance(value, int | float) and math.isfinite(value) and _METRIC_NAME.fullmatch(name)
    }
