"""The site's one page. Everything that it needs stands in it.

The page must work from a file, where a browser lets no script read another file: scripts, style and data are inlined,
and a content security policy names the hash of each script, so that nothing else runs and nothing is fetched.

Figures are drawn by Observable Plot on D3 (both ISC, in ``vendor/`` with their licences): kept by their makers, SVG
that follows the page's colours, one call for each figure, 0.5 MB together.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from bench.core.datasets import DATASETS
from leaderboard.render.pages import page, resource
from leaderboard.results.schema import Rule
from leaderboard.site.data import SiteData
from leaderboard.site.downloads import FOLDER, TABLES
from leaderboard.site.values import inline_json, page_values

PACKAGE = "leaderboard.site"
"""The package that the page's template and scripts lie in."""
VENDOR_SCRIPTS = ("d3.min.js", "plot.umd.min.js")
OWN_SCRIPTS = (
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


def site_page(board: SiteData, version: str, made: str, start: Rule) -> str:
    """Write the page of a board as HTML.

    Args:
        board: The values that the page shows.
        version: Version of the program that writes the page.
        made: When the page is written, as text.
        start: The selection rule that is shown first.
    """
    scripts = [*(resource(PACKAGE, "vendor", name) for name in VENDOR_SCRIPTS), _own_script()]
    return page(
        PACKAGE,
        "board.html.j2",
        {
            "policy": f"{POLICY}; script-src {' '.join(map(_policy_hash, scripts))}",
            "scripts": scripts,
            "values": inline_json(page_values(board, start, version)),
            "failed": board.failed,
            **_words(board),
            "tables": {f"{FOLDER}/{name}": what for name, what in TABLES.items()},
            "version": version,
            "made": made,
        },
    )


def _words(board: SiteData) -> dict[str, Any]:
    """What the page's text calls its data sets and sensitivities: ``4-class`` where there are but the four classes."""
    first = DATASETS.primary().card.title
    sections = [section for section in board.described.values() if section.judged]
    real = [section.judged.title for section in sections if section.judged and not section.judged.simulated]
    others = any(section.names for section in sections)
    return {
        "first": first,
        "subjects": list(dict.fromkeys(real)) or [first],
        "exact": "exact class" if others else "4-class",
        "either": "any abnormal class" if others else "2-class",
        "exact_words": "" if others else " (4-class)",
        "either_words": "" if others else " (2-class)",
        "of_exact": "exact-class" if others else "4-class",
        "mean": not sections or any(section.task.score == "mean" for section in sections),
        "means": any(section.task.score == "challenge" for section in sections),
        "ranked": any(board.sections.values()),
    }


def _own_script() -> str:
    parts = "\n".join(resource(PACKAGE, "static", name) for name in OWN_SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _policy_hash(script: str) -> str:
    """The hash of a script as a content security policy names it: a browser runs no other script on the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
