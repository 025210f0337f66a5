"""Find what points to a person in a text, and put a placeholder that reads in its place.

Telephone numbers are found by `phonenumbers`, Google's tables of the world's numbering plans. A row of a
nutrition table may be a valid number of some country, so its finds count only where the text writes them as
people write numbers (a plus, a leading zero, brackets, dashes), or a word such as "call" stands before them.
Checksums decide on bank accounts and cards. Names and street addresses are not looked for.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from phonenumbers import Leniency, NumberParseException, PhoneNumberMatcher, is_possible_number, parse

EMAIL, PHONE, BANK, CARD = "e-mail address", "telephone number", "bank account", "card number"
IP, SOCIAL = "IP address", "social security number"
KINDS = (EMAIL, BANK, CARD, SOCIAL, IP, PHONE)

_AT = r"(?:@|\uff20|\s?[\[({]\s?(?:at|@|arobase)\s?[\])}]\s?)"
_DOT = r"(?:\.|\s?[\[({]\s?(?:dot|point|\.)\s?[\])}]\s?)"
_LOCAL = r"[^\W_](?:[\w.!#$%&'*+/=?^`{|}~\u2019-]*[\w+])?|\w"
_EMAIL = re.compile(
    rf"(?:\"[^\"\s]+\"|(?<![\w.+-])(?:{_LOCAL})){_AT}(?:[\w-]+{_DOT})+[^\W\d_]{{2,}}(?:--[\w-]+)?",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<![\w])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{1,4}){3,8}(?!\w)", re.IGNORECASE)
# In one piece, or in the groups that stand on cards: four fours, 4-6-5 and 4-6-4.
_CARD = re.compile(
    r"(?<![\d.,+-])(?:[2-6]\d{12,18}"
    r"|[2-6]\d{3}([ -])(?:\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|\d{6}\1\d{4,5}))(?!\d)"
)
_SOCIAL_US = re.compile(r"(?<![\w-])(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_SOCIAL_FR = re.compile(
    r"(?<!\w)[1-478][ .]?\d{2}[ .]?(?:0[1-9]|[1-9]\d)[ .]?(?:\d{2}|2[AB])[ .]?\d{3}[ .]?\d{3}"
    r"[ .]?\d{2}(?!\w)",
    re.IGNORECASE,
)
_SOCIAL_GB = re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)")
_IP4 = re.compile(r"(?<![\w.+])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)

# Seven digits with nothing but what is written within telephone numbers between them.
_MAYBE_PHONE = re.compile(r"[+\uff0b(]?\d(?:[\s().\-/\u2010-\u2015\u00a0\u202f]{0,3}\d){6,}")
# With the country's code, after a plus or 00; E.164 allows 15 digits.
_CODE = r"(?:(?<!\d)[+\uff0b] ?|(?<![\d.,])00 ?(?=[1-9]))\d{1,3}"
_INTERNATIONAL = re.compile(
    rf"(?:\({_CODE}\)|{_CODE})"
    r"(?:[ .\-/\u2010-\u2015\u00a0\u202f]{0,2}(?:\(\d{1,4}\)|\d{1,5})){2,9}(?!\d)"
)
_AMERICAN = re.compile(r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}([.-]))\d{3}[ .-]\d{4}")
# How people write a telephone number and nobody an amount: +, a leading zero, an area code in brackets,
# or three parts joined by dashes or dots in the American way.
_WRITTEN_AS_PHONE = re.compile(r"[+\uff0b]|\(?0\d|\(\+?\d{2,5}\)|1?[ .-]?\d{3}([.-])\d{3}\1\d{4}$")
# Where neither is in a text, no number of the tables would count: they are slow to search on tables.
_MAYBE_WRITTEN_AS_PHONE = re.compile(r"(?<![\d.,])\(?0\d|\(\+?\d{2,5}\)")
_DATE = re.compile(r"(?:0?[1-9]|[12]\d|3[01])([-./ ])(?:0?[1-9]|1[0-2])\1(?:19|20)\d{2}")
# Words that announce a number which could be an amount by its form alone.
_CUE_WORD = re.compile(
    r"\b(?:(?:tele)?phone|tel|call(?:ing)?|fax|mobile|cell|hotline|dial|ring|sms|whatsapp|numbers?|reach|contact|tty"
    r"|t\u00e9l(?:\u00e9phone)?|appel(?:ez|er|le)?|portable|num\u00e9ro|joindre|joignable)\b|\u260e|\U0001f4de",
    re.IGNORECASE,
)
_CUE = re.compile(rf"(?:{_CUE_WORD.pattern})[^\d\n]{{0,30}}$", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """Something personal in a text: its kind, where it begins and where it ends, in characters."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Redacted:
    """A text without what was found in it, and how much of each kind that was."""

    text: str
    counts: Counter[str]


