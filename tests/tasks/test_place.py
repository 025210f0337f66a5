"""Where artifacts are found: a damaged one is reported once, set aside, and then missing."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError
from tasks.shared.local_store import LocalStore
from tasks.shared.store import Store

if TYPE_CHECKING:
    from tests.conftest import S3Server

KEY = "report/" + "a" * 64


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(home=tmp_path / "home", tracking_uri="sqlite:///none.db", experiment="none")


@pytest.fixture
def store(place: Place) -> Store:
    return place.store()


@pytest.fixture
def artifact(store: Store, tmp_path: Path) -> ArtifactRef:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "page.html").write_text("<p>")
    return store.commit(KEY, "report", tmp_path / "out", [], {}, {})


def damage(place: Place, name: str) -> None:
    path = place.home / "store" / "artifacts" / KEY / name
    path.chmod(0o644)
    path.write_text("{")


def test_the_embedded_store_is_below_home(place: Place, store: Store, artifact: ArtifactRef) -> None:
    assert isinstance(store, LocalStore)
    assert place.find(store, KEY) == artifact
    assert place.fetch(store, artifact) == place.home / "store" / "artifacts" / KEY
    assert place.find(store, "report/" + "b" * 64) is None


def test_a_damaged_file_is_set_aside(place: Place, store: Store, artifact: ArtifactRef) -> None:
    damage(place, "page.html")
    with pytest.raises(CorruptArtifactError, match=r"page\.html"):
        place.fetch(store, artifact)
    assert place.find(store, KEY) is None
    [kept] = (place.home / "store" / "quarantine").rglob("page.html")
    assert kept.read_text() == "{"


@pytest.mark.usefixtures("artifact")
def test_a_damaged_manifest_is_set_aside(place: Place, store: Store) -> None:
    damage(place, "manifest.json")
    with pytest.raises(CorruptArtifactError, match=r"manifest\.json"):
        place.find(store, KEY)
    assert place.find(store, KEY) is None


def test_a_place_survives_the_way_to_another_process(place: Place) -> None:
    assert Place.model_validate(place.model_dump(mode="json")) == place


@pytest.mark.service
def test_what_an_embedded_run_left_is_taken_over(
    place: Place, artifact: ArtifactRef, s3_server: "S3Server"
) -> None:
    served = place.model_copy(update={"s3_endpoint": s3_server.endpoint, "s3_bucket": s3_server.bucket})
    found = served.find(served.store(), KEY)
    assert found is not None
    assert (found.sha256, found.uri.split(":")[0]) == (artifact.sha256, "s3")
    assert (served.fetch(served.store(), found) / "page.html").read_text() == "<p>"


@pytest.mark.service
@pytest.mark.usefixtures("artifact")
def test_what_is_damaged_is_not_taken_over(place: Place, tmp_path: Path, s3_server: "S3Server") -> None:
    key = "report/" + "c" * 64
    place.store().commit(key, "report", tmp_path / "out", [], {}, {})
    path = place.home / "store" / "artifacts" / key / "page.html"
    path.chmod(0o644)
    path.write_text("{")
    served = place.model_copy(update={"s3_endpoint": s3_server.endpoint, "s3_bucket": s3_server.bucket})
    with pytest.raises(CorruptArtifactError, match=r"page\.html"):
        served.find(served.store(), key)
    assert served.find(served.store(), key) is None
    assert place.find(place.store(), key) is None
