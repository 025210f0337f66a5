"""Let the policy answer, and write down everything that PPO needs to learn from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from configs.schema import PPOConfig
from tasks.ml.batching import Group, PackedBatch, group_examples, pack, plan_batches
from tasks.ml.decode import Sampling, decode, stopped
from tasks.ml.models import ScoredModel, hidden_states, response_log_probs
from tasks.ml.ppo_math import advantages, shaped_rewards, whiten
from tasks.ml.precision import arithmetic, frozen_copy
from tasks.ml.prompts import Example
from tasks.ml.train_reward import score_groups


@dataclass(frozen=True)
class Question:
    """A prompt to practise on; `key` is its context, shared with other questions."""

    prompt: tuple[int, ...]
    key: str


@dataclass(frozen=True)
class Judges:
    """What the policy is measured against; none of it is trained.

    Attributes:
        reference: The distilled model, in the precision of inference.
        reward: The reward model, likewise.
        mean: Mean of its scores on the distilled model's answers.
        deviation: Their standard deviation.
    """

    reference: Any
    reward: ScoredModel
    mean: float
    deviation: float


@dataclass(frozen=True)
class Trajectory:
    """S sampled responses of at most T tokens.

    Attributes:
        groups: The responses below their questions; a branch's index is its row here.
        mask: Real tokens. Shape [S, T].
        log_probs: Of the sampled tokens under the policy that sampled them. Shape [S, T].
        values: Value before each token. Shape [S, T].
        log_ratio: Policy's minus reference's log-probability. Shape [S, T].
        scores: Normalised reward of each response, missing-stop penalty included. Shape [S].
        advantage: Whitened advantages. Shape [S, T].
        returns: Targets of the value. Shape [S, T].
        stops: Whether each response stopped by itself. Shape [S].
    """

    groups: list[Group]
    mask: torch.Tensor
    log_probs: torch.Tensor
    values: torch.Tensor
    log_ratio: torch.Tensor
    scores: torch.Tensor
    advantage: torch.Tensor
    returns: torch.Tensor
    stops: torch.Tensor


def collect(
    policy: ScoredModel, judges: Judges, questions: Sequence[Question], config: PPOConfig, seed: int
) -> Trajectory:
    """Sample answers, score them and compute advantages."""
    samples = [question for question in questions for _ in range(config.samples_per_question)]
    responses = sample_answers(policy.language_model, samples, config, seed)
    examples = [Example(q.prompt, response) for q, response in zip(samples, responses, strict=True)]
    groups = group_examples(examples, [question.key for question in samples], config.row_tokens)
    stop = policy.language_model.config.eos_token_id
    stops = torch.tensor([stopped(response, stop) for response in responses])
    scores = score_groups(judges.reward, groups, len(samples), config.token_budget, "fp32")
    scores = (scores - judges.mean) / judges.deviation - config.missing_stop_penalty * ~stops
    lengths = torch.tensor([len(response) for response in responses])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    log_probs, values, log_ratio = _measure(policy, judges.reference, groups, mask, config)
    rewards = shaped_rewards(scores, log_ratio, mask, config.kl_coefficient)
    raw = advantages(rewards, values, mask, config.discount, config.gae_lambda)
    return Trajectory(
        groups, mask, log_probs, values, log_ratio, scores, whiten(raw, mask), raw + values * mask, stops
    )


def sample_answers(
    model: Any, samples: Sequence[Question], config: PPOConfig, seed: int
) -> list[tuple[int, ...]]:
    """One answer for each question, sampled at the configured temperature."""
    sampling = Sampling(
        max_new_tokens=config.max_new_tokens,
        stop=model.config.eos_token_id,
        pad=model.config.pad_token_id,
        temperature=config.temperature,
        seed=seed,
    )
    copy = frozen_copy(model, config.precision)
    return decode(copy, [q.prompt for q in samples], [q.key for q in samples], sampling)


@torch.no_grad()
def _measure(
    policy: ScoredModel, reference: Any, groups: Sequence[Group], mask: torch.Tensor, config: PPOConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities, values and log-ratios of the sampled tokens, by the same path as the update's."""
    tables = [torch.zeros(mask.shape) for _ in range(3)]
    for part in plan_batches(groups, config.token_budget, 0, 0):
        batch = pack(part, policy.language_model.config.pad_token_id)
        place = (batch.example, batch.step)
        with arithmetic(config.precision):
            chosen, values, _ = look(policy, batch, config.temperature)
            other = response_log_probs(reference, hidden_states(reference, batch), batch)
        tables[0][place] = chosen
        tables[1][place] = values
        tables[2][place] = chosen - _of_target(_tempered(other, config.temperature), batch)
    return tables[0], tables[1], tables[2]


def look(
    policy: ScoredModel, batch: PackedBatch, temperature: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities of the sampled tokens, values before them, and entropies. Shapes [N]."""
    hidden = policy.hidden_states(batch)
    log_probs = _tempered(response_log_probs(policy.language_model, hidden, batch), temperature)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    return _of_target(log_probs, batch), policy.scores(hidden[batch.source]), entropy


def _tempered(log_probs: torch.Tensor, temperature: float) -> torch.Tensor:
    return log_probs if temperature == 1 else (log_probs / temperature).log_softmax(-1)


def _of_target(log_probs: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    return log_probs.gather(1, batch.target[:, None]).squeeze(1)
