"""What rankings say beyond pairs: picks and marks of F, by hand."""

import pytest

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Skip, Thumbs
from tasks.feedback.rankings import FailMark, Pick, every_fail_mark, every_pick, picks_of


def judged(judgement: Judgement, texts: str) -> FeedbackEvent:
    return FeedbackEvent(
        id="1",
        row="q",
        prompt="?",
        answers=tuple(Shown(text=text, model="m", stopped=True) for text in texts),
        judgement=judgement,
        annotator="anna",
        created_at=None,
        source="import",
        simulated=False,
    )


def shown(picks: list[Pick]) -> list[str]:
    return [f"{''.join(pick.chosen)}>{''.join(pick.others)}" for pick in picks]


@pytest.mark.parametrize(
    ("judgement", "texts", "picks"),
    [
        (Ranking(ranks=(2, 1, 3)), "abc", ["b>ac", "a>c"]),
        (Ranking(ranks=(1, 1, 2)), "bac", ["ab>c"]),
        (Ranking(ranks=(2, 1, 2)), "abc", ["b>ac", "ac>"]),
        (Ranking(ranks=(1, 1)), "ab", ["ab>"]),
        # Ranks may leave numbers out.
        (Ranking(ranks=(7, 3, 9)), "abc", ["b>ac", "a>c"]),
        # F is below all, in no order, and never picked.
        (Ranking(ranks=(None, 1, None, 2)), "abcd", ["b>acd", "d>ac"]),
        (Ranking(ranks=(None, 4)), "ab", ["b>a"]),
        (Ranking(ranks=(None, None)), "ab", []),
        # A text on two ranks contradicts itself; on one rank it is one answer.
        (Ranking(ranks=(1, 2, 3, 4)), "abac", ["b>c"]),
        (Ranking(ranks=(1, 2, 1)), "aba", ["a>b"]),
        (Choice(chosen=1), "ab", ["b>a"]),
        (Choice(chosen=None), "ab", ["ab>"]),
        (Ratings(ratings=(3, 5, 3)), "abc", ["b>ac", "ac>"]),
        # Thumbs that are up are not said to be equal.
        (Thumbs(up=(True, False, True)), "abc", ["a>b", "c>b"]),
        (Thumbs(up=(True, True)), "ab", []),
        (Correction(corrected=1, text="z"), "ab", ["z>b"]),
        (Skip(), "ab", []),
    ],
)
def test_a_judgement_is_a_sequence_of_picks(judgement: Judgement, texts: str, picks: list[str]) -> None:
    assert shown(picks_of(judged(judgement, texts))) == picks


@pytest.mark.parametrize("count", range(4, 10))
def test_a_ranking_of_k_has_a_pick_for_every_place_but_the_last(count: int) -> None:
    picks = picks_of(judged(Ranking(ranks=tuple(range(1, count + 1))), "abcdefghi"[:count]))
    assert [len(pick.chosen) + len(pick.others) for pick in picks] == list(range(count, 1, -1))


def test_equal_picks_of_several_annotators_are_counted() -> None:
    events = [judged(Ranking(ranks=ranks), "abc") for ranks in ((1, 2, 3), (1, 3, 2), (1, 2, 3))]
    votes = {f"{''.join(pick.chosen)}>{''.join(pick.others)}": pick.votes for pick in every_pick(events)}
    assert votes == {"a>bc": 3, "b>c": 2, "c>b": 1}


def test_marks_of_f_are_those_of_rankings_and_only_where_f_is_used() -> None:
    ranking = judged(Ranking(ranks=(1, None)), "ab")
    others = [judged(Choice(chosen=0), "ab"), judged(Thumbs(up=(True, False)), "ab")]
    assert every_fail_mark([ranking, *others, ranking]) == [
        FailMark("q", "a", False, votes=2),
        FailMark("q", "b", True, votes=2),
    ]
    # Without a single F there is no floor: all scores would only be pushed up.
    assert every_fail_mark([judged(Ranking(ranks=(1, 2)), "ab"), *others]) == []
