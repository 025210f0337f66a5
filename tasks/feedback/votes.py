"""From feedback to votes: each annotator's every preference, with what was displayed before what."""

from collections.abc import Sequence

import numpy as np

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.pairs import Pair, pairs_of
from tasks.ml.null_rules import Votes


def votes_of(events: Sequence[FeedbackEvent], answers: Sequence[tuple[str, str]]) -> Votes:
    """All strict preferences of all annotators; unlike in `majority_pairs`, contradictions stay.

    Args:
        events: The judgements.
        answers: Every answer as (question, text); votes name them by their place here.
    """
    place = {answer: index for index, answer in enumerate(answers)}
    found = [(event, pair) for event in events for pair in pairs_of(event)]
    return Votes(
        chosen=np.array([place[pair.row, pair.chosen] for _, pair in found], dtype=np.int64),
        rejected=np.array([place[pair.row, pair.rejected] for _, pair in found], dtype=np.int64),
        question=np.array([pair.row for _, pair in found], dtype=np.str_),
        task=np.array([event.task for event, _ in found], dtype=np.str_),
        annotator=np.array([event.annotator for event, _ in found], dtype=np.str_),
        shown_first=np.array([_shown_first(event, pair) for event, pair in found], dtype=np.float64),
        simulated=np.array([event.simulated for event, _ in found], dtype=np.bool_),
    )


def _shown_first(event: FeedbackEvent, pair: Pair) -> float:
    texts = [answer.text for answer in event.answers]
    if pair.chosen not in texts or pair.rejected not in texts:
        return 0.0  # a correction was written, not displayed
    return 1.0 if texts.index(pair.chosen) < texts.index(pair.rejected) else -1.0
