"""Whole numbers as options take them."""

from __future__ import annotations

from collections.abc import Callable

import typer

from leaderboard.text import whole_number


def whole(low: int, high: int) -> Callable[[str | int], int]:
    """A parser of whole numbers within a range, in ASCII digits: ``int`` would take ``1_0`` and other scripts' too.

    Args:
        low: The smallest.
        high: The largest.
    """

    def read(given: str | int) -> int:
        try:
            value = whole_number(str(given))
        except ValueError as error:
            raise typer.BadParameter(f"{error}.") from None
        if not low <= value <= high:
            raise typer.BadParameter(f"{value} is not in the range {low}<=x<={high}.")
        return value

    return read
