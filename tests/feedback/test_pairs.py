"""From rankings to preferences, counted by hand."""

import pytest

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Skip, Thumbs
from tasks.feedback.pairs import Pair, Tie, every_pair, every_tie, majority_pairs, pairs_of, ties_of


def ranked(*ranks: int | None, texts: str = "abcdefghi", row: str = "q") -> FeedbackEvent:
    return judged(Ranking(ranks=ranks), texts[: len(ranks)], row)


def judged(judgement: Judgement, texts: str, row: str = "q") -> FeedbackEvent:
    answers = tuple(Shown(text=text, model="m", stopped=True) for text in texts)
    return FeedbackEvent(
        id="1",
        row=row,
        prompt="?",
        answers=answers,
        judgement=judgement,
        annotator="anna",
        created_at=None,
        source="import",
        simulated=False,
    )


@pytest.mark.parametrize("count", range(2, 10))
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


@pytest.mark.parametrize("count", range(4, 10))
@pytest.mark.parametrize("tied", range(0, 4))
@pytest.mark.parametrize("fails", range(0, 4))
def test_k_answers_with_ties_and_fails_give_exactly_so_many_pairs_and_ties(
    count: int, tied: int, fails: int
) -> None:
    # The first `tied` answers share rank 1, the last `fails` are F, the rest stand one below the other.
    fails = min(fails, count - tied)
    ranks = [1] * tied + list(range(2, 2 + count - tied - fails)) + [None] * fails
    every = count * (count - 1) // 2
    among_tied, among_fails = tied * (tied - 1) // 2, fails * (fails - 1) // 2
    event = ranked(*ranks)
    assert len(pairs_of(event)) == every - among_tied - among_fails
    assert len(ties_of(event)) == among_tied
    assert all(pair.chosen < pair.rejected for pair in pairs_of(event))


@pytest.mark.parametrize(
    ("judgement", "texts", "ties"),
    [
        (Ranking(ranks=(1, 1, 2, 2)), "badc", [("a", "b"), ("c", "d")]),
        (Ranking(ranks=(1, 1, 1)), "abc", [("a", "b"), ("a", "c"), ("b", "c")]),
        # Nobody compared two answers that are none.
        (Ranking(ranks=(None, None, 1)), "abc", []),
        (Ranking(ranks=(1, 1)), "aa", []),
        (Choice(chosen=None), "ab", [("a", "b")]),
        (Choice(chosen=1), "ab", []),
        (Ratings(ratings=(4, 2, 4)), "abc", [("a", "c")]),
        # A thumb is given to an answer by itself: two that are up need not be equally good.
        (Thumbs(up=(True, True, False)), "abc", []),
        (Correction(corrected=0, text="z"), "ab", []),
        (Skip(), "ab", []),
    ],
)
def test_what_is_a_tie_and_what_is_not(judgement: Judgement, texts: str, ties: list[tuple[str, str]]) -> None:
    assert [(tie.first, tie.second) for tie in ties_of(judged(judgement, texts))] == ties


def test_marks_say_by_how_much_an_answer_is_better() -> None:
    pairs = pairs_of(judged(Ratings(ratings=(2, 4.5, 1)), "abc"))
    assert sorted((pair.chosen, pair.rejected, pair.marks) for pair in pairs) == [
        ("a", "c", 1.0),
        ("b", "a", 2.5),
        ("b", "c", 3.5),
    ]
    assert [pair.marks for pair in pairs_of(ranked(1, 5))] == [0.0]


def test_every_vote_is_kept_and_contradictions_too() -> None:
    events = [ranked(1, 2), ranked(1, 2), ranked(2, 1), ranked(1, 1), ranked(1, 1, texts="ba")]
    assert every_pair(events) == [Pair("q", "a", "b", votes=2), Pair("q", "b", "a", votes=1)]
    assert every_tie(events) == [Tie("q", "a", "b", votes=2)]
    rated = [judged(Ratings(ratings=marks), "ab") for marks in ((4, 3), (5, 3), (4, 3))]
    assert every_pair(rated) == [Pair("q", "a", "b", 2, marks=1.0), Pair("q", "a", "b", 1, marks=2.0)]
    assert majority_pairs(rated) == [Pair("q", "a", "b", votes=3)]
