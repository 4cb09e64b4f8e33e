"""Colours and matplotlib settings of the figures of studies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap

INK, MUTED, LINE, CHOSEN, PAPER = "#1f2430", "#667080", "#dfe3e8", "#c6cbd3", "#ffffff"
SERIES = ("#0b62a4", "#c2570c", "#0f7b5f", "#8a3ea8")
"""Colours of the studies of a figure, one after another."""

SCORES = LinearSegmentedColormap.from_list("scores", ["#31118f", "#a1239a", "#d9586a", "#f59b45"])

SETTINGS = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "bench",
    "pdf.fonttype": 42,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw by :data:`SETTINGS`, and without warnings of letters that the font lacks: names may be in any script."""
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
