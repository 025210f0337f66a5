"""Decide which rows are fit to learn from: every row that is dropped is dropped for a counted reason."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from datasketch import MinHash, MinHashLSH

from configs.schema import DataConfig
from tasks.ml.personal_data import find_personal_data, redact
from tasks.ml.rows import ReferenceCheck, Row, Split
from tasks.ml.seeding import stable_fraction

SHINGLE_WORDS = 3
PERMUTATIONS = 64


@dataclass
class Cleaned:
    """Rows that were kept, and why the others were not.

    Attributes:
        rows: In the order in which they came.
        dropped: Number of rows dropped, by reason.
        examples: Id of the first row dropped for each reason.
        redacted: Number of placeholders in the rows that were kept, by kind of personal data.
        redacted_rows: Number of those rows.
    """

    rows: list[Row]
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    redacted: Counter[str] = field(default_factory=Counter)
    redacted_rows: int = 0

    def drop(self, row: Row, reason: str) -> None:
        """Count a row that is not kept."""
        self.dropped[reason] += 1
        self.examples.setdefault(reason, row.id)


def split_of(group: str, valid_share: float, test_share: float) -> Split:
    """The split of a group, by a hash of its name: it never changes when other groups come or go."""
    place = stable_fraction("split", normalise(group).casefold())
    if place < test_share:
        return "test"
    return "valid" if place < test_share + valid_share else "train"


def normalise(text: str) -> str:
    """Unicode NFC, no control characters, and one space where there were several in a line."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    text = "".join(mark for mark in text if mark.isspace() or unicodedata.category(mark) != "Cc")
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()


def clean(rows: Iterable[Row], config: DataConfig) -> Cleaned:
    """Normalise, then drop what is too long or short, personal, seen before, nearly seen before, or leaks.

    Args:
        rows: Rows with their split; earlier rows win over their duplicates.
        config: The section.
    """
    result = Cleaned([])
    seen: dict[tuple[str, str], str] = {}
    near = NearDuplicates(config.near_duplicate)
    split_by_group: dict[str, Split] = {}
    for raw in rows:
        row, personal = _without_personal_data(_normalised(raw), config)
        reason = unfit(row, config) or _repeated(row, seen) or _leaks(row, split_by_group)
        if reason is None and near.has_near(row):
            reason = "near duplicate"
        if reason:
            result.drop(row, reason)
            continue
        seen[(row.context, row.question)] = row.id
        near.add(row)
        split_by_group |= dict.fromkeys(row.groups, row.split)
        result.rows.append(row)
        result.redacted += personal
        result.redacted_rows += bool(personal)
    return result


def unfit(row: Row, config: DataConfig) -> str | None:
    """Why a row is unfit by itself, or None."""
    if len(row.context) + len(row.question) > config.max_prompt_chars:
        return "prompt too long"
    if row.answer is not None and len(row.answer) > config.max_answer_chars:
        return "answer too long"
    if row.answer is not None and len(row.answer) < config.min_answer_chars:
        return "answer too short"
    if config.personal_data == "drop":
        found = find_personal_data(
            "\n".join((row.context, row.question, row.answer or "")), config.phone_regions
        )
        return f"personal data: {found[0].kind}" if found else None
    return None


def _without_personal_data(row: Row, config: DataConfig) -> tuple[Row, Counter[str]]:
    """The row with placeholders where the rule asks for them, and how many of each kind."""
    if config.personal_data != "redact":
        return row, Counter()
    counts: Counter[str] = Counter()

    def without(text: str) -> str:
        redacted = redact(text, config.phone_regions)
        counts.update(redacted.counts)
        return redacted.text

    parts = {"context": without(row.context), "question": without(row.question)}
    answer = None if row.answer is None else without(row.answer)
    seen = Counter(counts)  # what repeats these texts is not counted again
    check = row.check
    if isinstance(check, ReferenceCheck):
        check = ReferenceCheck(text=without(check.text))
    groups = tuple(without(group) for group in row.groups)
    return row.model_copy(update={**parts, "answer": answer, "check": check, "groups": groups}), seen


class NearDuplicates:
    """Finds prompts that share most of their word 3-grams with one before: MinHash finds, Jaccard decides.

    The questions alone must be near too: two questions about one long context are not the same question.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        # 64 permutations cannot tell more than 0.96 apart; Jaccard decides anyway.
        self._index = MinHashLSH(threshold=min(threshold, 0.95), num_perm=PERMUTATIONS)
        self._rows: dict[str, Row] = {}

    def has_near(self, row: Row) -> bool:
        """Whether a row added before is nearer than the threshold."""
        if self.threshold >= 1:
            return False
        found = self._index.query(_sketch(shingles_of(prompt_of(row))))
        return any(self._is_near(row, self._rows[key]) for key in found)

    def add(self, row: Row) -> None:
        """Remember a row."""
        if self.threshold < 1:
            self._rows[row.id] = row
            self._index.insert(row.id, _sketch(shingles_of(prompt_of(row))))

    def _is_near(self, row: Row, other: Row) -> bool:
        pairs = ((row.question, other.question), (prompt_of(row), prompt_of(other)))
        return all(jaccard(shingles_of(a), shingles_of(b)) > self.threshold for a, b in pairs)


def prompt_of(row: Row) -> str:
    """Context and question as one text."""
    return f"{row.context} {row.question}"


def shingles_of(text: str) -> set[str]:
    """Word 3-grams of a text; a shorter text is one shingle."""
    words = re.findall(r"\w+", text.casefold())
    return {
        " ".join(words[start : start + SHINGLE_WORDS])
        for start in range(max(1, len(words) - SHINGLE_WORDS + 1))
    }


def jaccard(first: set[str], second: set[str]) -> float:
    """Shared over all; 1 for two empty sets."""
    return len(first & second) / len(first | second) if first | second else 1.0


def _sketch(shingles: set[str]) -> MinHash:
    sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
    sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return sketch


def _normalised(row: Row) -> Row:
    answer = None if row.answer is None else normalise(row.answer)
    return row.model_copy(
        update={"context": normalise(row.context), "question": normalise(row.question), "answer": answer}
    )


def _repeated(row: Row, seen: dict[tuple[str, str], str]) -> str | None:
    return "exact duplicate" if (row.context, row.question) in seen else None


def _leaks(row: Row, split_by_group: dict[str, Split]) -> str | None:
    crossed = any(split_by_group.get(group, row.split) != row.split for group in row.groups)
    return "group is in another split" if crossed else None


def thin(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    """At most `most` rows, by a draw that keeps the same rows when others come or go; order is kept."""
    if len(rows) <= most:
        return list(rows)
    limit = sorted(stable_fraction("thin", seed, row.id) for row in rows)[most]
    return [row for row in rows if stable_fraction("thin", seed, row.id) < limit]
