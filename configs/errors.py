"""The root of Retort's one family of errors: every problem says what, got, expected and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what the user gave.

    Attributes:
        what: The key, file or service, as the user knows it.
        got: What was found there.
        expected: What would have been right.
        remedy: What to do next.
    """

    what: str
    got: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"`{self.what}`: got {self.got}; expected {self.expected}. {self.remedy}"


class RetortError(Exception):
    """An error that the user can mend; it carries all problems found, not only the first one.

    Attributes:
        problems: Everything that is wrong, in the order in which it was found.
        exit_code: What the command line exits with.
    """

    exit_code = 2

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(RetortError):
    """Raised when a configuration file or an override on the command line does not fit the schema."""
