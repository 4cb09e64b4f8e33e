"""The board's tables as reports: systems, runs, what others published, a comparison, the parts of a run."""

from __future__ import annotations

from collections.abc import Mapping

from leaderboard.render import cells
from leaderboard.render.board_columns import COLUMNS
from leaderboard.render.cells import FilledColumn, Report, Values, cells_of
from leaderboard.tables.board_tables import Row, Section, Table, flattened
from leaderboard.tasks import is_first_task

MOST_ROWS: Mapping[str, int] = {"systems": 100, "runs": 1000}
"""Rows of a section that a terminal gets, by kind: nobody reads more there, and laying out one takes a millisecond."""

CAPTIONS = {
    "published": (
        "As printed; percent; mean ± standard deviation over runs where given. best-test: the epoch was chosen on the "
        "test part. Every row is claimed: printed by others, and nothing of it was computed here.{ranks}"
    ),
    "transfer": (
        "Selection rule: {rule}. Percent; mean ± sample standard deviation over seeds; in brackets: 95 % interval. "
        "Normal against abnormal: the probability of abnormal is the sum over the abnormal classes that were trained "
        "on. AS, HS and Score by the law of the judged task. Never ranked with results of systems."
    ),
    "dataset": (
        "Selection rule: {rule}. Percent; mean ± sample standard deviation over seeds; in brackets: 95 % interval over "
        "test patients and seeds. claimed: printed by others, and nothing of it was computed here; the other rows "
        "follow from stored predictions. A row is one or the other, and the two are not ranked together."
    ),
    "runs": "Score: {exact}, last epoch, percent.",
    "comparison": (
        "Selection rule: {rule}. Percent; mean ± sample standard deviation over seeds; in brackets: "
        "95 % interval over test patients, the same ones for A and B, and over seeds. "
        "Optimism: Score of best-test minus last."
    ),
    "parts": "Patient-disjoint: without the patients who were trained on too. Score: {exact}.",
    "leaderboard": "Selection rule: {rule}. Percent; mean ± sample standard deviation over seeds. {columns}.{ranks}",
}
"""What the numbers of a table are, by its name; ``{rule}`` is its selection rule, ``{exact}`` whose Score it shows,
``{columns}`` what its columns are, ``{ranks}`` what its ranks are."""

_COLUMN_WORDS = {
    "2-class": "2-class: its Score where any abnormal class is a hit",
    "Score": "in brackets: 95 % interval of the mean Score over test patients and seeds",
    "disjoint": "disjoint: Score without the patients that are trained on too",
    "optimism": "optimism: Score of best-test minus last, in brackets minus best-val",
    "state": "state: how far the numbers were checked",
}
"""What is said of the columns of systems by their headings, where they are shown."""

_RANKS = {
    "leaderboard": " #: the ranks that the data leave open, for all rows at once with 95 % probability.",
    "published": " Ranks: on the official split, seen in code, one rule of choosing the epoch.",
}
"""What is said of the ranks of a table, where it has any."""


def board_report(table: Table, *, whole: bool = True) -> Report:
    """A table of the board as a report.

    Args:
        table: The table.
        whole: Whether every row is in it; else a section has the first :data:`MOST_ROWS` and says how many follow.
    """
    return Report(
        table.name,
        [_table(table, section, whole) for section in table.sections],
        caption=CAPTIONS[table.name].format(
            rule=table.protocol,
            exact=_exact_words(table),
            columns=_column_words(table),
            ranks=_RANKS.get(table.name, "") if any(section.ranked for section in table.sections) else "",
        )
        + _score_words(table),
        notes=table.below,
        empty=table.empty,
        fields=("table", "protocol", "section", "ranked"),
    )


def _column_words(table: Table) -> str:
    """What the columns are that a table of systems shows, and how the Score follows where it is a mean."""
    shown = {filled.column.head for section in table.sections for filled in _columns(section)}
    laws = {section.task.score for section in table.sections if section.judged}
    law = [] if laws == {"challenge"} else ["Score = (Sp + Se)/2"]
    return "; ".join([*law, *(words for head, words in _COLUMN_WORDS.items() if head in shown)])


def _exact_words(table: Table) -> str:
    """What the Score by the exact class is called: ``4-class`` where there are but the four classes."""
    tasks = [section.task for section in table.sections if section.judged]
    named = any("task" in row for section in table.sections for row in section.rows)
    return "exact class" if named or any(not is_first_task(task) for task in tasks) else "4-class"


_CHALLENGE = (
    " Where AS and HS stand, AS = (Se + Sp)/2, HS = 2·Se·Sp/(Se + Sp) and Score = (AS + HS)/2; a hit is "
    "the exact class."
)


def _score_words(table: Table) -> str:
    """How the Score follows where it is no mean of Se and Sp; nothing where it is that everywhere."""
    laws = {section.task.score for section in table.sections if section.judged}
    return _CHALLENGE if "challenge" in laws else ""


def heading(section: Section) -> str:
    """A section's title, and the smallest difference that its test part can show, where that is known."""
    if section.floor is None:
        return section.title
    return f"{section.title} (five seeds show differences of {section.floor:.1f} points and more)"


def _table(table: Table, section: Section, whole: bool) -> cells.Table:
    columns = _columns(section)
    kept = section.rows if whole else section.rows[: MOST_ROWS.get(section.kind)]
    rows = [cells.Row(cells_of(columns, row), _values(table, section, row)) for row in kept]
    reference = cells.Row(cells_of(columns, section.reference)) if section.reference else None
    shown = cells.Section("", rows, reference, left_out=len(section.rows) - len(kept))
    return cells.Table(heading(section), [filled.column for filled in columns], [shown])


def _columns(section: Section) -> list[FilledColumn]:
    """The columns of a section that say something about its rows."""
    rows = [*section.rows, *([section.reference] if section.reference else [])]
    said = [filled for filled in COLUMNS[section.kind] if not filled.optional or any(map(filled.lines, rows))]
    return [filled for filled in said if filled.column.head != "#" or section.ranked]


def _values(table: Table, section: Section, row: Row) -> Values:
    """A row for CSV: nested values under dotted names, a spec and what tells it apart as JSON."""
    place = {"table": table.name, "protocol": table.protocol, "section": section.title, "ranked": section.ranked}
    values = {name: value for name, value in row.items() if name not in ("spec", "differs")}
    told = {"differs": row["differs"], "spec": row["spec"]} if "spec" in row else {}
    return {**place, **flattened(values), **told}
