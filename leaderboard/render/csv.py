"""Reports as CSV: one line for each row, its plain values in full precision; no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.core.text import decimal_number, plain
from leaderboard.render.cells import Report
from leaderboard.render.json_text import escaped

_FORMULA = frozenset("=+-@＝＋－＠−–—")
"""What a spreadsheet takes for the beginning of a formula, as such or once another program has spelt it in ASCII."""


def write(report: Report) -> str:
    """A report as CSV: the values of all rows of all its tables under the names that any of them has."""
    rows = [row.values for table in report.tables for section in table.sections for row in section.rows]
    return csv_text(list(dict.fromkeys([*report.fields, *(name for row in rows for name in row)])), rows)


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """One line for each row under the names; numbers in full precision, lists and objects as JSON.

    Text is on one line, and never a formula: what a spreadsheet would run has an apostrophe before it.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writerow({name: _cell(name) for name in names})
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return _words(value)
    return escaped(json.dumps(value, ensure_ascii=False)) if isinstance(value, list | dict | bool) else value


def _words(text: str) -> str:
    line = plain(" ".join(text.split("\n")))
    first, rest = line.lstrip()[:1], line.lstrip()[1:]
    return f"'{line}" if rest and first in _FORMULA and not _is_number(line) else line


def _is_number(text: str) -> bool:
    try:
        decimal_number(text)
    except ValueError:
        return False
    return True
