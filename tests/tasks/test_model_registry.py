"""The registry on a real MLflow in an SQLite file: acts, kills between the two steps, and a second store."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.teacher import load_teacher_tokenizer
from tasks.model_mirror import ModelMirror
from tasks.model_registry import Candidate, ModelRegistry, RegistryError, registry_names
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.errors import ServiceError, StoreError
from tasks.shared.mlflow_client import SETTINGS, MLflowLine
from tasks.shared.store_log import BrokenLogError

if TYPE_CHECKING:
    from tests.conftest import S3Server

# MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

STATE = "a" * 64 + "@17"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One SQLite file for the module, because MLflow takes seconds to make it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", *SETTINGS):
            patch.setenv(name, "true")
        yield f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of artifacts with tiny random models."""
    below = tmp_path_factory.mktemp("models")
    tokenizer = load_teacher_tokenizer("random:tiny", "main", below)
    folders = [below / str(seed) for seed in range(3)]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        save_model(folder / "model", tiny_random_model(tokenizer, seed), tokenizer)
    return folders


@pytest.fixture
def place(tmp_path: Path, uri: str) -> Place:
    return Place(home=tmp_path / "home", tracking_uri=uri, experiment=tmp_path.name, quiet=True)


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A use case of the test's own, since all tests share an MLflow."""
    return f"use-{abs(hash(tmp_path.name)) % 10**12}"


@pytest.fixture
def client(uri: str) -> Any:
    return MLflowLine(uri).client


@pytest.fixture
def candidates(place: Place, models: list[Path], tmp_path: Path) -> list[Candidate]:
    """Three models in the folder of the home, aligned with the same reward model."""
    return stored(place, models, tmp_path)


def stored(place: Place, models: list[Path], scratch: Path) -> list[Candidate]:
    store = Place(home=place.home, tracking_uri="", experiment="").store()
    (scratch / "rows").mkdir()
    (scratch / "rows" / "rows.jsonl").write_text("{}\n")

    def keep(kind: str, digit: str, folder: Path) -> ArtifactRef:
        return store.commit(f"{kind}/{digit * 64}", kind, folder, [], {}, {})

    others = {kind: keep(kind, "a", scratch / "rows") for kind in ("clean", "distill", "reward")}
    aligned = [keep("ppo", str(number), folder) for number, folder in enumerate(models)]
    return [Candidate(model=ref, **others, feedback=STATE, watermark=17) for ref in aligned]


def aliases(client: Any, name: str) -> dict[str, str]:
    found = client.get_registered_model(f"retort-{name}").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_from_a_run_to_a_champion_and_back(
    place: Place, name: str, candidates: list[Candidate], client: Any
) -> None:
    registry = ModelRegistry(place, name)
    assert (registry.entries(), registry.champion(), registry.challenger()) == ([], None, None)
    assert registry_names(place) == []
    first = registry.enter(candidates[0], "aligned", "run")
    assert (first.number, first.name, first.watermark, first.model) == (1, name, 17, candidates[0].model)
    assert (registry.champion(), registry.challenger()) == (None, first)
    assert aliases(client, name) == {"challenger": "1"}
    assert registry.promote(1, "the first", "anna") == first
    assert aliases(client, name) == {"champion": "1"}
    second = registry.enter(candidates[1], "aligned", "run")
    registry.promote(2, "better by 0.05", "gate", evidence="decide/" + "b" * 64, against=1)
    assert aliases(client, name) == {"champion": "2"}
    third = registry.enter(candidates[2], "aligned", "run")
    registry.keep(3, "the interval crosses zero", "gate")
    assert aliases(client, name) == {"champion": "2", "challenger": "3"}
    assert registry.roll_back("complaints", "anna") == first
    assert aliases(client, name) == {"champion": "1", "challenger": "3"}
    # Another process reads the same.
    other = ModelRegistry(place, name)
    assert (other.champion(), other.challenger(), other.versions()) == (first, third, [first, second, third])
    acts = [(entry.act, entry.version.number, entry.champion_before, entry.by) for entry in other.entries()]
    assert acts == [
        ("entered", 1, None, "run"),
        ("promoted", 1, None, "anna"),
        ("entered", 2, 1, "run"),
        ("promoted", 2, 1, "gate"),
        ("entered", 3, 2, "run"),
        ("kept", 3, 2, "gate"),
        ("rolled_back", 1, 2, "anna"),
    ]
    assert other.entries()[3].evidence == "decide/" + "b" * 64
    assert other.champion(datetime(2020, 1, 1, tzinfo=UTC)) is None
    assert registry_names(place) == [name]


