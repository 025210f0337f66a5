"""What an annotator entered on the page, as they entered it, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.feedback.judgements import Correction, Judgement, Ranking, Skip
from tasks.feedback.web.judging import Task

NAMES = "ABCDEF"
FAIL = "F"
TEXT_FIELDS = ("annotator", "comparison", "key", "corrected", "correction", "comment")
LONGEST = 10_000  # characters of a comment or a correction


@dataclass(frozen=True)
class Draft:
    """A form as it was filled in; nothing of it is checked.

    Attributes:
        annotator: Whose page it was.
        comparison: Id of what was shown.
        key: Random, one a page: sending the page twice stores it once.
        ranks: "1" to "6", "F" or nothing for each place of the display.
        corrected: The place of the answer that the correction mends, or nothing.
        correction: A better answer.
        comment: What they add.
    """

    annotator: str
    comparison: str
    key: str
    ranks: tuple[str, ...] = ("",) * len(NAMES)
    corrected: str = ""
    correction: str = ""
    comment: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> "Draft":
        """The draft in a form that was sent."""
        annotator, comparison, key, corrected, correction, comment = (
            _plain(form.get(name, "")) for name in TEXT_FIELDS
        )
        ranks = tuple(form.get(f"rank-{place}", "") for place in range(len(NAMES)))
        return cls(annotator, comparison, key, ranks, corrected, correction, comment)

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the form that hold this draft."""
        texts = {name: str(getattr(self, name)) for name in TEXT_FIELDS}
        return texts | {f"rank-{place}": rank for place, rank in enumerate(self.ranks) if rank}


@dataclass(frozen=True)
class AnswerOnPage:
    """One answer as the page shows it."""

    place: int
    name: str
    text: str
    rank: str
    error: str


def on_page(task: Task, draft: Draft, errors: Mapping[str, str]) -> list[AnswerOnPage]:
    """The answers in the order of display, with what was entered of each."""
    return [
        AnswerOnPage(place, NAMES[place], text, draft.ranks[place], errors.get(f"rank-{place}", ""))
        for place, text in enumerate(task.answers)
    ]


def read_draft(draft: Draft, count: int, is_skipped: bool) -> tuple[list[Judgement], dict[str, str]]:
    """The judgements in a draft about `count` answers, and what is wrong with it: field to message."""
    errors = _long_texts(draft)
    judgements: list[Judgement] = []
    if is_skipped:
        judgements.append(Skip())
    else:
        missing = [place for place in range(count) if not _is_rank(draft.ranks[place], count)]
        errors |= {f"rank-{place}": f"Answer {NAMES[place]} has no rank yet." for place in missing}
        if not missing:
            ranks = [None if rank == FAIL else int(rank) for rank in draft.ranks[:count]]
            judgements.append(Ranking(ranks=tuple(ranks)))
    has_text, is_chosen = bool(draft.correction.strip()), draft.corrected in _places(count)
    if has_text and not is_chosen:
        errors["corrected"] = "Choose the answer that your better answer mends."
    elif is_chosen and not has_text:
        errors.setdefault("correction", "Write the better answer, or choose None above.")
    elif is_chosen:
        judgements.append(Correction(corrected=int(draft.corrected), text=draft.correction.strip()))
    return judgements, errors


def _is_rank(rank: str, count: int) -> bool:
    return rank == FAIL or rank in [str(number) for number in range(1, count + 1)]


def _places(count: int) -> list[str]:
    return [str(place) for place in range(count)]


def _long_texts(draft: Draft) -> dict[str, str]:
    texts = {"correction": ("better answer", draft.correction), "comment": ("comment", draft.comment)}
    return {
        field: f"Your {name} has {len(text):,} characters; {LONGEST:,} are the most."
        for field, (name, text) in texts.items()
        if len(text) > LONGEST
    }


def _plain(text: str) -> str:
    # Forms send lines with \r\n, and PostgreSQL holds no NUL.
    return text.replace("\r\n", "\n").replace("\0", "")
