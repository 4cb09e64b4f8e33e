"""The columns of the paper's tables: its own, its numbers as printed, the numbers run here, and the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leaderboard.render.cells import Column, FilledColumn, Place, Values
from leaderboard.render.numbers import interval_lines, mean_lines, number, seeds
from leaderboard.tables.marks import mark_words
from leaderboard.tables.paper_tables import PaperTable

PRINTED = ("sp", "se", "score")
"""The numbers of a printed row."""
HEADS = {"sp": "Sp", "se": "Se", "score": "Score"}
NARROW_UNDER = {"venue": "method", "pretrain": "architecture"}
"""Columns of the widest table that stand below another one where the room is short."""

Places = Mapping[tuple[str, str], Place]
"""``best`` or ``second`` by row id and name of a printed number."""


def paper_columns(table: PaperTable, places: Places, *, narrow: bool = False) -> list[FilledColumn]:
    """All columns of a table.

    Args:
        table: The table.
        places: How the printed numbers stand among their column.
        narrow: Whether some of the paper's own columns stand below others, the fidelity below the name, and the other
            rule's Score below Δ.
    """
    return [
        *_own_columns(table, narrow),
        *([] if narrow else [FilledColumn(Column("fidelity", number=False, wrap=True), _fidelity)]),
        *(_printed(name, places) for name in PRINTED),
        FilledColumn(Column("Sp", "here", expendable=2), _numbers("reproduced", "sp")),
        FilledColumn(Column("Se", "here", expendable=2), _numbers("reproduced", "se")),
        FilledColumn(Column("Score", "here", card="lead"), _here_score),
        *(_narrow_difference(table.other) if narrow else _differences(table.other)),
        FilledColumn(Column("seeds", number=False, wrap=True, separator=", "), _seeds),
    ]


def marks_own_runs(table: PaperTable) -> bool:
    """Whether † marks the authors' own runs: where some rows are theirs and some are not."""
    return len({row["authors_run"] for row in table.rows}) > 1


# --- the paper's own columns ------------------------------------------------------------------------------------


def _own_columns(table: PaperTable, narrow: bool) -> list[FilledColumn]:
    """What a row is; the first column carries †, and the fidelity where that has no column."""
    heads = list(table.columns)
    below = {under: head for head, under in NARROW_UNDER.items() if narrow and {"venue", head} <= set(heads)}
    dagger = marks_own_runs(table)
    return [
        _own_column(
            head,
            [table.columns[name] for name in (head, below.get(head)) if name],
            is_first=head == heads[0],
            dagger=dagger and head == heads[0],
            fidelity=narrow and head == heads[0],
        )
        for head in heads
        if head not in below.values()
    ]


def _own_column(head: str, names: Sequence[str], *, is_first: bool, dagger: bool, fidelity: bool) -> FilledColumn:
    def lines(row: Values) -> list[str]:
        first, *rest = [str(_value(row, name)) for name in names]
        below = [row["fidelity"]] if fidelity and row["fidelity"] else []
        return [first + ("†" if dagger and row["authors_run"] else ""), *rest, *below]

    column = Column(
        head,
        number=False,
        wrap=True,
        share=2 if is_first else 1,
        card="title" if is_first else "rest",
        separator=", ",
    )
    return FilledColumn(column, lines)


def _value(row: Values, name: str) -> Any:
    """A field by its dotted name."""
    value: Any = row
    for part in name.split("."):
        value = value[part]
    return value


# --- numbers ----------------------------------------------------------------------------------------------------


def _printed(name: str, places: Places) -> FilledColumn:
    column = (
        Column(HEADS[name], "paper", card="lead") if name == "score" else Column(HEADS[name], "paper", expendable=3)
    )
    return FilledColumn(column, _numbers("published", name), lambda row: places[row["id"], name])


def _numbers(part: str, name: str) -> Callable[[Values], list[str]]:
    """A number of a part of the row with its deviation; * stands at a printed Score that was the best before."""

    def lines(row: Values) -> list[str]:
        values = row[part]
        if values is None:
            return ["–"]
        first, *rest = mean_lines(values[name], values[f"{name}_std"])
        return [first + ("*" if name == "score" and values.get("previous_best") else ""), *rest]

    return lines


def _here_score(row: Values) -> list[str]:
    """The Score of the runs here with its interval, where there is one."""
    return _numbers("reproduced", "score")(row) + interval_lines((row["reproduced"] or {}).get("ci95"))


def _differences(other: str) -> list[FilledColumn]:
    return [FilledColumn(Column("Score", other, expendable=1), _other), FilledColumn(Column("Δ"), _delta)]


def _narrow_difference(other: str) -> list[FilledColumn]:
    def lines(row: Values) -> list[str]:
        return _delta(row) + _other(row) if row["reproduced"] else ["–"]

    return [FilledColumn(Column(f"Δ,\n{other}"), lines)]


def _other(row: Values) -> list[str]:
    beside = (row["reproduced"] or {}).get("other")
    return [number(beside["score"] if beside else None)]


def _delta(row: Values) -> list[str]:
    return [number(row["delta"], "+")]


def _seeds(row: Values) -> list[str]:
    """Seeds, the data where they are not the whole set, and marks where there are any."""
    reproduced = row["reproduced"]
    if reproduced is None:
        return ["–"]
    marks = [f"marked: {mark}" for mark in mark_words(reproduced)]
    # What is compared with print was run on the whole set.
    data = [row["data"]] if row["delta"] is None else []
    size = ["reduced size"] if row["reduced"] else []
    return [seeds(reproduced["seeds"]), *data, *size, *marks]


def _fidelity(row: Values) -> list[str]:
    return [row["fidelity"] or "–"]
