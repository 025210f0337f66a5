"""Tables with one answer a row: the rows of one judgement are put together into one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.feedback.exchange.reading import Item, Names

# For each kind of table: the column of one answer's mark, and what the marks of several are called.
MARKS = {"ratings": ("rating", "ratings"), "thumbs": ("up", "up"), "rankings": ("rank", "ranks")}
CLASH = "the rows of group `{group}` ask different questions, or name different annotators"


def gathered(items: Iterable[Item], kind: str, names: Names) -> Iterator[Item]:
    """Rows of lists, from rows of one answer each; rows that are lists already pass as they are.

    Rows with the same `group` are one judgement, and stand where the first of them stood. Where no group is
    named, each row is a judgement of one answer. A group's name serves as the source's id of the judgement.
    """
    if kind not in MARKS:
        yield from items
        return
    groups: dict[tuple[int, str], list[Item]] = {}
    for item in items:
        group = names.value(item.values, "group") if "group" in names.given else None
        alone = item.reason or names.value(item.values, "answers") is not None or group is None
        groups.setdefault((item.number, "") if alone else (0, str(group)), []).append(item)
    for (_, name), members in groups.items():
        yield _together(members, kind, names, name)


def _together(items: list[Item], kind: str, names: Names, group: str) -> Item:
    first = items[0]
    if first.reason or names.value(first.values, "answers") is not None:
        return first
    one, several = MARKS[kind]
    values = dict(first.values)
    values[names.of("answers")] = [names.value(item.values, "answer") for item in items]
    # An empty text is a missing mark; None would be an F.
    marks = [names.value(item.values, one) for item in items]
    values[names.of(several)] = ["" if mark is None else mark for mark in marks]
    if group:
        values[names.of("id")] = group
    models = [names.value(item.values, "model") for item in items]
    if None not in models:
        values[names.of("models")] = models
    raw = "\n".join(item.raw for item in items)
    asked = {_asked(item.values, names) for item in items}
    return Item(first.number, first.line, values, raw, "" if len(asked) == 1 else CLASH.format(group=group))


def _asked(values: Mapping[str, Any], names: Names) -> tuple[str, ...]:
    return tuple(str(names.value(values, name)) for name in ("prompt", "context", "annotator"))
