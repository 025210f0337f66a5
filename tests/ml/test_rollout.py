"""A rollout's numbers against plain forward passes over each prompt and response."""

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.models import ScoredModel
from tasks.ml.rollout import Judges, Question, collect, look, sample_answers

STOP = 1
QUESTIONS = [Question((5, 6, 7), "a"), Question((5, 6, 8), "a"), Question((9, 10), "b")]


class CountsToken:
    """A reward model's interface whose reward is how often a token was seen."""

    def __init__(self, language_model, token: int) -> None:
        self.language_model, self.token = language_model, token

    def hidden_states(self, batch) -> torch.Tensor:
        hits = (batch.input_ids == self.token).float().unsqueeze(-1)
        return (batch.mask.squeeze(1).float() @ hits).flatten(0, 1)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.squeeze(-1)


@pytest.fixture
def settings(config):
    return config.ppo.model_copy(
        update={
            "samples_per_question": 3,
            "max_new_tokens": 6,
            "missing_stop_penalty": 0.7,
            "kl_coefficient": 0.2,
            "discount": 0.9,
            "gae_lambda": 0.8,
            "temperature": 1.3,
            "token_budget": 40,
        }
    )


@pytest.fixture
def setting(make_llama):
    policy, reference = ScoredModel(make_llama(seed=3)), make_llama(seed=4)
    torch.nn.init.normal_(policy.head.weight, generator=torch.Generator().manual_seed(0))
    return policy, Judges(reference, CountsToken(reference, 12), mean=0.5, deviation=2.0)


def tempered(model, prompt: list[int], response: list[int], temperature: float) -> list[float]:
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    log_probs = (logits / temperature).log_softmax(-1)
    return [log_probs[place, token].item() for place, token in enumerate(response)]


@torch.no_grad()
def test_every_table_of_a_rollout_agrees_with_a_plain_forward(setting, settings) -> None:
    policy, judges = setting
    rollout = collect(policy, judges, QUESTIONS, settings, seed=1)
    rows = 0
    for group in rollout.groups:
        for branch in group.branches:
            check_row(rollout, branch, [*group.prefix, *branch.tail], policy, judges, settings)
            rows += 1
    assert rows == 9
    assert len(set(rollout.mask.sum(1).tolist())) > 1
    assert len(set(rollout.stops.tolist())) == 2


def check_row(rollout, branch, prompt: list[int], policy, judges, settings) -> None:
    row, response = branch.index, list(branch.response)
    length = len(response)
    assert rollout.mask[row].tolist() == [place < length for place in range(rollout.mask.shape[1])]
    ours = tempered(policy.language_model, prompt, response, settings.temperature)
    theirs = tempered(judges.reference, prompt, response, settings.temperature)
    hidden = policy.language_model.model(input_ids=torch.tensor([prompt + response])).last_hidden_state[0]
    values = (hidden[len(prompt) - 1 : -1] @ policy.head.weight[0]).tolist()
    ratio = [a - b for a, b in zip(ours, theirs, strict=True)]
    assert rollout.log_probs[row, :length].tolist() == pytest.approx(ours, abs=1e-5)
    assert rollout.values[row, :length].tolist() == pytest.approx(values, abs=1e-5)
    assert rollout.log_ratio[row, :length].tolist() == pytest.approx(ratio, abs=2e-5)
    score = ((prompt + response).count(12) - 0.5) / 2.0 - (0.0 if response[-1] == STOP else 0.7)
    assert rollout.scores[row].item() == pytest.approx(score, abs=1e-5)
    rewards = [-0.2 * value for value in ratio]
    rewards[-1] += score
    running, returns = 0.0, [0.0] * length
    for place in reversed(range(length)):
        after = values[place + 1] if place + 1 < length else 0.0
        running = rewards[place] + 0.9 * after - values[place] + 0.9 * 0.8 * running
        returns[place] = running + values[place]
    assert rollout.returns[row, :length].tolist() == pytest.approx(returns, abs=5e-5)


def test_advantages_are_whitened_over_the_whole_rollout(setting, settings) -> None:
    policy, judges = setting
    rollout = collect(policy, judges, QUESTIONS, settings, seed=1)
    real = rollout.advantage[rollout.mask]
    assert real.mean().item() == pytest.approx(0, abs=1e-5)
    assert real.square().mean().item() == pytest.approx(1, abs=1e-5)
    raw = (rollout.returns - rollout.values)[rollout.mask]
    torch.testing.assert_close(real, (raw - raw.mean()) / raw.std(correction=0), atol=1e-5, rtol=0)
    assert rollout.advantage[~rollout.mask].eq(0).all()


def test_a_policy_that_is_its_reference_has_no_divergence(setting, settings) -> None:
    policy, judges = setting
    own = Judges(policy.language_model, judges.reward, 0.0, 1.0)
    rollout = collect(policy, own, QUESTIONS, settings, seed=1)
    assert rollout.log_ratio.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_answers_depend_on_the_seed_and_leave_the_policy_alone(setting, settings) -> None:
    policy, _ = setting
    before = [parameter.clone() for parameter in policy.parameters()]
    first = sample_answers(policy.language_model, QUESTIONS, settings, 5)
    assert sample_answers(policy.language_model, QUESTIONS, settings, 5) == first
    assert sample_answers(policy.language_model, QUESTIONS, settings, 6) != first
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in policy.parameters())


def test_look_gives_the_entropy_of_the_tempered_distribution(setting, settings) -> None:
    policy, _ = setting
    with torch.no_grad():
        _, _, entropy = look(policy, pack([Group((5, 6), (Branch((7,), (8,), 0),))], 0), temperature=1.3)
        shares = (policy.language_model(input_ids=torch.tensor([[5, 6, 7]])).logits[0, -1] / 1.3).softmax(-1)
    assert entropy.item() == pytest.approx(
        -sum(p * torch.tensor(p).log().item() for p in shares.tolist()), abs=1e-5
    )
