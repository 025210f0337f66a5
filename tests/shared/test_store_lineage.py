"""What an annotator's events went into, on a small chain of artifacts made by hand, in each kind of store."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.lineage import Lineage, descendants, purge, trace
from tasks.shared import s3_bucket
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.local_store import LocalStore
from tasks.shared.store import Store

if TYPE_CHECKING:
    from tests.shared.conftest import Backend

CHAIN = ("feedback", "reward", "ppo", "evaluate")


class Chain:
    """`feedback` with events of anna and bert, what was made of it, and two artifacts of other feedback."""

    def __init__(self, store: Store, work: Path) -> None:
        self.store, self.work = store, work
        self.refs: dict[str, ArtifactRef] = {}
        clean = self.add("clean", "clean", [])
        distill = self.add("distill", "distill", [clean])
        feedback = self.add("feedback", "feedback", [clean, distill], ["anna", "bert"])
        reward = self.add("reward", "reward", [clean, distill, feedback])
        ppo = self.add("ppo", "ppo", [clean, distill, reward])
        self.add("evaluate", "evaluate", [clean, ppo])
        other = self.add("other", "feedback", [clean, distill], ["bert"])
        self.add("other reward", "reward", [clean, distill, other])

    def add(
        self,
        name: str,
        stage: str,
        parents: list[ArtifactRef],
        annotators: list[str] | None = None,
        warm_start: str | None = None,
    ) -> ArtifactRef:
        folder = self.work / name
        folder.mkdir(parents=True)
        (folder / "made.txt").write_text(name)
        if annotators is not None:
            lines = [json.dumps({"annotator": one, "prompt": "\u2028 anna"}) + "\n" for one in annotators]
            (folder / "events.jsonl").write_text("".join(lines), encoding="utf-8")
        key = f"{stage}/{format(len(self.refs), 'x') * 64}"
        digests = [parent.sha256 for parent in parents]
        ref = self.store.commit(key, stage, folder, digests, {"reward": {"warm_start": warm_start}}, {})
        self.refs[name] = ref
        return ref

    def used(self, annotator: str, *before: str) -> list[str]:
        """Names of the artifacts found, and no others."""
        names = {ref.sha256: name for name, ref in self.refs.items()}
        return [names[used.sha256] for used in trace([self.store], annotator, before).artifacts]


@pytest.fixture
def chain(backend: "Backend", tmp_path: Path) -> Chain:
    return Chain(backend.open(), tmp_path / "made")


def test_exactly_what_was_made_from_their_events_is_found(chain: Chain) -> None:
    assert sorted(chain.used("anna")) == sorted(CHAIN)
    assert sorted(chain.used("bert")) == sorted([*CHAIN, "other", "other reward"])
    # The prompt of every event has the word, but nobody of that name judged.
    assert chain.used("ann") == []


def test_a_reward_model_that_started_from_theirs_is_found(chain: Chain, tmp_path: Path) -> None:
    # Its parents once lacked the model that it started from, so nobody was told that it had learnt from anna.
    other = chain.refs["other"]
    chain.add("by key", "reward", [other], warm_start=chain.refs["reward"].key)
    copied = tmp_path / "copied"
    shutil.copytree(chain.store.fetch(chain.refs["reward"]), copied)
    chain.add("by folder", "reward", [other], warm_start=str(copied))
    chain.add("from another", "reward", [other], warm_start=chain.refs["other reward"].key)
    chain.add("from nothing", "reward", [other], warm_start=str(tmp_path / "gone"))
    after = chain.add("twice", "reward", [other], warm_start=chain.refs["by key"].key)
    chain.add("aligned", "ppo", [after])
    assert sorted(chain.used("anna")) == sorted([*CHAIN, "by key", "by folder", "twice", "aligned"])


def test_each_is_named_with_stage_key_digest_and_time(chain: Chain) -> None:
    chain.store.write_record(chain.refs["ppo"].key, {"finished_at": "2026-11-24T12:00:00+00:00"})
    found = {used.stage: used for used in trace([chain.store], "anna").artifacts}
    ppo, feedback = found["ppo"], found["feedback"]
    assert (ppo.key, ppo.sha256) == (chain.refs["ppo"].key, chain.refs["ppo"].sha256)
    assert ppo.uri == chain.refs["ppo"].uri
    assert (ppo.finished_at, feedback.finished_at) == ("2026-11-24T12:00:00+00:00", None)
    assert (ppo.holds_events, feedback.holds_events) == (False, True)
    assert [used.key for used in trace([chain.store], "anna").artifacts] == sorted(
        used.key for used in found.values()
    )


def test_purging_deletes_what_holds_their_events_and_can_be_repeated(
    chain: Chain, backend: "Backend"
) -> None:
    held = chain.refs["feedback"].sha256
    found = trace([chain.store], "anna")
    assert purge([chain.store], found) == [chain.refs["feedback"].key]
    assert chain.store.find(chain.refs["feedback"].key) is None
    for name in ("reward", "ppo", "other"):
        assert chain.store.find(chain.refs[name].key) is not None
    # What was made from it is still known by the digest of what held the events.
    assert sorted(chain.used("anna", held)) == sorted(CHAIN[1:])
    assert chain.used("anna") == []
    assert purge([chain.store], trace([chain.store], "anna", [held])) == []
    assert not [place for place in backend.places("artifacts") if chain.refs["feedback"].key in place]


def test_what_cannot_be_read_is_taken_for_theirs(chain: Chain, backend: "Backend") -> None:
    backend.overwrite(f"artifacts/{chain.refs['other'].key}/events.jsonl", b"{")
    backend.overwrite(f"artifacts/{chain.refs['evaluate'].key}/manifest.json", b"{")
    found = trace([backend.open("elsewhere")], "anna")
    damaged = [used.key for used in found.artifacts if used.is_damaged]
    assert damaged == [chain.refs["other"].key]
    assert chain.refs["other reward"].key in {used.key for used in found.artifacts}
    assert found.unreadable == (chain.refs["evaluate"].key,)
    wanted = sorted(chain.refs[name].key for name in ("evaluate", "feedback", "other"))
    assert purge([chain.store], found) == wanted
    assert backend.places("artifacts").isdisjoint({f"artifacts/{key}/manifest.json" for key in wanted})


def test_a_kill_in_the_middle_of_a_deletion_is_seen(chain: Chain, backend: "Backend") -> None:
    backend.remove(f"artifacts/{chain.refs['feedback'].key}/made.txt")
    found = trace([backend.open("elsewhere")], "anna")
    assert chain.refs["feedback"].key in {used.key for used in found.artifacts if used.is_damaged}
    assert purge([chain.store], found) == [chain.refs["feedback"].key]


def test_two_stores_are_one_family(chain: Chain, tmp_path: Path) -> None:
    """A home has a folder and a bucket; what is made in one may have its parents in the other."""
    second = LocalStore(tmp_path / "second")
    parent = chain.refs["reward"].sha256
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "made.txt").write_text("x")
    child = second.commit("ppo/" + "f" * 64, "ppo", tmp_path / "x", [parent], {}, {})
    found = trace([chain.store, second], "anna")
    assert child.sha256 in {used.sha256 for used in found.artifacts}
    assert len(found.artifacts) == len(CHAIN) + 1


@pytest.mark.service
def test_a_bucket_is_listed_page_by_page(
    s3_backend: "Backend", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket, "PAGE_KEYS", 3)
    chain = Chain(s3_backend.open(), tmp_path / "made")
    assert sorted(chain.store.list_artifacts()) == sorted(ref.key for ref in chain.refs.values())
    assert sorted(chain.used("anna")) == sorted(CHAIN)


def test_a_family_without_the_roots_is_empty() -> None:
    assert descendants([], ["a"]) == {"a"}
    assert descendants([], []) == set()
    assert Lineage(artifacts=(), unreadable=()) == trace([], "anna")
