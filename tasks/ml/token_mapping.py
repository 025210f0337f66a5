"""How a teacher's tokens and a student's relate, which decides what the student can learn from.

A teacher's probabilities are of its own tokens, at its own cuts of a text. A student can learn from them only
where it cuts every text at the same places into the same tokens; the ids may differ, and the student may lack
tokens that no text needs. Otherwise the texts themselves are all that both can read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase

from tasks.ml.prompts import encode
from tasks.ml.rows import Row

SHOWN = 4  # tokens of each side in a message


@dataclass(frozen=True)
class TokenMapping:
    """What was decided.

    Attributes:
        kind: `same`: both cut every text into the same tokens; `text`: they do not.
        student_id: `same`: the student's id of each of the teacher's, -1 where it has none.
            Shape [V of teacher].
        message: What was decided and why, in a sentence for people.
    """

    kind: Literal["same", "text"]
    student_id: torch.Tensor | None
    message: str


def mapping_of_kept(kept: Sequence[int], size: int) -> TokenMapping:
    """The mapping of a student whose token `i` is the teacher's token `kept[i]`.

    Args:
        kept: The teacher's id of each of the student's.
        size: Tokens that the teacher's embedding holds.
    """
    student_id = torch.full((size,), -1)
    student_id[torch.tensor(kept)] = torch.arange(len(kept))
    message = (
        f"The student's tokens are {len(kept):,} of the teacher's {size:,}, "
        "so it also learns from the teacher's logits."
    )
    return TokenMapping("same", student_id, message)


def relate(
    teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase, rows: Sequence[Row], size: int
) -> TokenMapping:
    """Compare how two tokenisers cut whole chats: template, question, answer and stop token.

    All rows are looked at: one that is cut differently would be held against the wrong logits.

    Args:
        teacher: The teacher's tokeniser.
        student: The student's.
        rows: All texts that the student is to learn.
        size: Tokens that the teacher's embedding holds.
    """
    for row in rows:
        theirs, ours = encode(teacher, row), encode(student, row)
        for part, full, own in (
            ("prompt", theirs.prompt, ours.prompt),
            ("answer", theirs.response, ours.response),
        ):
            names = teacher.convert_ids_to_tokens(list(full)), student.convert_ids_to_tokens(list(own))
            place = _first_difference(*names)
            if place is not None:
                return _by_text(f"The {part} of row `{row.id}`", place, *names)
    student_id = _ids_by_name(teacher, student, size)
    message = (
        f"All {len(rows):,} training texts are cut into the same tokens, and the student has "
        f"{int((student_id >= 0).sum()):,} of the teacher's {size:,}, so it also learns from the teacher's "
        "logits."
    )
    return TokenMapping("same", student_id, message)


def _first_difference(first: Sequence[str], second: Sequence[str]) -> int | None:
    """The first place where two lists differ."""
    pairs = enumerate(zip_longest(first, second))
    return next((place for place, (one, other) in pairs if one != other), None)


def _by_text(what: str, place: int, teacher: Sequence[str], student: Sequence[str]) -> TokenMapping:
    """The mapping of two that cut `what` differently from a place on."""
    theirs, ours = (list(names[place : place + SHOWN]) for names in (teacher, student))
    message = (
        f"{what} is cut differently from token {place + 1} on (teacher {theirs}, student {ours}), so the "
        "teacher's logits and `distill.kd_weight` are not used: the student learns the gold answers and "
        "those that the teacher wrote."
    )
    return TokenMapping("text", None, message)


def _ids_by_name(
    teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase, size: int
) -> torch.Tensor:
    """The student's id of the token of the same name, -1 where it has none. Shape [size]."""
    ours = student.get_vocab()
    student_id = torch.full((size,), -1)
    for name, index in teacher.get_vocab().items():
        if index < size:
            student_id[index] = ours.get(name, -1)
    return student_id
