"""PPO on a tiny model with a reward that is a program: it learns, it stops in time, it can be cut short."""

import re
from pathlib import Path

import pytest
import torch

from tasks.ml.batching import pack
from tasks.ml.models import ScoredModel
from tasks.ml.policy import Policy
from tasks.ml.rollout import Judges, Question, collect, rollout_points
from tasks.ml.train_ppo import POINTS, PPOTrainer, ppo_loss
from tasks.ml.trainer import Watch

METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"
LIKED, SEED = 31, 3
LORA = {"adapter_rank": 4, "adapter_alpha": 8.0, "learning_rate": 0.03}
QUESTIONS = [Question((5, 6, 7, second), "a") for second in range(14, 30)]


@pytest.fixture
def settings(config):
    return config.ppo.model_copy(
        update={
            "updates": 6,
            "questions_per_update": 16,
            "samples_per_question": 2,
            "epochs": 2,
            "token_budget": 200,
            "learning_rate": 0.01,
            "kl_coefficient": 0.02,
            "kl_limit": 100.0,
            "max_new_tokens": 5,
            "guard": config.ppo.guard.model_copy(update={"length_factor": 100.0, "entropy_floor": 0.0}),
            "missing_stop_penalty": 0.0,
            "checkpoint_seconds": 0.0,
            "frozen_layers": 1,
        }
    )


@pytest.fixture
def make_trainer(make_llama, pays_tokens):
    def make(settings, watch: Watch | None = None, gold=None) -> PPOTrainer:
        judges = Judges(pays_tokens(make_llama(), {LIKED: 1.0}), mean=0.0, deviation=1.0, gold=gold)
        reference = None if settings.adapter_rank else make_llama()
        policy = Policy(make_llama(), settings, SEED, reference)
        return PPOTrainer(policy, judges, settings, SEED, watch or Watch())

    return make


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def measured(trainer: PPOTrainer, update: int) -> dict[str, float]:
    """The rollout of an update, taken again with the weights that the trainer holds now."""
    rollout = trainer._roll_out(QUESTIONS, update)
    return rollout_points(rollout, trainer.config, trainer.controller.coefficient)


def test_the_reward_rises_and_the_last_weights_are_those_that_were_measured(make_trainer, settings) -> None:
    points = []
    trainer = make_trainer(settings, Watch(log=lambda metrics, step: points.append((step, metrics))))
    figures = trainer.run(QUESTIONS).figures
    scores = [metrics["objective/scores"] for _, metrics in points]
    assert [step for step, _ in points] == list(range(7))
    assert scores[-1] > scores[0] + 1.0
    assert points[0][1]["objective/kl"] == pytest.approx(0, abs=1e-5)
    assert points[-1][1]["objective/kl"] > 0.1
    assert figures == {
        "updates": 6.0,
        "kl": points[-1][1]["objective/kl"],
        "score": scores[-1],
        "merit": points[-1][1]["objective/rlhf_reward"],
        "stopped_by_kl": 0.0,
    }
    assert measured(trainer, 6)["objective/kl"] == figures["kl"]
    assert "loss/policy" in points[0][1]
    assert "loss/policy" not in points[-1][1]
    explained = set(re.findall(r"`([a-z_/]+)`", METRICS.read_text(encoding="utf-8")))
    assert set(points[0][1]) <= explained


def test_beyond_the_kl_limit_it_gives_back_the_best_weights_within(make_trainer, settings) -> None:
    free, points = settings.model_copy(update={"kl_coefficient": 0.0}), []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    make_trainer(free, watch).run(QUESTIONS)
    kl, rewards = ([m[name] for m in points] for name in ("objective/kl", "objective/rlhf_reward"))
    # A limit that is first exceeded, and by little, at some update after the second.
    over = next(update for update in range(3, 7) if kl[update] > max(kl[:update]))
    best = max(range(over), key=lambda update: rewards[update])
    limit = (max(kl[:over]) + kl[over]) / 2
    points.clear()
    trainer = make_trainer(free.model_copy(update={"kl_limit": limit}), watch)
    outcome = trainer.run(QUESTIONS)
    assert [metrics["objective/kl"] for metrics in points] == kl[: over + 1]
    assert (outcome.figures["stopped_by_kl"], outcome.figures["updates"]) == (1.0, best)
    assert outcome.figures["kl"] == kl[best] == measured(trainer, best)["objective/kl"]
    assert outcome.alarm is None


def test_a_strong_penalty_keeps_the_policy_near_its_reference(make_trainer, settings) -> None:
    free = make_trainer(settings.model_copy(update={"kl_coefficient": 0.0})).run(QUESTIONS).figures
    held = make_trainer(settings.model_copy(update={"kl_coefficient": 2.0})).run(QUESTIONS).figures
    assert held["kl"] < 0.5 * free["kl"]
    assert held["score"] < free["score"]


