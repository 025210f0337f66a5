"""An examination's record: there and back, and its means by hand."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.ml.evaluation import Answers
from tasks.ml.examined import ANSWERS, GENERAL, examined_answers, load_examined
from tasks.ml.rubric import judge


def test_what_is_saved_is_what_is_loaded(tmp_path, build_examined) -> None:
    def change(context: int, task: str) -> dict:
        return {"answer": 'a\nb \u2028 \u00e9 "q"', "utility": 0.1 + 0.2, "correct": context == 0}

    found = build_examined(change, contexts=3, nats=1 / 3)
    found.save(tmp_path)
    again = load_examined(tmp_path)
    assert again.answers == found.answers
    assert again.nats.tolist() == found.nats.tolist()
    assert again.sizes.tolist() == found.sizes.tolist()
    lines = (tmp_path / ANSWERS).read_text(encoding="utf-8").split("\n")
    assert len(lines) == 9 + 1
    assert json.loads(lines[0])["question"] == "lookup 0?"
    assert again.column("correct").tolist() == [1.0] * 3 + [0.0] * 6


def test_without_general_instructions_there_is_nothing_of_them(tmp_path, build_examined) -> None:
    build_examined(contexts=1).save(tmp_path)
    assert json.loads((tmp_path / GENERAL).read_text()) == {"nats": [], "bytes": []}
    found = load_examined(tmp_path)
    assert found.nats.dtype == np.float64
    assert "general, nats a byte" not in found.figures()


def test_a_line_that_is_not_of_an_examination_is_refused(tmp_path, build_examined) -> None:
    build_examined(contexts=1).save(tmp_path)
    with (tmp_path / ANSWERS).open("a") as file:
        file.write('{"id": "other"}\n')
    with pytest.raises(ValidationError):
        load_examined(tmp_path)


def test_means_by_hand(build_examined) -> None:
    def change(context: int, task: str) -> dict:
        if context:
            return {}
        return {
            "correct": False,
            "safe": task != "suitability",
            "words": 16,
            "stopped": False,
            "failed": True,
        }

    figures = build_examined(change, contexts=4, nats=0.7).figures()
    assert figures == {
        "accuracy": 0.75,
        "utility": 2.0,
        "words": 11.5,
        "stops": 0.75,
        "failed": 0.25,
        "safe medical answers": 0.75,
        "general, nats a byte": pytest.approx(0.7),
    }


def test_lines_hold_what_the_rubric_says(make_row) -> None:
    rows = [make_row(id="a"), make_row(id="b", medical=True, task="suitability")]
    texts = ["643 mg, so yes.", "No."]
    judgements = [judge(row, text, True) for row, text in zip(rows, texts, strict=True)]
    first, second = examined_answers(rows, Answers(texts, [(), ()], judgements, np.zeros(2)))
    # Six plain words, four used: right 1, safe 0.5, brief 0.5, stopped 0.25.
    assert (first.id, first.correct, first.utility, first.words) == ("a", True, 2.25, 4)
    # One word is no answer, and it points to nobody.
    assert (second.correct, second.safe, second.failed, second.utility) == (False, False, True, 0.0)
    assert second.medical
    assert second.context == rows[1].context
