"""The same question with typos, and in other words: a robust model answers it as well."""

import random
import re

from tasks.ml.rows import Row
from tasks.ml.seeding import random_for

# Neighbours on a keyboard with the letters of the English layout.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in _ROWS
    for place, letter in enumerate(row)
}
# How the questions of the default case can be put otherwise. What fits none is only introduced otherwise.
_REWORDED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), other)
    for pattern, other in (
        (
            r"^How much energy is in a meal of 100 g of each\?$",
            "If I eat 100 g of each, how much energy is that?",
        ),
        (r"^How much energy is in (\d+ g) of (.+)\?$", r"I eat \1 of \2. How much energy is that?"),
        (r"^How much (.+) is in (.+)\?$", r"What amount of \1 does \2 contain?"),
        (r"^(.+): how much (.+)\?$", r"What amount of \2 does \1 contain?"),
        (r"^Which of the two has more (.+)\?$", r"Compare the two: which contains more \1?"),
        (r"^Which is higher in (.+)\?$", r"Compare the two: which contains more \1?"),
        (r"^Is (.+) a good source of (.+)\?$", r"Would you call \1 a good source of \2?"),
        (r"^(.+): a good source of (.+)\?$", r"Would you call \1 a good source of \2?"),
        (r"^Is (.+) suitable for (.+)\?$", r"Is \1 something for a person with \2?"),
        (r"^I have (.+)\. Can I eat (.+)\?$", r"May someone with \1 have \2?"),
    )
)
_INTRODUCED = ("Could you tell me this: {}", "I would like to know: {}", "Here is what I want to ask. {}")


def with_typos(row: Row, share: float, seed: int) -> Row:
    """The question with this share of its letters hit by a typo, at least one; numbers are left as they are.

    A typo leaves a letter out, doubles it, exchanges it with the next one or takes its neighbour's key.
    """
    draw = random_for("typos", seed, row.id)
    marks = list(row.question)
    letters = [place for place, mark in enumerate(marks) if mark.isalpha()]
    count = min(len(letters), max(1, round(share * len(letters))))
    # From the last to the first: places before a change stay where they are.
    for place in sorted(draw.sample(letters, count), reverse=True):
        marks[place : place + 2] = _slip(marks[place], "".join(marks[place + 1 : place + 2]), draw)
    return row.model_copy(update={"id": f"{row.id}-typos", "question": "".join(marks)})


def _slip(mark: str, following: str, draw: random.Random) -> str:
    """What is typed in place of a letter and the mark behind it."""
    near = _NEIGHBOURS.get(mark.lower(), "")
    slips = [following, mark + mark + following]
    if following.isalpha() and following != mark:
        slips.append(following + mark)
    if near:
        other = draw.choice(near)
        slips.append((other.upper() if mark.isupper() else other) + following)
    return draw.choice(slips)


def in_other_words(row: Row, seed: int) -> Row:
    """The question in another wording where there is one of it; else only introduced otherwise."""
    asked = row.question
    for pattern, other in _REWORDED:
        if pattern.match(asked):
            asked = pattern.sub(other, asked)
            break
    else:
        asked = random_for("introduced", seed, row.id).choice(_INTRODUCED).format(asked)
    return row.model_copy(update={"id": f"{row.id}-words", "question": asked})
