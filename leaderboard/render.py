"""The board's tables and single runs as text; the forms themselves are in :mod:`leaderboard.forms`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.errors import ResultError
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
from leaderboard.metrics import CLASSES, SENSITIVITIES
from leaderboard.results.inputs import notable
from leaderboard.results.run_folder import EpochRow, ResultDocument, kind_of
from leaderboard.tables.board_tables import Row, Section, Table, flattened
from leaderboard.tables.marks import mark_words

if TYPE_CHECKING:
    from rich.console import RenderableType

FORMATS = ("table", "markdown", "latex", "csv", "json", "html")
MOST_ROWS: Mapping[str, int] = {"systems": 100, "runs": 1000}
"""Rows of a section that a terminal gets, by kind: nobody reads more there, and laying out one takes a millisecond."""
UNDECLARED = "undeclared"
"""The value of an input that a submitter did not declare."""
ONE_MODEL = ("ensemble", 1)
DIGEST = 64
"""Letters of a SHA-256 in hex; a label shows the first eight."""


def render(table: Table, format: str = "table", *, width: int | None = None, colour: bool = False) -> str:  # noqa: A002
    """Write a table as text.

    Args:
        table: The table.
        format: One of :data:`FORMATS`.
        width: Columns of the terminal (``table`` only); its own by default.
        colour: Whether to write colour codes (``table`` only).

    Raises:
        ResultError: If the format is unknown.
    """
    check_format(format)
    if format == "json":
        return json_text(table.to_json()) + "\n"
    if format == "table":
        return _terminal(table, width, colour)
    return {"csv": _csv, "markdown": _markdown, "latex": _latex, "html": _html}[format](table)


def check_format(format: str, known: Sequence[str] = FORMATS) -> None:  # noqa: A002
    """Refuse a format that cannot be written; raises ResultError, which names those that can."""
    if format not in known:
        raise ResultError(f"Unknown format '{format}'.", f"Use {', '.join(known)}.")


# --- cells ------------------------------------------------------------------------------------------------------


def _names(row: Mapping[str, Any]) -> str:
    return f"{row['model']} + {row['method']}"


def system_lines(row: Row) -> list[str]:
    """What a system is called: its name, what it started from, and what tells it apart, as far as there is any."""
    if "reference" in row:
        return [row["reference"]]
    differs = dict(row.get("differs", {}))
    lines = [f"{row['name']} (submitted)"] if row.get("name") else [_names(row)]
    told_apart = differs.pop("pretrain", None) is not None
    if told_apart or (not row.get("name") and row["pretrain"] != "none"):
        lines.append("from scratch" if row["pretrain"] == "none" else f"from {row['pretrain']}")
    study = row.get("study")
    tuned = f"{'tuned on the TEST SET' if study['objective'] == 'test' else 'tuned'}: {study['name']}" if study else ""
    return [*lines, *(text for text in (_differences(differs), tuned) if text)]


def _differences(differs: Mapping[str, Any]) -> str:
    """The fields that tell a row from others of its name: by their last word, or in full where two share it."""
    short = [name.rpartition(".")[2] for name in differs]
    words = [word if short.count(word) == 1 else name for name, word in zip(differs, short, strict=True)]
    return ", ".join(_setting(word, value) for word, value in zip(words, differs.values(), strict=True))


def _setting(word: str, value: Any) -> str:
    """``alpha 0.5``; ``without alpha`` where a spec has no such setting, or has it switched off."""
    if value is None or value is False:
        return f"without {word}"
    if value is True:
        return f"with {word}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    is_digest = len(text) == DIGEST and set(text) <= set("0123456789abcdef")
    return f"{word} {text[:8]}" if is_digest else f"{word} {text}"


def _run_names(row: Row) -> list[str]:
    return [row.get("name") or _names(row), *([f"{row['kind']} of {row['study']}"] if row.get("study") else [])]


def _published(row: Row) -> list[str]:
    """Name and architecture of a published system; whose numbers they are, where not its authors'."""
    name = row["system"] + (" (re-run by others)" if row["kind"] == "reproduction" else "")
    start = "" if row["pretrain"] == "-" else f" from {row['pretrain']}"
    return [name, f"{row['architecture']}{start}"]


