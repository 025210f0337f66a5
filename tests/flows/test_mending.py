"""A damaged artifact is made anew in the same run, and nothing else is."""

from collections import Counter
from pathlib import Path

import pytest

from configs.load import load_run_config
from configs.schema import RunConfig
from flows.graph import PIPELINE, route, walk
from flows.mending import mend
from tasks.place import Place, SetAsideError
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.caching import ROOT
from tasks.shared.errors import Problem
from tasks.stage_spec import StageSpec

EXTERNAL = dict.fromkeys((part for stage in PIPELINE.values() for part in stage.external), "x")


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_run_config(ROOT / "configs" / "smoke.yaml", [])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(home=tmp_path / "home", tracking_uri="sqlite:///none.db", experiment="none", quiet=True)


class Maker:
    """Makes an artifact of one file a stage, and counts how often; fits `RunStage`."""

    def __init__(self, place: Place, tmp_path: Path) -> None:
        self.place, self.store, self.folder = place, place.store(), tmp_path / "out"
        self.folder.mkdir()
        self.made: Counter[str] = Counter()

    def __call__(self, spec: StageSpec) -> ArtifactRef:
        found = self.place.find(self.store, spec.key)
        if found is not None:
            return found
        for ref in spec.inputs.values():
            self.place.fetch(self.store, ref)
        with self.store.lease(spec.key):
            self.place.clear(self.store, spec.key)
            self.made[spec.stage] += 1
            (self.folder / "file").write_text(spec.key)
            return self.store.commit(spec.key, spec.stage, self.folder, [], {}, {})

    def damage(self, ref: ArtifactRef, name: str = "file") -> None:
        path = self.place.home / "store" / "artifacts" / ref.key / name
        path.chmod(0o644)
        path.write_text("?")


@pytest.fixture
def maker(place: Place, tmp_path: Path) -> Maker:
    return Maker(place, tmp_path)


def forget(maker: Maker, ref: ArtifactRef) -> None:
    """Delete an artifact, so that its stage has to run and read what it needs."""
    maker.store.delete(ref.key)


def test_a_damaged_input_is_made_anew_and_the_walk_ends_as_before(config: RunConfig, maker: Maker) -> None:
    before = walk(config, EXTERNAL, maker)
    assert maker.made == Counter(route("ppo"))
    maker.made.clear()
    forget(maker, before["ppo"])
    maker.damage(before["distill"])
    assert walk(config, EXTERNAL, maker) == before
    assert maker.made == {"distill": 1, "ppo": 1}
    assert (maker.store.fetch(before["distill"]) / "file").read_text() == before["distill"].key
    assert len(list((maker.place.home / "store" / "quarantine").rglob("file"))) == 1


def test_two_damaged_inputs_of_one_stage_are_both_made_anew(config: RunConfig, maker: Maker) -> None:
    before = walk(config, EXTERNAL, maker)
    maker.made.clear()
    forget(maker, before["ppo"])
    maker.damage(before["clean"])
    maker.damage(before["reward"])
    assert walk(config, EXTERNAL, maker) == before
    assert maker.made == {"clean": 1, "reward": 1, "ppo": 1}


def test_a_damaged_manifest_is_made_anew(config: RunConfig, maker: Maker) -> None:
    before = walk(config, EXTERNAL, maker)
    maker.made.clear()
    maker.damage(before["label"], "manifest.json")
    assert walk(config, EXTERNAL, maker) == before
    assert maker.made == {"label": 1}


def aside(key: str) -> SetAsideError:
    return SetAsideError(Problem("file", "?", "file", "None."), key)


def test_what_is_damaged_twice_is_an_error() -> None:
    errors = [aside("a"), aside("b"), aside("a"), aside("c")]

    def attempt() -> None:
        raise errors.pop(0)

    with pytest.raises(SetAsideError) as caught:
        mend(attempt)
    assert (caught.value.key, [error.key for error in errors]) == ("a", ["c"])


def test_each_damage_costs_one_more_attempt() -> None:
    errors = [aside("a"), aside("b")]

    def attempt() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert mend(attempt) == "done"
