"""The real command: what it says and how it exits, above all when something is wrong."""

import json
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.flows.conftest import Retort

COMMANDS = ("run", "tune", "summary", "config", "up", "down", "status", "gc", "doctor")
# 25 questions with an answer each, and three lines that are none.
ROWS = [
    json.dumps(
        {"question": f"What is the {n}th colour of the big old box?", "reply": f"It is colour {n}, by far."}
    )
    for n in range(25)
]
BROKEN = {
    3: "{no json",
    11: json.dumps({"question": "And?", "reply": None}),
    20: json.dumps({"question": "Alone?"}),
}
PAIRS = (
    "data.kind=pairs",
    "data.prompt_column=question",
    "data.answer_column=reply",
    "data.test_share=0.3",
    "data.valid_share=0.1",
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Pairs in JSON lines; the broken ones stand on lines 3, 11 and 20."""
    lines = list(ROWS)
    for line, text in sorted(BROKEN.items()):
        lines.insert(line - 1, text)
    path = tmp_path / "my pairs.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def problems(err: str) -> list[str]:
    """What was said to be wrong, after the line that counts it."""
    first, *lines = err.splitlines()
    found = [line for line in lines if line.startswith("- ")]
    assert first == f"{len(found)} problem{'s' if len(found) > 1 else ''}"
    return found


def test_an_unknown_key_is_answered_with_a_near_one(retort: "Retort") -> None:
    result = retort("run", str(retort.smoke), "ppo.lerning_rate=0.001")
    assert result.code == 2
    assert result.out == ""
    [problem] = problems(result.err)
    assert "`ppo.lerning_rate`" in problem
    assert "Did you mean `ppo.learning_rate`?" in problem
    assert not retort.home.exists()


def test_all_that_is_wrong_with_values_is_said_at_once(retort: "Retort") -> None:
    result = retort("run", str(retort.smoke), "ppo.updates=0", "score.topk=4", "seed=many")
    assert result.code == 2
    found = problems(result.err)
    assert len(found) == 3
    for name in ("`ppo.updates`", "`score.topk`", "`seed`"):
        assert any(problem.startswith(f"- {name}") for problem in found)


def test_all_files_that_are_missing_are_named_at_once(retort: "Retort") -> None:
    gone = ("data.source=configs/data/usda_food.csv", "teacher.source=package:no-such-model")
    result = retort("run", str(retort.smoke), *gone, "feedback.events=gone.jsonl")
    assert result.code == 2
    data, teacher, people = problems(result.err)
    assert "`configs/data/usda_food.csv`" in data
    assert "Did you mean `configs/data/usda_foods.csv`?" in data
    assert "no package `no-such-model`" in teacher
    assert "pip install --no-deps no-such-model" in teacher
    assert "`gone.jsonl`" in people
    assert retort.noted("import") == []


def test_a_space_that_does_not_fit_is_refused_before_anything_starts(
    retort: "Retort", tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(
        "distill.lerning_rate: {low: 1.0e-4, high: 1.0e-3}\ndistill.kd_weight: {low: 0, high: 2}\n"
    )
    result = retort("tune", str(retort.smoke), "--space", str(space))
    assert result.code == 2
    unknown, outside = problems(result.err)
    assert "Did you mean `distill.learning_rate`?" in unknown
    assert f"`distill.kd_weight`: got 2 ({space}:2)" in outside
    assert not retort.home.exists()
    assert retort.noted("import") == []


def test_a_missing_profile_is_answered_with_the_known_ones(retort: "Retort") -> None:
    result = retort("run", "configs/smok.yaml")
    assert result.code == 2
    [problem] = problems(result.err)
    assert "`configs/smok.yaml`" in problem
    assert "Did you mean `configs/smoke.yaml`?" in problem


def test_an_unknown_platform(retort: "Retort") -> None:
    result = retort("run", str(retort.smoke), "--platform", "embeded")
    assert result.code == 2
    [problem] = problems(result.err)
    assert "Did you mean `embedded`?" in problem


def test_servers_that_do_not_run(retort: "Retort") -> None:
    result = retort("run", str(retort.smoke), "--platform", "local")
    assert result.code == 2
    [problem] = problems(result.err)
    assert "retort up" in problem


@pytest.mark.parametrize("arguments", [("summary", "--json"), ("summary",)])
def test_a_summary_before_any_run(retort: "Retort", arguments: tuple[str, ...]) -> None:
    result = retort(*arguments)
    assert (result.code, result.out) == (2, "")
    [problem] = problems(result.err)
    assert str(retort.home / "latest" / "summary.json") in problem
    assert "`retort run`" in problem


def test_no_servers_to_stop_or_to_show(retort: "Retort") -> None:
    down = retort("down")
    assert (down.code, down.out) == (0, "No servers of `retort up` are running.\n")
    status = retort("status")
    assert status.code == 0
    assert status.out.count("not started") == 4
    assert not retort.home.exists()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(retort: "Retort", command: str) -> None:
    result = retort(*command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    text = re.sub(r"\W+", " ", result.out)
    assert f" {command} OPTIONS " in text if command else "OPTIONS COMMAND" in text
    for name in COMMANDS if not command else ():
        assert f" {name} " in text
    assert "RETORT_HOME" in text or command


def test_no_command_shows_the_help(retort: "Retort") -> None:
    result = retort()
    assert result.code == 2
    assert "Commands" in result.out + result.err


def test_an_unknown_command(retort: "Retort") -> None:
    result = retort("rum")
    assert result.code == 2
    assert "No such command" in result.err


@pytest.mark.parametrize(
    ("arguments", "name", "updates"),
    [
        ([], "nutrition", None),
        (["ppo.updates=3"], "nutrition", 3),
        (["{smoke}"], "smoke", 2),
        (["{smoke}", "ppo.updates=3"], "smoke", 3),
        (["{smoke}", "ppo.updates=3", "name=other"], "other", 3),
        (["{smoke}", "ppo.updates=3", "ppo.updates=5"], "smoke", 5),
        (["name=other", "ppo.updates=3"], "other", 3),
    ],
)
def test_forms_of_overrides(retort: "Retort", arguments: list[str], name: str, updates: int | None) -> None:
    result = retort("config", *(argument.format(smoke=retort.smoke) for argument in arguments))
    assert (result.code, result.err) == (0, "")
    resolved = yaml.safe_load(result.out)
    assert resolved["name"] == name
    assert updates in (None, resolved["ppo"]["updates"])


def test_the_printed_configuration_can_be_run_again(retort: "Retort", tmp_path: Path) -> None:
    first = retort("config", str(retort.smoke), "ppo.learning_rate=1e-5", "data.single_plan=[lookup, open]")
    (tmp_path / "again.yaml").write_text(first.out)
    second = retort("config", str(tmp_path / "again.yaml"))
    assert (second.code, second.out) == (0, first.out)
    assert yaml.safe_load(first.out)["data"]["single_plan"] == ["lookup", "open"]


def test_every_key_is_explained(retort: "Retort") -> None:
    result = retort("config", "--keys")
    assert result.code == 0
    for key in ("seed", "data.single_sheets.train", "ppo.kl_coefficient", "evaluate.precision"):
        assert key in result.out


@pytest.mark.flow
@pytest.mark.timeout(180)
def test_pairs_from_end_to_end(retort: "Retort", dataset: Path) -> None:
    result = retort.run_smoke(*PAIRS, f"data.source={dataset}", "feedback.prompts=14", "data.canaries=0")
    assert result.code == 0, result.err
    assert set(retort.states().values()) == {"executed"}
    [folder] = (retort.home / "store" / "artifacts" / "clean").iterdir()
    aside = [json.loads(line) for line in (folder / "set_aside.jsonl").read_text().splitlines()]
    assert [row["line"] for row in aside] == sorted(BROKEN)
    assert "`reply` is missing" in aside[1]["reason"]
    card = json.loads((folder / "card.json").read_text())
    assert card["malformed"] == 3
    assert card["rows"] + sum(card["dropped"].values()) == len(ROWS)
    printed = retort("summary", "--json")
    assert printed.code == 0
    assert json.loads(printed.out) == json.loads((retort.home / "latest" / "summary.json").read_text())
    shown = retort("summary")
    assert shown.code == 0
    assert "perplexity" in shown.out


@pytest.mark.flow
@pytest.mark.timeout(120)
def test_a_stage_that_fails_says_why_and_is_recorded_as_failed(retort: "Retort", dataset: Path) -> None:
    result = retort.run_smoke(*PAIRS, f"data.source={dataset}", "data.prompt_column=questoin")
    assert result.code == 2
    [problem] = problems(result.err)
    assert "Did you mean `question`?" in problem
    assert statuses(retort) == {"FAILED"}
    assert retort.is_alone_within(20), retort.survivors()


@pytest.mark.flow
@pytest.mark.timeout(120)
def test_an_interrupt_ends_the_run_and_its_server(retort: "Retort") -> None:
    arguments = ("run", str(retort.smoke), "--quiet", "distill.epochs=300", "distill.checkpoint_seconds=0")
    with retort.start(*arguments) as process:
        deadline = time.monotonic() + 60
        while (
            not list((retort.home / "store" / "checkpoints").glob("distill/*/*"))
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "Stopped. Start the same command again to go on.\n"
    assert statuses(retort) <= {"KILLED", "FINISHED"}
    assert "KILLED" in statuses(retort)
    assert retort.is_alone_within(20), retort.survivors()


def statuses(retort: "Retort") -> set[Any]:
    """What MLflow says of all runs."""
    import sqlite3

    with sqlite3.connect(f"file:{retort.home / 'mlflow.db'}?mode=ro", uri=True) as connection:
        found = {status for (status,) in connection.execute("select status from runs")}
    connection.close()
    return found