def _sources(row: Row) -> list[str]:
    """Where a published system and its code are found, each place once."""
    return list(dict.fromkeys(filter(None, [row["source"], row["code"]])))


def heading(section: Section) -> str:
    """A section's title, and the smallest difference that its test part can show, where that is known."""
    if section.floor is None:
        return section.title
    return f"{section.title} (five seeds show differences of {section.floor:.1f} points and more)"


def ranks(row: Row) -> str:
    """The ranks that the data leave open: ``2–7``, or one; nothing where a row is not ranked."""
    best, worst = row["ranks"] or (row["rank"], row["rank"])
    return "" if best is None else f"{best}" if best == worst else f"{best}–{worst}"


def _mean(name: str, part: str | None = None) -> Callable[[Row], list[str]]:
    def lines(row: Row) -> list[str]:
        values = row[part] if part else row
        spread = values[f"{name}_std"]
        return [number(values[name])] + ([f"± {number(spread)}"] if spread is not None else [])

    return lines


def _one(name: str, form: Callable[[Any], str] = str) -> Callable[[Row], list[str]]:
    return lambda row: ["–" if row[name] is None else form(row[name])]


def _score(row: Row) -> list[str]:
    return _mean("score")(row) + (["(–)"] if row["degenerate"] else _ends(row["ci95"]))


def _ends(ends: Sequence[float] | None, sign: str = "") -> list[str]:
    between = " to " if sign else "–"
    return [] if ends is None else [f"({ends[0]:{sign}.1f}{between}{ends[1]:{sign}.1f})"]


def _rate(side: str, sign: str = "") -> Callable[[Row], list[str]]:
    """A rate, or a difference where there is a sign, with deviation and interval as far as it has them."""

    def lines(row: Row) -> list[str]:
        values = row[side]
        std = values.get("std")
        return [number(values["value"], sign)] + [f"± {number(std)}"] * (std is not None) + _ends(values["ci95"], sign)

    return lines


def _by_seed(row: Row) -> list[str]:
    return [f"{seed}: {number(score)}" for seed, score in zip(row["seeds"], row["scores"], strict=True)]


def _disjoint(row: Row) -> list[str]:
    return [number(None if row["patient_disjoint"] is None else row["patient_disjoint"]["score"])]


def _inputs(row: Row) -> list[str]:
    """What a system uses beside the sound of one cycle, as far as it is declared, and what is not."""
    said = notable(row["inputs"]) if "inputs" in row else []
    return [text.removeprefix("inputs ") for text in said]


def _state(row: Row) -> list[str]:
    return [row["state"]] if row.get("state") else []


def _date(row: Row) -> list[str]:
    return [str(row["created"])[:10]] if row.get("created") else []


def _optimism(row: Row) -> list[str]:
    """What choosing the epoch on the test part gave, against the last epoch and, where there is one, best-val."""
    of_val = row["optimism_of_val"]
    return [number(row["optimism"], "+"), *([f"({of_val:+.2f})"] if of_val is not None else [])]


_MARKS = Column("marks", mark_words, number=False, wrap=True, optional=True)
_STATE = Column("state", _state, number=False, expendable=1, optional=True)
_DATE = Column("date", _date, number=False, expendable=9, optional=True)

