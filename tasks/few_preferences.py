"""When there is too little feedback to learn from: one answer for every stage that learns from it."""

from tasks.shared.errors import Problem, StageError

FEWEST_PAIRS = 8  # preferences; from fewer nothing is learnt that would hold for other questions


def check_pairs(pairs: int) -> None:
    """Refuse to learn from preferences that would not hold for other questions.

    Raises:
        StageError: There are too few.
    """
    if pairs < FEWEST_PAIRS:
        raise too_few(f"{pairs} preferences to learn from", f"at least {FEWEST_PAIRS}")


def too_few(got: str, expected: str) -> StageError:
    """The error of a stage that has too little to learn from."""
    remedy = "Collect more feedback, or raise `feedback.prompts` or `feedback.temperature`."
    return StageError(Problem("feedback", got, expected, remedy))
