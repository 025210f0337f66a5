"""A rollout's numbers against plain forward passes over each prompt and response."""

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.policy import Policy
from tasks.ml.rollout import Judges, Question, clustered_error, collect, rollout_points, sample_answers

STOP, COEFFICIENT = 1, 0.2
QUESTIONS = [Question((5, 6, 7), "a"), Question((5, 6, 8), "a"), Question((9, 10), "b")]


@pytest.fixture
def settings(config):
    return config.ppo.model_copy(
        update={
            "samples_per_question": 3,
            "max_new_tokens": 6,
            "missing_stop_penalty": 0.7,
            "discount": 0.9,
            "gae_lambda": 0.8,
            "temperature": 1.3,
            "token_budget": 40,
        }
    )


@pytest.fixture
def setting(make_llama, pays_tokens, settings):
    policy = Policy(make_llama(seed=10), settings, seed=0, reference=make_llama(seed=4))
    torch.nn.init.normal_(policy.scored.head.weight, generator=torch.Generator().manual_seed(0))
    return policy, Judges(pays_tokens(make_llama(), {12: 1.0}), mean=0.5, deviation=2.0), make_llama(seed=4)


def tempered(model, prompt: list[int], response: list[int], temperature: float) -> list[float]:
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    log_probs = (logits / temperature).log_softmax(-1)
    return [log_probs[place, token].item() for place, token in enumerate(response)]


@torch.no_grad()
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_every_table_of_a_rollout_agrees_with_a_plain_forward(setting, settings, estimator: str) -> None:
    settings = settings.model_copy(update={"kl_estimator": estimator})
    policy, judges, reference = setting
    rollout = collect(policy, judges, QUESTIONS, settings, COEFFICIENT, seed=2)
    rows = 0
    for group in rollout.groups:
        for branch in group.branches:
            check_row(rollout, branch, [*group.prefix, *branch.tail], policy, reference, settings)
            rows += 1
    assert rows == 9
    assert len(set(rollout.mask.sum(1).tolist())) > 1
    assert len({sample.stops for sample in rollout.samples}) == 2


def check_row(rollout, branch, prompt: list[int], policy, reference, settings) -> None:
    row, response = branch.index, list(branch.response)
    length = len(response)
    assert rollout.mask[row].tolist() == [place < length for place in range(rollout.mask.shape[1])]
    ours = tempered(policy.language_model, prompt, response, settings.temperature)
    theirs = tempered(reference, prompt, response, settings.temperature)
    hidden = policy.language_model.model(input_ids=torch.tensor([prompt + response])).last_hidden_state[0]
    values = (hidden[len(prompt) - 1 : -1] @ policy.scored.head.weight[0]).tolist()
    ratio = [a - b for a, b in zip(ours, theirs, strict=True)]
    assert rollout.log_probs[row, :length].tolist() == pytest.approx(ours, abs=1e-5)
    assert rollout.values[row, :length].tolist() == pytest.approx(values, abs=1e-5)
    assert rollout.log_ratio[row, :length].tolist() == pytest.approx(ratio, abs=2e-5)
    score = ((prompt + response).count(12) - 0.5) / 2.0 - (0.0 if response[-1] == STOP else 0.7)
    assert rollout.scores[row].item() == pytest.approx(score, abs=1e-5)
    price = {
        "k1": lambda d: d,
        "k2": lambda d: d * d / 2,
        "k3": lambda d: 2.718281828459045**-d - 1 + d,
    }[settings.kl_estimator]
    rewards = [-COEFFICIENT * price(value) for value in ratio]
    rewards[-1] += score
    running, returns = 0.0, [0.0] * length
    for place in reversed(range(length)):
        after = values[place + 1] if place + 1 < length else 0.0
        running = rewards[place] + 0.9 * after - values[place] + 0.9 * 0.8 * running
        returns[place] = running + values[place]
    assert rollout.returns[row, :length].tolist() == pytest.approx(returns, abs=5e-5)


def test_advantages_are_whitened_over_the_whole_rollout(setting, settings) -> None:
    policy, judges, _ = setting
    rollout = collect(policy, judges, QUESTIONS, settings, COEFFICIENT, seed=2)
    real = rollout.advantage[rollout.mask]
    assert real.mean().item() == pytest.approx(0, abs=1e-5)
    assert real.square().mean().item() == pytest.approx(1, abs=1e-5)
    raw = (rollout.returns - rollout.values)[rollout.mask]
    torch.testing.assert_close(real, (raw - raw.mean()) / raw.std(correction=0), atol=1e-5, rtol=0)
    assert rollout.advantage[~rollout.mask].eq(0).all()
    plain = settings.model_copy(update={"whiten_advantages": False})
    bare = collect(policy, judges, QUESTIONS, plain, COEFFICIENT, seed=2)
    torch.testing.assert_close(bare.advantage[bare.mask], raw, atol=1e-6, rtol=0)


