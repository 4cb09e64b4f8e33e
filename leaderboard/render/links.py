"""What a text cites, as links: https addresses, arXiv and DOI numbers, OpenReview papers, a commit on GitHub.

Nothing else becomes a link, and no address holds a character that HTML, Markdown or LaTeX would read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """A part of a text, and the https address that it leads to; None where it is plain text."""

    text: str
    address: str | None = None


_ADDRESSES = {
    "https": "{}",
    "arxiv": "https://arxiv.org/abs/{}",
    "doi": "https://doi.org/{}",
    "openreview": "https://openreview.net/forum?id={}",
    "github": "https://github.com/{}/tree/{}",
}

_HOST = r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
_REST = r"[A-Za-z0-9._~/?#&=%+:@-]*[A-Za-z0-9/=_-]"
"""What follows in an address: no quotes, brackets or backslashes, and no full stop or comma at its end."""

_CITED = re.compile(
    rf"""
    (?<![A-Za-z0-9/.@-])(?:
      (?P<https>https://{_HOST}(?:(?=/){_REST})?)
    | (?i:arXiv)[ :]\s?(?P<arxiv>[0-9]{{4}}\.[0-9]{{4,5}}(?:v[0-9]{{1,2}})?)
    | (?:doi:\s?|DOI\s)?(?P<doi>10\.[0-9]{{4,9}}/[A-Za-z0-9._/:-]*[A-Za-z0-9])
    | OpenReview[ :]\s?(?P<openreview>(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{{8,16}})
    | (?:GitHub\s)?(?P<github>[A-Za-z0-9-]{{1,39}}/[A-Za-z0-9._-]{{1,100}})@(?P<commit>[0-9a-f]{{7,40}})
    )(?![A-Za-z0-9@])
    """,
    re.VERBOSE,
)


def pieces(text: str, *, linked: bool = True) -> list[Piece]:
    """A text in pieces, in order; together they are the text, but for the scheme of addresses.

    Args:
        text: The text.
        linked: Whether to look for what it cites; otherwise it is one piece.
    """
    return list(_pieces(text)) if linked else [Piece(text)]


def _pieces(text: str) -> Iterator[Piece]:
    end = 0
    for found in _CITED.finditer(text):
        if found.start() > end:
            yield Piece(text[end : found.start()])
        yield Piece(found[0].removeprefix("https://"), _address(found))
        end = found.end()
    if end < len(text):
        yield Piece(text[end:])


def _address(found: re.Match[str]) -> str:
    kind, cited = next((kind, found[kind]) for kind in _ADDRESSES if found[kind])
    return _ADDRESSES[kind].format(cited, found["commit"])
