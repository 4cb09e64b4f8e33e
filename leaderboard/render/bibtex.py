"""BibTeX entries of rows: a submission's paper, a printed row's source, and for runs of this program the program."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from bench.core.text import plain
from leaderboard.published.results_file import PrintedResult
from leaderboard.published.systems import PublishedSystem
from leaderboard.render.latex_text import escaped

_ADDRESS = re.compile(r"https?://[^\s,;)]+")


def run_entry(system: str, run_ids: Sequence[str], created: str, version: str) -> str:
    """The entry of a system that this program trained.

    Args:
        system: What it is called.
        run_ids: Its runs.
        created: When the newest of them was made, ISO 8601.
        version: Of the program.
    """
    note = f"Board row {system}; runs {', '.join(run_ids)}"
    return _entry(
        "software",
        f"lungbench {run_ids[0]}",
        {"title": "LungBench", "version": version, "year": created[:4], "note": note},
    )


def submission_entry(system: str, run_id: str, statement: Mapping[str, object], created: str) -> str:
    """The entry of a submitted system, from its statement's paper and address."""
    paper, url = (str(statement.get(name) or "") for name in ("paper", "url"))
    year = re.search(r"\b(?:19|20)\d\d\b", paper)
    return _entry(
        "misc",
        f"{system} {run_id}",
        {
            "title": system,
            "howpublished": paper,
            "url": url,
            "year": year[0] if year else created[:4],
            "note": f"Predictions submitted to LungBench, {run_id}",
        },
    )


def published_entry(system: PublishedSystem) -> str:
    """The entry of a printed row."""
    address = _ADDRESS.search(system.source)
    return _entry(
        "misc",
        system.id,
        {
            "title": system.system,
            "howpublished": system.venue,
            "url": address[0] if address else "",
            "year": str(system.year),
            "note": "" if address else system.source,
        },
    )


def result_entry(result: PrintedResult) -> str:
    """The entry of a printed result of a data set."""
    address = _ADDRESS.search(result.source)
    return _entry(
        "misc",
        f"{result.system} {result.year} {result.task}",
        {
            "title": result.system,
            "howpublished": result.venue,
            "url": address[0] if address else "",
            "year": str(result.year),
            "note": "" if address else result.source,
        },
    )


def _entry(kind: str, name: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {field} = {{{_text(field, value)}}}," for field, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{_key(name)},", *lines, "}"])


def _text(field: str, value: str) -> str:
    """A value that LaTeX sets as it stands; an address keeps its characters, but for those that end the entry."""
    text = plain(value)
    if field == "url":
        return re.sub(r"[{}\\\s]", "", text)
    return escaped(text.replace("{", "(").replace("}", ")"))  # BibTeX counts braces, escaped or not.


def _key(name: str) -> str:
    """A citation key: letters, digits and dashes alone."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-") or "row"
