"""What kills leave in a store and beside it, and copies on this machine."""

import time
from typing import TYPE_CHECKING

import pytest

from tasks.garbage.rubbish import Rubbish, sweep
from tasks.shared import last_use

if TYPE_CHECKING:
    from tests.conftest import S3Server
    from tests.garbage.conftest import Home

DAY = 86400.0


def kinds(found: list[Rubbish]) -> list[tuple[str, str]]:
    return sorted((one.kind, one.where.rpartition("/store/")[2]) for one in found if one.kind != "artifact")


def test_checkpoints_go_when_their_stage_is_finished_or_given_up(home: "Home") -> None:
    finished, given_up, waiting = home.key("ppo 1"), "ppo/" + "a" * 64, "ppo/" + "b" * 64
    for key, days in ((finished, 0), (given_up, 31), (waiting, 29)):
        home.write(f"checkpoints/{key}/step.safetensors/digest", days)
    found = [one for one in home.search().rubbish if one.kind == "checkpoints"]
    assert [one.key for one in found] == [finished, given_up]
    assert [one.bytes for one in found] == [5, 5]
    with home.store.lease(given_up):
        assert sweep(found) == (found[:1], found[1:])
    assert sweep(found) == (found, [])
    left = [path for path in (home.folder / "checkpoints").rglob("*") if path.is_file()]
    assert [waiting in str(path) for path in left] == [True]


def test_what_was_set_aside_stays_for_some_days_from_then(home: "Home") -> None:
    """A rename keeps the files' own times: the note beside them is as old as the finding."""
    for digest, days in (("a" * 64, 31), ("b" * 64, 29)):
        home.write(f"quarantine/ppo/{digest}-1/made.txt", 200)
        home.write(f"quarantine/ppo/{digest}-1.json", days)
    found = [one for one in home.search().rubbish if one.kind == "set aside"]
    assert [(one.key, one.bytes) for one in found] == [("ppo/" + "a" * 64 + "-1", 10)]
    assert sweep(found) == (found, [])
    names = sorted(path.name for path in (home.folder / "quarantine" / "ppo").iterdir())
    assert names == ["b" * 64 + "-1", "b" * 64 + "-1.json"]


def test_damaged_feedback_goes_at_once_after_a_withdrawal(home: "Home") -> None:
    home.write("quarantine/collect/" + "a" * 64 + "-1/events.jsonl", 1)
    assert kinds(home.search().rubbish) == []
    home.write("1.json", 1, home.place.home / "withdrawals").write_text('{"annotator": "a", "held": ["x"]}')
    assert [kind for kind, _ in kinds(home.search().rubbish)] == ["set aside"]


def test_what_kills_left_is_found(home: "Home") -> None:
    orphan = "records/ppo/" + "a" * 64 + ".json"
    staging = "staging/ppo/" + "a" * 64
    parts = "shards/label/" + "a" * 64 + "/.x.part"
    for place in (orphan, f"{staging}/made.txt", parts, f"{staging}.lock", "shards/label/" + "a" * 64 + "/x"):
        home.write(place, 31)
    for young in ("records/ppo/" + "b" * 64 + ".json", "staging/ppo/" + "b" * 64 + "/made.txt"):
        home.write(young, 0.5)
    scratch = home.place.home / "work" / "tmpx"
    home.write("made.txt", 2, scratch)
    home.age("", 2, scratch)
    found = [one for one in home.search().rubbish if one.kind != "artifact"]
    wanted = [("half written", parts), ("half written", f"{staging}/made.txt"), ("record", orphan)]
    assert kinds(found) == sorted([*wanted, ("scratch", str(scratch))])
    assert sweep(found) == (found, [])
    assert not scratch.exists()
    left = {path.name for path in (home.folder / "staging" / "ppo").iterdir()}
    # To delete a lock would let two writers lock two files.
    assert left >= {"a" * 64 + ".lock", "b" * 64}
    assert "a" * 64 not in left


@pytest.mark.service
def test_a_bucket_and_its_copies_on_this_machine(
    home: "Home", s3_server: "S3Server", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects cannot be made older, so here everything is older than no days at all."""
    where = {"s3_endpoint": s3_server.endpoint, "s3_bucket": s3_server.bucket}
    home.place = home.place.model_copy(update=where)
    monkeypatch.setattr(last_use, "GRAIN_SECONDS", -1.0)
    store, key = home.place.store(), home.key("ppo 1")
    ref = home.place.find(store, key)
    assert ref is not None
    copy = home.place.fetch(store, ref)
    home.write("made.txt", 40, home.place.copies / "shards" / "label" / ("a" * 64))
    gone = home.place.copies / "artifacts" / "ppo" / ("f" * 64) / ("e" * 64)
    home.write("made.txt", 0, gone)
    found = home.search(days=30)
    uris = {one.where for one in found.rubbish if one.kind == "artifact"}
    assert f"s3://{s3_server.bucket}/artifacts/{key}" not in uris
    # One was used in the bucket: what is in the folder of embedded runs is kept with it.
    assert not [uri for uri in uris if key in uri]
    copies = {one.where: one.why for one in found.rubbish if one.kind == "copy"}
    assert set(copies) == {str(gone), str(home.place.copies / "shards" / "label" / ("a" * 64))}
    assert copies[str(gone)] == "gone from the store"
    assert sweep([one for one in found.rubbish if one.kind == "copy"])[1] == []
    assert not gone.exists()
    time.sleep(1.5)
    late = [one for one in home.search(days=1 / DAY).rubbish if key in one.key]
    assert {one.kind for one in late} == {"artifact", "copy"}
    with home.place.store().lease(key):
        assert [one.kind for one in sweep(late)[1]] == ["artifact"]
    assert not copy.exists()
    rest = [one for one in late if one.where.startswith("s3://")]
    assert sweep(rest) == (rest, [])
    assert store.find(key) is None
