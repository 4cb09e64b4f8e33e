"""The printed results of a data set beside what stands on the board: a row is one or the other, never both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.datasets import DatasetCard, TaskCard, TestPart
from leaderboard.metrics import rate_names
from leaderboard.published.results_file import PrintedResult, printed_of
from leaderboard.tables.board_tables import Row, Section, Table
from leaderboard.tables.sections import PATIENTS_SEEN, data_title
from leaderboard.tables.verification_states import CLAIMED
from leaderboard.tasks import JudgedTask

PART_NOT_STATED = "part not stated"
INCONSISTENT = "AS, HS and Score do not follow from the other numbers"


def dataset_table(card: DatasetCard, board: Table, task: str | None = None) -> Table:
    """Put the printed results of a data set beside the rows of a board, by task and tested part.

    A printed result stands beside the systems that were judged on the official cycles of its part. Of one whose source
    states no part nobody knows which rows it may be compared with: it stands apart.

    Args:
        card: The data set.
        board: The board's table of that set (:func:`leaderboard.tables.board_tables.leaderboard_table`).
        task: Id of the task that is shown; all by default.
    """
    printed = printed_of(card)
    mine = [section for section in board.sections if section.judged and section.judged.dataset == card.id]
    sections = [
        section
        for one in card.tasks
        if task in (None, one.id)
        for section in _sections_of_task(
            card,
            one,
            [result for result in printed if result.task == one.id],
            [section for section in mine if section.task.id == one.id],
        )
    ]
    return Table("dataset", board.protocol, sections, [*card_notes(card), *board.notes], board.marks)


def card_notes(card: DatasetCard) -> list[str]:
    """What a reader must know of a data set's recipes."""
    return [f"Recipes: {card.recipe_note}"] if card.recipe_note else []


def printed_doubts(result: PrintedResult) -> list[str]:
    """Say what keeps a printed result from being taken at its word; empty where nothing does."""
    return [*filter(None, [result.doubts]), *([INCONSISTENT] if result.consistent is False else [])]


def _sections_of_task(
    card: DatasetCard, task: TaskCard, printed: Sequence[PrintedResult], board: Sequence[Section]
) -> Iterator[Section]:
    judged = JudgedTask(card.id, card.title, task, card.simulated, card)
    for part in task.parts:
        of_board = [section for section in board if (section.part or section.task.main).id == part.id]
        of_print = [_printed_row(result) for result in printed if result.part == part.id]
        official = next((section for section in of_board if section.ranked), None)
        if official or of_print:
            of_official = _board_rows(official) if official else []
            yield _section(f"{data_title(judged)}, {_part_words(part)}", [*of_official, *of_print], judged)
        others = [section for section in of_board if section is not official]
        yield from (_section(section.title, _board_rows(section), judged) for section in others)
    unknown = [_printed_row(result) for result in printed if result.part is None]
    if unknown:
        yield _section(f"{data_title(judged)}, {PART_NOT_STATED}", unknown, judged)


def _part_words(part: TestPart) -> str:
    return part.title + (f" ({PATIENTS_SEEN})" if part.patients_seen else "")


def _section(title: str, rows: Sequence[Row], judged: JudgedTask) -> Section:
    by_score = sorted(rows, key=lambda row: -1.0 if row["score"] is None else row["score"], reverse=True)
    return Section(title, "dataset", by_score, judged=judged)


def _board_rows(section: Section) -> list[Row]:
    return [
        {**row, "printed": False, "task": section.task.id, "part": (section.part or section.task.main).id}
        for row in section.rows
    ]


def _printed_row(result: PrintedResult) -> Row:
    numbers = {
        "sp": result.sp,
        "se": result.se,
        "as": result.average,
        "hs": result.harmonic,
        "score": result.score,
    }
    spreads = {f"{name}_std": None for name in rate_names("challenge")}
    return {
        "printed": True,
        "state": CLAIMED,
        "system": result.system,
        "architecture": result.architecture,
        "venue": result.venue,
        "year": result.year,
        "task": result.task,
        "part": result.part,
        **numbers,
        **spreads,
        "ci95": None,
        "degenerate": None,
        "seeds": None,
        "consistent": result.consistent,
        "doubts": printed_doubts(result),
        "source": result.source,
    }
