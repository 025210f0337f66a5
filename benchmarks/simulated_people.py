"""Simulated annotators who judge on the real page, in the place of people; it is stored as people's.

For measurements in homes of their own only; there is no way back from here to a user's feedback store.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.feedback_clients import Annotator, Say, work_at_once
from benchmarks.feedback_server import page
from configs.schema import FeedbackConfig
from tasks.feedback.events import Shown
from tasks.feedback.simulate import Annotator as Taste
from tasks.feedback.simulate import hire, perceived, rank
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row

PATIENCE_SECONDS = 60


def judge_what_waits(
    url: str, folder: Path, rows: Sequence[Row], config: FeedbackConfig, seed: int, seconds: float = 600
) -> int:
    """Let all simulated annotators judge what waits for them; gives the number of acknowledged judgements.

    Args:
        url: Of the feedback store.
        folder: For the server's log.
        rows: The questions that may be asked.
        config: How annotators err, and how many there are.
        seed: Of who they are.
        seconds: Most time.
    """
    by_prompt = {user_text(row): row for row in rows}
    people = hire(config, seed)
    tokens = invite(url, people)
    with page(url, folder) as port:
        until = time.monotonic() + seconds
        working = [
            Annotator(
                taste.name,
                tokens[taste.name],
                port,
                until,
                PATIENCE_SECONDS,
                say=say_as(taste, by_prompt, config),
            )
            for taste in people
        ]
        for thread in work_at_once(working):
            thread.join()
    wrong = [answer for one in working for answer in one.wrong]
    if wrong:
        raise RuntimeError(f"the page refused {len(wrong)} judgements: {wrong[0]}")
    return sum(len(one.acknowledged) for one in working)


def invite(url: str, people: Sequence[Taste]) -> dict[str, str]:
    """A token for each, new ones in the place of old ones."""
    database = Database(url)
    try:
        return {taste.name: Annotators(database).invite(taste.name) for taste in people}
    finally:
        database.close()


def say_as(taste: Taste, by_prompt: dict[str, Row], config: FeedbackConfig) -> Say:
    """What one of them says: the rubric's utility, seen through noise and a taste for length."""

    def say(task: dict[str, Any], draw: random.Random) -> dict[str, Any]:
        row = by_prompt[task["prompt"]]
        shown = [Shown(text=text, model="hidden", stopped=True) for text in task["answers"]]
        seen = [perceived(row, answer, taste, config, draw) for answer in shown]
        return {"kind": "ranking", "ranks": list(rank(seen, config.tie_gap, config.fail_below))}

    return say
