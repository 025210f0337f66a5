"""What people really preferred: three public sets, imported as anybody's feedback is.

They lie outside of the project, in a folder beside the checkout; each has a README with origin and licence.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from configs.load import load_run_config
from configs.schema_reward import RewardConfig
from flows.feedback_import import Source, import_feedback
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Names, Reading
from tasks.feedback.pairs import Pair, majority_pairs
from tasks.feedback.shown import as_preferences, as_targets, distinct_answers, encode_answers, group_answers
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.ml.batching import Group
from tasks.ml.preferences import Preferences, RewardTargets, groups_with
from tasks.ml.prompts import Example
from tasks.ml.rows import GENERAL
from tasks.ml.seeding import random_for

SEED = 0
ROW_TOKENS = 768


@dataclass(frozen=True)
class HumanSet:
    """One set, and what of it is learnt.

    Attributes:
        file: Below the folder of all sets.
        format: Of `retort feedback import`.
        names: Its names of our columns, as `--map` says them.
        scale: Lowest and highest mark.
        folds: Parts of which each is held out once.
        epochs: So many that a model takes some seventy steps.
        pairs: Most pairs, by whole questions; more would take too long.
        prompt_tokens: What is kept of a prompt, its end.
        answer_tokens: What is kept of an answer, its beginning.
    """

    file: str
    format: str = "pairs"
    names: Mapping[str, str] = field(default_factory=dict)
    scale: tuple[float, float] = (1, 5)
    folds: int = 3
    epochs: int = 1
    pairs: int = 10_000
    prompt_tokens: int = 128
    answer_tokens: int = 64


SETS = {
    "qa_feedback": HumanSet("qa_feedback/pairs.jsonl.gz"),
    "medquad_ratings": HumanSet(
        "medquad_judged/ratings.jsonl",
        "ratings",
        {"prompt": "question", "rating": "score", "group": "qid"},
        (1, 4),
        folds=10,
        epochs=3,
        answer_tokens=96,
    ),
    "medquad_pairs": HumanSet("medquad_judged/pairs.jsonl", folds=10, epochs=3, answer_tokens=96),
    "hh_harmless_test": HumanSet("hh_harmless_test/pairs.jsonl.gz", names={"prompt": "messages"}, pairs=800),
}


def import_set(data: Path, human: HumanSet) -> list[FeedbackEvent]:
    """The events that a store holds after `retort feedback import`."""
    reading = Reading(
        Pseudonyms(b"of no consequence"), Names(human.names), human.file.split("/")[0], scale=human.scale
    )
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/feedback.db")
        try:
            store = EventStore(database)
            import_feedback(Source(str(data / human.file), reading, human.format), store)
            return list(store.events())
        finally:
            database.close()


def some_questions(events: Sequence[FeedbackEvent], pairs: int) -> list[FeedbackEvent]:
    """Events of whole questions, drawn at random, until there are so many pairs; all if there are fewer."""
    of_row = Counter(pair.row for pair in majority_pairs(events))
    order = sorted(of_row)
    random_for("questions", SEED).shuffle(order)
    chosen: set[str] = set()
    found = 0
    for row in order:
        if found >= pairs:
            break
        chosen.add(row)
        found += of_row[row]
    return [event for event in events if event.row in chosen]


@dataclass(frozen=True)
class Judged:
    """A set as a reward model takes it.

    Attributes:
        events: What people said.
        answers: Every answer once, as (question, text).
        groups: The same, encoded and cut, below their questions.
        pairs: Who was preferred, by most votes.
        config: How it is learnt.
    """

    events: list[FeedbackEvent]
    answers: list[tuple[str, str]]
    groups: list[Group]
    pairs: list[Pair]
    config: RewardConfig

    def preferences(self, rows: set[str]) -> Preferences:
        """The pairs about these questions."""
        return as_preferences([pair for pair in self.pairs if pair.row in rows], self.answers)

    def targets(self, rows: set[str]) -> RewardTargets:
        """What is learnt from these questions."""
        return as_targets([event for event in self.events if event.row in rows], self.answers, self.config)

    def lengths(self) -> torch.Tensor:
        """Words of each answer, of all that people saw of it. Shape [M]."""
        return torch.tensor([float(len(text.split())) for _, text in self.answers])


def prepare_set(tokenizer: Any, events: Sequence[FeedbackEvent], human: HumanSet) -> Judged:
    """Encode a set within its limits."""
    changes = {"epochs": human.epochs, "learning_rate": 1e-4, "token_budget": 2048, "frozen_layers": 0}
    changes |= {"floor_weight": 0.0, "ensemble": 1, "precision": "fp32", "checkpoint_seconds": 1e9}
    config = load_run_config(None, []).reward.model_copy(update=changes)
    cut = [shorten(tokenizer, event, human.prompt_tokens) for event in events]
    answers, _ = distinct_answers(cut)
    examples = [
        Example(example.prompt, example.response[: human.answer_tokens])
        for example in encode_answers(tokenizer, cut, {})
    ]
    groups = group_answers(examples, answers, {}, ROW_TOKENS)
    pairs = majority_pairs(cut)
    chosen = as_preferences(pairs, answers).chosen
    return Judged(cut, answers, groups_with(groups, chosen), pairs, config)


def shorten(tokenizer: Any, event: FeedbackEvent, tokens: int) -> FeedbackEvent:
    """The event with the end of its prompt alone, as a general question: nothing is said of facts."""
    ids = tokenizer.encode(event.prompt, add_special_tokens=False)
    prompt = event.prompt if len(ids) <= tokens else str(tokenizer.decode(ids[-tokens:]))
    return event.model_copy(update={"prompt": prompt, "task": GENERAL})