def test_mlflow_has_the_digest_that_the_log_has(
    place: Place, name: str, candidates: list[Candidate], client: Any
) -> None:
    entered = ModelRegistry(place, name).enter(candidates[0], "aligned", "run")
    version = client.get_model_version_by_alias(f"retort-{name}", "challenger")
    assert version.tags["retort.served_sha256"] == entered.served_sha256
    # MLflow did not know the model, as no stage had registered it.
    assert version.tags["retort.input.reward"] == candidates[0].refs["reward"].sha256
    assert entered.mlflow_version is None
    other = ModelRegistry(place.model_copy(update={"home": place.home / "other"}), name)
    assert other.entries() == []


def test_what_is_done_again_changes_nothing(place: Place, name: str, candidates: list[Candidate]) -> None:
    registry = ModelRegistry(place, name)
    for _ in range(2):
        assert registry.enter(candidates[0], "aligned", "run").number == 1
        registry.promote(1, "the first", "anna")
        assert registry.enter(candidates[1], "aligned", "run").number == 2
        registry.keep(2, "no better", "gate", "decide/" + "b" * 64)
    assert [entry.act for entry in registry.entries()] == ["entered", "promoted", "entered", "kept"]
    registry.keep(2, "still no better", "gate")
    assert len(registry.entries()) == 5


def test_what_cannot_be_is_refused(place: Place, name: str, candidates: list[Candidate]) -> None:
    registry = ModelRegistry(place, name)
    with pytest.raises(RegistryError, match="none did yet"):
        registry.promote(1, "why", "anna")
    with pytest.raises(RegistryError, match="none was yet"):
        registry.roll_back("why", "anna")
    for candidate in candidates[:2]:
        registry.enter(candidate, "aligned", "run")
    registry.promote(1, "why", "anna")
    with pytest.raises(RegistryError, match="no champion before"):
        registry.roll_back("why", "anna")
    with pytest.raises(RegistryError, match=r"version 2.*one of 1"):
        registry.roll_back("why", "anna", to=2)
    with pytest.raises(RegistryError, match="1 to 2"):
        registry.keep(3, "why", "gate")
    # A person promoted another one while the night compared 2 with 1.
    registry.enter(candidates[2], "aligned", "run")
    registry.promote(3, "why", "anna")
    with pytest.raises(RegistryError, match="version 3.*compared with"):
        registry.promote(2, "better", "gate", against=1)
    with pytest.raises(StoreError, match="small letter"):
        ModelRegistry(place, "../up")
    champion = registry.champion()
    assert champion is not None
    assert champion.number == 3


def test_a_model_that_is_gone_does_not_become_champion(
    place: Place, name: str, candidates: list[Candidate]
) -> None:
    registry = ModelRegistry(place, name)
    for number, candidate in enumerate(candidates[:2], start=1):
        registry.enter(candidate, "aligned", "run")
        registry.promote(number, "why", "anna")
    place.store().delete(candidates[0].model.key)
    with pytest.raises(RegistryError, match="no artifact"):
        registry.roll_back("complaints", "anna")
    champion = registry.champion()
    assert champion is not None
    assert champion.number == 2