def placeholder(kind: str) -> str:
    """What stands in the place of something personal: `[telephone number]`."""
    return f"[{kind}]"


@lru_cache(maxsize=4096)
def find_personal_data(text: str, regions: tuple[str, ...]) -> tuple[Found, ...]:
    """What points to a person, in the text's order; nothing overlaps.

    Args:
        text: Any text.
        regions: Countries (ISO 3166-1, two letters) whose telephone numbers are found without the country's
            code; with it, those of all countries are.
    """
    finders: Sequence[Callable[[], Iterable[tuple[str, int, int]]]] = (
        lambda: _all(EMAIL, _EMAIL, text),
        lambda: _all(BANK, _IBAN, text, _is_iban),
        lambda: _all(SOCIAL, _SOCIAL_FR, text, _has_french_key),
        lambda: _all(CARD, _CARD, text, _passes_luhn),
        lambda: _all(SOCIAL, _SOCIAL_US, text),
        lambda: _all(SOCIAL, _SOCIAL_GB, text),
        lambda: _all(IP, _IP4, text, _is_address),
        lambda: _all(IP, _IP6, text, _is_address),
        lambda: _phones(text, regions),
    )
    found: list[Found] = []
    for finder in finders:
        for kind, start, end in finder():
            if all(end <= other.start or start >= other.end for other in found):
                found.append(Found(kind, start, end))
    return tuple(sorted(found, key=lambda one: one.start))


def redact(text: str, regions: tuple[str, ...]) -> Redacted:
    """Put a placeholder in the place of everything personal. See `find_personal_data`."""
    parts, end = [], 0
    found = find_personal_data(text, regions)
    for one in found:
        parts += [text[end : one.start], placeholder(one.kind)]
        end = one.end
    return Redacted("".join([*parts, text[end:]]), Counter(one.kind for one in found))


def _all(
    kind: str, pattern: re.Pattern[str], text: str, holds: Callable[[str], bool] = lambda found: True
) -> Iterator[tuple[str, int, int]]:
    return ((kind, hit.start(), hit.end()) for hit in pattern.finditer(text) if holds(hit[0]))


def _is_iban(text: str) -> bool:
    """Whether the remainder by 97 is 1 (ISO 13616), letters counted from 10."""
    compact = re.sub(r"[ -]", "", text).upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(mark, 36)) for mark in compact[4:] + compact[:4])) % 97 == 1


def _passes_luhn(text: str) -> bool:
    """Whether the check digit of a card number holds (ISO/IEC 7812-1)."""
    digits = [int(mark) for mark in text if mark.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _has_french_key(text: str) -> bool:
    """Whether the last two digits are 97 less the remainder of the others by 97; 2A is 19, 2B is 18."""
    compact = re.sub(r"[ .]", "", text).upper().replace("2A", "19").replace("2B", "18")
    return len(compact) == 15 and int(compact[13:]) == 97 - int(compact[:13]) % 97


def _is_address(text: str) -> bool:
    if ":" in text and (sum(mark.isalnum() for mark in text) < 4 or re.fullmatch(r"\d\d?(?::\d\d)+", text)):
        return False  # a time of the day, or a mere `::`
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _phones(text: str, regions: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    if not _MAYBE_PHONE.search(text):
        return
    for hit in _INTERNATIONAL.finditer(text):
        if _is_international(hit[0]):
            yield PHONE, hit.start(), hit.end()
    for hit in _AMERICAN.finditer(text):
        if _stands_alone(text, hit.start(), hit.end()):
            yield PHONE, hit.start(), hit.end()
    if not (_MAYBE_WRITTEN_AS_PHONE.search(text) or _CUE_WORD.search(text)):
        return
    for region in regions:
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            start, raw = match.start + _loose_bracket(match.raw_string), match.raw_string
            if _DATE.fullmatch(raw):
                continue
            if _WRITTEN_AS_PHONE.match(raw) or _CUE.search(text[max(0, start - 60) : start]):
                yield PHONE, start, match.end


def _is_international(text: str) -> bool:
    """Whether the digits after the plus, or after 00, have a country's code and its length."""
    digits = re.sub(r"\D", "", text.replace("(0)", ""))
    try:
        return bool(is_possible_number(parse("+" + digits.removeprefix("00"))))
    except NumberParseException:
        return False


def _loose_bracket(text: str) -> int:
    """1 if the text begins with a bracket that closes behind it."""
    return int(text.startswith("(") and text.count("(") > text.count(")"))


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not re.search(r"[\w.-]$", text[:start]) and not re.match(r"[.-]?\w", text[end:])
