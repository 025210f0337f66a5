"""One run in MLflow, parent or child: points, tables, pictures, datasets and its end.

What MLflow cannot take because it is away waits (`mlflow_outbox`); what it refuses is an error at once.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.mlflow_outbox import Outbox
from tasks.shared.non_finite import NonFinitePoints
from tasks.shared.patience import Patience
from tasks.shared.tracking import ERROR, NON_FINITE, Rows, Scalar, Status, error_text, status_after

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLUSH_SECONDS = 2.0
FLUSH_STEPS = 50

Point = tuple[str, float, int, int]  # metric, value, milliseconds since 1970, step

# What MLflow takes in one call.
_MOST_METRICS = 1000
_MOST_PARAMS = 100
_LONGEST_DIGEST = 36
_TABLES_TAG = "mlflow.loggedArtifacts"
_CONTEXT_TAG = "mlflow.data.context"


class MLflowRun:
    """A run that has been created; fits `StageRun`.

    Attributes:
        id: MLflow's run id.
    """

    def __init__(self, line: MLflowLine, run_id: str) -> None:
        self.id = run_id
        self._line = line
        self._outbox = Outbox(line)
        self._points: list[Point] = []
        self._steps = 0
        self._flushed = time.monotonic()
        self._non_finite = NonFinitePoints()
        self._non_finite_told = ""
        self._tables: list[dict[str, str]] = []

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each curve; points travel together, after 50 steps or 2 seconds."""
        self._keep(metrics, step)
        self._steps += 1
        if self._steps >= FLUSH_STEPS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record final figures."""
        self._keep(values, 0)
        self.flush()

    def params(self, params: Mapping[str, Scalar]) -> None:
        """Record settings, spelled as in YAML."""
        from mlflow.entities import Param

        values = [
            Param(name, value if isinstance(value, str) else json.dumps(value))
            for name, value in params.items()
        ]
        for start in range(0, len(values), _MOST_PARAMS):
            piece = values[start : start + _MOST_PARAMS]
            self._send(partial(self._line.client.log_batch, self.id, params=piece))

    def figure(self, name: str, figure: "Figure") -> None:
        """Keep a picture as `figures/<name>.png`."""
        self._send(partial(self._line.client.log_figure, self.id, figure, f"figures/{name}.png"))

    def table(self, name: str, rows: Rows) -> None:
        """Keep rows as `tables/<name>.json`, in the form that the UI shows as a table.

        MLflow's own `log_table` would append to an earlier table, and turn integers into floats where a
        value is missing.
        """
        columns = list(dict.fromkeys(column for row in rows for column in row))
        data = [[_cell(row.get(column)) for column in columns] for row in rows]
        path = f"tables/{name}.json"
        self.text(path, json.dumps({"columns": columns, "data": data}))
        entry = {"path": path, "type": "table"}
        if entry not in self._tables:
            self._tables.append(entry)
            self.tag(_TABLES_TAG, json.dumps(self._tables))

    def dataset(self, name: str, source: str, digest: str, rows: int, context: str) -> None:
        """Say what data went in; MLflow keeps 36 characters of a digest, the source has all of it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        kind = "s3" if urlparse(source).scheme == "s3" else "local"
        dataset = Dataset(
            name=name,
            digest=digest[:_LONGEST_DIGEST],
            source_type=kind,
            source=json.dumps({"uri": source, "digest": digest}),
            profile=json.dumps({"num_rows": rows}),
        )
        given = DatasetInput(dataset, [InputTag(_CONTEXT_TAG, context)])
        self._send(partial(self._line.client.log_inputs, self.id, [given]))

    def text(self, name: str, text: str) -> None:
        """Keep a text under a file name."""
        self._send(partial(self._line.client.log_text, self.id, text, name))

    def file(self, path: Path, folder: str) -> None:
        """Keep a copy of a file in a folder of the run; it must stay until the run has ended."""
        self._send(partial(self._line.client.log_artifact, self.id, str(path), folder))

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self._send(partial(self._line.client.set_tag, self.id, name, value))

    def end(
        self, patience: Patience, error: BaseException | None = None, status: Status | None = None
    ) -> None:
        """Send what is left and set the status: that given, or what the error means.

        Raises:
            ServiceError: MLflow was away until patience ended; what it has not by now is lost.
        """
        self.flush()
        if error is not None:
            self.tag(ERROR, error_text(error))
        self._send(partial(self._line.client.set_terminated, self.id, status or status_after(error)))
        self._outbox.drain(patience)

    def flush(self) -> None:
        """Send the points."""
        from mlflow.entities import Metric

        points, self._points = self._points, []
        for start in range(0, len(points), _MOST_METRICS):
            piece = [Metric(*point) for point in points[start : start + _MOST_METRICS]]
            self._send(partial(self._line.client.log_batch, self.id, metrics=piece))
        self._steps = 0
        self._flushed = time.monotonic()
        if (words := self._non_finite.describe()) != self._non_finite_told:
            self.tag(NON_FINITE, words)
            self._non_finite_told = words

    def _send(self, call: Callable[[], object]) -> None:
        self._outbox.send(call)

    def _keep(self, metrics: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        for name, value in self._non_finite.keep_finite(metrics, step).items():
            self._points.append((name, value, now, step))


def _cell(value: Any) -> Scalar:
    """A value that a browser's JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, Scalar) else str(value)