@pytest.mark.parametrize("die_after", [1, 4])
def test_a_run_cut_short_ends_with_the_same_weights(
    make_trainer, settings, make_checkpoints, interrupted, die_after: int
) -> None:
    undisturbed = make_trainer(settings)
    figures = undisturbed.run(QUESTIONS)
    with pytest.raises(interrupted):
        make_trainer(settings, Watch(checkpoints=make_checkpoints(die_after))).run(QUESTIONS)
    steps = []
    watch = Watch(log=lambda metrics, step: steps.append(step), checkpoints=make_checkpoints())
    resumed = make_trainer(settings, watch)
    assert resumed.run(QUESTIONS) == figures
    assert steps == list(range(die_after, 7))
    assert same(resumed.policy, undisturbed.policy)


def test_a_resumed_run_still_knows_the_best_weights(
    make_trainer, settings, make_checkpoints, interrupted
) -> None:
    limited = settings.model_copy(update={"kl_limit": 0.5, "kl_coefficient": 0.0})
    undisturbed = make_trainer(limited)
    outcome = undisturbed.run(QUESTIONS)
    # Cut just before the rollout that exceeds the limit: the weights to give back are in the checkpoint only.
    with pytest.raises(interrupted):
        make_trainer(limited, Watch(checkpoints=make_checkpoints(int(outcome.figures["updates"]) + 1))).run(
            QUESTIONS
        )
    resumed = make_trainer(limited, Watch(checkpoints=make_checkpoints()))
    assert resumed.run(QUESTIONS) == outcome
    assert same(resumed.policy, undisturbed.policy)


def test_frozen_weights_stay(make_trainer, settings, make_llama) -> None:
    trainer, before = make_trainer(settings.model_copy(update={"updates": 2})), ScoredModel(make_llama())
    trainer.run(QUESTIONS)
    moved = dict(trainer.policy.scored.named_parameters())
    for name, parameter in before.named_parameters():
        frozen = "embed" in name or ".layers.0." in name
        assert torch.equal(parameter, moved[name]) == frozen, name


def test_the_loss_before_any_step_is_that_of_an_unmoved_policy(make_trainer, settings) -> None:
    trainer = make_trainer(settings)
    rollout = collect(trainer.policy, trainer.judges, QUESTIONS, settings, 0.1, seed=1)
    batch, count = pack(rollout.groups, 0), int(rollout.mask.sum())
    with torch.no_grad():
        loss, sums = ppo_loss(trainer.policy, batch, rollout, settings)
    points = {name: total / count for name, total in zip(POINTS, sums.tolist(), strict=True)}
    # Every ratio is 1, so the policy's loss is minus the mean advantage, which is 0 over the whole rollout.
    assert points["val/ratio"] == pytest.approx(1, abs=1e-5)
    assert points["policy/clipfrac"] == 0
    assert points["policy/approxkl"] == pytest.approx(0, abs=1e-6)
    assert points["loss/policy"] == pytest.approx(0, abs=1e-5)
    squares = [
        (v - r) ** 2 for v, r in zip(rollout.values[rollout.mask], rollout.returns[rollout.mask], strict=True)
    ]
    error = 0.5 * float(sum(squares)) / len(squares)
    assert points["loss/value"] == pytest.approx(error, rel=1e-5)
    assert loss.item() / count == pytest.approx(settings.value_coefficient * error, abs=1e-5)


def test_a_step_is_the_same_in_one_pass_or_many(make_trainer, settings) -> None:
    weights = []
    for pass_tokens in (1, 30, 1000):
        trainer = make_trainer(settings.model_copy(update={"updates": 1, "pass_tokens": pass_tokens}))
        trainer.run(QUESTIONS)
        weights.append(torch.cat([p.detach().flatten() for p in trainer.policy.parameters()]))
    torch.testing.assert_close(weights[0], weights[2], atol=2e-5, rtol=0)
    torch.testing.assert_close(weights[1], weights[2], atol=2e-5, rtol=0)


def test_an_update_ends_early_beyond_the_target_kl(make_trainer, settings) -> None:
    points = []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    one = settings.model_copy(update={"updates": 1, "epochs": 4})
    make_trainer(one, watch).run(QUESTIONS)
    make_trainer(one.model_copy(update={"target_kl": 1e-3}), watch).run(QUESTIONS)
    assert points[0]["steps"] > points[2]["steps"] > 1


def test_the_controller_raises_the_price_of_kl_beyond_its_target(make_trainer, settings) -> None:
    points = []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    make_trainer(settings.model_copy(update={"kl_target": 0.05, "kl_horizon": 100}), watch).run(QUESTIONS)
    price = [metrics["objective/kl_coefficient"] for metrics in points]
    assert price[:2] == [0.02, pytest.approx(0.02 * (1 - 0.2 * 32 / 100))]
    assert price[-1] > price[1]


