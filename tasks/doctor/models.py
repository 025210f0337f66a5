"""The logs of models: whether their chains hold, and whether MLflow's aliases say the same."""

from collections.abc import Iterator

from tasks.doctor.check import Check, fail, ok, warn
from tasks.model_records import ModelVersion, challenger_of, champion_of
from tasks.model_registry import ModelRegistry, registry_names
from tasks.place import Place
from tasks.shared.errors import RetortError
from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.mlflow_models import CHALLENGER, CHAMPION, DIGEST
from tasks.shared.model_folder import registered_name

_REPAIR = "`retort models list` sets them right."


def models(place: Place, line: MLflowLine | None) -> Iterator[Check]:
    """Every log, entry by entry, and MLflow's aliases beside it.

    Args:
        place: Where the logs are.
        line: Where MLflow is; None if nothing was recorded yet.
    """
    names = registry_names(place)
    if not names:
        yield ok("models", "none entered yet")
    for name in names:
        try:
            entries = ModelRegistry(place, name).entries()
        except RetortError as error:
            yield from (
                fail(f"log of {name}", f"`{one.what}`: {one.got}", one.remedy) for one in error.problems
            )
            continue
        champion, challenger = champion_of(entries), challenger_of(entries)
        told = f"model {champion.number} is champion" if champion else "no champion yet"
        yield ok(f"log of {name}", f"{len(entries)} entries, each names the one before; {told}")
        if line is not None:
            yield _aliases(line, name, {CHAMPION: champion, CHALLENGER: challenger})


def _aliases(line: MLflowLine, name: str, wanted: dict[str, ModelVersion | None]) -> Check:
    what, there = f"aliases of {name}", _served(line, registered_name(name))
    wrong = [
        f"`{alias}` is {'another model' if alias in there else 'not set'}, not model {version.number}"
        if version
        else f"`{alias}` is set, and no model is"
        for alias, version in wanted.items()
        if there.get(alias) != (version.served_sha256 if version else None)
    ]
    return warn(what, f"MLflow: {'; '.join(wrong)}", _REPAIR) if wrong else ok(what, "MLflow's say the same")


def _served(line: MLflowLine, model: str) -> dict[str, str]:
    """The digest of what each alias of a registered model serves; empty if MLflow does not know the model."""
    from mlflow.exceptions import MlflowException

    line.probe()
    with line.told():
        try:
            aliases = line.client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}
        return {
            alias: str(line.client.get_model_version(model, str(number)).tags.get(DIGEST))
            for alias, number in aliases.items()
        }