COLUMNS: Mapping[str, Sequence[Column]] = {
    "systems": (
        Column("#", lambda row: [ranks(row)], card="title"),
        Column("system", system_lines, number=False, share=2, wrap=True, comfort=16, card="title"),
        Column("seeds", _one("seeds", seeds), expendable=2),
        Column("Sp", _mean("sp"), expendable=3),
        Column("Se", _mean("se"), expendable=3),
        Column("Score", _score, card="lead"),
        Column("disjoint", _disjoint, expendable=5),
        Column("2-class", _mean("score", "two_class"), expendable=7),
        Column("optimism", _optimism, expendable=4),
        _STATE,
        _MARKS,
        Column("inputs", _inputs, number=False, wrap=True, expendable=6, optional=True),
        _DATE,
    ),
    "compared": (
        Column("", _one("side"), number=False, card="title"),
        Column("system", system_lines, number=False, share=1, wrap=True, card="title"),
        Column("Score of each seed", _by_seed, number=False, share=1, wrap=True, card="lead"),
        Column("optimism", lambda row: [number(row["optimism"], "+")], expendable=2),
        _STATE,
        _MARKS,
    ),
    "comparison": (
        Column("", _one("what"), number=False, wrap=True, card="title"),
        Column("A", _rate("a"), card="lead"),
        Column("B", _rate("b"), card="lead"),
        Column("A − B", _rate("difference", "+"), card="lead"),
    ),
    "parts": (
        Column("part", _one("part"), number=False, card="title"),
        Column("cycles", _one("cycles"), expendable=2),
        Column("patients", _one("patients"), expendable=2),
        Column("Sp", _mean("sp"), expendable=1),
        Column("Se", _mean("se"), expendable=1),
        Column("Score", _mean("score"), card="lead"),
    ),
    "recall": (
        Column("class", _one("part"), number=False, card="title"),
        Column("cycles", _one("cycles"), expendable=1),
        Column("recall", _mean("recall"), card="lead"),
    ),
    "published": (
        Column("#", lambda row: [str(row["rank"] or "")], card="title"),
        Column("system", lambda row: _published(row), number=False, share=2, wrap=True, comfort=16, card="title"),
        Column("venue", _one("venue"), number=False, share=1, wrap=True, comfort=10, expendable=3, linked=True),
        Column("Sp", _mean("sp"), expendable=2),
        Column("Se", _mean("se"), expendable=2),
        Column("Score", _mean("score"), card="lead"),
        Column("rule", _one("protocol"), number=False, expendable=4),
        _STATE,
        _MARKS,
        Column(
            "doubts and notes",
            lambda row: [*row["doubts"], *filter(None, [row["note"]])],
            number=False,
            share=3,
            wrap=True,
            comfort=24,
            expendable=1,
            linked=True,
        ),
        Column("source and code", _sources, number=False, pages_only=True, linked=True),
    ),
    "failed": (
        Column("run", lambda row: [row["run_ids"][0]], number=False),
        Column("system", system_lines, number=False, wrap=True, comfort=16, card="title"),
        Column("seed", _one("seeds", seeds)),
        Column("error", _one("error"), number=False, share=2, wrap=True, comfort=16, card="lead"),
    ),
    "runs": (
        Column("run", _one("run_id"), number=False),
        Column("system", _run_names, number=False, share=1, wrap=True, comfort=16, card="title"),
        Column("seed", _one("seed")),
        Column("data", lambda row: [_data_words(row["dataset"], row["partial"])], number=False, wrap=True),
        Column("status", _one("status"), number=False, expendable=3),
        Column("Score", _one("score", number), card="lead"),
        _STATE,
        _MARKS,
        Column("created", lambda row: [row["created"][:10]], number=False, expendable=4),
    ),
}


def _data_words(dataset: str, partial: str | None) -> str:
    """What a run was made on, in the words that the board uses for it."""
    return "simulated" if dataset == "demo" else partial or dataset


def _columns(section: Section, *, page: bool = False) -> list[Column]:
    """The columns of a section that say something about its rows; ``page`` says whether they stand on one."""
    rows = _shown(section)
    said = [column for column in COLUMNS[section.kind] if not column.optional or any(map(column.lines, rows))]
    shown = [column for column in said if page or not column.pages_only]
    return [column for column in shown if column.head != "#" or section.ranked]


def _shown(section: Section, most: int | None = None) -> list[Row]:
    """The rows to print: at most the first ``most``, and the one to compare them with."""
    return [*section.rows[:most], *([section.reference] if section.reference else [])]


def _cells(column: Column, row: Row, gap: str) -> str:
    return gap.join(plain(line) for line in column.lines(row))


