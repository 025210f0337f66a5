"""DPO and KTO by TRL on a tiny model: their losses by hand and beside our own, and what they learn."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.preferences import Preferences
from tasks.ml.reward_loss import bradley_terry
from tasks.ml.train_dpo import all_log_probs, answer_log_probs, reward_figures
from tasks.ml.train_dpo_trl import (
    kto_weights,
    order_rows,
    pair_rows,
    prepare_trainer,
    rows_per_step,
    steps_of,
    train_dpo_with_trl,
    verdict_rows,
)
from tasks.ml.trainer import Watch
from tasks.ml.trl_trainer import aside

GOOD, BAD, STOP = 30, 31, 1
QUESTIONS = 10
ANSWERS = 2 * QUESTIONS


def groups() -> list[Group]:
    """Each question has an answer with the good token, of even number, and a cut one with the bad token."""
    return [
        Group(
            (5, 6, 7 + q), (Branch((20,), (8 + q, GOOD, STOP), 2 * q), Branch((20,), (BAD, 9 + q), 2 * q + 1))
        )
        for q in range(QUESTIONS)
    ]


def good_wins() -> Preferences:
    good = torch.arange(0, ANSWERS, 2)
    return Preferences(good, good + 1, torch.ones(QUESTIONS))


VERDICTS = {index: index % 2 == 0 for index in range(ANSWERS)}


@pytest.fixture
def settings(config):
    changes = {"token_budget": 80, "learning_rate": 3e-3, "epochs": 8, "frozen_layers": 0}
    return config.dpo.model_copy(update=changes)


@pytest.fixture
def run(make_llama, tokenizer, settings, tmp_path):
    """Train a model by the settings with some changes; returns it and the points of its curves."""

    def train(algorithm: str, seed: int = 0, **changes):
        model, points = make_llama(layers=2), []
        own = settings.model_copy(update={"algorithm": algorithm, **changes})
        rows = verdict_rows(groups(), VERDICTS) if algorithm == "kto" else pair_rows(groups(), good_wins())
        watch = Watch(log=lambda metrics, step: points.append((step, metrics)))
        train_dpo_with_trl(model, tokenizer, rows, own, seed, watch, tmp_path)
        assert list(tmp_path.iterdir()) == []
        return model, points

    return train


@pytest.fixture
def loss_of_trl(make_llama, tokenizer, settings, tmp_path):
    """TRL's loss and gradient on one batch of all rows, the reference being another model."""

    def find(algorithm: str, rows):
        own = settings.model_copy(update={"algorithm": algorithm, "beta": 0.5, "epochs": 1})
        policy, reference = make_llama(seed=0), make_llama(seed=1)
        once = {"output_dir": str(tmp_path), "max_steps": 1, "per_device_train_batch_size": len(rows)}
        ordered = order_rows(rows, own, 0)
        with aside():
            trainer = prepare_trainer(policy, reference, tokenizer, ordered, own, once)
            loss = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
        loss.backward()
        gradients = [parameter.grad for parameter in policy.parameters()]
        return loss.item(), gradients, ordered

    return find


def implicit_rewards(make_llama, settings, beta: float) -> tuple[torch.nn.Module, torch.Tensor]:
    """The policy, and beta times its log-ratio to the reference, by our own packed passes. Shape [M]."""
    policy = make_llama(seed=0)
    reference = all_log_probs(make_llama(seed=1), groups(), ANSWERS, settings)
    return policy, beta * (answer_log_probs(policy, pack(groups(), 0), ANSWERS) - reference)


def test_our_loss_and_its_gradient_are_those_of_trl(make_llama, settings, loss_of_trl) -> None:
    loss, gradients, _ = loss_of_trl("trl_dpo", pair_rows(groups(), good_wins()))
    policy, rewards = implicit_rewards(make_llama, settings, 0.5)
    pairs = good_wins()
    ours = bradley_terry(rewards[pairs.chosen], rewards[pairs.rejected], pairs.votes)
    ours.backward()
    assert abs(loss - math.log(2)) > 0.1  # the two models differ, so the loss says something
    assert loss == pytest.approx(ours.item(), abs=1e-5)
    for expected, parameter in zip(gradients, policy.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-4)


