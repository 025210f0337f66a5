"""A file of events that a user gives: read as a whole, or every malformed line is named."""

from pathlib import Path

from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent, load_events
from tasks.shared.errors import DataError, Problem


def read_people(path: Path) -> list[FeedbackEvent]:
    """Read people's events; every malformed line is named.

    Raises:
        DataError: The file is missing or has malformed lines.
    """
    try:
        return load_events(path)
    except OSError as error:
        raise DataError(
            Problem(str(path), str(error.strerror), "a file of events", "Check the path.")
        ) from None
    except ValidationError:
        raise DataError(list(malformed(path))) from None


def malformed(path: Path) -> list[Problem]:
    """One problem for each line that is no event."""
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            FeedbackEvent.model_validate_json(line)
        except ValidationError as error:
            reason = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors()[:3]
            )
            problems.append(
                Problem(f"{path}:{number}", reason, "a feedback event", "Mend or remove the line.")
            )
    return problems
