"""RLOO and GRPO of TRL on a tiny model with a reward that is a program."""

import pytest
import torch
from tokenizers import processors
from transformers import LlamaForCausalLM

from tasks.ml.models import ScoredModel
from tasks.ml.rollout import Judges, Question
from tasks.ml.train_trl import (
    draw_rounds,
    normalised_rewards,
    prompt_texts,
    steps_per_pass,
    train_with_trl,
    update_points,
)
from tasks.ml.trainer import Watch

LIKED, SEED, STOP = 31, 3, 1
QUESTIONS = [Question((5, 6, 7, second), "a") for second in range(14, 26)]
QUESTIONS += [Question((8, 9, *range(10, last)), "b") for last in range(11, 15)]


class CountingBar:
    def __init__(self) -> None:
        self.steps, self.notes = 0, []

    def advance(self, n: int = 1) -> None:
        self.steps += n

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def settings(config):
    """Two optimiser steps a pass, two passes an update."""
    return config.ppo.model_copy(
        update={
            "algorithm": "rloo",
            "updates": 6,
            "questions_per_update": 8,
            "samples_per_question": 4,
            "epochs": 2,
            "token_budget": 180,
            "learning_rate": 0.01,
            "adapter_rank": 0,
            "kl_coefficient": 0.02,
            "max_new_tokens": 5,
            "missing_stop_penalty": 0.0,
            "frozen_layers": 0,
        }
    )


@pytest.fixture
def run(make_llama, pays_tokens, tokenizer, settings, tmp_path):
    """Train a model by the settings with some changes; returns it and its figures."""

    def train(watch: Watch | None = None, seed: int = SEED, gold=None, **changes):
        model, folder = make_llama(), tmp_path / "scratch"
        folder.mkdir(exist_ok=True)
        judges = Judges(pays_tokens(model, {LIKED: 1.0}), mean=0.0, deviation=1.0, gold=gold)
        changed = settings.model_copy(update=changes)
        figures = train_with_trl(model, tokenizer, judges, QUESTIONS, changed, seed, watch or Watch(), folder)
        assert list(folder.iterdir()) == []
        return model, figures

    return train


def changed_names(before: LlamaForCausalLM, after: LlamaForCausalLM) -> set[str]:
    pairs = zip(before.named_parameters(), after.named_parameters(), strict=True)
    return {name for (name, old), (same, new) in pairs if name != same or not torch.equal(old, new)}


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_reward_rises_and_every_update_is_told(run, algorithm: str, capfd) -> None:
    points, bar = [], CountingBar()
    watch = Watch(log=lambda metrics, step: points.append((step, metrics)), bar=bar)
    _, figures = run(watch, algorithm=algorithm)
    scores = [metrics["objective/scores"] for _, metrics in points]
    assert [step for step, _ in points] == list(range(6))
    assert scores[-1] > scores[0] + 1.0
    assert figures == {
        "updates": 6.0,
        "kl": points[-1][1]["objective/kl"],
        "score": scores[-1],
        "stopped_by_kl": 0.0,
    }
    assert figures["kl"] > 1.0
    assert (bar.steps, len(bar.notes)) == (6, 6)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_model_sees_exactly_the_ids_of_the_questions_drawn(
    run, settings, algorithm: str, monkeypatch
) -> None:
    seen = []
    generate = LlamaForCausalLM.generate

    def spy(model, **inputs):
        rows = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
        seen.append([tuple(ids[real].tolist()) for ids, real in rows])
        return generate(model, **inputs)

    monkeypatch.setattr(LlamaForCausalLM, "generate", spy)
    run(algorithm=algorithm, updates=3)
    rounds = draw_rounds(QUESTIONS, settings.model_copy(update={"updates": 3}), SEED)
    assert seen == [[QUESTIONS[index].prompt for index in drawn for _ in range(4)] for drawn in rounds]


@torch.no_grad()
def test_rewards_are_those_of_a_plain_loop(make_llama, settings) -> None:
    reward = ScoredModel(make_llama(seed=4))
    torch.nn.init.normal_(reward.head.weight, generator=torch.Generator().manual_seed(0))
    judges = Judges(reward, mean=0.3, deviation=2.5)
    asked = [QUESTIONS[index] for index in (0, 0, 13, 5, 15)]
    responses = [[12, 13, STOP], [12, 12, 14, 15, 16], [STOP], [20, LIKED], [30, 29, STOP]]
    penalised = settings.model_copy(update={"missing_stop_penalty": 0.7})
    rewards = normalised_rewards(judges, asked, responses, penalised, STOP)
    for question, response, got in zip(asked, responses, rewards.tolist(), strict=True):
        ids = torch.tensor([[*question.prompt, *response]])
        hidden = reward.language_model.model(input_ids=ids).last_hidden_state[0, -1]
        score = (hidden @ reward.head.weight[0]).item()
        assert got == pytest.approx((score - 0.3) / 2.5 - (0.0 if STOP in response else 0.7), abs=1e-5)


