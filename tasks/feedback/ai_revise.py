"""Critique and revision: a model finds what an answer lacks by each principle, and writes it again.

Source: Bai et al. 2022, "Constitutional AI", section 3.1. There the revisions are answers to learn from; here
each is a correction, so the revised answer is preferred to the one that it mends.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from configs.principles import Principle
from tasks.feedback.ai_judge import Ask, Messages
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Correction
from tasks.ml.seeding import stable_hash


@dataclass(frozen=True)
class Draft:
    """An answer that is to be mended.

    Attributes:
        row: Id of the question.
        task: Its family.
        prompt: The context and the question as shown.
        answer: As its model wrote it.
    """

    row: str
    task: str
    prompt: str
    answer: Shown


@dataclass(frozen=True)
class Step:
    """What one principle did to an answer; a revision without a word left the answer as it was."""

    principle: str
    critique: str
    revision: str


@dataclass(frozen=True)
class Revised:
    """An answer after all principles, and how it came about."""

    text: str
    trail: tuple[Step, ...] = ()


def critique_and_revise(ask: Ask, drafts: Sequence[Draft], principles: Sequence[Principle]) -> list[Revised]:
    """Mend each answer by each principle in turn; all answers go through a principle side by side.

    Args:
        ask: Gives the model's reply to each conversation.
        drafts: The answers.
        principles: In the order in which they are applied.
    """
    revised = [Revised(draft.answer.text) for draft in drafts]
    for principle in principles:
        chats = [
            _conversation(draft, now.text, principle) for draft, now in zip(drafts, revised, strict=True)
        ]
        critiques = [reply.strip() for reply in ask(chats)]
        mended = ask(
            [
                [
                    *chat,
                    {"role": "assistant", "content": critique},
                    {"role": "user", "content": f"{principle.revision} Reply with the answer alone."},
                ]
                for chat, critique in zip(chats, critiques, strict=True)
            ]
        )
        revised = [
            _after(now, Step(principle.name, critique, revision.strip()))
            for now, critique, revision in zip(revised, critiques, mended, strict=True)
        ]
    return revised


def _conversation(draft: Draft, text: str, principle: Principle) -> Messages:
    return [
        {"role": "system", "content": "You improve answers to questions."},
        {"role": "user", "content": f"{draft.prompt}\n\nAnswer: {text}\n\n{principle.critique}"},
    ]


def _after(now: Revised, step: Step) -> Revised:
    return replace(now, text=step.revision or now.text, trail=(*now.trail, step))


def correction_id(name: str, draft: Draft, principles: Sequence[Principle]) -> str:
    """Decided by who mends what by which principles."""
    asked = [text for principle in principles for text in (principle.critique, principle.revision)]
    return f"ai-{stable_hash(name, 'revised', draft.row, draft.prompt, draft.answer.text, *asked):016x}"


def correction_event(
    name: str, draft: Draft, revised: Revised, principles: Sequence[Principle]
) -> FeedbackEvent | None:
    """A revision as an event whose comment keeps the trail; None if it changed nothing but spaces."""
    if revised.text.split() == draft.answer.text.split():
        return None
    return FeedbackEvent(
        id=correction_id(name, draft, principles),
        row=draft.row,
        task=draft.task,
        prompt=draft.prompt,
        answers=(draft.answer,),
        judgement=Correction(corrected=0, text=revised.text),
        annotator=name,
        comment=json.dumps([asdict(step) for step in revised.trail], ensure_ascii=False),
        created_at=None,
        source="ai",
        simulated=True,
    )


def revise(
    name: str, ask: Ask, drafts: Sequence[Draft], principles: Sequence[Principle]
) -> list[FeedbackEvent]:
    """A correction for each answer that the model wrote otherwise in the end."""
    revised = critique_and_revise(ask, drafts, principles)
    events = [
        correction_event(name, draft, found, principles) for draft, found in zip(drafts, revised, strict=True)
    ]
    return [event for event in events if event is not None]
