"""Three nights in a row, each from judgements on the real page to a decision and what becomes of it.

Tiny random models gain nothing, and the gate says so; who becomes champion all the same is a person's word.
"""

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.feedback_clients import Annotator
from benchmarks.feedback_server import page
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database
from tasks.shared.env import feedback_url

if TYPE_CHECKING:
    from tests.flows.conftest import Retort

pytestmark = [pytest.mark.flow, pytest.mark.service, pytest.mark.timeout(600)]

NIGHT = ("drift.gate=warn", "nightly.least_events=5", "collect.replay=8", "ppo.updates=1")


def prefer_the_first(task: dict[str, Any], draw: Any) -> dict[str, Any]:
    """Every comparison gives a preference, so that there is enough to learn from."""
    return {"kind": "ranking", "ranks": list(range(1, len(task["answers"]) + 1))}


def judge_some(retort: "Retort") -> int:
    """Have models answer, and an annotator judge all of it on the page; gives what was acknowledged."""
    asked = retort("feedback", "ask", "--questions", "30", "--answers", "2", "--longest", "12")
    assert asked.code == 0, asked.err
    url = feedback_url(retort.home)
    database = Database(url)
    token = Annotators(database).invite("anna")
    database.close()
    with page(url, retort.home.parent) as port:
        anna = Annotator("anna", token, port, time.monotonic() + 60, 30, say=prefer_the_first)
        anna.work()
    assert anna.wrong == []
    return len(anna.acknowledged)


def night(retort: "Retort") -> dict[str, Any]:
    result = retort("nightly", str(retort.smoke), *NIGHT, "--json", "--quiet")
    assert result.code == 0, result.err
    summary: dict[str, Any] = json.loads(result.out)
    return summary


def promote(retort: "Retort", number: int) -> None:
    result = retort("models", "promote", str(number), "--reason", f"because of {number}", "--by", "anna")
    assert result.code == 0, result.err


def test_three_nights_from_the_page_to_new_champions(retort: "Retort") -> None:
    assert retort.run_smoke().code == 0
    without = retort("nightly", str(retort.smoke))
    assert (without.code, "retort models promote" in without.err) == (2, True)
    promote(retort, 1)
    assert night(retort)["decision"] == "not enough"

    for champion in (1, 2, 3):
        judged = judge_some(retort)
        found = night(retort)
        assert (found["decision"], found["champion"], found["challenger"]) == ("kept", champion, champion + 1)
        assert found["new_events"] == judged >= 5  # those before were learnt by the champion
        assert "utility against the champion" in found["reason"]
        again = night(retort)
        assert {stage["state"] for stage in again["stages"]} == {"cached"}
        assert (again["decision"], again["challenger"]) == ("kept", champion + 1)
        promote(retort, champion + 1)

    entries = sorted((retort.home / "store" / "log" / "smoke").glob("*.json"))
    acts = [json.loads(path.read_bytes())["act"] for path in entries]
    one_night = ["entered", "kept", "promoted"]
    assert acts == ["entered", "promoted", *one_night, *one_night, *one_night]