def test_an_alarm_restores_the_weights_that_gold_liked_best(make_trainer, settings) -> None:
    points = []
    guarded = settings.model_copy(
        update={
            "kl_coefficient": 0.0,
            "updates": 8,
            "guard": settings.guard.model_copy(update={"patience": 1}),
        }
    )
    trainer = make_trainer(
        guarded,
        Watch(log=lambda metrics, step: points.append(metrics)),
        gold=lambda question, response: -float(response.count(LIKED)),
    )
    outcome = trainer.run(QUESTIONS)
    assert outcome.alarm
    assert "hacked" in outcome.alarm
    gold = [metrics["objective/gold"] for metrics in points]
    assert outcome.figures["updates"] == max(range(len(gold) - 1), key=lambda update: gold[update])
    assert measured(trainer, int(outcome.figures["updates"]))["objective/gold"] == max(gold[:-1])


def test_without_gold_what_first_looked_wrong_is_not_given_back(make_trainer, settings) -> None:
    """Reward rises while entropy falls: the first rollout below the floor has the best reward so far."""
    points = []
    floor = settings.guard.model_copy(update={"entropy_floor": 0.8})
    reckless = settings.model_copy(update={"kl_coefficient": 0.0, "updates": 12, "guard": floor})
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    outcome = make_trainer(reckless, watch).run(QUESTIONS)
    assert outcome.alarm
    assert "entropy collapsed" in outcome.alarm
    first, *entropies = [metrics["objective/entropy"] for metrics in points]
    assert entropies[-2] < 0.8 * first
    rewards = [metrics["objective/rlhf_reward"] for metrics in points]
    assert rewards[-2] > max(rewards[:-2])
    given = int(outcome.figures["updates"])
    assert points[given]["objective/entropy"] >= 0.8 * first


@pytest.mark.parametrize("value_trunk", ["shared", "adapter"])
def test_in_bf16_an_adapter_learns_and_leaves_fp32_weights(make_trainer, settings, value_trunk: str) -> None:
    points = []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    changes = {**LORA, "value_trunk": value_trunk, "precision": "bf16"}
    trainer = make_trainer(settings.model_copy(update=changes), watch)
    trainer.run(QUESTIONS)
    assert points[0]["objective/kl"] == pytest.approx(0, abs=0.1)
    assert points[-1]["objective/scores"] > points[0]["objective/scores"] + 1.0
    merged = trainer.policy.merged()
    assert {p.dtype for p in merged.parameters()} == {torch.float32}


def test_numbers_that_are_not_finite_never_reach_the_weights(make_trainer, settings) -> None:
    trainer = make_trainer(settings)
    before = [parameter.detach().clone() for parameter in trainer.policy.parameters()]
    real, calls = trainer._roll_out, []

    def poisoned(questions, update):
        rollout = real(questions, update)
        rollout.advantage[0, 0] = float("nan")
        calls.append(update)
        return rollout

    trainer._roll_out = poisoned
    outcome = trainer.run(QUESTIONS)
    assert calls == [0]
    assert outcome.alarm == "`loss/policy` is nan, `grad_norm` is nan in update 1"
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.policy.parameters(), strict=True))


@pytest.mark.parametrize("value_trunk", ["shared", "adapter"])
def test_an_adapter_learns_and_leaves_a_plain_model(
    make_trainer, settings, make_llama, value_trunk: str
) -> None:
    points = []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    trainer = make_trainer(settings.model_copy(update={**LORA, "value_trunk": value_trunk}), watch)
    trainer.run(QUESTIONS)
    scores = [metrics["objective/scores"] for metrics in points]
    assert points[0]["objective/kl"] == pytest.approx(0, abs=1e-5)
    assert scores[-1] > scores[0] + 1.0
    ids = torch.tensor([[5, 6, 7, 14]])
    with torch.no_grad():
        adapted = trainer.policy.language_model(input_ids=ids).logits
        merged = trainer.policy.merged()
        torch.testing.assert_close(merged(input_ids=ids).logits, adapted, atol=1e-4, rtol=1e-4)
    start = dict(make_llama().named_parameters())
    assert set(start) == {name for name, _ in merged.named_parameters()}
    moved = {name for name, p in merged.named_parameters() if not torch.equal(p, start[name])}
    linear = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert moved == {
        f"model.layers.1.{'mlp' if 'e_p' in n or 'up_' in n or 'down' in n else 'self_attn'}.{n}.weight"
        for n in linear
    }


@pytest.mark.parametrize("value_trunk", ["shared", "adapter"])
def test_an_adapter_cut_short_ends_with_the_same_weights(
    make_trainer, settings, make_checkpoints, interrupted, value_trunk: str
) -> None:
    adapted = settings.model_copy(update={**LORA, "value_trunk": value_trunk, "updates": 3})
    undisturbed = make_trainer(adapted)
    outcome = undisturbed.run(QUESTIONS)
    with pytest.raises(interrupted):
        make_trainer(adapted, Watch(checkpoints=make_checkpoints(2))).run(QUESTIONS)
    resumed = make_trainer(adapted, Watch(checkpoints=make_checkpoints()))
    assert resumed.run(QUESTIONS) == outcome
    assert same(resumed.policy, undisturbed.policy)
