"""General instructions beside the use case: read, cleaned, split, and kept out of everything else."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.load import load_run_config
from configs.schema import DataConfig
from tasks import clean
from tasks.ml.prompts import SYSTEM, chat
from tasks.ml.rows import GENERAL_FILE, ReferenceCheck, Row, load_general, load_rows
from tasks.shared.tracking import MemoryRun

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "self_instruct" / "tasks.jsonl"
QUESTIONS = 60


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Number {n} of the case?", "answer": f"It is {n}."} for n in range(QUESTIONS)]
    return write(tmp_path / "asked.jsonl", rows)


def run_clean(folder: Path, asked: Path, *overrides: str) -> tuple[dict[str, Any], Path]:
    config = load_run_config(
        ROOT / "configs" / "smoke.yaml",
        ["data.kind=pairs", f"data.source={asked}", "data.canaries=0", *overrides],
    )
    out = folder / "out"
    out.mkdir()
    context = SimpleNamespace(
        section=lambda kind, name: DataConfig.model_validate(config.data.model_dump(mode="json")),
        seed=7,
        cache=folder,
        out=out,
        data_endpoint=None,
        run=MemoryRun(id="1", name="clean", tags={}, params={}),
    )
    return clean.run(context), out  # type: ignore[arg-type]


def test_without_a_source_there_is_no_file(tmp_path: Path, asked: Path) -> None:
    card, out = run_clean(tmp_path, asked)
    assert not (out / GENERAL_FILE).exists()
    assert load_general(out, "train") == load_general(out, "valid") == []
    assert card["general"] == {}
    assert card["rows"] == QUESTIONS


def test_general_rows_have_a_file_and_two_splits_of_their_own(tmp_path: Path, asked: Path) -> None:
    about = [
        {"instruction": f"Sum {n} up.", "input": "A text." if n % 2 else "", "output": f"Sum {n}."}
        for n in range(200)
    ]
    bad = [
        {"instruction": "Number 3 of the case?", "input": "", "output": "A leak."},
        {"instruction": "Whom to ask?", "input": "", "output": "Ask a.person@mail.example.org"},
        {"instruction": "No answer", "input": ""},
    ]
    general = write(tmp_path / "general.jsonl", about + bad)
    overrides = [f"data.general={general}", "data.general_context_column=input", "data.test_share=0.25"]
    card, out = run_clean(tmp_path, asked, *overrides)
    train, valid = load_general(out, "train"), load_general(out, "valid")
    assert load_general(out, "test") == []
    assert card["general"] == {"train": len(train), "valid": len(valid)}
    assert len(train) + len(valid) == 201
    assert 40 <= len(valid) <= 80  # 0.05 + 0.25 of 201 is 60, by a hash
    assert {row.task for row in train + valid} == {"general"}
    row = next(row for row in train + valid if row.question == "Sum 3 up.")
    assert (row.context, row.answer, row.check) == ("A text.", "Sum 3.", ReferenceCheck(text="Sum 3."))
    own = load_rows(out / "rows.jsonl")
    assert {row.task for row in own} == {"question"}
    assert card["rows"] == len(own) == QUESTIONS
    assert sum(card["dropped"].values()) == 1
    assert card["personal_data"] == {"rule": "redact", "redacted": {"e-mail address": 1}, "rows": 1}
    [whom] = [row for row in train + valid if row.question == "Whom to ask?"]
    assert whom.answer == "Ask [e-mail address]"
    assert card["malformed"] == 1
    assert card["thinned"] == 0


def test_the_limit_of_rows_is_the_use_cases_own(tmp_path: Path, asked: Path) -> None:
    general = write(
        tmp_path / "general.jsonl", [{"instruction": f"Sum {n} up.", "output": "It."} for n in range(50)]
    )
    card, _ = run_clean(tmp_path, asked, f"data.general={general}", "data.max_rows=20", "data.test_share=0.4")
    assert card["rows"] == 20
    assert card["thinned"] == QUESTIONS - 20
    assert sum(card["general"].values()) == 50


def test_a_general_instruction_has_no_system_message() -> None:
    row = Row(
        id="g",
        task="general",
        groups=(),
        split="train",
        context="Some text.",
        question="Sum it up.",
        answer="Text.",
        plain_words=1,
        medical=False,
        check=ReferenceCheck(text="Text."),
    )
    user = {"role": "user", "content": "Some text.\nSum it up."}
    assert chat(row) == [user]
    assert chat(row.model_copy(update={"task": "lookup"})) == [{"role": "system", "content": SYSTEM}, user]


def test_replay_without_a_source_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="nothing to replay"):
        load_run_config(None, ["distill.mixture.replay_share=0.1"])


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_file(), reason="shared/data/self_instruct is not beside the checkout")
def test_self_instruct_is_read_as_it_is(tmp_path: Path, asked: Path) -> None:
    card, out = run_clean(tmp_path, asked, f"data.general={SHARED}", "data.general_context_column=input")
    train, valid = load_general(out, "train"), load_general(out, "valid")
    assert len(train) + len(valid) + sum(card["dropped"].values()) + card["malformed"] == 427
    assert len(train) > 250
    assert len(valid) > 40
    assert {row.groups for row in train}.isdisjoint({row.groups for row in valid})
    assert any(row.context for row in train)
