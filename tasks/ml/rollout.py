"""Let the policy answer, and write down everything that PPO needs to learn from it."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from configs.schema_ppo import PPOConfig
from tasks.ml.batching import Group, group_examples, pack, plan_batches
from tasks.ml.decode import DecodeEngine, stopped
from tasks.ml.models import ScoredModel
from tasks.ml.policy import Policy
from tasks.ml.ppo_guard import repetition
from tasks.ml.ppo_math import advantages, kl_estimate, masked_mean, shaped_rewards, whiten
from tasks.ml.precision import arithmetic
from tasks.ml.prompts import Example
from tasks.ml.reward_scores import score_groups
from tasks.ml.sampling import Sampling
from tasks.ml.workers import Alone, Workers


@dataclass(frozen=True)
class Question:
    """A prompt to practise on; `key` is its context, shared with other questions."""

    prompt: tuple[int, ...]
    key: str


@dataclass(frozen=True)
class Judges:
    """What answers are measured by; none of it is trained.

    Attributes:
        reward: The reward model, in the precision of inference.
        mean: Mean of its scores on the reference's answers.
        deviation: Their standard deviation.
        gold: What the reward stands for, of a question and its response, where that is known. Never trained
            on: it only tells whether the reward still means what it should.
    """

    reward: ScoredModel
    mean: float
    deviation: float
    gold: Callable[[Question, tuple[int, ...]], float] | None = None


@dataclass(frozen=True)
class Sample:
    """One answer and what was measured of its T tokens.

    Attributes:
        number: Its place in the rollout.
        question: What was asked.
        response: Token ids.
        log_probs: Of its tokens, under the policy that sampled them. Shape [T].
        values: Before each token. Shape [T].
        entropies: Of the distributions that its tokens were drawn from, in nats. Shape [T].
        log_ratio: Policy's minus reference's log-probability. Shape [T].
        score: Normalised reward, missing-stop penalty included.
        stops: Whether it stopped by itself.
        gold: What the score stands for; None: unknown.
    """

    number: int
    question: Question
    response: tuple[int, ...]
    log_probs: torch.Tensor
    values: torch.Tensor
    entropies: torch.Tensor
    log_ratio: torch.Tensor
    score: float
    stops: bool
    gold: float | None


@dataclass(frozen=True)
class Trajectory:
    """S sampled responses of at most T tokens.

    Attributes:
        samples: The responses.
        groups: The responses below their questions; a branch's index is its row here.
        mask: Real tokens. Shape [S, T].
        log_probs: Of the sampled tokens under the policy that sampled them. Shape [S, T].
        values: Value before each token. Shape [S, T].
        log_ratio: Policy's minus reference's log-probability. Shape [S, T].
        scores: Normalised reward of each response, missing-stop penalty included. Shape [S].
        advantage: Advantages, whitened if so configured. Shape [S, T].
        returns: Targets of the value. Shape [S, T].
    """

    samples: list[Sample]
    groups: list[Group]
    mask: torch.Tensor
    log_probs: torch.Tensor
    values: torch.Tensor
    log_ratio: torch.Tensor
    scores: torch.Tensor
    advantage: torch.Tensor
    returns: torch.Tensor


def collect(
    policy: Policy,
    judges: Judges,
    questions: Sequence[Question],
    config: PPOConfig,
    kl_coefficient: float,
    seed: int,
    workers: Workers | None = None,
) -> Trajectory:
    """Sample answers, score them and compute advantages; each worker answers a share of the questions."""
    workers = workers or Alone()
    share = range(workers.index, len(questions), workers.count)
    numbers = [q * config.samples_per_question + k for q in share for k in range(config.samples_per_question)]
    asked = [questions[number // config.samples_per_question] for number in numbers]
    samples = workers.gather(_answer(policy, judges, asked, numbers, config, seed))
    samples.sort(key=lambda sample: sample.number)
    return _assemble(samples, config, kl_coefficient)


def sample_answers(
    policy: Policy, asked: Sequence[Question], numbers: Sequence[int], config: PPOConfig, seed: int
) -> tuple[list[tuple[int, ...]], list[dict[str, torch.Tensor]]]:
    """One answer for each question, and what was captured while it was written; see `Sample`."""
    sampling = Sampling(
        max_new_tokens=config.max_new_tokens,
        stop=policy.language_model.config.eos_token_id,
        pad=policy.pad,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=seed,
    )
    value_of = policy.scored.scores if policy.value_is_shared else None
    engine = DecodeEngine(policy.decoder(), sampling, value_of)
    decoded = engine.run([q.prompt for q in asked], [q.key for q in asked], streams=numbers)
    tables = {"log_probs": decoded.log_probs, "values": decoded.values, "entropies": decoded.entropies}
    lengths = decoded.lengths.tolist()
    captured = [
        {name: table[row, :length].clone() for name, table in tables.items()}
        for row, length in enumerate(lengths)
    ]
    return decoded.responses(), captured


@torch.no_grad()
def _answer(
    policy: Policy,
    judges: Judges,
    asked: Sequence[Question],
    numbers: Sequence[int],
    config: PPOConfig,
    seed: int,
) -> list[Sample]:
    """Answer questions and measure the answers."""
    responses, captured = sample_answers(policy, asked, numbers, config, seed)
    examples = [Example(q.prompt, response) for q, response in zip(asked, responses, strict=True)]
    groups = group_examples(examples, [question.key for question in asked], config.row_tokens)
    scores = score_groups(judges.reward, groups, len(asked), config.pass_tokens, "fp32").tolist()
    reference = _reread(policy, groups, captured, config)
    samples = []
    for row, (question, response) in enumerate(zip(asked, responses, strict=True)):
        stops = stopped(response, policy.language_model.config.eos_token_id)
        score = (scores[row] - judges.mean) / judges.deviation
        samples.append(
            Sample(
                number=numbers[row],
                question=question,
                response=response,
                log_ratio=captured[row]["log_probs"] - reference[row],
                score=score - config.missing_stop_penalty * (not stops),
                stops=stops,
                gold=judges.gold(question, response) if judges.gold else None,
                **captured[row],
            )
        )
    return samples


def _reread(
    policy: Policy, groups: Sequence[Group], captured: list[dict[str, torch.Tensor]], config: PPOConfig
) -> list[torch.Tensor]:
    """The reference's log-probabilities of all tokens, and values where decoding could not capture them."""
    reference = [torch.zeros_like(numbers["log_probs"]) for numbers in captured]
    for part in plan_batches(groups, config.pass_tokens, 0, 0):
        batch = pack(part, policy.pad)
        with arithmetic(config.precision):
            log_probs = policy.reference_log_probs(batch, config.temperature)
            values = None if policy.value_is_shared else policy.values(batch)
        for row in batch.branch.tolist():
            own = batch.example == row
            reference[row] = log_probs[own]
            if values is not None:
                captured[row]["values"] = values[own]
    return reference