def test_whitened_rewards_are_scaled_before_advantages_are_computed(setting, settings) -> None:
    policy, judges, _ = setting
    # Without lambda, a return is the reward plus the next value.
    plain = settings.model_copy(update={"gae_lambda": 0.0, "discount": 1.0})
    rollouts = [
        collect(policy, judges, QUESTIONS, plain.model_copy(update={"whiten_rewards": white}), COEFFICIENT, 2)
        for white in (False, True)
    ]
    rewards, whitened = (
        (r.returns - torch.nn.functional.pad(r.values * r.mask, (0, 1))[:, 1:])[r.mask] for r in rollouts
    )
    scaled = (rewards - rewards.mean()) / rewards.std(correction=0) + rewards.mean()
    torch.testing.assert_close(whitened, scaled, atol=2e-5, rtol=0)


def test_a_policy_that_is_its_reference_has_no_divergence(make_llama, setting, settings) -> None:
    own = Policy(make_llama(seed=10), settings, seed=0, reference=make_llama(seed=10))
    rollout = collect(own, setting[1], QUESTIONS, settings, COEFFICIENT, seed=2)
    assert rollout.log_ratio.abs().max().item() == pytest.approx(0, abs=1e-5)


def test_answers_depend_on_seed_and_number_and_leave_the_policy_alone(setting, settings) -> None:
    policy, _, _ = setting
    before = [parameter.clone() for parameter in policy.parameters()]
    first, _ = sample_answers(policy, QUESTIONS, range(3), settings, 5)
    assert sample_answers(policy, QUESTIONS, range(3), settings, 5)[0] == first
    assert sample_answers(policy, QUESTIONS, range(3), settings, 6)[0] != first
    assert sample_answers(policy, QUESTIONS[1:], [1, 2], settings, 5)[0] == first[1:]
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))


def test_look_gives_the_entropy_of_the_tempered_distribution(setting, settings) -> None:
    policy, _, _ = setting
    with torch.no_grad():
        _, _, entropy = policy.look(pack([Group((5, 6), (Branch((7,), (8,), 0),))], 0), temperature=1.3)
        shares = (policy.language_model(input_ids=torch.tensor([[5, 6, 7]])).logits[0, -1] / 1.3).softmax(-1)
    assert entropy.item() == pytest.approx(
        -sum(p * torch.tensor(p).log().item() for p in shares.tolist()), abs=1e-5
    )


def test_what_a_rollout_says_of_its_policy(setting, settings) -> None:
    policy, judges, _ = setting
    judges = Judges(judges.reward, 0.5, 2.0, gold=lambda question, response: float(len(response)))
    rollout = collect(policy, judges, QUESTIONS, settings, COEFFICIENT, seed=2)
    points = rollout_points(rollout, settings, COEFFICIENT)
    lengths = [float(len(sample.response)) for sample in rollout.samples]
    kl = [sum(sample.log_ratio.tolist()) for sample in rollout.samples]
    score = sum(sample.score for sample in rollout.samples) / 9
    entropies = [entropy for sample in rollout.samples for entropy in sample.entropies.tolist()]
    spread = (sum((n - sum(lengths) / 9) ** 2 for n in lengths) / 9) ** 0.5
    expected = {
        "objective/length": sum(lengths) / 9,
        "objective/gold": sum(lengths) / 9,
        "objective/gold_error": spread / 3,
        "objective/stop_rate": sum(sample.stops for sample in rollout.samples) / 9,
        "objective/kl": sum(kl) / 9,
        "objective/entropy": sum(entropies) / len(entropies),
        "objective/scores": score,
        "objective/non_score_reward": -COEFFICIENT * sum(kl) / 9,
        "objective/rlhf_reward": score - COEFFICIENT * sum(kl) / 9,
        "objective/kl_coefficient": COEFFICIENT,
    }
    for name, value in expected.items():
        assert points[name] == pytest.approx(value, abs=1e-5), name


def test_the_error_of_a_mean_counts_questions_that_resemble_each_other_once() -> None:
    # Mean 2; deviations -1 -1 and 1 1 within two keys: sqrt(2^2 + 2^2) / 4, against sqrt(4) / 4 apart.
    assert clustered_error([1, 1, 3, 3], ["a", "a", "b", "b"]) == pytest.approx(8**0.5 / 4)
    assert clustered_error([1, 1, 3, 3], ["a", "b", "c", "d"]) == pytest.approx(0.5)
    # Deviations that cancel out within a key promise no more than independent ones.
    assert clustered_error([1, 3, 1, 3], ["a", "a", "b", "b"]) == pytest.approx(0.5)