def test_names_and_units_of_points() -> None:
    logs = {
        "reward": 0.5,
        "kl": 0.02,
        "completions/mean_length": 30.0,
        "completions/clipped_ratio": 0.25,
        "entropy": 1.5,
        "clip_ratio/region_mean": 0.1,
        "loss": -0.3,
        "grad_norm": 2.0,
        "step_time": 9.0,
    }
    assert update_points(logs) == {
        "objective/scores": 0.5,
        "objective/kl": pytest.approx(0.6),
        "objective/length": 30.0,
        "objective/stop_rate": 0.75,
        "policy/entropy": 1.5,
        "policy/clipfrac": 0.1,
        "loss/policy": -0.3,
        "grad_norm": 2.0,
    }


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_an_adapter_is_merged_and_changes_only_the_matrices_below_it(run, make_llama, algorithm: str) -> None:
    model, figures = run(algorithm=algorithm, updates=2, adapter_rank=4, frozen_layers=1)
    plain = make_llama()
    assert [(name, type(part)) for name, part in model.named_modules()] == [
        (name, type(part)) for name, part in plain.named_modules()
    ]
    assert list(model.state_dict()) == list(plain.state_dict())
    attention = {f"model.layers.1.self_attn.{name}_proj.weight" for name in "qkvo"}
    mlp = {f"model.layers.1.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}
    assert changed_names(plain, model) == attention | mlp
    assert figures["kl"] > 0


@pytest.mark.parametrize("rank", [0, 4])
def test_the_divergence_is_that_from_the_model_as_it_came(run, rank: int) -> None:
    _, unmoved = run(updates=1, adapter_rank=rank)
    _, moved = run(updates=3, adapter_rank=rank)
    assert unmoved["kl"] == 0.0
    assert moved["kl"] > 0.1


def test_gold_is_told_but_not_learnt_from(run) -> None:
    points, plain = [], []
    model, _ = run(
        Watch(log=lambda metrics, step: points.append(metrics)),
        gold=lambda q, r: len(r) + 10 * q.prompt[0],
        updates=2,
    )
    same, _ = run(Watch(log=lambda metrics, step: plain.append(metrics)), updates=2)
    assert changed_names(same, model) == set()
    for metrics, without in zip(points, plain, strict=True):
        gold = metrics.pop("objective/gold")
        assert metrics == without
        # The questions begin with 5 or 8.
        assert 50 <= gold - metrics["objective/length"] <= 80
    assert len(points) == 2


def test_a_policy_that_pays_nothing_for_divergence_still_has_it_measured(run) -> None:
    _, free = run(kl_coefficient=0.0)
    _, held = run(kl_coefficient=2.0)
    assert held["kl"] < 0.5 * free["kl"]


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_frozen_weights_stay_and_nothing_of_the_trainer_does(run, make_llama, algorithm: str) -> None:
    model, _ = run(algorithm=algorithm, updates=1, frozen_layers=1, precision="bf16")
    plain = make_llama()
    names = {name for name, _ in plain.named_parameters()}
    trained = {name for name in names if ".layers.1." in name} | {"model.norm.weight"}
    assert changed_names(plain, model) == trained
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert set(vars(model)) == set(vars(plain))
    assert model.config.to_dict() == plain.config.to_dict()


def test_nothing_is_sent(run, monkeypatch) -> None:
    sent = []
    for name in ("CI", "DO_NOT_TRACK", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda **what: sent.append(what))
    run(updates=1)
    assert sent == []


@pytest.mark.parametrize("rank", [0, 4])
def test_the_seed_decides_the_weights_and_leaves_other_draws_alone(run, rank: int) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, _ = run(updates=2, adapter_rank=rank)
    assert torch.equal(torch.rand(3), expected)
    again, _ = run(updates=2, adapter_rank=rank)
    other, _ = run(updates=2, adapter_rank=rank, seed=SEED + 1)
    assert changed_names(first, again) == set()
    assert changed_names(first, other)


def test_a_prompt_that_its_text_does_not_give_back_is_refused(tokenizer) -> None:
    assert prompt_texts(tokenizer, [Question((5, 1, 6), "a")]) == ["w05 w01 w06"]
    # As a tokenizer that starts every text with a token of its own.
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="w02 $A", special_tokens=[("w02", 2)]
    )
    with pytest.raises(ValueError, match=r"questions\[0\].* got \[2, 5, 6\], expected \[5, 6\]"):
        prompt_texts(tokenizer, [Question((5, 6), "a")])


def test_each_update_draws_anew_and_as_many_as_there_are(settings) -> None:
    rounds = draw_rounds(QUESTIONS, settings, SEED)
    assert [len(set(drawn)) for drawn in rounds] == [8] * 6
    assert len({tuple(drawn) for drawn in rounds}) > 1
    many = settings.model_copy(update={"questions_per_update": 99})
    assert [sorted(drawn) for drawn in draw_rounds(QUESTIONS, many, SEED)] == [list(range(16))] * 6


@pytest.mark.parametrize(("budget", "steps"), [(11 * 32, 1), (11 * 32 - 1, 2), (11 * 7, 8), (5, 32)])
def test_an_optimiser_step_keeps_within_its_tokens(settings, budget: int, steps: int) -> None:
    # 8 questions with 4 answers each; the longest prompt has 6 tokens, an answer 5.
    limited = settings.model_copy(update={"token_budget": budget})
    assert steps_per_pass(QUESTIONS, 8, limited) == steps
