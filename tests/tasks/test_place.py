"""Where artifacts are found: a damaged one is reported once, set aside, and then missing."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.place import Place, SetAsideError
from tasks.shared.artifacts import ArtifactRef
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
    with pytest.raises(SetAsideError, match=r"page\.html.*in quarantine now; run again") as caught:
        place.fetch(store, artifact)
    assert caught.value.key == KEY
    assert place.find(store, KEY) is None
    [kept] = (place.home / "store" / "quarantine").rglob("page.html")
    assert kept.read_text() == "{"


@pytest.mark.usefixtures("artifact")
def test_a_damaged_manifest_counts_as_missing_until_the_lease_is_held(place: Place, store: Store) -> None:
    damage(place, "manifest.json")
    assert place.find(store, KEY) is None
    # Whoever has no lease leaves it: a rival may be about to make it anew.
    assert not (place.home / "store" / "quarantine").exists()
    with store.lease(KEY):
        place.clear(store, KEY)
    assert len(list((place.home / "store" / "quarantine").rglob("manifest.json"))) == 1
    assert not (place.home / "store" / "artifacts" / KEY).exists()


def test_what_a_rival_made_anew_meanwhile_is_not_set_aside(
    place: Place, store: Store, artifact: ArtifactRef, tmp_path: Path
) -> None:
    damage(place, "page.html")
    fetched: list[Path] = []
    reader = threading.Thread(target=lambda: fetched.append(place.fetch(place.store(), artifact)))
    with store.lease(KEY):
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()
        store.quarantine(KEY, "by the rival")
        store.commit(KEY, "report", tmp_path / "out", [], {}, {})
    reader.join()
    assert (fetched[0] / "page.html").read_text() == "<p>"
    assert len(list((place.home / "store" / "quarantine").rglob("page.html"))) == 1


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
    assert served.find(served.store(), key) is None
    assert place.find(place.store(), key) is None
