"""PPO on a tiny model with a reward that is a program: it learns, it stops in time, it can be cut short."""

import pytest
import torch

from tasks.ml.batching import pack
from tasks.ml.models import ScoredModel
from tasks.ml.ppo_math import masked_mean
from tasks.ml.rollout import Judges, Question, collect
from tasks.ml.train_ppo import PPOTrainer, ppo_loss, rollout_points
from tasks.ml.trainer import Watch

LIKED, SEED = 31, 3
QUESTIONS = [Question((5, 6, 7, second), "a") for second in range(14, 30)]


class LikesToken:
    """A reward model's interface whose reward is how often one token was seen."""

    def __init__(self, language_model) -> None:
        self.language_model = language_model

    def hidden_states(self, batch) -> torch.Tensor:
        hits = (batch.input_ids == LIKED).float().unsqueeze(-1)
        return (batch.mask.squeeze(1).float() @ hits).flatten(0, 1)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.squeeze(-1)


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
            "missing_stop_penalty": 0.0,
            "checkpoint_seconds": 0.0,
            "frozen_layers": 1,
        }
    )


@pytest.fixture
def make_trainer(make_llama):
    def make(settings, watch: Watch | None = None) -> PPOTrainer:
        judges = Judges(make_llama(), LikesToken(make_llama()), mean=0.0, deviation=1.0)
        return PPOTrainer(ScoredModel(make_llama()), judges, settings, SEED, watch or Watch())

    return make


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def measured(trainer: PPOTrainer, update: int) -> dict[str, float]:
    """The rollout of an update, taken again with the weights that the trainer holds now."""
    return rollout_points(trainer._roll_out(QUESTIONS, update))


def test_the_reward_rises_and_the_last_weights_are_those_that_were_measured(make_trainer, settings) -> None:
    points = []
    trainer = make_trainer(settings, Watch(log=lambda metrics, step: points.append((step, metrics))))
    figures = trainer.run(QUESTIONS)
    scores = [metrics["objective/scores"] for _, metrics in points]
    assert [step for step, _ in points] == list(range(7))
    assert scores[-1] > scores[0] + 1.0
    assert points[0][1]["objective/kl"] == pytest.approx(0, abs=1e-5)
    assert points[-1][1]["objective/kl"] > 0.1
    assert figures == {
        "updates": 6.0,
        "kl": points[-1][1]["objective/kl"],
        "score": scores[-1],
        "stopped_by_kl": 0.0,
    }
    assert measured(trainer, 6)["objective/kl"] == figures["kl"]
    assert "policy/loss" in points[0][1]
    assert "policy/loss" not in points[-1][1]


def test_beyond_the_kl_limit_it_gives_back_the_last_weights_within(make_trainer, settings) -> None:
    free, points = settings.model_copy(update={"kl_coefficient": 0.0}), []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    make_trainer(free, watch).run(QUESTIONS)
    kl = [metrics["objective/kl"] for metrics in points]
    # A limit that is first exceeded, and by little, at some update after the second.
    over = next(update for update in range(3, 7) if kl[update] > max(kl[:update]))
    limit = (max(kl[:over]) + kl[over]) / 2
    points.clear()
    trainer = make_trainer(free.model_copy(update={"kl_limit": limit}), watch)
    figures = trainer.run(QUESTIONS)
    assert [metrics["objective/kl"] for metrics in points] == kl[: over + 1]
    assert (figures["stopped_by_kl"], figures["updates"]) == (1.0, over - 1)
    assert figures["kl"] == kl[over - 1] == measured(trainer, over - 1)["objective/kl"]


def test_a_strong_penalty_keeps_the_policy_near_its_reference(make_trainer, settings) -> None:
    free = make_trainer(settings.model_copy(update={"kl_coefficient": 0.0})).run(QUESTIONS)
    held = make_trainer(settings.model_copy(update={"kl_coefficient": 2.0})).run(QUESTIONS)
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


def test_a_resumed_run_still_knows_the_last_weights_within_the_limit(
    make_trainer, settings, make_checkpoints, interrupted
) -> None:
    limited = settings.model_copy(update={"kl_limit": 0.5, "kl_coefficient": 0.0})
    undisturbed = make_trainer(limited)
    figures = undisturbed.run(QUESTIONS)
    # Cut just before the rollout that exceeds the limit: the weights to give back are in the checkpoint only.
    with pytest.raises(interrupted):
        make_trainer(limited, Watch(checkpoints=make_checkpoints(int(figures["updates"]) + 1))).run(QUESTIONS)
    resumed = make_trainer(limited, Watch(checkpoints=make_checkpoints()))
    assert resumed.run(QUESTIONS) == figures
    assert same(resumed.policy, undisturbed.policy)


def test_frozen_weights_stay(make_trainer, settings, make_llama) -> None:
    trainer, before = make_trainer(settings.model_copy(update={"updates": 2})), ScoredModel(make_llama())
    trainer.run(QUESTIONS)
    moved = dict(trainer.policy.named_parameters())
    for name, parameter in before.named_parameters():
        frozen = "embed" in name or ".layers.0." in name
        assert torch.equal(parameter, moved[name]) == frozen, name


def test_the_loss_before_any_step_is_that_of_an_unmoved_policy(make_trainer, settings) -> None:
    trainer = make_trainer(settings)
    rollout = collect(trainer.policy, trainer.judges, QUESTIONS, settings, seed=1)
    batch = pack(rollout.groups, 0)
    with torch.no_grad():
        loss, points = ppo_loss(trainer.policy, batch, rollout, settings)
    # Every ratio is 1, so the policy's loss is minus the mean advantage, which is 0 over the whole rollout.
    assert points["val/ratio"] == pytest.approx(1, abs=1e-5)
    assert points["policy/clipfrac"] == 0
    assert points["policy/approxkl"] == pytest.approx(0, abs=1e-6)
    assert points["policy/loss"] == pytest.approx(0, abs=1e-5)
    squares = [
        (v - r) ** 2 for v, r in zip(rollout.values[rollout.mask], rollout.returns[rollout.mask], strict=True)
    ]
    error = 0.5 * float(sum(squares)) / len(squares)
    assert points["val/loss"] == pytest.approx(error, rel=1e-5)
    assert loss.item() == pytest.approx(settings.value_coefficient * error, abs=1e-5)


def test_what_a_rollout_says_of_its_policy(make_trainer, settings) -> None:
    trainer = make_trainer(settings)
    rollout = collect(trainer.policy, trainer.judges, QUESTIONS, settings, seed=1)
    points = rollout_points(rollout)
    lengths = [sum(row) for row in rollout.mask.tolist()]
    assert points["objective/length"] == pytest.approx(sum(lengths) / len(lengths))
    assert points["objective/stop_rate"] == pytest.approx(sum(rollout.stops.tolist()) / len(lengths))
    assert points["val/mean"] == pytest.approx(masked_mean(rollout.values, rollout.mask).item())
