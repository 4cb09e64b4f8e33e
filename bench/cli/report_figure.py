"""``bench report figure2``: the figures of one study or several."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cli.output import emit
from bench.core.errors import SpecError
from bench.core.terminal import wants_colour


def report_figure(home: Path | None, names: Sequence[str], storage: str | None, output: str, out: Path | None) -> None:
    """Print or write the figures of studies.

    Args:
        home: The results folder; None for its default.
        names: Studies; empty for figure2's own ones, or the only one there is.
        storage: Where they are kept; None for the results folder.
        output: Format.
        out: File to write; None for the terminal.

    Raises:
        SpecError: If no study is meant, or the format needs a file and none is named.
        ResultError: If the format is unknown.
    """
    from bench.api.figures import BINARY, FORMATS, draw_studies
    from leaderboard.render.formats import check_format

    check_format(output, FORMATS)
    if output in BINARY and out is None:
        raise SpecError(f"{output.upper()} cannot be printed in a terminal.", f"Name a file: --out figure2.{output}")
    colour = out is None and wants_colour(sys.stdout)
    content = draw_studies(names, output, home=home, storage=storage, colour=colour)
    emit(content if output in BINARY else content.decode(), out, output)
