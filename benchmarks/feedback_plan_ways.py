"""Ways to choose what annotators are asked, and a reward head that learns from what they say."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.feedback_plan_pools import Answers, Array
from tasks.feedback.plan import PairPool, covariance_after, directions, draw_targets, plan, verdict_weights

LABELS, BATCH = 300, 20
HEADS = 8
TRAIN_SHARE = 0.6


@dataclass(frozen=True)
class Task:
    """Pairs to ask and pairs to be tested on.

    Attributes:
        pool: What may be asked; its gaps are filled in as the head learns.
        true: True difference in worth of each pair. Shape [P].
        longer: Words of the first answer less those of the second. Shape [P].
        tested: Differences of the held-out pairs, the better answer first. Shape [T, D].
        answers: Where they come from.
    """

    pool: PairPool
    true: Array
    longer: Array
    tested: Array
    answers: Answers


@dataclass
class Learner:
    """What a way to choose may look at.

    Attributes:
        asked: Pairs asked so far.
        said: 1 the first was preferred, -1 the second, 0 a tie.
        head: Weights of the reward head. Shape [D].
        heads: Weights of an ensemble. Shape [HEADS, D].
        draw: Of all draws.
    """

    asked: list[int]
    said: list[int]
    head: Array
    heads: Array
    draw: np.random.Generator


Way = Callable[[Task, Learner, int], Sequence[int]]


def make_task(answers: Answers, seed: int) -> Task:
    """Some of the questions may be asked about; the others test."""
    draw = np.random.default_rng([seed, 1])
    names = draw.permutation(sorted(set(answers.questions)))
    train = set(names[: int(TRAIN_SHARE * len(names))].tolist())
    members: dict[str, list[int]] = {}
    for index, question in enumerate(answers.questions):
        members.setdefault(question, []).append(index)
    pairs = [(question, pair) for question in members for pair in combinations(members[question], 2)]
    own = np.array([pair for question, pair in pairs if question in train])
    other = np.array([pair for question, pair in pairs if question not in train])
    known = [index for index, question in enumerate(answers.questions) if question in train]
    features = answers.hidden @ directions(answers.hidden[known], [answers.questions[i] for i in known])
    worth = answers.utility[other[:, 0]] - answers.utility[other[:, 1]]
    tested = (features[other[:, 0]] - features[other[:, 1]]) * np.sign(worth)[:, None]
    pool = PairPool(
        features[own[:, 0]] - features[own[:, 1]],
        np.zeros(len(own)),
        [answers.questions[index] for index in own[:, 0]],
        [answers.tasks[index] for index in own[:, 0]],
    )
    return Task(
        pool,
        answers.utility[own[:, 0]] - answers.utility[own[:, 1]],
        answers.words[own[:, 0]] - answers.words[own[:, 1]],
        tested[np.abs(worth) > answers.tie_gap],
        answers,
    )


def annotate(task: Task, pairs: Sequence[int], draw: np.random.Generator) -> list[int]:
    """What an annotator, another for each pair, says of it."""
    answers = task.answers
    seen = task.true[pairs] + draw.normal(0, answers.noise * math.sqrt(2), len(pairs))
    seen += draw.normal(0, answers.taste, len(pairs)) * task.longer[pairs] / 10
    return [int(np.sign(gap)) if abs(gap) > answers.tie_gap else 0 for gap in seen]


def fit(differences: Array, weights: Array, start: Array) -> Array:
    """Heads that maximise the Bradley–Terry likelihood with a standard normal prior around `start`.

    Args:
        differences: Of judged pairs, the preferred answer first. Shape [N, D].
        weights: Of each pair for each head. Shape [K, N].
        start: Centre of each head's prior. Shape [K, D].
    """
    heads = start.copy()
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(heads @ differences.T, -40, 40)))
        slope = (weights * (1 - p)) @ differences - (heads - start)
        curved = np.einsum("kn,ni,nj->kij", weights * p * (1 - p), differences, differences, optimize=True)
        step = np.linalg.solve(curved + np.eye(differences.shape[1]), slope[:, :, None])[:, :, 0]
        heads = heads + step
        if np.abs(step).max() < 1e-4:
            break
    return heads


def first_free(task: Task, learner: Learner, order: Array, count: int) -> list[int]:
    """The first pairs of an order that are not asked yet and do differ, one of a question."""
    chosen: dict[str, int] = {}
    gone = set(learner.asked)
    for pair in order.tolist():
        if len(chosen) < count and pair not in gone and task.pool.differences[pair].any():
            chosen.setdefault(task.pool.questions[pair], pair)
    return list(chosen.values())


def at_random(task: Task, learner: Learner, count: int) -> Sequence[int]:
    """Any pairs."""
    return first_free(task, learner, learner.draw.permutation(len(task.true)), count)


def by_entropy(task: Task, learner: Learner, count: int) -> Sequence[int]:
    """The pairs whose verdict the head foresees least: uncertainty sampling (Lewis and Gale 1994)."""
    return first_free(
        task, learner, np.argsort(-verdict_weights(task.pool.differences @ learner.head)), count
    )


def by_bald(task: Task, learner: Learner, count: int) -> Sequence[int]:
    """The pairs on which an ensemble disagrees most: H(mean p) - mean H(p) (Houlsby et al. 2011)."""
    p = 1 / (1 + np.exp(-np.clip(learner.heads @ task.pool.differences.T, -40, 40)))
    return first_free(task, learner, np.argsort(-(entropy(p.mean(0)) - entropy(p).mean(0))), count)


def entropy(p: Array) -> Array:
    """Of a verdict, nats."""
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return -(q * np.log(q) + (1 - q) * np.log(1 - q))  # type: ignore[no-any-return]


def planned(task: Task, learner: Learner, count: int) -> Sequence[int]:
    """What `retort feedback plan` chooses."""
    pool, left = still_free(task, learner)
    per_task = -(-2 * count // len(set(pool.tasks)))
    targets = draw_targets(pool, len(left))
    return [left[one.pair] for one in plan(pool, posterior(task, learner), targets, count, per_task)]


def by_information(task: Task, learner: Learner, count: int) -> Sequence[int]:
    """The pairs that tell most of the head's weights: D-optimal design (Chaloner and Verdinelli 1995)."""
    pool, left = still_free(task, learner)
    covariance, weights = posterior(task, learner), verdict_weights(pool.gaps)
    own = np.einsum("pi,ij,pj->p", pool.differences, covariance, pool.differences, optimize=True)
    is_free, questions = own > 1e-12, np.asarray(pool.questions)
    chosen: list[int] = []
    while len(chosen) < count and is_free.any():
        best = int(np.where(is_free, weights * own, -1).argmax())
        chosen.append(left[best])
        is_free &= questions != questions[best]
        way = covariance @ pool.differences[best]
        shrink = weights[best] / (1 + weights[best] * own[best])
        covariance = covariance - shrink * np.outer(way, way)
        own = own - shrink * (pool.differences @ way) ** 2
    return chosen


