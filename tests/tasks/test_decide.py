"""The stages `examine` and `decide`: what they leave for programs, and the page that a person reads."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tasks.decide
import tasks.examine
from configs.load import load_run_config
from tasks.ml.decision_page import changed
from tasks.ml.examined import Examined, load_examined
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.rows import GENERAL_FILE, ReferenceCheck, Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.shared.tracking import MemoryRun
from tasks.stage import StageContext

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
EVIL = "<script>alert(1)</script> | ![x](http://evil.example/a.png) **bold**\n# head"


def context_of(folder: Path, inputs: dict[str, Path], *overrides: str) -> Any:
    (folder / "out").mkdir(parents=True)
    config = load_run_config(SMOKE, ["evaluate.precision=fp32", *overrides])
    said: list[str] = []
    context = SimpleNamespace(
        config=config.model_dump(mode="json"),
        inputs=inputs,
        out=folder / "out",
        seed=7,
        run=MemoryRun("id", "stage", {}, {}),
        bars=SimpleNamespace(say=said.append),
        bar=lambda *_: SimpleNamespace(advance=lambda *_: None, close=lambda: None),
        said=said,
    )
    context.section = lambda kind, name: StageContext.section(context, kind, name)
    return context


@pytest.fixture
def decided(tmp_path: Path, build_examined):
    """Stage `decide` on a challenger that is better but for `change`."""

    def start(change=lambda context, task: {}, contexts: int = 40) -> tuple[dict[str, Any], Any]:
        def better(context: int, task: str) -> dict[str, Any]:
            return {"utility": 2.2 + 0.01 * context} | change(context, task)

        models: dict[str, Examined] = {
            "challenger": build_examined(better, contexts),
            "champion": build_examined(contexts=contexts),
            "unrefined": build_examined(lambda context, task: {"utility": 0.0}, contexts),
        }
        for name, model in models.items():
            (tmp_path / name).mkdir()
            model.save(tmp_path / name)
        context = context_of(tmp_path / "stage", {name: tmp_path / name for name in models})
        return tasks.decide.run(context), context

    return start


def test_a_promotion_on_disk_and_in_the_records(decided) -> None:
    summary, context = decided()
    assert summary["decision"] == "promote"
    assert summary["metric"] == "utility"
    assert summary["rows"] == 120
    # 0.2 and the mean of 0, 0.01, ..., 0.39
    assert summary["gain"][0] == pytest.approx(0.395)
    assert summary["gain"][1] > 0.35
    saved = json.loads((context.out / "decision.json").read_text())
    assert saved["promote"] is True
    assert saved["reason"] == summary["reason"]
    assert saved["models"]["unrefined"]["utility"] == 0.0
    first = saved["rules"][0]
    assert first["name"] == "utility against the champion"
    assert first["difference"]["value"] == pytest.approx(0.395)
    assert first["limit"] == 0.0
    assert first["passed"] is True
    assert context.run.finals["promotion/promote"] == 1
    assert context.run.finals["promotion/gain"] == pytest.approx(0.395)
    assert context.run.finals["promotion/accuracy"] == 0
    assert context.run.files == ["decision/decision.md"]
    assert context.said == [f"decide: promote: {summary['reason']}"]


def test_the_page_says_the_verdict_first_and_every_rule(decided) -> None:
    summary, context = decided(lambda context, task: {"correct": context >= 4})
    page = (context.out / "decision.md").read_text()
    assert page.startswith("# The gate says: keep the champion\n")
    assert summary["decision"] == "keep"
    assert "| accuracy, share | -0.100 | [" in page
    assert "not below -0.06 |  | **no** |" in page
    assert "| utility against the champion, utility | +0.395 |" in page
    assert "120 questions in 40 contexts find a gain of" in page
    assert "they are enough for the stated gain of 0.1" in page
    assert "| accuracy | 0.900 | 1.000 | 1.000 |" in page
    assert "General ability was not measured" in page


def test_the_answers_that_changed_most_are_shown_and_stay_text(decided) -> None:
    def change(context: int, task: str) -> dict[str, Any]:
        if task != "lookup" or context > 1:
            return {"utility": 2.0}
        return {"utility": 1.0 if context else 2.25, "answer": EVIL, "correct": not context}

    _, context = decided(change)
    page = (context.out / "decision.md").read_text()
    better, worse = page.split("## Answers that got better most")[1].split("## Answers that got worse most")
    assert better.count("champion: ") == worse.count("champion: ") == 1
    assert "- lookup: lookup 0?\n  - champion: an answer (right, utility 2.00)\n" in better
    assert "(right, utility 2.25)" in better
    assert "(wrong, utility 1.00)" in worse
    assert "<script" not in page
    assert "![x](" not in page
    assert "**bold**" not in page
    assert "\n# head" not in page


def test_five_of_each_are_shown_the_largest_changes_first(build_examined) -> None:
    new = build_examined(lambda context, task: {"utility": 2.0 + (context - 8) / 8}, contexts=16)
    worse, better = changed(build_examined(contexts=16), new)
    assert [pair[1].utility - 2 for pair in worse] == [-1, -1, -1, -7 / 8, -7 / 8]
    assert [pair[1].utility - 2 for pair in better] == [7 / 8, 7 / 8, 7 / 8, 6 / 8, 6 / 8]


def test_an_interval_from_too_few_contexts_is_still_json(decided) -> None:
    summary, context = decided(contexts=3)
    assert summary["decision"] == "keep"
    assert summary["gain"][1:] == [None, None]
    saved = json.loads((context.out / "decision.json").read_text(), parse_constant=pytest.fail)
    assert saved["gain"]["low"] is None
    assert "too few to tell anything" in (context.out / "decision.md").read_text()
    assert "promotion/gain_low" not in context.run.finals


def question(name: str, split: str, **changes: Any) -> Row:
    return Row(
        id=name,
        task="lookup",
        groups=(name,),
        split=split,
        context=f"Facts of {name}.",
        question=f"What of {name}?",
        answer=f"It is {name}.",
        plain_words=3,
        medical=False,
        check=ReferenceCheck(text=f"It is {name}."),
    ).model_copy(update=changes)


def test_an_examination_keeps_every_answer_and_the_general_ones(tmp_path: Path) -> None:
    rows = [question("a", "test"), question("b", "test", medical=True), question("c", "train")]
    tokenizer = byte_tokenizer()
    for name in ("clean", "aligned/model", "distill/unrefined"):
        (tmp_path / name).mkdir(parents=True)
    write_rows(tmp_path / "clean" / "rows.jsonl", rows)
    for seed, name in ((0, "aligned/model"), (1, "distill/unrefined")):
        save_model(tmp_path / name, tiny_random_model(tokenizer, seed), tokenizer)
    found, likely = {}, {}
    for name, inputs in {"model": "aligned", "distill": "distill"}.items():
        folders = {"clean": tmp_path / "clean", name: tmp_path / inputs}
        context = context_of(tmp_path / f"of-{name}", folders)
        summary = tasks.examine.run(context)
        found[name], likely[name] = load_examined(context.out), summary["perplexity"][0]
        assert summary["rows"] == 2
        assert summary["utility"][0] == pytest.approx(found[name].column("utility").mean())
        assert context.run.finals["utility"] == summary["utility"][0]
        assert not len(found[name].nats)
    model, unrefined = found["model"], found["distill"]
    assert sorted(answer.id for answer in model.answers) == ["a", "b"]
    assert [answer.id for answer in model.answers] == [answer.id for answer in unrefined.answers]
    assert {answer.id: answer.medical for answer in model.answers} == {"a": False, "b": True}
    # Two models, not one examined twice; neither says a word that can be read.
    assert likely["model"] != likely["distill"]
    write_rows(tmp_path / "clean" / GENERAL_FILE, [question("g", "valid", answer="\u00e9t\u00e9")])
    context = context_of(tmp_path / "general", {"clean": tmp_path / "clean", "model": tmp_path / "aligned"})
    tasks.examine.run(context)
    general = load_examined(context.out)
    assert general.sizes.tolist() == [5.0]
    assert general.nats[0] > 0
    assert general.answers == model.answers
