"""What tests of the stages share: the questions that a dataset holds."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.ml.rows import Row, VerdictCheck


def numbered_row(number: int, **changes: Any) -> Row:
    """A question with a gold answer, told by its number; two after each other share their facts."""
    row = Row(
        id=f"row-{number}",
        task="lookup",
        groups=(),
        split="train",
        context=f"Food {number // 2}: energy 5 kcal",
        question=f"Is it rich, {number}?",
        answer="No.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=False),
    )
    return row.model_copy(update=changes)


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    return numbered_row
