"""How numbers and dates are written in a language, with as many digits as say something."""

from dataclasses import dataclass
from datetime import datetime

from babel.dates import format_date
from babel.numbers import format_compact_decimal, format_decimal, format_scientific

# Narrow, so that a line never breaks between a number and its unit.
_SPACE = "\u202f"
_SHORTENED_FROM = 9_999.5
_TINY = 0.0005
SHARE = "share"
_COUNTED = frozenset({"", "parameters", "questions", "tokens", "answers"})


@dataclass(frozen=True)
class Writer:
    """Writes in one language.

    Attributes:
        language: Its code, such as `fr`.
    """

    language: str

    def number(self, value: float, unit: str = "") -> str:
        """A value as its unit asks: shares in percent, large counts shortened, the rest with three digits."""
        if unit == SHARE:
            return f"{self._digits(100 * value, 1)}{_SPACE}%"
        size = abs(value)
        if size >= _SHORTENED_FROM:
            return _tidy(format_compact_decimal(value, locale=self.language, fraction_digits=1))
        if value == int(value) and unit in _COUNTED:
            return self._digits(value, 0)
        if 0 < size < _TINY:
            return _tidy(format_scientific(value, "0.0E0", locale=self.language))
        return self._digits(value, 3 if 0 < size < 0.1 else 2 if size < 100 else 1 if size < 1000 else 0)

    def exact(self, value: float, unit: str = "") -> str:
        """A value with all its digits and no more."""
        if unit == SHARE:
            return f"{_tidy(format_decimal(round(100 * value, 6), locale=self.language))}{_SPACE}%"
        return _tidy(format_decimal(value, locale=self.language))

    def signed(self, value: float, unit: str = "") -> str:
        """A difference, with its sign."""
        return f"{'+' if value > 0 else ''}{self.number(value, unit)}"

    def probability(self, value: float) -> str:
        """A p-value; what is under a thousandth is not told apart."""
        return f"<{_SPACE}{self._digits(0.001, 3)}" if value < 0.001 else self._digits(value, 3)

    def date(self, moment: datetime) -> str:
        """A day, written out."""
        return format_date(moment.date(), "long", locale=self.language)

    def _digits(self, value: float, digits: int) -> str:
        form = "#,##0" + ("." + digits * "0" if digits else "")
        return _tidy(format_decimal(value, form, locale=self.language))


def _tidy(text: str) -> str:
    """With a true minus sign, none before zero, and spaces at which no line breaks."""
    unsigned = text.removeprefix("-")
    is_zero = not any(digit in unsigned for digit in "123456789")
    sign = "\u2212" if text.startswith("-") and not is_zero else ""
    return f"{sign}{unsigned}".replace("\u00a0", _SPACE).replace(" ", _SPACE)
