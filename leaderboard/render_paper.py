"""The paper's tables as text: what is printed there and what was run here, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bench.core.text import plain
from leaderboard import latex
from leaderboard.forms import (
    Column,
    console,
    csv_text,
    escaped,
    grid,
    json_text,
    markdown_grid,
    number,
    printed,
    seeds,
)
from leaderboard.render import check_format
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.marks import mark_words
from leaderboard.tables.paper_tables import FULL, PaperTable, Row

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

NUMBERS = {"Sp": "sp", "Se": "se", "Score": "score"}
NARROW_UNDER = {"venue": "method", "pretrain": "architecture"}
"""Columns of the widest table that stand below another one where the room is short."""

WIDE = 170
"""Columns of a terminal from which every value has a column of its own."""

Places = Mapping[tuple[str, str], str]
"""``best`` or ``second`` by row id and name of a printed number."""


def render_paper(
    table: PaperTable,
    format: str = "table",  # noqa: A002
    *,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Write a table of the paper as text; arguments and errors as :func:`leaderboard.render.render`."""
    check_format(format)
    if format == "json":
        return json_text(table.to_json()) + "\n"
    if format == "table":
        return _terminal(table, width, colour)
    return {"csv": _csv, "markdown": _markdown, "latex": _latex, "html": _html}[format](table)


# --- columns ----------------------------------------------------------------------------------------------------


def _value(row: Row, name: str) -> Any:
    """A field by its dotted name."""
    value: Any = row
    for part in name.split("."):
        value = value[part]
    return value


def _marks_own_runs(table: PaperTable) -> bool:
    """† tells something only where some rows have it and some have not."""
    return len({row["authors_run"] for row in table.rows}) > 1


def _left(table: PaperTable, narrow: bool) -> list[Column]:
    """The paper's own columns, which say what a row is; the first one carries †."""
    heads = list(table.columns)
    below = {under: head for head, under in NARROW_UNDER.items() if narrow and {"venue", head} <= set(heads)}
    dagger = _marks_own_runs(table)

    def column(head: str, first: bool) -> Column:
        names = [table.columns[head], *([table.columns[below[head]]] if head in below else [])]

        def lines(row: Row) -> list[str]:
            values = [str(_value(row, name)) for name in names]
            return [values[0] + ("†" if first and dagger and row["authors_run"] else ""), *values[1:]]

        return Column(head, lines, number=False, wrap=True, share=2 if first else 1, card="title" if first else "rest")

    return [column(head, head == heads[0]) for head in heads if head not in below.values()]


def _mean(part: str, name: str) -> Callable[[Row], list[str]]:
    def lines(row: Row) -> list[str]:
        values = row[part]
        if values is None:
            return ["–"]
        star = "*" if name == "score" and values.get("previous_best") else ""
        spread = values[f"{name}_std"]
        return [number(values[name]) + star, *([f"± {number(spread)}"] if spread is not None else [])]

    return lines


def _other(row: Row) -> list[str]:
    beside = (row["reproduced"] or {}).get("other")
    return [number(beside["score"] if beside else None)]


def _delta(row: Row) -> list[str]:
    return [number(row["delta"], "+")]


def _here_score(row: Row) -> list[str]:
    """The Score of the runs here with its interval, where there is one."""
    interval = (row["reproduced"] or {}).get("ci95")
    return _mean("reproduced", "score")(row) + ([f"({interval[0]:.1f}–{interval[1]:.1f})"] if interval else [])


def _seeds(row: Row) -> list[str]:
    """Seeds, the data where they are not the whole set, and marks where there are any."""
    reproduced = row["reproduced"]
    if reproduced is None:
        return ["–"]
    marks = [f"marked: {mark}" for mark in mark_words(reproduced)]
    return [seeds(reproduced["seeds"]), *([row["data"]] if row["data"] != FULL else []), *marks]


def _columns(table: PaperTable, *, narrow: bool = False) -> list[Column]:
    """All columns; in the narrow form some of the paper's own stand below others, and the other rule below Δ."""
    beside = [Column(f"{table.other}\nScore", _other, expendable=1), Column("Δ", _delta)]
    if narrow:
        beside = [Column(f"Δ,\n{table.other}", lambda row: _delta(row) + _other(row) if row["reproduced"] else ["–"])]
    return [
        *_left(table, narrow),
        Column("paper\nSp", _mean("published", "sp"), expendable=3),
        Column("paper\nSe", _mean("published", "se"), expendable=3),
        Column("paper\nScore", _mean("published", "score"), card="lead"),
        Column("here\nSp", _mean("reproduced", "sp"), expendable=2),
        Column("here\nSe", _mean("reproduced", "se"), expendable=2),
        Column("here\nScore", _here_score, card="lead"),
        *beside,
        Column("seeds", _seeds, number=False, wrap=True),
    ]


def _sections(table: PaperTable) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in table.rows:
        found.setdefault(row["section"], []).append(row)
    return found


def _places(table: PaperTable) -> Places:
    """The best and the second printed numbers of each column within a section."""
    found = {}
    for rows in _sections(table).values():
        for name in NUMBERS.values():
            values = sorted({row["published"][name] for row in rows}, reverse=True)
            ranked = dict(zip(values, ("best", "second"), strict=False))
            found.update({(row["id"], name): ranked.get(row["published"][name], "") for row in rows})
    return found