def _caption(table: Table) -> str:
    if table.name == "published":
        return (
            "As printed; percent; mean ± standard deviation over runs where given. Ranks: on the official split, seen "
            "in code, one rule of choosing the epoch. best-test: the epoch was chosen on the test part. Every row is "
            "claimed: printed by others, and nothing of it was computed here."
        )
    if table.name == "runs":
        return "Score: 4-class, last epoch, percent."
    if table.name == "comparison":
        return (
            f"Selection rule: {table.protocol}. Percent; mean ± sample standard deviation over seeds; in brackets: "
            "95 % interval over test patients, the same ones for A and B, and over seeds. "
            "Optimism: Score of best-test minus last."
        )
    if table.name == "parts":
        return "Patient-disjoint: without the patients who were trained on too. Score: 4-class."
    return (
        f"Selection rule: {table.protocol}. Percent; mean ± sample standard deviation over seeds. "
        "Score = (Sp + Se)/2; 2-class: its Score where any abnormal class is a hit; "
        "in brackets: 95 % interval of the mean Score over test patients and seeds; "
        "disjoint: Score without the patients that are trained on too; optimism: Score of best-test minus last, "
        "in brackets minus best-val; state: how far the numbers were checked. "
        "#: the ranks that the data leave open, for all rows at once with 95 % probability."
    )


# --- terminal ---------------------------------------------------------------------------------------------------


def _terminal(table: Table, width: int | None, colour: bool) -> str:
    from rich.text import Text

    screen = console(width, colour)
    if not table.sections:
        return printed(screen, [Text(plain(text)) for text in ("The board is empty.", *table.below)])
    parts: list[RenderableType] = [_rich_section(section) for section in table.sections]
    return printed(screen, [*parts, Text(_caption(table), style="dim"), *[Text(plain(note)) for note in table.below]])


def _rich_section(section: Section) -> RenderableType:
    columns = _columns(section)
    most = MOST_ROWS.get(section.kind, len(section.rows))
    rows = [[_cells(column, row, "\n") for column in columns] for row in _shown(section, most)]
    title = heading(section)
    if len(section.rows) > most:
        title += f" (first {most} of {len(section.rows)}; all with --format csv or json)"
    return grid(title, columns, rows)


# --- Markdown, LaTeX and CSV ------------------------------------------------------------------------------------


def _lines(section: Section, columns: Sequence[Column]) -> list[list[str]]:
    """The cells of a section, each on one line."""
    return [[_cells(column, row, " " if column.number else "; ") for column in columns] for row in _shown(section)]


def _cells_of(section: Section, columns: Sequence[Column]) -> list[list[latex.Cell]]:
    return [
        [latex.Cell(text, linked=column.linked) for column, text in zip(columns, cells, strict=True)]
        for cells in _lines(section, columns)
    ]


def _markdown(table: Table) -> str:
    lines: list[str] = [] if table.sections else ["The board is empty.", ""]
    for section in table.sections:
        columns = _columns(section, page=True)
        lines += markdown_grid(heading(section), columns, _lines(section, columns))
    return "\n".join([*lines, _caption(table), *map(escaped, table.below)]) + "\n"


def _latex(table: Table) -> str:
    parts = [] if table.sections else ["% The board is empty.\n"]
    for section in table.sections:
        columns = _columns(section)
        rows = _cells_of(section, columns)
        notes = [_caption(table), *(table.below if section is table.sections[-1] else ())]
        parts.append(latex.table(heading(section), columns, [latex.Block("", rows)], notes))
    return "\n".join(parts)


def _html(table: Table) -> str:
    from leaderboard.html import HtmlTable, tables_page

    tables = []
    for section in table.sections:
        columns = _columns(section, page=True)
        rows = [[_html_cell(column, row) for column in columns] for row in _shown(section)]
        tables.append(HtmlTable(heading(section), columns, [latex.Block("", rows)]))
    empty = [] if table.sections else ["The board is empty."]
    return tables_page(f"LungBench: {table.name}", tables, _caption(table), [*empty, *table.below])


def _html_cell(column: Column, row: Row) -> latex.Cell:
    """Words on one line; of a number its deviation and interval apart."""
    if not column.number:
        return latex.Cell(_cells(column, row, "; "), linked=column.linked)
    first, *rest = column.lines(row) or [""]
    return latex.Cell(first, tail=" ".join(rest))


def _csv(table: Table) -> str:
    """One line for each row, all numbers in full precision; nested values as dotted columns or JSON."""
    rows = [_flat_row(table, section, row) for section in table.sections for row in section.rows]
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["table", "protocol", "section", "ranked"]
    return csv_text(names, rows)


def _flat_row(table: Table, section: Section, row: Row) -> Row:
    place = {"table": table.name, "protocol": table.protocol, "section": section.title, "ranked": section.ranked}
    values = {name: value for name, value in row.items() if name not in ("spec", "differs")}
    told = {"differs": row["differs"], "spec": row["spec"]} if "spec" in row else {}
    return {**place, **flattened(values), **told}


