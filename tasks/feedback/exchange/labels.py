"""What the labels of other tools mean: which answer is the better one, a tie, a skip, a thumb."""

import re
from collections.abc import Sequence
from typing import Literal

from tasks.feedback.exchange.reading import BadRow, Names

Word = Literal["tie", "skip", "up", "down"]
WORDS: dict[str, Word] = {
    "tie": "tie",
    "equal": "tie",
    "equally good": "tie",
    "same": "tie",
    "skip": "skip",
    "cannot judge": "skip",
    "can't judge": "skip",
    "unsure": "skip",
    "up": "up",
    "thumbs up": "up",
    "good": "up",
    "down": "down",
    "thumbs down": "down",
    "bad": "down",
}
SIDES = {"left": 0, "first": 0, "a": 0, "right": 1, "second": 1, "b": 1}
MEANT = ("tie", "skip", "up", "down", "left", "right")
FAIL = ("f", "fail", "failed")
NUMBER = re.compile(r"(\d+)$")
# How answers' fields are called: response1, answer_2, completion-3, generation 4; a lone one has no number.
ANSWER = re.compile(
    r"(?:answer|response|reply|completion|generation|output|text)s?[ _-]?(\d*)$", re.IGNORECASE
)
PROMPTS = ("prompt", "instruction", "question", "input")


def meaning(label: str, names: Names, fields: Sequence[str]) -> Word | int:
    """What a label says: a word of ours, or the place of the answer that it prefers.

    Args:
        label: The label.
        names: What the source calls things; it may name a label of its own for any of `MEANT`.
        fields: The answers' fields, in the order of display.

    Raises:
        BadRow: Nothing says what it means.
    """
    own = next((word for word in MEANT if names.given.get(word) == label), label)
    word = re.sub(r"[ _-]+", " ", own).strip().casefold()
    if word in WORDS:
        return WORDS[word]
    if word in SIDES and len(fields) == 2:
        return SIDES[word]
    place = answer_place(label, fields)
    if place is None or len(fields) < 2:
        raise BadRow(f"label `{label}` has no meaning here; give it one, as in --map tie='{label}'")
    return place


def answer_place(name: str, fields: Sequence[str]) -> int | None:
    """Which answer an option names: by its field, or by the number at its end, from 1; None if by neither."""
    if name in fields:
        return fields.index(name)
    number = NUMBER.search(name)
    place = int(number[1]) - 1 if number else -1
    return place if 0 <= place < len(fields) else None


def rank_of(bucket: str, names: Names) -> int | None:
    """The rank that a bucket stands for, by `--map RANK=BUCKET` or by the number at its end; None for F.

    Raises:
        BadRow: Nothing says which.
    """
    rank = next((ours for ours, theirs in names.given.items() if theirs == bucket and is_rank(ours)), bucket)
    if rank.casefold() in FAIL:
        return None
    number = NUMBER.search(rank)
    if number is None:
        raise BadRow(
            f"bucket `{bucket}` has no rank; give it one, as in --map 1='{bucket}' or --map F='{bucket}'"
        )
    return int(number[1])


def is_rank(name: str) -> bool:
    """Whether a name of ours is a rank, or F."""
    return name.isdecimal() or name == "F"


def prompt_field(fields: Sequence[str], names: Names) -> str:
    """The field of the prompt.

    Raises:
        BadRow: None is called like one.
    """
    wanted = [names.given["prompt"]] if "prompt" in names.given else PROMPTS
    found = next((name for name in wanted if name in fields), None)
    if found is None:
        raise BadRow(
            f"no field of the prompt among {', '.join(fields) or 'none'}; name it with --map prompt=FIELD"
        )
    return found


def answer_fields(fields: Sequence[str], names: Names) -> list[str]:
    """The fields of the answers, in the order of display: those named, or those called like one.

    Raises:
        BadRow: There is none.
    """
    if "answers" in names.given:
        found = [name.strip() for name in names.given["answers"].split(",")]
        missing = [name for name in found if name not in fields]
    else:
        numbered = {name: match[1] for name in fields if (match := ANSWER.match(name))}
        found = sorted(numbered, key=lambda name: int(numbered[name] or 0))
        missing = []
    if missing or not found:
        got = (
            f"no field `{missing[0]}`"
            if missing
            else f"no field of an answer among {', '.join(fields) or 'none'}"
        )
        raise BadRow(f"{got}; name them with --map answers=FIELD,FIELD")
    return found
