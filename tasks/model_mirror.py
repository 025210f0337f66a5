"""MLflow's registered model as a mirror of the log: its aliases, and the digest of the newest entry.

The digest shows what the log's own chain cannot: that its last entries are gone.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.model_records import Entry, ModelVersion, challenger_of, champion_of
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.errors import Problem, ServiceError
from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.mlflow_models import CHALLENGER, CHAMPION, find_version
from tasks.shared.mlflow_withdrawal import INPUT
from tasks.shared.model_folder import registered_name
from tasks.shared.store_log import BrokenLogError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

MODEL_FOLDER = "model"

Fetch = Callable[[ArtifactRef], Path]


class ModelMirror:
    """The registered model of one use case."""

    def __init__(self, place: Place, name: str, fetch: Fetch) -> None:
        """Nothing is asked yet; `fetch` gives the verified folder of an artifact."""
        self._place, self._fetch = place, fetch
        self._model = registered_name(name)
        self._line = MLflowLine(place.tracking_uri)
        # The log in a folder and the one in a bucket may share an MLflow, and have heads of their own.
        self._head = f"retort.log.{'folder' if place.s3_endpoint is None else 'bucket'}"

    def number_of(self, served_sha256: str) -> str | None:
        """MLflow's number of a model; None if it knows none, or does not answer."""
        with suppress(ServiceError):
            self._line.probe()
            with self._line.told():
                return find_version(self._line.client, self._model, served_sha256)
        return None

    def check(self, digest_of: Callable[[int], str | None]) -> None:
        """See whether the log still has the newest entry that MLflow was told of.

        Args:
            digest_of: Gives the digest of the log's entry of a number.

        Raises:
            BrokenLogError: It has not.
        """
        self._line.probe()
        known = self._registered()
        told = known.tags.get(self._head, "") if known else ""
        sequence, _, digest = told.partition(" ")
        if told and digest_of(int(sequence)) != digest:
            remedy = (
                f"Put the log back from a backup of the store; if it is what it should be, delete the tag "
                f"`{self._head}` of MLflow's registered model `{self._model}`."
            )
            got = f"no entry {sequence} with the digest that MLflow was told"
            raise BrokenLogError(Problem(f"log of {self._model}", got, digest, remedy))

    def set_right(self, entries: Sequence[Entry], head: str) -> list[str]:
        """Let MLflow say what the log says; give what it said before, in words, where that was another thing.

        A model that MLflow does not know any more is registered again.

        Args:
            entries: The log, not empty.
            head: The digest of its last entry.

        Raises:
            ServiceError: MLflow does not answer, or refuses.
        """
        self._line.probe()
        before = self._aliases()
        named = {CHAMPION: champion_of(entries), CHALLENGER: challenger_of(entries)}
        numbers = {alias: self._number(version) if version else None for alias, version in named.items()}
        unlike = {alias: number for alias, number in numbers.items() if before.get(alias) != number}
        for alias, number in unlike.items():
            self._set_alias(alias, number)
        if self._registered() is not None:
            with self._line.told():
                told = f"{entries[-1].sequence} {head}"
                self._line.client.set_registered_model_tag(self._model, self._head, told)
        return [
            f"MLflow's `{alias}` was {_version(before.get(alias))}, is {_version(number)} now"
            for alias, number in unlike.items()
        ]

    def _number(self, version: ModelVersion) -> str:
        with self._line.told():
            found = find_version(self._line.client, self._model, version.served_sha256)
        return found or self._register(version)

    def _register(self, version: ModelVersion) -> str:
        from tasks.ml.prompts import SYSTEM  # imports transformers

        folder = self._fetch(version.model) / MODEL_FOLDER
        tags = {f"{INPUT}{part}": ref.sha256 for part, ref in version.refs.items() if part != "model"}
        with self._place.tracker() as tracker:
            tracker.open(f"register-{version.name}-{version.number}", {}, {})
            with tracker.stage(version.model.kind, version.model.key, {}) as run:
                return tracker.register_model(self._model, folder, run, tags, SYSTEM)

    def _set_alias(self, alias: str, number: str | None) -> None:
        with self._line.told():
            if number is None:
                self._line.client.delete_registered_model_alias(self._model, alias)
            else:
                self._line.client.set_registered_model_alias(self._model, alias, number)

    def _aliases(self) -> dict[str, str]:
        known = self._registered()
        return {alias: str(number) for alias, number in known.aliases.items()} if known else {}

    def _registered(self) -> "RegisteredModel | None":
        from mlflow.exceptions import MlflowException

        with self._line.told():
            try:
                return self._line.client.get_registered_model(self._model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        return None


def _version(number: str | None) -> str:
    return f"version {number}" if number else "not set"