def _place(column: Column, row: Row, places: Places) -> str:
    group, _, head = column.head.partition("\n")
    return places[row["id"], NUMBERS[head]] if group == "paper" else ""


def _title(table: PaperTable) -> str:
    return f"{table.name.replace('table', 'Table ')}. {table.title}"


def _caption(table: PaperTable) -> str:
    dagger = "† the authors' own runs, " if _marks_own_runs(table) else "all rows the authors' own runs, "
    star = "* the best before the paper" if any(row["published"]["previous_best"] for row in table.rows) else ""
    marks = ", ".join(filter(None, (dagger.rstrip(", "), star)))
    return (
        f"Percent; ± over seeds. paper: as printed, {marks}. here: runs of this board, selection rule "
        f"{table.protocol}; {table.other}: their Score under that rule. Δ: Score here minus printed, for the whole of "
        "ICBHI alone. In brackets: 95 % interval of the Score over patients. With seeds: the data where they are not "
        "the whole of ICBHI. Notes begin with row ids (bench reproduce --only)."
    )


# --- forms ------------------------------------------------------------------------------------------------------


def _terminal(table: PaperTable, width: int | None, colour: bool) -> str:
    from rich.text import Text

    from leaderboard.terminal_grid import CARDS_BELOW

    screen, places = console(width, colour), _places(table)
    columns, sections = _columns(table, narrow=CARDS_BELOW <= screen.width < WIDE), _sections(table)
    parts: list[RenderableType] = [Text(plain(_title(table)), style="bold")]
    for title, rows in sections.items():
        cells = [[_cell(column, row, places) for column in columns] for row in rows]
        parts.append(grid(title, columns, cells))
    notes = [Text(f"- {plain(note)}") for note in table.notes]
    return printed(screen, [*parts, Text(_caption(table), style="dim"), *notes])


def _cell(column: Column, row: Row, places: Places) -> Text:
    from rich.text import Text

    style = {"best": "bold", "second": "underline", "": ""}[_place(column, row, places)]
    first, *rest = map(plain, column.lines(row))
    return Text.assemble((first, style), *(f"\n{line}" for line in rest))


def _joined(column: Column, row: Row) -> str:
    return (" " if column.number else ", ").join(column.lines(row))


def _markdown(table: PaperTable) -> str:
    columns = _columns(table)
    lines = [f"# {escaped(_title(table))}", ""]
    for title, rows in _sections(table).items():
        lines += markdown_grid(title, columns, [[_joined(column, row) for column in columns] for row in rows])
    return "\n".join([*lines, escaped(_caption(table)), "", *(f"- {escaped(note)}" for note in table.notes)]) + "\n"


def _latex(table: PaperTable) -> str:
    for narrow in (False, True):
        columns = _columns(table, narrow=narrow)
        blocks, groups = _blocks(table, columns), _groups(table, columns)
        if latex.fits(columns, blocks, groups):
            break
    return latex.table(table.title, columns, blocks, [_caption(table), *table.notes], groups)


def _html(table: PaperTable) -> str:
    from leaderboard.html import HtmlTable, tables_page

    columns = _columns(table)
    tables = [HtmlTable("", columns, _blocks(table, columns), _groups(table, columns))]
    return tables_page(_title(table), tables, _caption(table), table.notes)


def _groups(table: PaperTable, columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Headings above the columns, and how many each spans."""
    heads = {"paper", "here", table.other}
    titles = [title if (title := column.head.partition("\n")[0]) in heads else "" for column in columns]
    return [(title, len(list(group))) for title, group in groupby(titles)]


def _blocks(table: PaperTable, columns: Sequence[Column]) -> list[latex.Block]:
    sections, places = _sections(table), _places(table)
    return [
        latex.Block(title if len(sections) > 1 else "", [_block_cells(columns, row, places) for row in rows])
        for title, rows in sections.items()
    ]


def _block_cells(columns: Sequence[Column], row: Row, places: Places) -> list[latex.Cell]:
    cells = []
    for column in columns:
        if column.number:
            first, *rest = column.lines(row)
            cells.append(latex.Cell(first, _place(column, row, places), " ".join(rest)))
        else:
            cells.append(latex.Cell(_joined(column, row)))
    return cells


def _csv(table: PaperTable) -> str:
    """One line for each row, all numbers in full precision; nested values as dotted columns or JSON."""
    rows = [_flat_row(table, row) for row in table.rows]
    return csv_text(list(rows[0]), rows)


REPRODUCED = (
    *("seeds", "sp", "sp_std", "se", "se_std", "score", "score_std", "ci95", "run_ids", "pretrain"),
    *("other.protocol", "other.score", "other.score_std"),
)
"""Columns of what was run here: the same for a row with runs and for one without."""


def _flat_row(table: PaperTable, row: Row) -> Row:
    nested = ("published", "reproduced", "options", "differs")
    reproduced = flattened(row["reproduced"] or {})
    return {
        "table": table.name,
        "protocol": table.protocol,
        **{name: value for name, value in row.items() if name not in nested},
        "options": dict(row["options"]),
        "differs": row["differs"],
        **flattened({"published": row["published"]}),
        **{f"reproduced.{name}": reproduced.get(name) for name in REPRODUCED},
    }
