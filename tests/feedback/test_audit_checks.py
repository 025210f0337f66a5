"""Who is flagged: annotators with known habits are found, and honest ones are left alone."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.feedback.checks import FASTEST_WORDS_A_MINUTE, Suspicion, check_annotators, reading_time
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Choice, Ranking
from tasks.feedback.verdicts import verdicts_of

Answers = Sequence[Shown]


@dataclass(frozen=True)
class World:
    """Questions with answers of known worth, a drawn order for everybody, and three annotators a question."""

    seed: int
    questions: int = 60
    answers: int = 4
    each: int = 3
    source: str = "web"

    def judged(self, **habits: Callable[..., Sequence[float]]) -> list[FeedbackEvent]:
        """Eight annotators; those named judge by a habit: worths of the answers as shown, and a draw."""
        draw = random.Random(self.seed)
        names = [f"honest-{number}" for number in range(8 - len(habits))] + sorted(habits)
        events = []
        for number in range(self.questions):
            answers = [self._answer(number, place, draw) for place in range(self.answers)]
            worths = {answer.text: draw.gauss(0, 1) for answer in answers}
            for name in draw.sample(names, self.each):
                shown = draw.sample(answers, len(answers))
                given = habits.get(name, honest)(shown, [worths[answer.text] for answer in shown], draw)
                events.append(self._event(number, name, shown, given))
        return events

    def _answer(self, question: int, place: int, draw: random.Random) -> Shown:
        return Shown.model_construct(
            text=f"{question}-{place}" + " word" * draw.randint(3, 30), model="m", stopped=True
        )

    def _event(self, number: int, name: str, shown: Answers, given: Sequence[float]) -> FeedbackEvent:
        order = sorted(set(given), reverse=True)
        ranks = tuple(order.index(worth) + 1 for worth in given)
        judgement: Any = Ranking(ranks=ranks)
        if len(ranks) == 2:
            judgement = Choice(chosen=None if ranks[0] == ranks[1] else ranks.index(1))
        when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=2 * number)
        # Without pydantic's checks, which take most of the time of many simulations.
        return FeedbackEvent.model_construct(
            id=f"{number}-{name}",
            row=f"row-{number}",
            prompt="?",
            answers=tuple(shown),
            judgement=judgement,
            annotator=name,
            created_at=when.isoformat(),
            source=self.source,
            simulated=self.source in ("simulated", "ai"),
            task="lookup",
            comment="",
            comparison=None,
            replaces=None,
        )


def honest(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """The worth, seen through noise; what seems nearly the same ties now and then."""
    return [round(2 * (worth + draw.gauss(0, 0.5))) / 2 for worth in worths]


def first(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """What is shown first seems better by a whole deviation and a half."""
    return [worth + draw.gauss(0, 0.5) + (1.5 if place == 0 else 0) for place, worth in enumerate(worths)]


def long(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """Ten more words are worth a deviation."""
    return [
        worth + draw.gauss(0, 0.5) + len(answer.text.split()) / 10
        for answer, worth in zip(shown, worths, strict=True)
    ]


def at_random(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """Nothing seems better than anything."""
    return [draw.random() for _ in shown]


def as_displayed(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """Always 1, 2, 3, 4."""
    return [-float(place) for place in range(len(shown))]


def crosswise(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """Always 2, 4, 1, 3, which favours neither the first nor the last."""
    return [-2.0, -4.0, -1.0, -3.0]


def all_tied(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """Everything is as good as everything."""
    return [0.0 for _ in shown]


def crowd_pleaser(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
    """The opposite of what everybody thinks."""
    return [-worth for worth in worths]


def flags(events: list[FeedbackEvent]) -> set[tuple[str, str]]:
    return {(found.annotator, found.check) for found in checked(events) if found.is_flagged}


def checked(events: list[FeedbackEvent]) -> list[Suspicion]:
    return check_annotators(events, verdicts_of(events), seed=1)


def test_honest_annotators_are_flagged_in_at_most_one_audit_of_twenty() -> None:
    accused = sum(bool(flags(World(seed, questions=24, answers=3).judged())) for seed in range(200))
    assert accused <= 10


@pytest.mark.parametrize(
    ("habit", "check"),
    [
        (first, "position"),
        (long, "length"),
        (at_random, "disagreement"),
        (crowd_pleaser, "disagreement"),
        (as_displayed, "position"),
        (as_displayed, "constant"),
        (crosswise, "constant"),
        (all_tied, "indecision"),
    ],
)
def test_whoever_has_a_habit_is_found_and_nobody_else(habit: Callable[..., Any], check: str) -> None:
    found = [flags(World(seed, questions=160).judged(odd=habit)) for seed in range(6)]
    assert sum(("odd", check) in flagged for flagged in found) >= 5
    assert sum(any(name != "odd" for name, _ in flagged) for flagged in found) <= 1


@pytest.mark.parametrize(("habit", "check"), [(first, "position"), (as_displayed, "constant")])
def test_pairwise_choices_do_as_well(habit: Callable[..., Any], check: str) -> None:
    found = [flags(World(seed, questions=200, answers=2).judged(odd=habit)) for seed in range(4)]
    assert all(("odd", check) in flagged for flagged in found)


def test_the_words_say_which_way_a_habit_goes() -> None:
    def last(*given: Any) -> list[float]:
        return [-worth for worth in as_displayed(*given)]

    words = {
        found.words
        for habit in (as_displayed, last)
        for found in checked(World(3, questions=100).judged(odd=habit))
        if found.is_flagged and found.annotator == "odd"
    }
    assert {"prefers what is shown first", "prefers what is shown last"} <= words
    assert {"ranks in the order of display", "gives the same ranks to whatever is shown"} <= words


def test_a_fixed_order_of_imported_judgements_accuses_nobody() -> None:
    """Where the better answer always stands first, everybody prefers what is shown first.

    Judged against chance, each annotator of such an import was flagged.
    """

    def sorted_by_worth(events: list[FeedbackEvent]) -> list[FeedbackEvent]:
        fixed = []
        for event in events:
            order = sorted(range(4), key=lambda place: event.answers[place].text)
            ranks = [event.judgement.places[place] for place in order]
            answers = tuple(event.answers[place] for place in order)
            changes = {"answers": answers, "judgement": Ranking(ranks=tuple(ranks))}
            fixed.append(event.model_copy(update=changes))
        return fixed

    def by_name(shown: Answers, worths: Sequence[float], draw: random.Random) -> list[float]:
        return [-float(answer.text.split()[0].split("-")[1]) + draw.gauss(0, 0.5) for answer in shown]

    everybody = {f"like-{number}": by_name for number in range(8)}
    world = World(1, questions=80, source="import")
    events = sorted_by_worth(world.judged(**everybody))
    assert all(verdict.lean > 0 for verdict in verdicts_of(events)[:3])
    assert flags(events) == set()
    drawn = [event.model_copy(update={"source": "web"}) for event in events]
    assert {check for _, check in flags(drawn)} >= {"position"}
    # Among them, one who goes by what is shown last does differ from the others.
    everybody["like-7"] = lambda shown, *_: [float(answer.text.split()[0].split("-")[1]) for answer in shown]
    assert ("like-7", "position") in flags(sorted_by_worth(world.judged(**everybody)))


def timed(seconds: Sequence[float], **changes: Any) -> list[FeedbackEvent]:
    """Judgements of two answers of 119 words each, so many seconds after one another."""
    answers = [Shown(text="word " * 118 + name, model="m", stopped=True) for name in "ab"]
    when, events = datetime(2026, 1, 1, tzinfo=UTC), []
    for number, gap in enumerate((0, *seconds)):
        when += timedelta(seconds=gap)
        fields = {
            "id": f"{number}",
            "row": f"row-{number}",
            "prompt": "?",
            "answers": answers,
            "judgement": Choice(chosen=number % 2),
            "annotator": "anna",
            "created_at": when.isoformat(),
            "source": "web",
            "simulated": False,
        }
        events.append(FeedbackEvent.model_validate(fields | changes))
    return events


def test_reading_takes_time() -> None:
    # 2 x 119 words at three times 238 words a minute.
    assert FASTEST_WORDS_A_MINUTE == 714
    assert reading_time(timed([])[0]) == timedelta(seconds=20)
    assert ("anna", "haste") in flags(timed([19] * 12))
    assert flags(timed([21] * 12)) == set()
    # One in ten may be hasty.
    assert flags(timed([5, *[30] * 9] * 3)) == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "import"},
        {"created_at": "yesterday"},
        {"created_at": None},
        {"judgement": {"kind": "skip"}},
        {"replaces": "earlier"},
    ],
)
def test_haste_is_only_seen_where_there_is_something_to_read_and_a_time(changes: dict[str, Any]) -> None:
    assert [found for found in checked(timed([1] * 20, **changes)) if found.check == "haste"] == []
