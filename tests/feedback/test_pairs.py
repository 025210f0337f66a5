"""From rankings to preferences, counted by hand."""

import pytest

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.pairs import Pair, majority_pairs, pairs_of


def ranked(*ranks: int | None, texts: str = "abcdefgh", row: str = "q") -> FeedbackEvent:
    answers = tuple(Shown(text=texts[place], model="m", stopped=True) for place in range(len(ranks)))
    return FeedbackEvent(
        id="1",
        row=row,
        prompt="?",
        answers=answers,
        ranks=ranks,
        annotator="anna",
        created_at=None,
        source="import",
        simulated=False,
    )


@pytest.mark.parametrize("count", range(2, 8))
def test_k_answers_without_ties_give_k_times_k_minus_1_over_2(count: int) -> None:
    pairs = pairs_of(ranked(*range(1, count + 1)))
    assert len(pairs) == count * (count - 1) // 2
    # Answers are ranked in the order of the alphabet, so the first letter always wins.
    assert all(pair.chosen < pair.rejected for pair in pairs)
    assert len({(pair.chosen, pair.rejected) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("ranks", "pairs"),
    [
        ((2, 1), ["b>a"]),
        ((1, 1), []),
        ((1, 1, 2), ["a>c", "b>c"]),
        ((5, 9, 5), ["a>b", "c>b"]),
        ((None, 9), ["b>a"]),
        ((None, None), []),
        ((None, 1, None, 2), ["b>a", "d>a", "b>c", "b>d", "d>c"]),
    ],
)
def test_ties_give_no_pair_and_a_fail_is_below_all(ranks: tuple[int | None, ...], pairs: list[str]) -> None:
    assert sorted(f"{pair.chosen}>{pair.rejected}" for pair in pairs_of(ranked(*ranks))) == sorted(pairs)


def test_the_same_text_twice_is_no_preference() -> None:
    assert pairs_of(ranked(1, 2, texts="aa")) == []
    assert len(pairs_of(ranked(1, 2, 3, texts="aab"))) == 2


def test_the_majority_decides_by_its_margin_and_even_votes_cancel() -> None:
    events = [ranked(1, 2), ranked(1, 2), ranked(2, 1), ranked(1, 1)]
    assert majority_pairs(events) == [Pair("q", "a", "b", votes=1)]
    assert majority_pairs([*events, ranked(1, 2)]) == [Pair("q", "a", "b", votes=2)]
    assert majority_pairs([*events, ranked(2, 1)]) == []
    assert majority_pairs([ranked(2, 1), ranked(2, 1)]) == [Pair("q", "b", "a", votes=2)]


def test_questions_do_not_vote_on_each_other() -> None:
    pairs = majority_pairs([ranked(1, 2), ranked(2, 1, row="other")])
    assert pairs == [Pair("q", "a", "b"), Pair("other", "b", "a")]


def test_the_order_of_display_does_not_matter() -> None:
    assert majority_pairs([ranked(1, 2), ranked(2, 1, texts="ba")]) == [Pair("q", "a", "b", votes=2)]
