"""``bench report figure2``: the figures of one study or several."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import emit
from bench.core.errors import SpecError

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

MOST_NAMED = 10
"""Studies that a hint names."""

OWN = "figure2"
"""What the names of the studies of `bench reproduce figure2` begin with."""


def report_figure(home: Path, names: Sequence[str], storage: str | None, output: str, out: Path | None) -> None:
    """Print or write the figures of studies.

    Args:
        home: The results folder.
        names: Studies; empty for figure2's own ones, or the only one there is.
        storage: Where they are kept; None for the results folder.
        output: Format.
        out: File to write; None for the terminal.

    Raises:
        SpecError: If no study is meant, or the format needs a file and none is named.
        ResultError: If the format is unknown.
    """
    from bench.search.figures.render import BINARY, FORMATS, render
    from leaderboard.render.formats import check_format

    check_format(output, FORMATS)
    if output in BINARY and out is None:
        raise SpecError(f"{output.upper()} cannot be printed in a terminal.", f"Name a file: --out {OWN}.{output}")
    from bench.search.figures.data import figure_of

    content = render(figure_of(_open(home, names, storage)), output, colour=out is None and sys.stdout.isatty())
    emit(content if output in BINARY else content.decode(), out, output)


def _open(home: Path, names: Sequence[str], storage: str | None) -> list[optuna.Study]:
    from bench.search.storage import Place, check_name, places_in
    from bench.search.study import open_study, studies_in

    if names:
        places = {name: Place.of(storage, home, check_name(name)) for name in names}
        return [open_study(place, name).study for name, place in places.items()]
    searches, damaged = studies_in(places_in(storage, home))
    for error in damaged:
        logger.warning(f"left out: {error.message}")
    known = {search.name: search.study for search in searches}
    return [known[name] for name in default_studies(list(known))]


def default_studies(known: Sequence[str]) -> list[str]:
    """The studies that are meant when none is named.

    Args:
        known: All studies of the results folder.

    Raises:
        SpecError: If there is none, or if there are several and none of them is figure2's own.
    """
    own = sorted(name for name in known if name == OWN or name.startswith(f"{OWN}-"))
    # Scores of the two objectives do not belong beside each other unless somebody asks for it.
    own = [name for name in own if not name.endswith("-test")] or own
    if own or len(known) == 1:
        return own or list(known)
    if not known:
        raise SpecError("There is no study yet.", "`bench search` and `bench reproduce figure2` make them.")
    some = ", ".join([*sorted(known)[:MOST_NAMED], *["…"] * (len(known) > MOST_NAMED)])
    raise SpecError(f"None of {len(known)} studies is meant by itself.", f"Name one with --study: {some}.")
