"""A figure in the format that is asked for; matplotlib and jinja2 are imported for the formats that need them."""

from __future__ import annotations

from typing import Literal, cast

from bench.search.figures.data import FigureData
from bench.search.figures.text import csv, terminal
from leaderboard.render.formats import check_format
from leaderboard.render.json_text import json_text

BINARY = ("pdf", "png")
FORMATS = ("table", "svg", *BINARY, "html", "csv", "json")


def render(figure: FigureData, format: str, *, width: int | None = None, colour: bool = False) -> bytes:  # noqa: A002
    """Write a figure in one of its formats.

    Args:
        figure: The studies to show.
        format: One of :data:`FORMATS`.
        width: Columns of the terminal (``table`` only); its own by default.
        colour: Whether to write colour codes (``table`` only).

    Returns:
        The file's bytes, UTF-8 unless the format is one of :data:`BINARY`; the same for the same data.

    Raises:
        ResultError: If the format is unknown.
    """
    check_format(format, FORMATS)
    if format in ("svg", *BINARY):
        from bench.search.figures.draw import page

        return page(figure, cast(Literal["svg", "pdf", "png"], format))
    return _text(figure, format, width, colour).encode()


def _text(figure: FigureData, format: str, width: int | None, colour: bool) -> str:  # noqa: A002
    if format == "html":
        from bench.search.figures.html import html

        return html(figure)
    if format == "json":
        return json_text(figure.to_json()) + "\n"
    return csv(figure) if format == "csv" else terminal(figure, width, colour)
