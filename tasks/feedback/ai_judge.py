"""Pairwise judging by a model: each pair in both orders, ties allowed, and no verdict where there is none.

Source: Bai et al. 2022, "Constitutional AI", section 4.1, for judging by principles; Zheng et al. 2023,
"Judging LLM-as-a-judge", section 3.4, for asking in both orders.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

from configs.principles import Principle
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Choice, Skip
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row
from tasks.ml.seeding import random_for, stable_hash

Messages = list[dict[str, str]]
# One number for each conversation: how much the answer shown as A is preferred; None: it cannot be told.
Weigh = Callable[[Sequence[Messages]], Sequence[float | None]]
Ask = Callable[[Sequence[Messages]], Sequence[str]]

IN_LETTERS = "Reply with one letter, A or B."
IN_WORDS = "Reply with one letter: A or B, or T if they are equally good."
VERDICTS = {"a": 1.0, "b": -1.0, "t": 0.0, "tie": 0.0}
VERDICT = re.compile(
    r"\W*(?:(?:the |my )?(?:better |best )?(?:answer|verdict|choice)(?: is)?\W*)?(a|b|t|tie)\W*",
    re.IGNORECASE,
)
# Of two verdicts in words the mean is 1 only where both name the same answer.
WORDS_TIE_BAND = 0.5


@dataclass(frozen=True)
class Pairing:
    """Two answers to one question.

    Attributes:
        row: Id of the question.
        task: Its family.
        prompt: The context and the question as shown.
        first: One answer.
        second: The other.
    """

    row: str
    task: str
    prompt: str
    first: Shown
    second: Shown


@dataclass(frozen=True)
class Judge:
    """A model that judges.

    Attributes:
        name: Its pseudonym, `ai-` and what it is.
        weigh: Asks it.
        closing: How it is to reply.
        tie_band: Mean preference up to which two answers tie, in what `weigh` gives.
    """

    name: str
    weigh: Weigh
    closing: str
    tie_band: float


@dataclass(frozen=True)
class Weighed:
    """How much the first answer is preferred in each order of display; None: it cannot be told.

    Attributes:
        in_order: Shown first.
        swapped: Shown second.
    """

    in_order: float | None
    swapped: float | None

    @property
    def mean(self) -> float | None:
        """What is left when whatever favours a place, by the same amount in both orders, has cancelled."""
        if self.in_order is None or self.swapped is None:
            return None
        return (self.in_order + self.swapped) / 2

    @property
    def favoured_place(self) -> int | None:
        """The place, 0 or 1, that was favoured in both orders, whichever answer stood there."""
        if self.in_order is None or self.swapped is None or self.in_order * self.swapped >= 0:
            return None
        return 0 if self.in_order > 0 else 1

    def to_comment(self) -> str:
        """What an event keeps of it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_comment(cls, comment: str) -> "Weighed | None":
        """Read what `to_comment` wrote; None if the comment is another."""
        try:
            return cls(**json.loads(comment))
        except (TypeError, ValueError):
            return None


def judge_in_letters(name: str, weigh: Weigh, tie_band: float) -> Judge:
    """A judge whose log-odds of the letters A and B are known, in nats."""
    return Judge(name, weigh, IN_LETTERS, tie_band)


def judge_in_words(name: str, ask: Ask) -> Judge:
    """A judge that replies with text; where its two verdicts differ, the answers tie."""
    return Judge(name, lambda chats: [read_verdict(reply) for reply in ask(chats)], IN_WORDS, WORDS_TIE_BAND)


def read_verdict(reply: str) -> float | None:
    """1 for A, -1 for B, 0 for a tie; None if neither the first nor the last line is a verdict."""
    lines = [line for line in reply.splitlines() if line.strip()]
    for line in (*lines[:1], *lines[-1:]):
        if found := VERDICT.fullmatch(line):
            return VERDICTS[found[1].lower()]
    return None


def question_of(
    pairing: Pairing, is_swapped: bool, principles: Sequence[Principle], closing: str
) -> Messages:
    """What the judge is asked about a pair in one order."""
    shown = (pairing.second, pairing.first) if is_swapped else (pairing.first, pairing.second)
    criteria = "\n".join(f"{n}. {principle.judging}" for n, principle in enumerate(principles, 1))
    return [
        {"role": "system", "content": "You compare two answers to a question."},
        {
            "role": "user",
            "content": f"{pairing.prompt}\n\nAnswer A: {shown[0].text}\n\nAnswer B: {shown[1].text}\n\n"
            f"Which answer is better? The first of these questions weighs most:\n{criteria}\n{closing}",
        },
    ]


def weigh_pairs(judge: Judge, pairings: Sequence[Pairing], principles: Sequence[Principle]) -> list[Weighed]:
    """Ask about every pair in both orders.

    Equal questions are asked once, so that two equal answers weigh the same to the last bit.
    """
    chats = [
        question_of(pairing, is_swapped, principles, judge.closing)
        for pairing in pairings
        for is_swapped in (False, True)
    ]
    distinct = {json.dumps(chat): chat for chat in chats}
    said = dict(zip(distinct, judge.weigh(list(distinct.values())), strict=True))
    as_shown = [said[json.dumps(chat)] for chat in chats]
    return [
        Weighed(in_order, None if swapped is None else -swapped)
        for in_order, swapped in zip(as_shown[::2], as_shown[1::2], strict=True)
    ]


def verdict_of(weighed: Weighed, tie_band: float) -> Choice | Skip:
    """The better answer, a tie within the band, or `cannot judge` where one order gave nothing."""
    if weighed.mean is None:
        return Skip()
    if abs(weighed.mean) <= tie_band:
        return Choice(chosen=None)
    return Choice(chosen=0 if weighed.mean > 0 else 1)


def pairings_of(row: Row, answers: Sequence[Shown], most: int, seed: int) -> list[Pairing]:
    """At most so many pairs of the answers to one question, drawn at random, each in a random order."""
    draw = random_for("judged pairs", seed, row.id)
    every = list(combinations(answers, 2))
    return [
        Pairing(row.id, row.task, user_text(row), *draw.sample(pair, 2))
        for pair in draw.sample(every, len(every))[:most]
    ]


def judge_pairs(
    judge: Judge, pairings: Sequence[Pairing], principles: Sequence[Principle]
) -> list[FeedbackEvent]:
    """One event for each pair."""
    weighed = weigh_pairs(judge, pairings, principles)
    return [
        event_of(judge, pairing, found, principles) for pairing, found in zip(pairings, weighed, strict=True)
    ]


def event_id(judge: str, pairing: Pairing, principles: Sequence[Principle]) -> str:
    """Decided by who judges what by which principles, not by the order of the answers."""
    texts = sorted((pairing.first.text, pairing.second.text))
    asked = [principle.judging for principle in principles]
    return f"ai-{stable_hash(judge, pairing.row, pairing.prompt, *texts, *asked):016x}"


def event_of(
    judge: Judge, pairing: Pairing, weighed: Weighed, principles: Sequence[Principle]
) -> FeedbackEvent:
    """A verdict as an event, which says that no person made it; its comment keeps both orders."""
    return FeedbackEvent(
        id=event_id(judge.name, pairing, principles),
        row=pairing.row,
        task=pairing.task,
        prompt=pairing.prompt,
        answers=(pairing.first, pairing.second),
        judgement=verdict_of(weighed, judge.tie_band),
        annotator=judge.name,
        comment=weighed.to_comment(),
        created_at=None,
        source="ai",
        simulated=True,
    )
