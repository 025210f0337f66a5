"""The feedback store: whether it answers, and whether its tables are those of this Retort."""

from collections.abc import Iterator

from tasks.doctor.check import Check, fail, ok, warn
from tasks.feedback.store.condition import condition

NAME = "feedback store"


def feedback_store(url: str) -> Iterator[Check]:
    """Look at the store without changing it.

    Raises:
        FeedbackStoreError: It does not answer.
    """
    found = condition(url)
    if found is None:
        yield ok(NAME, "none yet; `retort feedback ask` begins one")
    elif not found.is_known:
        got = f"{found.shown} has tables of version {found.version}"
        yield fail(NAME, got, "A later Retort made them: update Retort.")
    elif found.version != found.newest:
        got = f"{found.shown} has tables of version {found.version or 'none'}, not {found.newest}"
        yield warn(NAME, got, "The next `retort feedback` command brings them up to date.")
    else:
        people = f"{found.annotators} annotators may log in" if found.annotators else "nobody may log in"
        yield ok(NAME, f"{found.events:,} events in {found.shown}; {people}")
