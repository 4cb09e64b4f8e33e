"""The one kind of console: it shows text as it is and obeys nothing in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bench.core.text import plain_lines

DUMB = ("dumb", "unknown")
"""Names of terminals that can do nothing but print, as the variable TERM has them."""


class PlainConsole(Console):
    """Shows text as it is: no markup, no emoji codes, no control characters.

    Names, file names and messages of other programs may hold what rich reads as markup or emoji, and what a terminal
    obeys. Styles come from the program alone, as :class:`rich.text.Text` or as arguments.

    Args:
        file: Stream to write to.
        options: Further options of :class:`rich.console.Console`.
    """

    def __init__(self, file: TextIO, **options: Any) -> None:
        super().__init__(file=file, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text, made plain before it is laid out, so that columns keep their widths."""
        return super().render_str(plain_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is shown of something; only rich's own segments may steer the terminal."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield Segment(plain_lines(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Let the error, which is being handled, through; rich would end the process."""
        raise


def can_redraw(stream: TextIO) -> bool:
    """Whether what was written can be written over: on a terminal that is not dumb, whatever FORCE_COLOR says."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in DUMB


def wants_colour(stream: TextIO) -> bool:
    """Whether colours are written: NO_COLOR forbids and FORCE_COLOR asks for them; otherwise a terminal that has them.

    As https://no-color.org and https://force-color.org say, a variable counts where it is not empty.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or can_redraw(stream)


def shows_bars(console: Console) -> bool:
    """Whether a bar of progress can be drawn: on a terminal, and in a notebook that has rich's widgets (ipywidgets)."""
    return can_redraw(cast(TextIO, console.file)) or (console.is_jupyter and find_spec("ipywidgets") is not None)
