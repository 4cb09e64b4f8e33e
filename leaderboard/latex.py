"""Tables as LaTeX: booktabs rules, nothing that needs another package; every cell's text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.forms import Column
from leaderboard.links import Piece, pieces
from leaderboard.text import plain

PACKAGES = "% \\usepackage{booktabs}"
LINKS = "\\providecommand{\\href}[2]{#2}% links with \\usepackage{hyperref}"

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
    "±": "$\\pm$",
    "†": "$^\\dagger$",
    "Δ": "$\\Delta$",
    "\u00a0": "~",
}
_EMPHASIS = {"best": "\\textbf", "second": "\\underline"}


@dataclass(frozen=True)
class Cell:
    """A cell: its text, how it stands among its column (``best``, ``second`` or neither), and text that follows it.

    What the text of a ``linked`` one cites is a link.
    """

    text: str
    place: str = ""
    tail: str = ""
    linked: bool = False

    @property
    def pieces(self) -> list[Piece]:
        """The text in pieces, with and without a link."""
        return pieces(self.text, linked=self.linked)

    def __str__(self) -> str:
        body = "".join(map(_piece, self.pieces))
        if self.place:
            body = f"{_EMPHASIS[self.place]}{{{body}}}"
        return f"{body} {escaped(self.tail)}" if self.tail else body


@dataclass(frozen=True)
class Block:
    """Rows under a title of their own; an empty one is not shown."""

    title: str
    rows: Sequence[Sequence[Cell]]


def escaped(text: str) -> str:
    """Text as LaTeX shows it as it is; other characters beyond ASCII are left to the document's engine."""
    found = "".join(_ESCAPES.get(character, character) for character in plain(text))
    return re.sub("-(?=-)", "-{}", found)  # two hyphens would become a dash


def _piece(piece: Piece) -> str:
    if piece.address is None:
        return escaped(piece.text)
    address = re.sub(r"([%#&_~])", r"\\\1", piece.address)
    return f"\\href{{{address}}}{{{escaped(piece.text)}}}"


def table(
    caption: str,
    columns: Sequence[Column],
    blocks: Sequence[Block],
    notes: Sequence[str] = (),
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A floating table over the page's width.

    Args:
        caption: What it shows.
        columns: Its columns; numbers are set to the right.
        blocks: Its rows.
        notes: Sentences below it.
        groups: Headings above the columns with the number of columns that each spans, all columns in order; a
            heading may be empty, and replaces what stands before a line break in the columns' own.
    """
    linked = any(cell.linked for block in blocks for row in block.rows for cell in row)
    lines = [
        PACKAGES,
        *[LINKS] * linked,
        "\\begin{table*}",
        "\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}",
        f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in columns)}}}",
        "\\toprule",
        *_group_lines(groups),
        _line(escaped(re.sub(r"^.*\n", "", column.head)) for column in columns),
    ]
    for block in blocks:
        lines.append("\\midrule")
        if block.title:
            lines.append(f"\\multicolumn{{{len(columns)}}}{{l}}{{\\textit{{{escaped(block.title)}}}}} \\\\")
        lines += [_line(map(str, row)) for row in block.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if notes:
        lines += ["", "\\smallskip", "\\begin{minipage}{\\linewidth}"]
        lines += [f"{escaped(note)}\\par" for note in notes]
        lines.append("\\end{minipage}")
    return "\n".join([*lines, "\\end{table*}"]) + "\n"


def _group_lines(groups: Sequence[tuple[str, int]]) -> list[str]:
    heads, rules, first = [], [], 1
    for title, width in groups:
        heads.append(f"\\multicolumn{{{width}}}{{c}}{{{escaped(title)}}}")
        if title and width > 1:
            rules.append(f"\\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [_line(heads), " ".join(rules)] if groups else []


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\"
