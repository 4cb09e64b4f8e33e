"""The table of all systems on ``docs/systems.md``, made from the cards.

``PYTHONPATH=. python tests/support/systems_page.py`` writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench.api.systems import list_systems, show_system

PAGE = Path(__file__).resolve().parents[2] / "docs" / "systems.md"
BEGIN, END = "<!-- systems: written by tests/support/systems_page.py -->\n", "<!-- end of systems -->\n"


def systems_text() -> str:
    """A table of the built-in systems, and the gaps of each."""
    rows = [row for row in list_systems() if row["version"] is None]
    return "\n".join([*_table(rows), "", *_gaps([row["id"] for row in rows]), ""])


def _table(rows: list[dict]) -> Iterator[str]:
    yield "| system | is run as | printed rows | epoch of the print | fidelity |"
    yield "|---|---|---|---|---|"
    for row in rows:
        parts = f", {row['combine']}" if row["combine"] else ""
        cells = (
            f"`{row['id']}`",
            f"{row['model']} · {row['method']}{parts}",
            ", ".join(row["rows"]) or "–",
            row["selection"],
            row["fidelity"],
        )
        yield f"| {' | '.join(cells)} |"


def _gaps(ids: list[str]) -> Iterator[str]:
    """The gaps, each sentence once for all systems that have the same."""
    found: dict[str, list[str]] = {}
    for name in ids:
        found.setdefault(show_system(name)["gaps"].strip(), []).append(f"`{name}`")
    yield "What the publications leave open, and what is done instead:"
    yield ""
    for gaps, names in found.items():
        if gaps:
            yield f"- {', '.join(names)}: {gaps}"


def page_with_systems(page: str) -> str:
    """The page with the table of today.

    Args:
        page: The page's text.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{systems_text()}\n{END}", page)


if __name__ == "__main__":
    PAGE.write_text(page_with_systems(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
