"""A reward model's card: what it refuses, what it lets pass, and its figures worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from configs.schema_gate import GateConfig
from tasks.ml.card_files import card_text, load_card, save_card
from tasks.ml.card_verdict import Verdict, judge_card
from tasks.ml.metrics import QuestionBootstrap
from tasks.ml.null_rules import Votes
from tasks.ml.reward_card import (
    RewardCard,
    agreement,
    balancing_weights,
    length_classes,
    length_correlation,
    make_card,
)

GATE = GateConfig(least_pairs=50, least_questions=20, confidence=0.95, resamples=400)
PAIRS = 200


def build_votes(chosen: list[int], rejected: list[int], **changes: list[object]) -> Votes:
    count = len(chosen)
    fields = {
        "question": [f"q{index // 4}" for index in range(count)],
        "task": ["lookup"] * count,
        "annotator": ["anna"] * count,
        "shown_first": [1.0] * count,
        "simulated": [False] * count,
    }
    arrays = {name: np.array(values) for name, values in (fields | changes).items()}
    return Votes(np.array(chosen, dtype=np.int64), np.array(rejected, dtype=np.int64), **arrays)


class World:
    """Answers of known worth, in pairs, four pairs a question; a share of the votes is wrong."""

    def __init__(self, seed: int, pairs: int = PAIRS, errors: float = 0.1, longer_wins: float = 0.5) -> None:
        draw = np.random.default_rng(seed)
        total = 3 * pairs  # a third of the questions is held out
        self.draw, self.first = draw, np.arange(total) * 2
        words = draw.integers(5, 40, 2 * total)
        self.sizes = np.stack([words, 6 * words + draw.integers(0, 6, 2 * total)], axis=1).astype(np.float64)
        wins_first = draw.random(total) < 0.5
        of_length = draw.random(total) < 2 * abs(longer_wins - 0.5)
        first_longer = words[self.first] > words[self.first + 1]
        wins_first = np.where(of_length, first_longer == (longer_wins > 0.5), wins_first)
        self.worth = np.zeros(2 * total)
        self.worth[self.first + ~wins_first] = 1.0
        self.worth[self.first + wins_first] = 0.0
        flipped = wins_first ^ (draw.random(total) < errors)
        chosen = np.where(flipped, self.first, self.first + 1)
        shown_first = draw.choice([-1.0, 1.0], total).tolist()
        votes = build_votes(
            chosen.tolist(), (4 * (self.first // 2) + 1 - chosen).tolist(), shown_first=shown_first
        )
        held_out = np.arange(total) < pairs
        self.train, self.test = votes.where(~held_out), votes.where(held_out)

    def scores(self, accuracy: float) -> np.ndarray:
        """A model that sees the worth of this share of the pairs right, and that of the others reversed."""
        scores = self.worth + self.draw.normal(0, 0.1, len(self.worth))
        wrong = self.draw.random(len(self.first)) > accuracy
        for place in self.first[wrong]:
            scores[[place, place + 1]] = scores[[place + 1, place]]
        return scores

    def judge(self, scores: np.ndarray) -> tuple[RewardCard, Verdict]:
        card = make_card(scores, self.train, self.test, self.sizes, GATE, 0)
        return card, judge_card(card, GATE)


def said(verdict: Verdict) -> str:
    return "\n".join(map(str, verdict.reasons))


def test_an_honest_model_passes() -> None:
    world = World(0)
    card, verdict = world.judge(world.scores(0.85))
    assert verdict == Verdict("go", (), "")
    assert (card.votes, card.pairs, card.questions, card.all_questions) == (PAIRS, PAIRS, 50, 150)
    assert card.evidence is not None
    # 0.85 of the pairs with 0.9 of the votes, and the other way round for the rest: 0.78.
    assert card.evidence.accuracy.value == pytest.approx(0.78, abs=0.08)
    assert all(rule.lead.low > 0 for rule in card.evidence.opponents)


def test_a_model_of_shuffled_labels_is_refused_for_every_reason_at_once() -> None:
    world = World(1)
    card, verdict = world.judge(world.draw.normal(size=len(world.worth)))
    assert verdict.decision == "stop"
    assert len(verdict.reasons) >= 4
    text = said(verdict)
    for part in ("a coin is right as often", "always longer|always shorter", "guessed from length", "shown"):
        assert any(option in text for option in part.split("|")), part
    assert f"of {PAIRS} held-out preferences" in text


@pytest.mark.parametrize("longer_wins", [0.9, 0.1])
def test_a_model_that_only_sees_length_is_refused(longer_wins: float) -> None:
    # Length alone is right nine times of ten here, so that its accuracy is high, and still it is refused.
    world = World(2, longer_wins=longer_wins)
    scores = world.sizes[:, 0] * (1 if longer_wins > 0.5 else -1)
    card, verdict = world.judge(scores)
    assert card.evidence is not None
    assert card.evidence.accuracy.low > 0.7
    assert verdict.decision == "stop"
    length = card.evidence.opponents[0]
    assert length.name == ("always longer" if longer_wins > 0.5 else "always shorter")
    assert (length.lead.value, length.lead.low, length.lead.high, length.same) == (0.0, 0.0, 0.0, 1.0)
    assert "it orders 100 % of the pairs as the rule does" in said(verdict)
    assert card.evidence.length_correlation == pytest.approx(math.copysign(1, longer_wins - 0.5))
    assert card.evidence.length_balanced is not None
    assert card.evidence.length_balanced.value == pytest.approx(0.5, abs=0.03)


def test_a_model_that_sees_length_through_noise_or_around_an_optimum_is_refused() -> None:
    world = World(3, longer_wins=0.9)
    noisy = world.sizes[:, 1] + world.draw.normal(0, 30, len(world.worth))
    assert world.judge(noisy)[1].decision == "stop"
    # People like twenty words, and so does the model: neither direction is right, but the length model is.
    near = -np.abs(world.sizes[:, 0] - 20)
    for votes in (world.train, world.test):
        is_wrong = votes.margins(near) < 0
        votes.chosen[is_wrong], votes.rejected[is_wrong] = votes.rejected[is_wrong], votes.chosen[is_wrong]
    card, verdict = world.judge(near)
    assert card.evidence is not None
    assert card.evidence.opponents[0].lead.low > 0
    assert verdict.decision == "stop"
    assert "guessed from length" in said(verdict)


def test_a_model_that_sees_more_than_length_passes_where_length_matters() -> None:
    world = World(4, longer_wins=0.8)
    card, verdict = world.judge(world.scores(0.95))
    assert card.evidence is not None
    assert card.evidence.opponents[0].accuracy.low > 0.6
    assert verdict.decision == "go"


def test_few_of_many_cards_of_shuffled_labels_pass() -> None:
    passed = 0
    for seed in range(200):
        world = World(seed, pairs=80)
        scores = world.draw.normal(size=len(world.worth))
        passed += world.judge(scores)[1].decision == "go"
    assert passed <= 10


def test_an_oracle_of_75_percent_passes_with_200_pairs() -> None:
    passed = 0
    for seed in range(40):
        world = World(1000 + seed, errors=0.0)
        passed += world.judge(world.scores(0.75))[1].decision == "go"
    assert passed >= 38


def test_too_few_is_a_refusal_of_its_own() -> None:
    world = World(5, pairs=12)
    card, verdict = world.judge(world.scores(1.0))
    assert verdict.decision == "too few"
    [reason] = verdict.reasons
    assert reason.got == "12 held-out pairs of answers to 3 questions"
    assert reason.expected == "at least 50 pairs of 20 questions"
    # 9 questions in all gave 3 held-out ones, so that 20 take 60.
    assert "on about 60 questions (9 now)" in verdict.advice
    nothing = make_card(
        world.worth, world.train, world.test.where(world.test.chosen < 0), world.sizes, GATE, 0
    )
    assert nothing.evidence is None
    assert judge_card(nothing, GATE).decision == "too few"
    assert "too few held-out preferences" in card_text(nothing, judge_card(nothing, GATE))


def test_the_interval_draws_questions_not_pairs() -> None:
    # Ten questions of twenty pairs each, all right or all wrong: 200 pairs, but ten pieces of evidence.
    questions = np.repeat(np.arange(10), 20)
    right = np.repeat([1.0, 0.0], 100)
    found = QuestionBootstrap(questions, 4000, 0.95, 0).share(right, np.ones(200))
    assert (found.value, found.n) == (0.5, 10)
    # Binomial of ten: deviation 0.158, so about 0.2 to 0.8; of 200 it would be 0.43 to 0.57.
    assert found.low == pytest.approx(0.2, abs=0.051)
    assert found.high == pytest.approx(0.8, abs=0.051)
    narrow = QuestionBootstrap(questions, 4000, 0.5, 0).share(right, np.ones(200))
    assert found.low < narrow.low < 0.5 < narrow.high < found.high


def test_a_lead_is_paired() -> None:
    # The model is right where the rule is, and on one pair in ten more: every resample has a lead.
    questions = np.arange(100)
    rule = np.tile([1.0, 0.0], 50)
    model = np.where(questions % 10 == 1, 1.0, rule)
    every = np.ones(100)
    bootstrap = QuestionBootstrap(questions, 2000, 0.95, 0)
    lead = bootstrap.share(model - rule, every)
    assert lead.value == pytest.approx(0.1)
    assert lead.low == pytest.approx(0.04, abs=0.015)
    # Their own intervals overlap widely all the same.
    assert bootstrap.share(model, every).low < bootstrap.share(rule, every).high


def test_a_part_is_weighed_by_its_units() -> None:
    bootstrap = QuestionBootstrap(np.array([0, 0, 1, 2]), 300, 0.95, 0)
    found = bootstrap.share(np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 2.0, 0.0]))
    assert (found.value, found.n) == (0.75, 2)


def test_votes_for_longer_and_shorter_answers_weigh_the_same() -> None:
    weights = balancing_weights(np.array([3.0, 1.0, 2.0, -1.0, 0.0]))
    assert weights is not None
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0, 1.0])
    assert balancing_weights(np.array([1.0, 0.0])) is None


def test_agreement_and_the_ceiling_that_it_leaves() -> None:
    # One pair with votes 3 : 1, one with 2 : 0, one with a single vote.
    votes = build_votes([0, 0, 1, 0, 2, 2, 4], [1, 1, 0, 1, 3, 3, 5])
    found = agreement(votes)
    assert found is not None
    # Of the couples of the first pair 3 of 6 agree, of the second all.
    assert (found.pairs, found.agree) == (2, pytest.approx(0.75))
    assert found.ceiling == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert agreement(build_votes([0, 2], [1, 3])) is None
    # If people contradict each other more often than a coin, nobody can be right beyond one half.
    assert agreement(build_votes([0, 1], [1, 0])).ceiling == 0.5


def test_score_and_length_correlate_within_questions_only() -> None:
    # Within each question longer is worse; between questions it is the reverse.
    votes = build_votes([0, 2], [1, 3], question=["a", "b"])
    words, scores = np.array([1.0, 3.0, 11.0, 13.0]), np.array([1.0, 0.0, 9.0, 8.0])
    assert length_correlation(scores, words, votes) == pytest.approx(-1)
    # Centred words -1, 1, -1, 1; centred scores 0.5, -0.5, -1.5, 1.5: 2 / sqrt(4 * 5).
    mixed = np.array([1.0, 0.0, 1.0, 4.0])
    assert length_correlation(mixed, words, votes) == pytest.approx(2 / math.sqrt(20))
    assert length_correlation(np.zeros(4), words, votes) == 0.0


def test_slices_have_counts_and_intervals_where_there_are_questions() -> None:
    count = 24
    chosen, rejected = list(range(0, 2 * count, 2)), list(range(1, 2 * count, 2))
    tasks = ["lookup" if index < 20 else "open" for index in range(count)]
    annotators = ["anna" if index % 2 else "bert" for index in range(count)]
    votes = build_votes(chosen, rejected, task=tasks, annotator=annotators)
    scores = np.zeros(2 * count)
    scores[[chosen[index] for index in range(count) if index % 2 or index >= 20]] = 1.0
    scores[[rejected[index] for index in range(count) if not index % 2 and index < 20]] = 1.0
    sizes = np.full((2 * count, 2), 10.0)
    card = make_card(scores, votes, votes, sizes, GATE, 0)
    assert card.evidence is not None
    found = {(part.by, part.name): part for part in card.evidence.slices}
    assert set(found) == {
        ("task", "lookup"),
        ("task", "open"),
        ("annotator", "anna"),
        ("annotator", "bert"),
        ("length", "nearly equal"),
    }
    lookup, opened, anna = found["task", "lookup"], found["task", "open"], found["annotator", "anna"]
    assert (lookup.votes, lookup.questions, lookup.right) == (20, 5, 0.5)
    assert (opened.votes, opened.questions, opened.right, opened.low) == (4, 1, 1.0, None)
    assert (anna.votes, anna.questions, anna.right) == (12, 6, 1.0)
    assert lookup.low is not None
    assert card.evidence.length_balanced is None


def test_a_tenth_of_the_longer_length_is_nearly_equal() -> None:
    votes = build_votes([0, 0, 2, 3], [1, 2, 0, 0])
    words = np.array([10.0, 9.0, 8.0, 20.0])
    assert length_classes(votes, words).tolist() == [
        "nearly equal",
        "chosen longer",
        "chosen shorter",
        "chosen longer",
    ]


def test_a_promising_model_is_told_how_many_pairs_would_do() -> None:
    world = World(12, pairs=80)
    card, verdict = world.judge(world.scores(0.62))
    assert verdict.decision == "stop"
    assert "held-out pairs to show (80 now)" in said(verdict)
    assert "Collect feedback on about" in verdict.advice or "feedback to learn from" in verdict.advice


def test_a_card_on_disk_says_what_it_said(tmp_path) -> None:
    world = World(7)
    world.test = replace(world.test, annotator=np.array(["a|<b>"] * PAIRS))
    world.test.simulated[:3] = True
    card, verdict = world.judge(np.zeros(len(world.worth)))
    save_card(tmp_path, card, verdict)
    loaded, table = load_card(tmp_path)
    assert loaded == verdict
    assert [row[0] for row in table][0] == "reward model"
    page = (tmp_path / "card.md").read_text()
    assert page.startswith("# The reward model's card says stop")
    assert f"3 of the {PAIRS} held-out preferences were made by programs" in page
    assert "a\\|&lt;b&gt;" in page
    assert "<b>" not in page
    for line in (line for line in page.splitlines() if line.startswith("|")):
        assert line.replace("\\|", "").count("|") in (4, 5), line
    world.test.simulated[:] = False
    assert "Simulated" not in card_text(world.judge(world.scores(1.0))[0], verdict)