def test_a_kill_between_log_and_aliases_is_made_good(
    place: Place,
    name: str,
    candidates: list[Candidate],
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = ModelRegistry(place, name)
    registry.enter(candidates[0], "aligned", "run")
    with monkeypatch.context() as patch:

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(ModelMirror, "set_right", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(1, "the first", "anna")
    assert aliases(client, name) == {"challenger": "1"}
    fresh = ModelRegistry(place, name)
    champion = fresh.champion()
    assert champion is not None
    said = fresh.set_aliases()
    assert said == [
        "MLflow's `champion` was not set, is version 1 now",
        "MLflow's `challenger` was version 1, is not set now",
    ]
    assert aliases(client, name) == {"champion": "1"}
    assert fresh.set_aliases() == []


def test_mlflow_away_takes_nothing_back(
    place: Place, name: str, candidates: list[Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    away = place.model_copy(update={"tracking_uri": "http://127.0.0.1:9", "quiet": False})
    registry = ModelRegistry(away, name)
    assert registry.enter(candidates[0], "aligned", "run").mlflow_version is None
    registry.promote(1, "the first", "anna")
    assert "`retort models list` sets them" in capsys.readouterr().err
    champion = registry.champion()
    assert champion is not None
    with pytest.raises(ServiceError):
        registry.set_aliases()
    # It comes back empty: the model is registered from the store.
    assert ModelRegistry(place, name).set_aliases() == ["MLflow's `champion` was not set, is version 1 now"]


def test_whoever_follows_the_champion_reads_only_what_is_new(
    place: Place, name: str, candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, other = ModelRegistry(place, name), ModelRegistry(place, name)
    for number, candidate in enumerate(candidates[:2], start=1):
        other.enter(candidate, "aligned", "run")
        other.promote(number, "why", "anna")
    assert follower.champion() == other.version(2)
    read: list[str] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or read_bytes(path))
    assert follower.champion() == other.version(2)
    assert read == []
    other.roll_back("worse", "anna")
    read.clear()
    assert follower.champion() == other.version(1)
    assert read == ["00000005.json"]


def test_a_log_that_lost_its_last_entry_is_found_out(
    place: Place, name: str, candidates: list[Candidate]
) -> None:
    registry = ModelRegistry(place, name)
    registry.enter(candidates[0], "aligned", "run")
    registry.promote(1, "the first", "anna")
    (place.home / "store" / "log" / name / "00000002.json").unlink()
    # The chain itself shows nothing.
    registry = ModelRegistry(place, name)
    assert len(registry.entries()) == 1
    for act in (registry.set_aliases, lambda: registry.promote(1, "again", "anna")):
        with pytest.raises(BrokenLogError, match="no entry 2"):
            act()
    assert len(registry.entries()) == 1


def test_a_changed_log_is_neither_read_nor_written(
    place: Place, name: str, candidates: list[Candidate]
) -> None:
    registry = ModelRegistry(place, name)
    registry.enter(candidates[0], "aligned", "run")
    registry.promote(1, "the first", "anna")
    path = place.home / "store" / "log" / name / "00000001.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"watermark":17', b'"watermark":99'))
    for act in (
        ModelRegistry(place, name).champion,
        lambda: ModelRegistry(place, name).roll_back("why", "b"),
    ):
        with pytest.raises(BrokenLogError, match="00000002"):
            act()


def test_an_entry_of_another_version_of_retort_is_told(place: Place, name: str) -> None:
    entry = {"previous": "0" * 64, "sequence": 1, "act": "crowned"}
    data = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    assert place.log().append(name, 1, data)
    with pytest.raises(StoreError, match="Read it with the Retort that wrote it"):
        ModelRegistry(place, name).entries()


@pytest.mark.service
def test_a_home_takes_its_log_along_to_the_servers(
    place: Place, name: str, candidates: list[Candidate], client: Any, s3_server: "S3Server"
) -> None:
    folder = ModelRegistry(place, name)
    entered = folder.enter(candidates[0], "aligned", "run")
    folder.promote(1, "the first", "anna")
    where = {"s3_endpoint": s3_server.endpoint, "s3_bucket": s3_server.bucket}
    served = ModelRegistry(place.model_copy(update=where), name)
    assert served.champion() == entered
    assert served.fetch(entered.model).is_relative_to(place.home / "cache" / "s3")
    assert served.enter(candidates[1], "aligned", "run").number == 2
    served.promote(2, "better", "gate")
    assert aliases(client, name) == {"champion": "2"}
    # Two logs that went on side by side would have two champions.
    with pytest.raises(ServiceError, match="retort up"):
        ModelRegistry(place, name).champion()
    elsewhere = place.model_copy(update=where | {"home": place.home / "elsewhere"})
    assert [entry.act for entry in ModelRegistry(elsewhere, name).entries()] == [*("entered", "promoted") * 2]


@pytest.mark.service
def test_a_store_that_others_used_before_keeps_its_log(
    place: Place,
    name: str,
    candidates: list[Candidate],
    s3_server: "S3Server",
    keep_apart: Callable[[Place], Place],
) -> None:
    where = {"s3_endpoint": s3_server.endpoint, "s3_bucket": s3_server.bucket}
    theirs = ModelRegistry(keep_apart(place).model_copy(update=where), name)
    ours = ModelRegistry(place, name)
    ours.enter(candidates[0], "aligned", "run")
    here = place.model_copy(update=where)
    here.find(here.store(), candidates[1].model.key)  # to the bucket
    theirs.enter(candidates[1], "aligned", "run")
    [entry] = ModelRegistry(here, name).entries()
    assert entry.version.model == theirs.versions()[0].model


@pytest.fixture
def keep_apart(tmp_path: Path) -> Callable[[Place], Place]:
    """A place of another machine."""
    return lambda place: place.model_copy(update={"home": tmp_path / "machine"})