def _assemble(samples: list[Sample], config: PPOConfig, kl_coefficient: float) -> Trajectory:
    """Pad what was measured into tables, and compute advantages over all of them."""
    examples = [Example(sample.question.prompt, sample.response) for sample in samples]
    groups = group_examples(examples, [sample.question.key for sample in samples], config.row_tokens)
    lengths = torch.tensor([len(sample.response) for sample in samples])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    log_probs, values, log_ratio = (
        pad_sequence([getattr(sample, name) for sample in samples], batch_first=True)
        for name in ("log_probs", "values", "log_ratio")
    )
    scores = torch.tensor([sample.score for sample in samples])
    kl = kl_estimate(log_ratio, config.kl_estimator)
    rewards = shaped_rewards(scores, kl, mask, kl_coefficient)
    if config.whiten_rewards:
        rewards = whiten(rewards, mask, keep_mean=True)
    raw = advantages(rewards, values, mask, config.discount, config.gae_lambda)
    advantage = whiten(raw, mask) if config.whiten_advantages else raw
    returns = raw + values * mask
    return Trajectory(samples, groups, mask, log_probs, values, log_ratio, scores, advantage, returns)


def rollout_points(trajectory: Trajectory, config: PPOConfig, kl_coefficient: float) -> dict[str, float]:
    """What a rollout says of the policy that made it; names and units in `docs/metrics.md`."""
    samples, mask = trajectory.samples, trajectory.mask
    kl = kl_estimate(trajectory.log_ratio, config.kl_estimator) * mask
    non_score = -kl_coefficient * kl.sum(1).mean().item()
    entropies = torch.cat([sample.entropies for sample in samples])
    points = {
        "objective/kl": (trajectory.log_ratio * mask).sum(1).mean().item(),
        "objective/kl_coefficient": kl_coefficient,
        "objective/entropy": entropies.mean().item(),
        "objective/scores": trajectory.scores.mean().item(),
        "objective/non_score_reward": non_score,
        "objective/rlhf_reward": trajectory.scores.mean().item() + non_score,
        "objective/length": mask.sum(1).float().mean().item(),
        "objective/stop_rate": _mean([float(sample.stops) for sample in samples]),
        "objective/repetition": _mean([repetition(sample.response) for sample in samples]),
        "val/mean": masked_mean(trajectory.values, mask).item(),
    }
    gold = [sample.gold for sample in samples if sample.gold is not None]
    if gold:
        keys = [sample.question.key for sample in samples]
        points |= {"objective/gold": _mean(gold), "objective/gold_error": clustered_error(gold, keys)}
    return points


def clustered_error(values: Sequence[float], keys: Sequence[str]) -> float:
    """Standard error of the mean of values that resemble each other where their keys are equal.

    sqrt(sum over keys of (sum of deviations)^2) / n, and no less than that of independent values
    (Liang and Zeger 1986).
    """
    mean = _mean(values)
    sums: dict[str, float] = defaultdict(float)
    for value, key in zip(values, keys, strict=True):
        sums[key] += value - mean
    clustered = sum(total**2 for total in sums.values())
    independent = sum((value - mean) ** 2 for value in values)
    return math.sqrt(max(clustered, independent)) / len(values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
