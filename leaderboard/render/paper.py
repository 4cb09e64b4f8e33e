"""The paper's tables as reports: what is printed there and what was run here, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leaderboard.render import cells
from leaderboard.render.cells import FilledColumn, Place, Report, Values, cells_of
from leaderboard.render.paper_columns import PRINTED, Places, marks_own_runs, paper_columns
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.paper_tables import PaperTable, Row

REPRODUCED = (
    *("seeds", "sp", "sp_std", "se", "se_std", "score", "score_std", "ci95", "run_ids", "pretrain"),
    *("other.protocol", "other.score", "other.score_std"),
)
"""Names in CSV of what was run here: the same for a row with runs and for one without."""


def paper_report(table: PaperTable) -> Report:
    """A table of the paper as a report."""
    return Report(
        table.name,
        [_table(table)],
        heading=f"{table.name.replace('table', 'Table ')}. {table.title}",
        caption=_caption(table),
        notes=table.notes,
        listed=True,
    )


def _table(table: PaperTable) -> cells.Table:
    places = _places(table)
    narrow = _filled(table, paper_columns(table, places, narrow=True))
    return replace(_filled(table, paper_columns(table, places)), narrow=narrow)


def _filled(table: PaperTable, columns: Sequence[FilledColumn]) -> cells.Table:
    sections = [
        cells.Section(title, [cells.Row(cells_of(columns, row), _values(table, row)) for row in rows])
        for title, rows in _sections(table).items()
    ]
    return cells.Table(table.title, [filled.column for filled in columns], sections)


def _sections(table: PaperTable) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in table.lines:
        found.setdefault(row["section"], []).append(row)
    return found


def _places(table: PaperTable) -> Places:
    """The best and the second printed numbers of each column within a section."""
    found: dict[tuple[str, str], Place] = {}
    best_two: tuple[Place, Place] = ("best", "second")
    for rows in _sections(table).values():
        for name in PRINTED:
            values = sorted({row["published"][name] for row in rows}, reverse=True)
            ranked = dict(zip(values, best_two, strict=False))
            found.update({(row["id"], name): ranked.get(row["published"][name], "") for row in rows})
    return found


def _caption(table: PaperTable) -> str:
    dagger = "† the authors' own runs" if marks_own_runs(table) else "all rows the authors' own runs"
    star = "* the best before the paper" if any(row["published"]["previous_best"] for row in table.rows) else ""
    marks = ", ".join(filter(None, (dagger, star)))
    return (
        f"Percent; ± over seeds. paper: as printed, {marks}. here: runs of this board, selection rule "
        f"{table.protocol}; {table.other}: their Score under that rule. Δ: Score here minus printed, for the whole of "
        f"{table.data} alone. In brackets: 95 % interval of the Score over patients. With seeds: the data where they "
        f"are not the whole of {table.data}, and whether the size is reduced. Fidelity, or the words below a name: "
        f"what the system here rests on. Notes begin with row ids (bench reproduce --only)."
    )


def _values(table: PaperTable, row: Row) -> Values:
    """A row for CSV: nested values under dotted names, options and differences as JSON."""
    nested = ("published", "reproduced", "options", "differs", "variants")
    reproduced = flattened(row["reproduced"] or {})
    return {
        "table": table.name,
        "protocol": table.protocol,
        **{name: value for name, value in row.items() if name not in nested},
        "options": dict(row["options"]),
        "differs": row["differs"],
        "variant_of": row.get("variant_of"),
        **flattened({"published": row["published"]}),
        **{f"reproduced.{name}": reproduced.get(name) for name in REPRODUCED},
    }