def still_free(task: Task, learner: Learner) -> tuple[PairPool, list[int]]:
    """The pairs that were not asked, with what the head says of them; and their indices."""
    gone = set(learner.asked)
    left = [pair for pair in range(len(task.true)) if pair not in gone]
    differences = task.pool.differences[left]
    questions, tasks = ([names[pair] for pair in left] for names in (task.pool.questions, task.pool.tasks))
    return PairPool(differences, differences @ learner.head, questions, tasks), left


def posterior(task: Task, learner: Learner) -> Array:
    """What the head does not know after all that was asked."""
    differences = task.pool.differences[learner.asked]
    return covariance_after(differences, differences @ learner.head)


WAYS: Mapping[str, Way] = {
    "random": at_random,
    "planned": planned,
    "information": by_information,
    "bald": by_bald,
    "entropy": by_entropy,
}


def learn(task: Task, way: Way, seed: int) -> tuple[list[float], float]:
    """Held-out accuracy after each round, and the share of ties among all that was asked."""
    draw = np.random.default_rng([seed, 2])
    width = task.pool.differences.shape[1]
    around = draw.normal(size=(HEADS, width))
    learner = Learner([], [], np.zeros(width), around, draw)
    curve = []
    while len(learner.asked) < LABELS:
        chosen = (way if learner.asked else at_random)(task, learner, BATCH)
        if not len(chosen):
            raise ValueError(f"{len(task.true)} pairs are too few to ask {LABELS}")
        learner.asked += chosen
        learner.said += annotate(task, chosen, draw)
        said = np.array(learner.said, dtype=np.float64)
        decided = (task.pool.differences[learner.asked] * said[:, None])[said != 0]
        learner.head = fit(decided, np.ones((1, len(decided))), np.zeros((1, width)))[0]
        if way is by_bald:
            # Bayesian bootstrap, each head around a draw from the prior (Osband et al. 2018).
            learner.heads = fit(decided, draw.exponential(size=(HEADS, len(decided))), around)
        curve.append(float((task.tested @ learner.head > 0).mean()))
    return curve, float(np.mean(np.array(learner.said) == 0))
