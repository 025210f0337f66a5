"""What a run left: the artifact of each stage, with how it was made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.shared.artifacts import ArtifactRef

# In the place of the stage that aligned the student, whichever that was.
ALIGNED = "aligned"


@dataclass(frozen=True)
class Part:
    """One stage's artifact.

    Attributes:
        folder: Its verified files.
        ref: The reference to it.
        record: What the store's record says of how it was made; empty if nothing is known.
        state: `executed`, `resumed` or `cached`, in the run that is shown; None: as the records tell.
    """

    folder: Path
    ref: ArtifactRef
    record: Mapping[str, Any]
    state: str | None = None

    @property
    def run_id(self) -> str | None:
        """The tracker's run in which it was made, if that was recorded."""
        return self.record.get("run_id") or None

    def load(self, name: str) -> Any:
        """A JSON file of the artifact; None if it has no such file."""
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


Parts = Mapping[str, Part]


def load_rows_of(parts: Parts, stage: str, name: str) -> Any:
    """A JSON file of a stage's artifact; an empty list where there is no such stage or file."""
    return (parts[stage].load(name) if stage in parts else None) or []


def own_run(parts: Parts) -> str | None:
    """The flow run in which the last of the parts was computed; None if no record names one."""
    dated = [part.record for part in parts.values() if part.record.get("finished_at")]
    last = max(dated, key=lambda record: record["finished_at"], default={})
    return last.get("flow_run")


def state_of(part: Part, run: str | None) -> str:
    """How a part came into a run: computed in it, gone on with from a checkpoint, or found."""
    if part.state is not None:
        return part.state
    made_in = part.record.get("flow_run")
    is_found = run is not None and made_in is not None and made_in != run
    return "cached" if is_found else str(part.record.get("state", "executed"))
