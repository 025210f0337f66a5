"""Registering a model in MLflow: weights as they are, and a code file that serves them; no pickle."""

import importlib.metadata
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.shared.model_folder import check_model_folder, served_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST = "retort.served_sha256"

_CODE = Path(__file__).with_name("served_model.py")
_REQUIREMENTS = ("mlflow", "torch", "transformers", "tokenizers", "safetensors")


def register_folder(
    client: "MlflowClient", run: "Run", name: str, folder: Path, tags: Mapping[str, str], system: str
) -> str:
    """Make a folder a version of a registered model; the same one is registered once.

    Aliases are the registry's affair (`tasks.model_mirror`): the model of a rung or a trial is no challenger.

    Args:
        client: Where to register.
        run: The run that made the model.
        name: Name of the registered model; made if missing.
        folder: A Hugging Face folder.
        tags: Tags of the version.
        system: The system message that the model was trained with; none if empty.

    Returns:
        The version.

    Raises:
        StageError: The folder is incomplete, or has pickles.
    """
    check_model_folder(folder)
    digest = served_digest(folder, system)
    version = find_version(client, name, digest)
    if version is None:
        model_id, location = _upload(client, run, name, folder, system)
        _make_name(client, name)
        created = client.create_model_version(
            name, location, run.info.run_id, tags={**tags, DIGEST: digest}, model_id=model_id
        )
        version = str(created.version)
    return version


def find_version(client: "MlflowClient", name: str, digest: str) -> str | None:
    """The first version of a registered model with a digest; None if there is none."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{DIGEST}` = '{digest}'")
    return min((str(version.version) for version in found), key=int, default=None)


def _upload(client: "MlflowClient", run: "Run", name: str, folder: Path, system: str) -> tuple[str, str]:
    """Store the model beside its run; gives its id and where it lies.

    `mlflow.pyfunc.log_model` does the same, but only for the process-wide server and current run, which it
    would also end.
    """
    with warnings.catch_warnings():
        # MLflow warns of its own classes when they are first imported.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

    logged = client.create_logged_model(run.info.experiment_id, name, run.info.run_id)
    described = Model(
        artifact_path=logged.artifact_location,
        run_id=run.info.run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "model")
        save_model(
            str(target),
            python_model=str(_CODE),
            artifacts={"model": str(folder)},
            model_config={"system": system},
            pip_requirements=_requirements(),
            mlflow_model=described,
        )
        client.log_model_artifacts(logged.model_id, str(target))
    client.finalize_logged_model(logged.model_id, "READY")
    return logged.model_id, logged.artifact_location


def _make_name(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _requirements() -> list[str]:
    """The installed versions, which are then not guessed by running the model.

    A build's mark, as in `2.13.0+cpu`, is left out: package indexes do not have it.
    """
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in _REQUIREMENTS]
