"""Simulated annotators: honest about what they are, noisy as configured, the same every time."""

from pathlib import Path

import pytest

from configs.load import load_run_config
from configs.schema import FeedbackConfig
from tasks.feedback.events import Shown
from tasks.feedback.simulate import annotate, hire, rank
from tasks.ml.rows import Row, VerdictCheck

ANSWERS = [
    Shown(text="717 kcal is a lot, so yes.", model="m", stopped=True),
    Shown(text="717 kcal is a lot, so no.", model="m", stopped=True),
    Shown(text="no", model="m", stopped=False),
]


@pytest.fixture(scope="module")
def exact() -> FeedbackConfig:
    """Annotators without error or taste."""
    run = load_run_config(Path(__file__).parents[2] / "configs" / "smoke.yaml", [])
    return run.feedback.model_copy(
        update={"noise": 0.0, "bias": 0.0, "tie_gap": 0.05, "fail_below": 0.4, "annotators_per_prompt": 3}
    )


def row(identifier: str = "row-1") -> Row:
    return Row(
        id=identifier,
        task="lookup",
        groups=("Butter",),
        split="train",
        context="Butter: energy 717 kcal",
        question="Is it rich?",
        answer=None,
        plain_words=7,
        medical=False,
        check=VerdictCheck(yes=True),
    )


@pytest.mark.parametrize(
    ("utilities", "ranks"),
    [
        ([0.9, 0.5, 0.7], (1, 3, 2)),
        ([0.9, 0.86, 0.7], (1, 1, 2)),
        # Each is near the next, but the third is not near the best of the first rank.
        ([1.0, 0.96, 0.92], (1, 1, 2)),
        ([0.3, 0.9, 0.39], (None, 1, None)),
        ([0.1, 0.2], (None, None)),
        ([0.4, 0.4], (1, 1)),
    ],
)
def test_ranks_start_at_1_with_ties_and_fails(utilities: list[float], ranks: tuple[int | None, ...]) -> None:
    assert rank(utilities, tie_gap=0.05, fail_below=0.4) == ranks


def test_without_a_gap_only_equals_tie() -> None:
    assert rank([0.5, 0.5, 0.49999], 0.0, 0.0) == (1, 1, 2)


def test_annotators_without_error_rank_by_the_rubric(exact: FeedbackConfig) -> None:
    for event in annotate(row(), ANSWERS, exact, seed=1):
        placed = {answer.text: place for answer, place in event.placed}
        assert placed == {ANSWERS[0].text: 1, ANSWERS[1].text: 2, "no": None}


def test_every_event_says_that_nobody_made_it(exact: FeedbackConfig) -> None:
    events = annotate(row(), ANSWERS, exact, seed=1)
    assert len(events) == len({event.annotator for event in events}) == 3
    assert len({event.id for event in events}) == 3
    for event in events:
        assert event.simulated
        assert event.source == "simulated"
        assert event.annotator.startswith("simulated-")
        assert event.created_at is None
        assert event.row == "row-1"
        assert event.prompt == "Butter: energy 717 kcal\nIs it rich?"
        assert sorted(event.answers, key=lambda answer: answer.text) == sorted(
            ANSWERS, key=lambda answer: answer.text
        )


def test_answers_are_shown_in_changing_order(exact: FeedbackConfig) -> None:
    orders = {
        tuple(answer.text for answer in event.answers)
        for number in range(20)
        for event in annotate(row(f"row-{number}"), ANSWERS, exact, seed=1)
    }
    assert len(orders) == 6


def test_the_same_seed_gives_the_same_events(exact: FeedbackConfig) -> None:
    noisy = exact.model_copy(update={"noise": 0.5, "bias": 0.3})
    assert annotate(row(), ANSWERS, noisy, seed=1) == annotate(row(), ANSWERS, noisy, seed=1)
    assert annotate(row(), ANSWERS, noisy, seed=1) != annotate(row(), ANSWERS, noisy, seed=2)


def test_noise_makes_mistakes_but_not_a_coin_toss(exact: FeedbackConfig) -> None:
    noisy = exact.model_copy(update={"noise": 0.7, "fail_below": 0.0, "tie_gap": 0.0})
    right = []
    for number in range(100):
        for event in annotate(row(f"row-{number}"), ANSWERS[:2], noisy, seed=1):
            ranks = {answer.text: place for answer, place in event.placed}
            right.append((ranks[ANSWERS[0].text] or 9) < (ranks[ANSWERS[1].text] or 9))
    # Utilities are 1 apart, errors have a deviation of 0.7 each: P(N(1, 0.99) > 0) = 0.84.
    assert sum(right) / len(right) == pytest.approx(0.84, abs=0.06)


def test_a_taste_for_length_is_a_persons_own_and_lasts(exact: FeedbackConfig) -> None:
    people = hire(exact.model_copy(update={"bias": 0.3, "annotators": 400}), seed=1)
    tastes = [person.taste for person in people]
    assert sum(tastes) / 400 == pytest.approx(0, abs=0.06)
    assert sum(taste**2 for taste in tastes) / 400 == pytest.approx(0.09, abs=0.02)
    assert hire(exact.model_copy(update={"bias": 0.3, "annotators": 400}), seed=1) == people
    # Two right answers that differ in length alone: with a taste of +-5 per ten words it decides.
    longer = Shown(
        text="717 kcal is a lot, so yes. I do hope that this will help you now.", model="m", stopped=True
    )
    fond = exact.model_copy(update={"bias": 5.0, "annotators": 9, "annotators_per_prompt": 9})
    taste = {person.name: person.taste for person in hire(fond, seed=1)}
    for event in annotate(row(), [ANSWERS[0], longer], fond, seed=1):
        places = {answer.text: place for answer, place in event.placed}
        first, second = (places[text] or 99 for text in (ANSWERS[0].text, longer.text))
        if abs(taste[event.annotator]) > 1:
            assert (second < first) == (taste[event.annotator] > 0) or first == second == 99
