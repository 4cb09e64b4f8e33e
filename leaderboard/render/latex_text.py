"""Text as LaTeX shows it as it is, where it may be broken, and how wide it is set."""

from __future__ import annotations

import re
import unicodedata

from bench.core.text import plain

_ESCAPES = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "''",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "–": "\\textendash{}",
    "—": "\\textemdash{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": "\\ldots{}",
    "±": "$\\pm$",
    "−": "$-$",
    "×": "$\\times$",
    "·": "$\\cdot$",
    "°": "$^\\circ$",
    "≤": "$\\leq$",
    "≥": "$\\geq$",
    "→": "$\\to$",
    "†": "$^\\dagger$",
    **{letter: f"\\{name}{{}}" for letter, name in zip("æÆœŒøØßłŁı", "ae AE oe OE o O ss l L i".split(), strict=True)},
}
"""Characters that LaTeX reads, or that its fonts have under a name alone."""

_ACCENTS = dict(
    zip("\u0300\u0301\u0302\u0303\u0304\u0307\u0308\u030a\u030b\u030c\u0327\u0328", "`'^~=.\"rHvck", strict=True)
)
"""Marks above and below letters, and the commands that set them."""

_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (\w+)")
_LATIN_FORMS = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
"""Greek letters that TeX has no command for, since Latin ones look the same."""


def escaped(text: str) -> str:
    """Text as LaTeX shows it as it is.

    Characters that its own fonts have not are shown by engines that know Unicode alone; others show question marks.
    """
    found = "".join(_letter(character) for character in plain(text))
    found = found.replace("$\\pm$ ", "$\\pm$\\,")  # a sign stays with its number
    return re.sub("-(?=-)", "-{}", found)  # two hyphens would become a dash


def _letter(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii():
        return character
    base, *marks = list(unicodedata.normalize("NFKD", character))
    if base.isascii() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    if base in _LATIN_FORMS and not marks:
        return _LATIN_FORMS[base]
    greek = _GREEK.fullmatch(unicodedata.name(base, ""))
    if greek and not marks and greek[2] not in ("FINAL SIGMA", "LAMDA"):
        return f"$\\{greek[2].lower() if greek[1] == 'SMALL' else greek[2].capitalize()}$"
    return {"λ": "$\\lambda$", "Λ": "$\\Lambda$"}.get(base, f"\\ifdefined\\Umathcode {character}\\else ?\\fi{{}}")


# --- where text may be broken -----------------------------------------------------------------------------------

LONG = 16
"""Letters from which a word without any place to break it may be broken anywhere, in parts of half as many."""

_PLACES = re.compile(r"(?<=[\w)][+/_=,;–-])(?=.)|(?<=')(?=[0-9])")


def _words(text: str) -> list[str]:
    """What stands between spaces; a sign of deviation stays with its number."""
    return re.split("(?<!±) ", plain(text))


def _parts(word: str) -> list[str]:
    """A word in the parts that a line may end after."""
    found = []
    for part in _PLACES.split(word):
        found += [part] if len(part) <= LONG else [part[i : i + LONG // 2] for i in range(0, len(part), LONG // 2)]
    return found


def breakable(text: str) -> str:
    """Escaped text that may be broken within words too: after hyphens, slashes and the like, anywhere in long ones."""
    return " ".join(map(_breakable_word, _words(text)))


def _breakable_word(word: str) -> str:
    shown = "\\allowbreak{}".join(map(escaped, _parts(word)))
    return re.sub(r"-\\allowbreak\{\}(?!-)", "-", shown)  # TeX breaks there by itself


def widest_word(text: str) -> float:
    """Width of the widest word of a text; see :func:`width`."""
    return max(map(width, _words(text)))


def widest_part(text: str) -> float:
    """Width of the widest part of a text as :func:`breakable` breaks it."""
    return max(width(part) for word in _words(text) for part in _parts(word))


# --- how wide it is ---------------------------------------------------------------------------------------------

_WIDTHS = {
    "il.,:;'!|[]`": 0.28,
    "jf_ -": 0.34,
    "I": 0.37,
    'rts()"': 0.40,
    "cez": 0.45,
    "ago?$/\\–{}0123456789": 0.50,
    "kqvxyJ": 0.53,
    "bdhnpuS": 0.56,
    "ZLF": 0.65,
    "EP": 0.685,
    "B": 0.71,
    "wCT": 0.725,
    "R": 0.74,
    "AHNUVXY": 0.75,
    "DKOQG&+=<>±−~^@": 0.79,
    "m%#": 0.84,
    "M—": 1.0,
}
_KNOWN = {letter: size for letters, size in _WIDTHS.items() for letter in letters}


def width(text: str) -> float:
    """How wide a text is set in Computer Modern, in its size; rather too much than too little."""
    return sum(_KNOWN.get(letter, 1.03) for letter in plain(text).replace("± ", "±."))  # a thin space
