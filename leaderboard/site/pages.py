"""The site's one page. Everything that it needs stands in it.

The page must work from a file, where a browser lets no script read another file: scripts, style and data are inlined,
and a content security policy names the hash of each script, so that nothing else runs and nothing is fetched.

Figures are drawn by Observable Plot on D3 (both ISC, in ``vendor/`` with their licences): kept by their makers, SVG
that follows the page's colours, one call for each figure, 0.5 MB together.
"""

from __future__ import annotations

import base64
import hashlib

from leaderboard.render.pages import page, resource
from leaderboard.results.schema import Rule
from leaderboard.site.data import Board
from leaderboard.site.downloads import FOLDER, TABLES
from leaderboard.site.values import inline_json, page_values

PACKAGE = "leaderboard.site"
"""The package that the page's template and scripts lie in."""
VENDOR = ("d3.min.js", "plot.umd.min.js")
OWN = (
    "format.js",
    "state.js",
    "statistics.js",
    "axes.js",
    "walk.js",
    "table.js",
    "figures.js",
    "patients.js",
    "answers.js",
    "system.js",
    "comparison.js",
    "sound.js",
    "missed.js",
    "page.js",
)
"""The page's own scripts, in the order in which they are joined into one."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def site_page(board: Board, version: str, made: str, start: Rule) -> str:
    """The page of a board.

    Args:
        board: What it shows.
        version: Of the program that writes it.
        made: When, as text.
        start: The selection rule that is shown first.
    """
    scripts = [*(resource(PACKAGE, "vendor", name) for name in VENDOR), _own_script()]
    return page(
        PACKAGE,
        "board.html.j2",
        {
            "policy": f"{POLICY}; script-src {' '.join(map(_source, scripts))}",
            "scripts": scripts,
            "values": inline_json(page_values(board, start, version)),
            "failed": board.failed,
            "tables": {f"{FOLDER}/{name}": what for name, what in TABLES.items()},
            "version": version,
            "made": made,
        },
    )


def _own_script() -> str:
    parts = "\n".join(resource(PACKAGE, "static", name) for name in OWN)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _source(script: str) -> str:
    """A script as the policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
