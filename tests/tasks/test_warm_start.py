"""Where the reward model is that another starts from, and what the key holds of it."""

from pathlib import Path

import pytest

from tasks.place import Place
from tasks.shared.errors import DataError
from tasks.warm_start import EarlierRewards, earlier_reward, warm_start_digest

KEY = "reward/" + "a" * 64


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = tmp_path / "home"
    return Place(home=home, tracking_uri=f"sqlite:///{home / 'mlflow.db'}", experiment="tests")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "head.safetensors").write_bytes(b"weights")
    return folder


def test_nothing_is_named_none(place: Place) -> None:
    assert warm_start_digest(None, place, None) == "none"
    assert not place.home.exists()


def test_a_key_names_an_artifact_of_the_store(place: Place, artifact: Path) -> None:
    ref = place.store().commit(KEY, "reward", artifact, [], {}, {"rows": 1})
    assert warm_start_digest(KEY, place, None) == ref.sha256
    assert (earlier_reward(place, KEY) / "model" / "head.safetensors").read_bytes() == b"weights"


def test_a_path_names_a_folder_whose_digest_follows_its_files(place: Place, artifact: Path) -> None:
    before = warm_start_digest(str(artifact), place, None)
    assert earlier_reward(place, str(artifact)) == artifact
    (artifact / "model" / "head.safetensors").write_bytes(b"others")
    assert warm_start_digest(str(artifact), place, None) != before


def test_the_models_that_a_stage_starts_from_become_parents(place: Place, artifact: Path) -> None:
    # Withdrawing follows parents: without this one, nobody was told what the new model had learnt.
    ref = place.store().commit(KEY, "reward", artifact, [], {}, {"rows": 1})
    earlier = EarlierRewards(place)
    assert earlier.digests == []
    folder = earlier(KEY)
    assert earlier.digests == [ref.sha256]
    assert earlier(str(folder)) == folder  # named by its folder, it is the same artifact
    assert earlier(str(artifact)) == artifact  # no artifact: it has no digest
    assert earlier.digests == [ref.sha256] * 2


@pytest.mark.parametrize("ask", [lambda p, s: warm_start_digest(s, p, None), earlier_reward])
def test_what_is_not_there_is_an_error_that_names_the_key(place: Place, ask) -> None:
    with pytest.raises(DataError, match=r"`reward.warm_start`: got no artifact `reward/a+`.*summary.json"):
        ask(place, KEY)
    with pytest.raises(DataError, match=r"`reward.warm_start`: got no folder `nowhere`.*relative to"):
        ask(place, "nowhere")
