"""How the columns of a table share the room that there is, in whatever unit: a terminal's columns or points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leaderboard.render.cells import Column


def kept_sets(columns: Sequence[Column]) -> Iterator[list[int]]:
    """The places of the columns that may be shown: all, then fewer and fewer in the order that the columns declare.

    Columns of one rank go together, the highest rank first; those of rank 0 are in every set.
    """
    for most in sorted({0, *(column.expendable for column in columns)}, reverse=True):
        yield [place for place, column in enumerate(columns) if column.expendable <= most]


def allotted(least: Sequence[float], wished: Sequence[float], shares: Sequence[int], room: float) -> list[float] | None:
    """Widths of columns: each gets its least, and the rest is dealt out by shares until nobody wishes for more.

    Args:
        least: What each needs.
        wished: What each would take, at least what it needs.
        shares: How the rest is dealt out.
        room: What there is for all.

    Returns:
        The widths; None where the room is too small for what they need.
    """
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = list(least)
    open_ones = [place for place in range(len(widths)) if wished[place] > widths[place]]
    while open_ones and spare > 0:
        dealt = {place: spare * shares[place] / sum(shares[one] for one in open_ones) for place in open_ones}
        content = [place for place in open_ones if wished[place] - widths[place] <= dealt[place]]
        for place in content or open_ones:
            given = wished[place] - widths[place] if content else dealt[place]
            widths[place] += given
            spare -= given
        open_ones = [place for place in open_ones if place not in content] if content else []
    return widths
