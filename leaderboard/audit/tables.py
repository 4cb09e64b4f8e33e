"""Tables of results as other people write them: CSV, JSON or Markdown, with Sp, Se and Score in some columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.audit.result_rows import ResultRow, has_results, in_percent, result_row

MOST_ROWS = 200_000
"""Lines of a CSV file above which it is no table of results."""

_HOLDERS = ("rows", "results", "systems", "runs", "sections")


def rows_of_text(text: str, where: str, task: TaskCard = FOUR_CLASSES) -> list[ResultRow]:
    """Read the rows of a CSV file or of the tables in a Markdown file.

    Args:
        text: Content of the file.
        where: Name of the file, for messages.
        task: What the results are of.

    Raises:
        ResultError: If no table in it has a column of Sp, Se or Score.
    """
    lines = text.splitlines()
    tables = (
        _markdown_tables(lines) if any(line.lstrip().startswith("|") for line in lines) else _csv_tables(text, where)
    )
    rows = [
        result_row(f"line {number}", dict(zip(header, cells, strict=False)), task)
        for header, body in tables
        if has_results(header)
        for number, cells in body
    ]
    if not rows:
        raise ResultError(
            f"{where} is no table of results: no column is called Sp, Se or Score, or no row follows.",
            "Name the columns sp, se, score; predictions have the columns recording and cycle.",
        )
    return in_percent(rows)


NumberedLines = list[tuple[int, list[str]]]


def _markdown_tables(lines: Sequence[str]) -> Iterator[tuple[list[str], NumberedLines]]:
    header: list[str] | None = None
    body: NumberedLines = []
    for number, line in enumerate([*lines, ""], start=1):
        bare = line.strip()
        if not bare.startswith("|"):
            if header is not None:
                yield header, body
            header, body = None, []
        elif header is None:
            header = _markdown_cells(bare)
        elif set(bare) - set("|-: "):
            body.append((number, _markdown_cells(bare)))


def _markdown_cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _csv_tables(text: str, where: str) -> Iterator[tuple[list[str], NumberedLines]]:
    first = text.lstrip("\ufeff\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    body: NumberedLines = []
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
            else:
                body.append((reader.line_num, cells))
            if len(body) > MOST_ROWS:
                raise ResultError(f"{where} has more than {MOST_ROWS:,} lines, which no table of results has.")
    except csv.Error as error:
        raise ResultError(f"{where} is no CSV file: {echoed(error)}.") from error
    yield header, body


def rows_of_document(document: Any, where: str, task: TaskCard = FOUR_CLASSES) -> list[ResultRow]:
    """Read the rows of a JSON document, which is a list of objects, or an object that holds one.

    Args:
        document: The document as JSON values.
        where: Name of the file, for messages.
        task: What the results are of.

    Raises:
        ResultError: If no object in it has a field of Sp, Se or Score.
    """
    rows = [
        result_row(f"row {number}", values, task)
        for number, values in enumerate(_objects(document), start=1)
        if has_results(list(values))
    ]
    if not rows:
        raise ResultError(
            f"{where} is no table of results: no object in it has a field sp, se or score.",
            "It is a list of objects, one for each row, or the result of a run.",
        )
    return in_percent(rows)


def _objects(document: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in a JSON document that can be rows: those with a rate, or those in a list that holds results."""
    if isinstance(document, list):
        for item in document:
            yield from _objects(item)
    elif isinstance(document, Mapping):
        holders = [document[name] for name in _HOLDERS if isinstance(document.get(name), list)]
        if has_results(list(document)) or not holders:
            yield document
        else:
            for holder in holders:
                yield from _objects(holder)
