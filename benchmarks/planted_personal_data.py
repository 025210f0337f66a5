"""Made-up addresses and telephone numbers as people write them, planted in texts, and how many are found.

The numbers come from a table of numbering plans written by hand, not from the library that finds them, and
the texts around them from a list of their own. Nobody's real address is among them but by chance.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.ml.personal_data import placeholder, redact

FIRST = (
    "marie",
    "jean-luc",
    "O'Neil",
    "søren",
    "zoë",
    "m",
    "Li",
    "ana.maria",
    "x_y",
    "Dr.House",
    "fatou",
    "j",
)
LAST = ("durand", "de-la-tour", "smith", "Müller", "nguyen", "garcía", "osei", "b", "4ever", "van_dijk")
HOSTS = (
    "example",
    "mail.example",
    "clinic-nord.example",
    "a1.b2.example",
    "EXAMPLE",
    "chu.sante.example",
    "bücher",
)
ENDS = ("com", "org", "fr", "co.uk", "info", "museum", "Health", "gouv.fr", "ch", "io", "asso.fr", "com.br")
SIGNS = ("", ".", "_", "-", "")


@dataclass(frozen=True)
class Plan:
    """Numbers of a country.

    Attributes:
        code: Of the country.
        trunk: What stands before a number within the country.
        forms: Digits as grouped there, without the trunk; `#` is any digit, `+` any but 0 and 1.
        home: Whether numbers written without the country's code are planted as well.
    """

    code: str
    trunk: str
    forms: tuple[str, ...]
    home: bool = False


PLANS = (
    Plan("33", "0", ("6 ## ## ## ##", "1 4# ## ## ##", "5 56 ## ## ##", "9 72 ## ## ##"), home=True),
    Plan("32", "0", ("475 ## ## ##", "2 5## ## ##", "496 ## ## ##"), home=True),
    Plan("41", "0", ("79 +## ## ##", "22 7## ## ##", "44 2## ## ##"), home=True),
    Plan("44", "0", ("20 79## ####", "7911 ######", "161 496 0###", "121 4## ####"), home=True),
    Plan("49", "0", ("30 2#######", "151 2#######", "89 3######", "172 +######"), home=True),
    Plan("31", "0", ("6 2#######", "20 6## ####", "30 2## ####"), home=True),
    Plan("39", "", ("06 6### ####", "02 4### ####", "347 ### ####"), home=True),
    Plan("34", "", ("612 ### ###", "91 5## ## ##", "93 4## ## ##"), home=True),
    Plan(
        "1", "", ("212 7## ####", "415 +## ####", "617 +## ####", "514 8## ####", "416 9## ####"), home=True
    ),
    Plan("353", "0", ("87 ### ####", "1 6## ####")),
    Plan("351", "", ("912 ### ###", "21 3## ####")),
    Plan("352", "", ("621 ### ###",)),
    Plan("46", "0", ("70 ### ## ##",)),
    Plan("45", "", ("20 ## ## ##", "40 ## ## ##")),
    Plan("47", "", ("4## ## ###",)),
    Plan("48", "", ("512 ### ###", "22 6## ## ##")),
    Plan("43", "0", ("664 #######",)),
    Plan("30", "", ("694 ### ####",)),
    Plan("212", "0", ("6 61 ## ## ##", "5 22 ## ## ##")),
    Plan("213", "0", ("551 ## ## ##",)),
    Plan("216", "", ("20 ### ###", "98 ### ###")),
    Plan("221", "", ("77 ### ## ##",)),
    Plan("225", "", ("07 07 ## ## ##",)),
    Plan("237", "", ("6 77 ## ## ##",)),
    Plan("91", "0", ("98### #####", "94### #####")),
    Plan("81", "0", ("90 #### ####", "3 3### ####")),
    Plan("86", "", ("138 #### ####",)),
    Plan("61", "0", ("412 ### ###", "2 9### ####")),
    Plan("55", "", ("11 9+### ####", "21 9+### ####")),
    Plan("52", "", ("55 5### ####",)),
    Plan("27", "0", ("82 ### ####",)),
    Plan("234", "0", ("803 ### ####",)),
    Plan("90", "0", ("532 ### ## ##",)),
    Plan("7", "8", ("912 ### ## ##",)),
)
# Around what anybody would see to be an address or a number.
PLAIN = (
    "My mother left {} for the kitchen staff.",
    "({})",
    "Marie, {}, orders the vegetables.",
    "Ask the dietitian <{}>; she answers in a day.",
    "{} is whom the ward asks about salt.",
    "Vitamin C is in peppers. {}",
    "Merci de confirmer : {}, avant midi",
    "{}\nButter: energy 717 kcal, sodium 643 mg",
)
# Around digits that could be an amount as well: somebody says what they are.
SAYING = (
    "You can ring her: {}.",
    "Tél. {}",
    "Phone {} before noon",
    "His mobile is {}, I think",
    "Joignable au {} le matin",
    "Fax: {}",
)


def address(draw: random.Random) -> str:
    """An e-mail address in one of the forms that people type."""
    local = f"{draw.choice(FIRST)}{draw.choice(SIGNS)}{draw.choice(LAST)}"
    if draw.random() < 0.3:
        local += str(draw.randrange(1990, 2020))
    if draw.random() < 0.15:
        local += f"+{draw.choice(('diet', 'news.2024', 'x'))}"
    if draw.random() < 0.2:
        local = local.upper()
    host = f"{draw.choice(HOSTS)}.{draw.choice(ENDS)}"
    if draw.random() < 0.06:
        at, dot = draw.choice(((" [at] ", " [dot] "), ("(at)", "."), (" (at) ", " (dot) ")))
        return f"{local}{at}{host.replace('.', dot)}"
    return f"{local}@{host}"


def number(draw: random.Random) -> tuple[str, bool]:
    """A telephone number, and whether its digits alone could be an amount as well."""
    plan = draw.choice(PLANS)
    form = draw.choice(plan.forms)
    digits = "".join(
        str(draw.randrange(10)) if mark == "#" else str(draw.randrange(2, 10)) if mark == "+" else mark
        for mark in form
    )
    return (
        _at_home(plan, digits, draw)
        if plan.home and draw.random() < 0.5
        else (_abroad(plan, digits, draw), False)
    )


def _abroad(plan: Plan, digits: str, draw: random.Random) -> str:
    styles: list[Callable[[], str]] = [
        lambda: f"+{plan.code} {digits}",
        lambda: f"+{plan.code}{digits.replace(' ', '')}",
        lambda: f"+{plan.code}-{digits.replace(' ', '-')}",
        lambda: f"+{plan.code}.{digits.replace(' ', '.')}",
        lambda: f"00{plan.code} {digits}",
        lambda: f"(+{plan.code}) {digits}",
    ]
    if plan.trunk == "0":
        styles.append(lambda: f"+{plan.code} (0){digits}")
    return draw.choice(styles)()


def _at_home(plan: Plan, digits: str, draw: random.Random) -> tuple[str, bool]:
    parts = f"{plan.trunk}{digits}".split()
    if plan.code == "1":
        area, middle, last = parts
        styles = [f"({area}) {middle}-{last}", "-".join(parts), ".".join(parts), f"1-{'-'.join(parts)}"]
        unsure = [" ".join(parts), "".join(parts)]
    elif parts[0].startswith("0"):
        rest = " ".join(parts[1:])
        styles = [" ".join(parts), ".".join(parts), "-".join(parts), "".join(parts), f"({parts[0]}) {rest}"]
        styles.append(f"{parts[0]}/{rest}")
        unsure = []
    else:
        styles, unsure = [], [" ".join(parts), "".join(parts), "-".join(parts)]
    text = draw.choice([*styles, *unsure])
    return text, text in unsure


@dataclass(frozen=True)
class Recall:
    """How many planted things were replaced whole, with nothing beside them, and those that were not."""

    planted: int
    found: int
    missed: tuple[str, ...]

    @property
    def share(self) -> float:
        """Found over planted."""
        return self.found / self.planted


def plant(kind: str, count: int, seed: int, texts: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """Texts before and after what is planted, and that: `count` different ones.

    Args:
        kind: `e-mail address` or `telephone number`.
        count: How many.
        seed: Of all draws.
        texts: Longer texts without any, to plant among; none: short ones of our own alone.
    """
    draw = random.Random(seed)
    planted: dict[str, tuple[str, str, str]] = {}
    while len(planted) < count:
        secret, unsure = number(draw) if kind == "telephone number" else (address(draw), False)
        before, after = draw.choice(SAYING if unsure else PLAIN).split("{}")
        if texts:
            words = draw.choice(texts).split(" ")
            cut = draw.randrange(len(words) + 1)
            before = f"{' '.join(words[:cut])} {before}"
            after = f"{after} {' '.join(words[cut:])}"
        planted.setdefault(secret, (before, secret, after))
    return list(planted.values())


def measure_recall(
    kind: str, count: int, seed: int, regions: tuple[str, ...], texts: Sequence[str] = ()
) -> Recall:
    """Plant, redact, and look whether each text is what it was, with a placeholder in its place."""
    planted = plant(kind, count, seed, texts)
    missed = tuple(
        secret
        for before, secret, after in planted
        if redact(f"{before}{secret}{after}", regions).text != f"{before}{placeholder(kind)}{after}"
    )
    return Recall(len(planted), len(planted) - len(missed), missed)
