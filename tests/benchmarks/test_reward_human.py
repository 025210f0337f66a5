"""The measurement on human sets: import, folds, the rule of length, and the trunk that is computed once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.frozen_trunk import TopModel, bottom_states, split_layers
from benchmarks.human_sets import SETS, HumanSet, import_set, prepare_set, some_questions
from benchmarks.reward_human import (
    by_question,
    fold_scores,
    folds_of,
    length_rule,
    measure_set,
    parse,
    show,
)
from tasks.ml.models import ScoredModel
from tasks.ml.preferences import Preferences
from tasks.ml.reward_scores import score_groups
from tasks.ml.teacher import byte_tokenizer

HUMAN = HumanSet("set/pairs.jsonl", folds=3, epochs=2, prompt_tokens=40, answer_tokens=8)


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture(scope="module")
def llama(tokenizer) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """12 questions with 3 answers each, of which the third is shorter and worse."""
    (tmp_path / "set").mkdir()
    rows = []
    for number in range(12):
        good, fair, bad = f"Good {number}, yes", f"Fair {number}, yes", f"Bad {number}"
        pairs = ((good, bad), (fair, bad), (good, fair))
        rows += [{"prompt": f"Question {number}?", "chosen": c, "rejected": r} for c, r in pairs]
    (tmp_path / "set" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_a_set_goes_in_by_the_import_and_is_cut_to_its_limits(data: Path, tokenizer) -> None:
    events = import_set(data, HUMAN)
    assert len(events) == 36
    assert {event.source for event in events} == {"import"}
    judged = prepare_set(tokenizer, events, HUMAN)
    assert (len(judged.answers), len(judged.groups), len(judged.pairs)) == (36, 12, 36)
    assert max(len(branch.response) for group in judged.groups for branch in group.branches) == 8
    # Lengths are those that people saw.
    place = judged.answers.index(next(answer for answer in judged.answers if answer[1] == "Good 3, yes"))
    assert judged.lengths()[place] == 3
    long = [event.model_copy(update={"prompt": "a" * 100 + event.prompt}) for event in events]
    prompts = {event.prompt for event in prepare_set(tokenizer, long, HUMAN).events}
    assert {len(prompt) for prompt in prompts} == {40}
    assert all(prompt.endswith("?") for prompt in prompts)


def test_questions_are_drawn_whole(data: Path) -> None:
    events = import_set(data, HUMAN)
    some = some_questions(events, 10)
    assert len(some) == 12  # 4 questions of 3 pairs each
    assert len({event.row for event in some}) == 4
    assert some_questions(events, 1000) == events


def test_every_question_is_held_out_once() -> None:
    rows = [f"row {number}" for number in range(11)]
    folds = folds_of(rows, 3)
    assert sorted(len(fold) for fold in folds) == [3, 4, 4]
    assert set.union(*folds) == set(rows)


def test_the_upper_layers_go_on_where_the_lower_ones_ended(data: Path, tokenizer, llama) -> None:
    judged = prepare_set(tokenizer, import_set(data, HUMAN), HUMAN)
    bottom, top = split_layers(llama, layers=3, trained=2)
    model = TopModel(top, bottom_states(bottom, judged.groups))
    torch.manual_seed(0)
    torch.nn.init.normal_(model.head.weight)
    whole = ScoredModel(split_layers(llama, layers=3, trained=3)[1])
    whole.head.load_state_dict(model.head.state_dict())
    found, expected = (score_groups(m, judged.groups, 36, 500, "fp32") for m in (model, whole))
    assert found.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_fold_learns_from_the_other_questions_alone(data: Path, tokenizer, llama, monkeypatch) -> None:
    judged = prepare_set(tokenizer, import_set(data, HUMAN), HUMAN)
    bottom, top = split_layers(llama, layers=3, trained=1)
    states = bottom_states(bottom, judged.groups)
    before = {name: value.clone() for name, value in top.state_dict().items()}
    held_out = {judged.answers[0][0]}
    seen: list[set[int]] = []

    def spy(model, groups, targets, *_) -> None:
        seen.append({branch.index for group in groups for branch in group.branches})
        assert {judged.answers[index][0] for index in targets.answers.tolist()}.isdisjoint(held_out)

    monkeypatch.setattr("benchmarks.reward_human.train_reward", spy)
    scores = fold_scores(judged, top, states, held_out)
    assert {judged.answers[index][0] for index in (~scores.isnan()).nonzero().flatten()} == held_out
    assert {judged.answers[index][0] for index in seen[0]}.isdisjoint(held_out)
    assert len(seen[0]) == 33
    assert all(torch.equal(value, before[name]) for name, value in top.state_dict().items())


def test_all_pairs_are_examined(data: Path, tokenizer, llama) -> None:
    judged = prepare_set(tokenizer, import_set(data, HUMAN), HUMAN)
    found = measure_set(judged, 3, split_layers(llama, layers=3, trained=2))
    assert (found["questions"], found["pairs"], found["folds"]) == (12, 36, 3)
    # Two pairs of three have a longer answer that wins; in the third both are of one length.
    assert found["longer_wins"][0] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["accuracy"][1] <= found["accuracy"][0] <= found["accuracy"][2]


def test_length_alone_is_held_to_the_side_that_won_elsewhere() -> None:
    lengths = torch.tensor([5.0, 1.0, 3.0, 3.0])

    def pairs(*both: tuple[int, int]) -> Preferences:
        chosen, rejected = zip(*both, strict=True)
        return Preferences(torch.tensor(chosen), torch.tensor(rejected), torch.ones(len(both)))

    test = pairs((0, 1), (1, 2), (2, 3))
    assert length_rule(lengths, pairs((0, 2)), test).tolist() == [1.0, 0.0, 0.5]
    assert length_rule(lengths, pairs((2, 0)), test).tolist() == [0.0, 1.0, 0.5]


def test_questions_are_the_units_of_an_interval() -> None:
    values = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    assert by_question(values, ["a", "a", "a", "a", "b"]) == pytest.approx([0.8, 0.0, 1.0])


def test_an_unknown_set_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--sets", "qa_feedback,other"])
    assert "got other, expected names out of qa_feedback" in capsys.readouterr().err
    assert parse(["--sets", "qa_feedback"]).sets == ["qa_feedback"]


def test_the_table_fits_eighty_columns(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    share = [0.705, 0.65, 0.75]
    figures = {"accuracy": share, "longer_wins": share, "length_rule": share, "gain_over_length": share}
    show({name: {"questions": 1234, "pairs": 2308, "seconds": 360.4, **figures} for name in SETS})
    shown = capsys.readouterr().err
    assert "70.5" in shown
    assert "[65, 75]" in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
