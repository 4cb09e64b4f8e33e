"""The figures of one study or several: Score by parameter, history, importance, contours."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import paper
from bench.core.errors import SpecError
from bench.core.paths import home_folder
from bench.core.progress import waiting
from bench.search.figures.reading import figure_of
from bench.search.figures.render import BINARY, FORMATS, render
from bench.search.storage import Place, check_name, places_in
from bench.search.study import open_study, studies_in
from leaderboard.render.formats import check_format

if TYPE_CHECKING:
    import optuna

__all__ = ["BINARY", "FORMATS", "default_studies", "draw_studies"]

logger = logging.getLogger(__name__)

MOST_NAMED = 10
"""Studies that a hint names."""


def draw_studies(
    names: Sequence[str] = (),
    form: str = "svg",
    *,
    home: Path | None = None,
    storage: str | None = None,
    colour: bool = False,
) -> bytes:
    """Draw the figures of studies.

    Args:
        names: Studies; by default those of the paper's Figure 2, or the only one there is.
        form: ``table``, ``svg``, ``pdf``, ``png``, ``html``, ``csv`` or ``json``.
        home: The results folder.
        storage: Where the studies are kept; the results folder by default.
        colour: Whether to write colour codes, where it is a table.

    Returns:
        The file's bytes: text in UTF-8, unless it is a PDF or a PNG.

    Raises:
        SpecError: If no study is meant, or there is none of a name.
        ResultError: If the format is unknown.
        StoreError: If a study cannot be read.
    """
    check_format(form, FORMATS)
    with waiting("drawing the figures"):
        return render(figure_of(_opened(home_folder(home), names, storage)), form, colour=colour)


def _opened(home: Path, names: Sequence[str], storage: str | None) -> list[optuna.Study]:
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
    own = sorted(name for name in known if name == paper.FIGURE or name.startswith(f"{paper.FIGURE}-"))
    # Scores of the two objectives do not belong beside each other unless somebody asks for it.
    own = [name for name in own if not name.endswith("-test")] or own
    if own or len(known) == 1:
        return own or list(known)
    if not known:
        raise SpecError("There is no study yet.", "`bench search` and `bench reproduce figure2` make them.")
    some = ", ".join([*sorted(known)[:MOST_NAMED], *["…"] * (len(known) > MOST_NAMED)])
    raise SpecError(f"None of {len(known)} studies is meant by itself.", f"Name one with --study: {some}.")