def plain_log_prob(model, prompt: list[int], response: list[int]) -> float:
    """One forward pass over one sequence."""
    ids = torch.tensor([[*prompt, *response]])
    with torch.no_grad():
        shares = model(input_ids=ids).logits[0].log_softmax(-1)
    return sum(shares[len(prompt) - 1 + place, token].item() for place, token in enumerate(response))


def test_the_loss_of_kto_by_a_plain_loop(make_llama, loss_of_trl) -> None:
    # 5 desirable answers and 10 undesirable ones: the desirable weigh twice.
    verdicts = {index: liked for index, liked in VERDICTS.items() if index >= 10 or not liked}
    loss, _, ordered = loss_of_trl("kto", verdict_rows(groups(), verdicts))
    policy, reference = make_llama(seed=0), make_llama(seed=1)

    def log_ratio(prompt: list[int], response: list[int]) -> float:
        return plain_log_prob(policy, prompt, response) - plain_log_prob(reference, prompt, response)

    ratios = [log_ratio(row["prompt_ids"], row["KL_completion_ids"]) for row in ordered]
    kl = max(0.0, sum(ratios) / len(ratios))
    total = 0.0
    for row in ordered:
        margin = 0.5 * (log_ratio(row["prompt_ids"], row["completion_ids"]) - kl)
        total += 2 * (1 - sigmoid(margin)) if row["label"] else 1 - sigmoid(-margin)
    assert loss == pytest.approx(total / len(ordered), abs=1e-5)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_kto_raises_what_is_desirable_and_lowers_what_is_not(run, make_llama, settings, capfd) -> None:
    model, points = run("kto")
    before = all_log_probs(make_llama(), groups(), ANSWERS, settings)
    moved = all_log_probs(model, groups(), ANSWERS, settings) - before
    assert (moved[::2] > 0).all()
    assert (moved[1::2] < 0).all()
    assert [step for step, _ in points] == list(range(1, len(points) + 1))
    assert points[-1][1]["loss"] < 0.8 * points[0][1]["loss"]
    assert points[0][1]["loss"] == pytest.approx(0.5, abs=1e-5)  # nothing has moved: 1 - sigmoid(0)
    assert points[0][1]["kl"] == pytest.approx(0, abs=1e-5)
    assert capfd.readouterr() == ("", "")


def test_kto_learns_the_other_way_round_when_the_verdicts_are(
    make_llama, tokenizer, settings, tmp_path
) -> None:
    model, own = make_llama(), settings.model_copy(update={"algorithm": "kto"})
    turned = {index: not liked for index, liked in VERDICTS.items()}
    before = all_log_probs(model, groups(), ANSWERS, settings)
    train_dpo_with_trl(model, tokenizer, verdict_rows(groups(), turned), own, 0, Watch(), tmp_path)
    moved = all_log_probs(model, groups(), ANSWERS, settings) - before
    assert (moved[1::2] > moved[::2]).all()


def test_dpo_by_trl_learns_a_planted_preference(run, make_llama, settings, capfd) -> None:
    model, points = run("trl_dpo")
    rewards = settings.beta * (
        all_log_probs(model, groups(), ANSWERS, settings)
        - all_log_probs(make_llama(), groups(), ANSWERS, settings)
    )
    figures = reward_figures(rewards, good_wins())
    assert figures["accuracy"] == 1.0
    assert figures["margin"] > 0.5
    assert points[0][1]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert {"accuracy", "margin", "chosen_reward", "rejected_reward", "grad_norm"} <= points[0][1].keys()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("algorithm", ["trl_dpo", "kto"])
def test_frozen_weights_stay_and_nothing_of_the_trainer_does(run, make_llama, algorithm: str) -> None:
    model, _ = run(algorithm, epochs=1, frozen_layers=1)
    plain = make_llama(layers=2)
    names = [name for name, _ in plain.named_parameters()]
    moved = {n for n in names if not torch.equal(model.get_parameter(n), plain.get_parameter(n))}
    trained = {n for n in names if ".layers.1." in n} | {"model.norm.weight"}
    assert moved == trained
    assert {n for n, parameter in model.named_parameters() if parameter.requires_grad} == trained
    assert set(vars(model)) == set(vars(plain))
    assert model.config.to_dict() == plain.config.to_dict()