# --- one run ----------------------------------------------------------------------------------------------------


def run_table(document: ResultDocument, *, width: int | None = None, colour: bool = False) -> str:
    """One run for the terminal: how it ended, numbers and confusion matrices, epochs, spec, provenance.

    Args:
        document: Its result document.
        width: Columns of the terminal; its own by default.
        colour: Whether to write colour codes.
    """
    from rich.text import Text

    spec, screen = document["spec"], console(width, colour)
    kind, title = kind_of(document), f"{spec.get('system') or _names(spec)}, seed {spec['seed']}"
    parts: list[RenderableType] = [Text(plain(f"{kind} {document['run_id']}: {title}"), style="bold"), _facts(document)]
    if any(document["metrics"].values()):
        parts += [_metrics_grid(document), _confusions(document)]
    if document["epochs"]:
        parts.append(_epochs_grid(document))
    if kind == "submission":
        parts.append(_pairs("submission", flattened(document["submission"])))
    parts += [_pairs("spec", flattened(spec)), _pairs("provenance", flattened(document["provenance"]))]
    return printed(screen, parts)


def _facts(document: ResultDocument) -> RenderableType:
    speed, seconds = document["cycles_per_second"], document["seconds"]
    facts = {
        "status": document["status"],
        "error": document["error"],
        "data": _data_words(document["spec"]["dataset"], document["partial"]),
        "profile": document["profile"],
        "created": document["created"],
        "duration": None if seconds is None else f"{seconds:.1f} s" + (f", {speed:.1f} cycles/s" if speed else ""),
    }
    return _pairs("", {name: value for name, value in facts.items() if value is not None})


def _pairs(title: str, values: Mapping[str, Any]) -> RenderableType:
    rows = [[plain(name), plain(_listed(value))] for name, value in values.items()]
    columns = [_words("name"), Column("value", _nothing, number=False, share=1, wrap=True)]
    return grid(title, columns, rows, heads=False)


def _listed(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else value


def _nothing(_row: Row) -> list[str]:
    return []


def _words(head: str) -> Column:
    return Column(head, _nothing, number=False)


def _numbers(*heads: str) -> list[Column]:
    return [Column(head, _nothing) for head in heads]


def _metrics_grid(document: ResultDocument) -> RenderableType:
    columns = [_words("rule"), _words("judged"), *_numbers("epoch", "Sp", "Se", "Score", "cycles")]
    rows = []
    for rule, by_judged in document["metrics"].items():
        if by_judged is None:
            rows.append([rule, *"––––––"])
            continue
        for judged in SENSITIVITIES:
            m = by_judged[judged]
            rates = [number(m["sp"]), number(m["se"]), number(m["score"])]
            rows.append([rule, judged, str(m["epoch"] or "–"), *rates, str(m["n"])])
    return grid("metrics, percent", columns, rows)


def _confusions(document: ResultDocument) -> RenderableType:
    columns = [_words("rule"), _words("true"), *_numbers(*(f"as {name}" for name in CLASSES))]
    rows = []
    for rule, by_judged in document["metrics"].items():
        if by_judged is None:
            continue
        for name, counts in zip(CLASSES, by_judged["4class"]["confusion"], strict=True):
            rows.append([rule if name == CLASSES[0] else "", name, *map(str, counts)])
    return grid("confusion matrices, cycles", columns, rows)


def _epochs_grid(document: ResultDocument) -> RenderableType:
    columns = _numbers("epoch", "loss", "lr", "test Score", "Sp", "Se", "val Score", "s")
    return grid("epochs", columns, [_epoch_cells(row) for row in document["epochs"]])


def _epoch_cells(row: EpochRow) -> list[str]:
    test, val = (row["test"] or {}).get("4class"), (row["val"] or {}).get("4class")
    loss = "–" if row["loss"] is None else f"{row['loss']:.4f}"
    rates = [test["score"], test["sp"], test["se"]] if test else [None] * 3
    shown = [number(value) for value in [*rates, val["score"] if val else None]]
    return [str(row["epoch"]), loss, f"{row['lr']:.3g}", *shown, f"{row['seconds']:.1f}"]
