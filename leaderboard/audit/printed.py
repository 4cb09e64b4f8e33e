"""Numbers as they are printed: a value, how many decimals stand there, and what exact values it can stand for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from bench.core.text import decimal_number

MOST_DIGITS = 6
"""Decimals that count; programs that divide in another order differ beyond them."""

SLACK = 1e-9

_NUMBER = r"[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?"
_CELL = re.compile(rf"(?P<value>-?{_NUMBER})\s*%?\s*(?:(?:±|\+/-|\+-)\s*(?P<std>{_NUMBER}))?")
_MARKUP = re.compile(r"\\(?:textbf|underline|mathbf)|[$*{}_~`\\]|</?[a-z]+>")


@dataclass(frozen=True)
class Printed:
    """A printed number.

    Attributes:
        value: The number as it is printed, in percent.
        digits: How many decimals are printed; negative where the last digits before the point are not known either.
    """

    value: float
    digits: int

    def __str__(self) -> str:
        return f"{self.value:.{max(self.digits, 0)}f}"

    @property
    def unit(self) -> float:
        """The value of one step of the last printed decimal, in percent."""
        return float(10.0**-self.digits)

    def stands_for(self, exact: float) -> bool:
        """Whether this can be printed for an exact value: rounded, or cut off after the last decimal."""
        return -self.unit / 2 - SLACK <= exact - self.value < self.unit + SLACK

    def scaled(self) -> Printed:
        """Turn a printed fraction into a percentage, which has two decimals less."""
        return Printed(self.value * 100, self.digits - 2)


def printed_number(value: float) -> Printed:
    """Read a number of a JSON document with the decimals that it has there; zeros at its end are lost but for one."""
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    return Printed(float(value), min(max(-int(exponent), 1), MOST_DIGITS))


def printed_cell(text: str) -> tuple[Printed | None, Printed | None]:
    """Read a cell of a table: a number, and the deviation behind ± where there is one.

    Args:
        text: ``81.66``, ``81.66 ± 3.83``, ``**81.66%**``, also in LaTeX; what follows is not looked at.

    Returns:
        The number and its deviation as printed; None for what is not there.
    """
    plain = _MARKUP.sub("", text.replace("\\pm", "±").replace("\u00a0", " ")).strip()
    found = _CELL.match(plain)
    if found is None:
        return None, None
    try:
        return _printed_from_text(found["value"]), None if found["std"] is None else _printed_from_text(found["std"])
    except ValueError:  # A number beyond what a computer's holds.
        return None, None


def _printed_from_text(text: str) -> Printed:
    word = text.replace(",", ".")
    if "e" in word.lower():
        return printed_number(decimal_number(word))
    return Printed(decimal_number(word), min(len(word.partition(".")[2]), MOST_DIGITS))


def some_count_gives(printed: Printed, cycles: int) -> bool:
    """Whether any whole number of hits among so many cycles gives a printed rate.

    Args:
        printed: The rate, percent.
        cycles: Number of cycles that hits are divided by; those of S runs together for a mean over S runs.
    """
    first = math.floor((printed.value - printed.unit) * cycles / 100)
    last = math.ceil((printed.value + printed.unit) * cycles / 100)
    # A rate of few decimals has many counts; the first that fits is enough.
    counts = range(max(first, 0), min(last, cycles) + 1)
    return any(printed.stands_for(100 * count / cycles) for count in counts)


def is_too_coarse(printed: Printed, cycles: int) -> bool:
    """Whether a rate has so few decimals that nearly every printed value is given by some number of hits."""
    return 1.5 * printed.unit >= 100 / cycles