@pytest.mark.parametrize("algorithm", ["trl_dpo", "kto"])
def test_the_seed_decides_the_weights_and_leaves_other_draws_alone(run, algorithm: str) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, _ = run(algorithm, epochs=2)
    assert torch.equal(torch.rand(3), expected)
    again, other = run(algorithm, epochs=2)[0], run(algorithm, seed=1, epochs=2)[0]
    weights = [model.model.norm.weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_nothing_is_sent(run, monkeypatch) -> None:
    sent = []
    for name in ("CI", "DO_NOT_TRACK", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda **what: sent.append(what))
    run("kto", epochs=1)
    run("trl_dpo", epochs=1)
    assert sent == []


def test_rows_hold_the_ids_of_the_answers_as_they_were_shown() -> None:
    part = groups()[1:2]
    pair = Preferences(torch.tensor([2]), torch.tensor([3]), torch.ones(1))
    # The rejected answer was cut off: it has no stop token, and gets none.
    assert pair_rows(part, pair) == [
        {"prompt_ids": [5, 6, 8, 20], "chosen_ids": [9, GOOD, STOP], "rejected_ids": [BAD, 10]}
    ]
    assert verdict_rows(part, {3: False}) == [
        {"prompt_ids": [5, 6, 8, 20], "completion_ids": [BAD, 10], "label": False}
    ]


def test_every_epoch_has_every_row_and_kto_an_answer_to_another_question(settings) -> None:
    own = settings.model_copy(update={"algorithm": "kto", "epochs": 2})
    rows = verdict_rows(groups(), VERDICTS)
    ordered = order_rows(rows, own, 0)
    plain = [{name: row[name] for name in rows[0]} for row in ordered]
    for epoch in (plain[:ANSWERS], plain[ANSWERS:]):
        assert sorted(map(str, epoch)) == sorted(map(str, rows))
    assert plain[:ANSWERS] != plain[ANSWERS:]
    answers = {str(row["completion_ids"]): row["prompt_ids"] for row in rows}
    assert all(answers[str(row["KL_completion_ids"])] != row["prompt_ids"] for row in ordered)
    with pytest.raises(ValueError, match="got one question"):
        order_rows(rows[:2], own, 0)


@pytest.mark.parametrize(
    ("algorithm", "budget", "size", "steps"),
    [
        # A pair takes 2 sequences of 4 and 3 tokens; 20 rows in 2 epochs.
        ("trl_dpo", 14 * 20, 20, 1),
        ("trl_dpo", 14 * 20 - 1, 10, 2),
        ("trl_dpo", 14 * 6, 5, 4),
        ("trl_dpo", 1, 1, 20),
        # A single answer takes one sequence; 40 rows in 2 epochs.
        ("kto", 7 * 40, 40, 1),
        ("kto", 7 * 15, 14, 3),
        ("kto", 1, 2, 20),
    ],
)
def test_an_optimiser_step_keeps_within_its_tokens(settings, algorithm, budget, size, steps) -> None:
    own = settings.model_copy(update={"algorithm": algorithm, "token_budget": budget, "epochs": 2})
    rows = verdict_rows(groups(), VERDICTS) if algorithm == "kto" else pair_rows(groups(), good_wins())
    assert (rows_per_step(rows, own), steps_of(rows, own)) == (size, steps)


def test_both_kinds_of_answers_weigh_the_same_in_sum() -> None:
    labels = [{"label": liked} for liked in (True, False, False, False)]
    assert kto_weights(labels) == {"desirable_weight": 3.0, "undesirable_weight": 1.0}
    assert kto_weights(labels[:2]) == {"desirable_weight": 1.0, "undesirable_weight": 1.0}
    turned = [{"label": not row["label"]} for row in labels]
    assert kto_weights(turned) == {"desirable_weight": 1.0, "undesirable_weight": 3.0}
