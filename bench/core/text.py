"""Text from outside: how it is shown on one line, cut to a length, and read as a number.

Names, file names and messages of other programs may hold control characters (which a terminal would obey), and digits
of other scripts (which Python's ``int`` and ``float`` would take). Everything that prints such text or reads numbers
from it goes through here.
"""

from __future__ import annotations

import re
import unicodedata

ECHO_LIMIT = 80
"""Characters of a user's word that a message repeats."""

LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that a database column, a JSON reader and an array index hold alike (64 bits, signed)."""

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but part of a word: between the parts of an emoji, or between letters of a script that joins them."""

_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def plain(text: object) -> str:
    """Text on one line, without control characters.

    Spaces of any kind (the no-break space too) become a space. What a terminal or a page could obey (escape sequences,
    characters that turn the direction of writing, halves of surrogate pairs) becomes a question mark.
    """
    line = str(text)
    # Nearly every text is printable as it is, and a board has many: looking at each character takes ten times as long.
    return line if line.isprintable() else "".join(map(_shown_character, line))


def _shown_character(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    # Zs, the separators between words: no-break space and its like are not "printable" in Python's sense.
    return " " if character.isspace() and ord(character) >= 0xA0 and character not in "\u2028\u2029" else "?"


def plain_lines(text: object) -> str:
    """Text on as many lines as it has, each as :func:`plain` shows it; tabs become spaces."""
    return "\n".join(plain(line.expandtabs()) for line in str(text).replace("\r\n", "\n").split("\n"))


def echoed(text: object, limit: int = ECHO_LIMIT) -> str:
    """Text as a message repeats it: on one line, without control characters, cut with an ellipsis.

    Args:
        text: A user's word, a cell, a file's content.
        limit: Characters at most.
    """
    line = plain(str(text)[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


LONGEST_FRACTION = 8
"""Characters of a fraction that somebody typed; one that a search drew has more."""


def setting_words(value: object) -> str:
    """The value of a setting for people: a fraction as it was typed, or in four digits where a search drew it."""
    text = str(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > LONGEST_FRACTION else text


def capital(words: str) -> str:
    """Words as a sentence begins with them: only the first letter changes."""
    return words[:1].upper() + words[1:]


def counted_noun(number: int, one: str, several: str = "") -> str:
    """A number with its noun, as a sentence has it: ``1 file``, ``1,204 files``, ``2 entries``.

    Args:
        number: How many there are.
        one: The noun, with what depends on its number, as ``file is``.
        several: The same for any other number (default: the noun's plural by the rules of English).
    """
    return f"{number:,} {one if number == 1 else several or plural(one)}"


def plural(noun: str) -> str:
    """The plural of a noun, or of a phrase that ends with it, by the rules of English: ``processes``, ``studies``."""
    if noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith("epoch"):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def setting_text(value: object) -> str:
    """A value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def folded(text: str) -> str:
    """A name as names are told apart: without regard to case, to the kind of spaces and to how letters are encoded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def whole_number(text: str) -> int:
    """Read a whole number from text: ASCII digits with an optional sign, within 64 bits.

    Raises:
        ValueError: For anything else that ``int`` would take (``1_0``, digits of other scripts) and beyond 64 bits.
    """
    word = text.strip(" \t\r\n")
    # Twenty characters hold every such number; the conversion of millions of digits would take minutes.
    if not _WHOLE.fullmatch(word) or len(word.lstrip("+-0")) > 19:
        raise ValueError(f"'{echoed(text)}' is no whole number")
    value = int(word)
    if not -LARGEST_WHOLE - 1 <= value <= LARGEST_WHOLE:
        raise ValueError(f"'{echoed(text)}' is beyond 64 bits")
    return value


def decimal_number(text: str) -> float:
    """Read a number from text: ASCII digits, a point, an exponent. The result is finite.

    Raises:
        ValueError: For anything else that ``float`` would take: ``1_0``, digits of other scripts, ``nan``, ``inf``,
            numbers too large for 64 bits.
    """
    word = text.strip(" \t\r\n")
    if not _DECIMAL.fullmatch(word):
        raise ValueError(f"'{echoed(text)}' is no number")
    value = float(word)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"'{echoed(text)}' is too large")
    return value
