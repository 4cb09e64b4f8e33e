"""A row of somebody's table of results: which columns it may have, and what its cells mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, TaskCard
from bench.core.text import echoed
from leaderboard.audit.printed import Printed, printed_cell, printed_number
from leaderboard.metrics import Sensitivity

Series = tuple[tuple[int, float], ...]
"""Scores by epoch, in the order of the epochs."""


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A row of a table of results; None for what it does not say.

    Attributes:
        where: The place of the row in the file, with system and seed where they are given, for sentences.
        system: Name of the system whose results the row holds.
        judged: Which sensitivity the row's Se is.
        sp: Specificity, as printed.
        se: Sensitivity, as printed.
        score: Score, as printed.
        accuracy: Accuracy, as printed.
        arithmetic: AS, the mean of Sp and Se, as printed.
        harmonic: HS, the harmonic mean of Sp and Se, as printed.
        binary_se: The 2-class Se where it stands beside that of the exact class.
        sp_std: Deviation of Sp over runs.
        se_std: Deviation of Se over runs.
        score_std: Deviation of the Score over runs.
        seed: The seed, where the row is of a single run.
        seeds: The number of runs that the row is a mean over.
        epoch: The epoch after which the numbers were reached.
        chosen: Whether this epoch was the chosen one, in a table with a row for each epoch.
        part: The tested part, in the words of the table.
        split: The split, in the words of the table.
        selection: How the epoch was chosen, in the words of the table.
        train: Number of cycles of the training part.
        test: Number of cycles of the test part.
        confusion: Confusion matrix, k x k for the k classes of the task or 2 x 2, rows are true classes.
        test_scores: Score on the test part after each epoch, percent.
        val_scores: Score on held-out patients after each epoch, percent.
    """

    where: str
    system: str = ""
    judged: Sensitivity = FOUR_CLASSES.strict
    sp: Printed | None = None
    se: Printed | None = None
    score: Printed | None = None
    arithmetic: Printed | None = None
    harmonic: Printed | None = None
    accuracy: Printed | None = None
    binary_se: Printed | None = None
    sp_std: Printed | None = None
    se_std: Printed | None = None
    score_std: Printed | None = None
    seed: str | None = None
    seeds: int | None = None
    epoch: int | None = None
    chosen: bool | None = None
    part: str | None = None
    split: str | None = None
    selection: str | None = None
    train: int | None = None
    test: int | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    test_scores: Series = ()
    val_scores: Series = ()


_NUMBERS: Mapping[str, str] = {
    "sp": "sp specificity spec",
    "se": "se sensitivity sens",
    "score": "score icbhiscore averagescore avgscore hs_as_score icbhi",
    "accuracy": "accuracy acc",
    "binary_se": "se2 se2class 2classse binaryse sebinary",
    "arithmetic": "as averagescoreas",
    "harmonic": "hs harmonicscore harmonicscorehs",
    "sp_std": "spstd spsd stdsp specificitystd",
    "se_std": "sestd sesd stdse sensitivitystd",
    "score_std": "scorestd scoresd stdscore",
}
_COUNTS: Mapping[str, str] = {
    "seeds": "seeds runs nseeds nruns numseeds numberofseeds",
    "epoch": "epoch bestepoch selectedepoch chosenepoch",
    "train": "train traincycles ntrain trainsize trainsamples",
    "test": "test testcycles ntest testsize testsamples cycles",
}
_WORDS: Mapping[str, str] = {
    "system": "system name method model id",
    "judged": "judged task classes nclasses table",
    "part": "part testpart",
    "seed": "seed run",
    "split": "split trainteststplit traintestsplit",
    "selection": "selection protocol rule selectionrule selectedon checkpoint",
    "chosen": "chosen selected best isbest",
    "confusion": "confusion confusionmatrix cm",
    "test_scores": "testscores epochscores scoresbyepoch testscorebyepoch epochs",
    "val_scores": "valscores validationscores valscorebyepoch",
}
_FIELDS: Mapping[str, str] = {
    word: name for group in (_NUMBERS, _COUNTS, _WORDS) for name, words in group.items() for word in words.split()
}
_SUMMARY = re.compile(r"mean|average|avg|all|std|±")
_SPAN = re.compile(r"([0-9]{1,9})(?:[-–]([0-9]{1,9}))?")
_TRUE = frozenset({"1", "true", "yes", "x", "*", "best", "chosen"})
_BINARY = frozenset({"2class", "2", "binary", "twoclass", "normalabnormal"})


def field_of(name: str) -> str | None:
    """Find the field that a column's name stands for, whatever its case and punctuation; None where there is none."""
    return _FIELDS.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def has_results(names: Sequence[str]) -> bool:
    """Whether columns of these names hold results."""
    return bool({"sp", "se", "score"} & {field_of(name) for name in names})


def result_row(place: str, values: Mapping[str, Any], task: TaskCard) -> ResultRow:
    """Read a row.

    Args:
        place: Where it stands, for messages.
        values: Its cells by the names of their columns.
        task: What the results are of.
    """
    found: dict[str, Any] = {}
    for column, value in values.items():
        name = field_of(str(column))
        if name is None or name in found or value is None:
            continue
        found[name] = value
    system, seed = _word(found.get("system")), _word(found.get("seed"))
    if seed and _SUMMARY.search(seed.lower()):
        seed = None  # A row below those of the seeds.
    counts: dict[str, Any] = {name: _count(found.get(name)) for name in _COUNTS}
    counts["seeds"] = _number_of_seeds(found.get("seeds"))
    told = ", ".join(filter(None, [echoed(system, 40) if system else "", f"seed {echoed(seed, 20)}" if seed else ""]))
    return ResultRow(
        where=f"{place} ({told})" if told else place,
        system=system or "",
        seed=seed,
        judged=ANY_ABNORMAL if _letters_and_digits(found.get("judged")) in _BINARY else task.strict,
        part=_word(found.get("part")),
        split=_word(found.get("split")),
        selection=_word(found.get("selection")),
        chosen=_flag(found["chosen"]) if "chosen" in found else None,
        confusion=_confusion(found.get("confusion"), task),
        test_scores=_series(found.get("test_scores")),
        val_scores=_series(found.get("val_scores")),
        **_rates(found),
        **counts,
    )


def _rates(found: Mapping[str, Any]) -> dict[str, Any]:
    """The printed numbers; a deviation may stand in the cell of its number."""
    rates: dict[str, Any] = {}
    for name in _NUMBERS:
        value, std = _printed(found.get(name))
        rates.setdefault(name, value)
        if std is not None:
            rates[f"{name}_std"] = std
    known = ResultRow.__dataclass_fields__
    return {name: value for name, value in rates.items() if name in known}


def _printed(value: Any) -> tuple[Printed | None, Printed | None]:
    if isinstance(value, bool):
        return None, None
    if isinstance(value, int | float):
        return printed_number(value), None
    return printed_cell(value) if isinstance(value, str) else (None, None)


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def _letters_and_digits(value: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(value).lower())


def _flag(value: Any) -> bool:
    return value is True or str(value).strip().lower() in _TRUE


def _number_of_seeds(value: Any) -> int | None:
    """How many seeds there are: their number, a list of them, or such a list as text (``1-3, 5``)."""
    if isinstance(value, list):
        return len(value) or None
    parts = str(value).strip("[] ").split(",")
    spans = [_SPAN.fullmatch(part.strip()) for part in parts]
    if not all(spans) or (len(parts) == 1 and spans[0] and spans[0][2] is None and not str(value).startswith("[")):
        return _count(value) or None
    return sum(max(int(span[2] or span[1]) - int(span[1]), 0) + 1 for span in spans if span)


def _count(value: Any) -> int | None:
    """A whole number; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    word = str(value).strip().replace(",", "").replace("\u202f", "")
    return int(word) if re.fullmatch(r"[0-9]{1,9}(?:\.0+)?", word) and "." not in word else None


def _confusion(value: Any, task: TaskCard) -> tuple[tuple[int, ...], ...] | None:
    """A matrix of counts, of the task's classes or of two: a list of rows, or text with its numbers in order."""
    sizes = {2, len(task.classes)}
    if isinstance(value, str):
        numbers = [int(word) for word in re.findall(r"[0-9]{1,9}", value)]
        size = {size**2: size for size in sizes}.get(len(numbers))
        value = [numbers[i : i + size] for i in range(0, len(numbers), size)] if size else None
    if not isinstance(value, list) or len(value) not in sizes:
        return None
    rows = [row for row in value if isinstance(row, list) and len(row) == len(value)]
    whole = all(
        isinstance(cell, int) and not isinstance(cell, bool) and 0 <= cell < 10**9 for row in rows for cell in row
    )
    return tuple(map(tuple, rows)) if whole and len(rows) == len(value) else None


def _series(value: Any) -> Series:
    """Scores by epoch: a list (from epoch 1), a list of objects with epoch and score, an object by epoch, or text."""
    if isinstance(value, str):
        value = [float(word) for word in re.findall(r"[0-9]+(?:\.[0-9]+)?", value)]
    if isinstance(value, Mapping):
        value = [{"epoch": epoch, "score": score} for epoch, score in value.items()]
    if not isinstance(value, list):
        return ()
    pairs = [_epoch_score(number, item) for number, item in enumerate(value, start=1)]
    return tuple(sorted(pair for pair in pairs if pair is not None))


def _epoch_score(number: int, item: Any) -> tuple[int, float] | None:
    if isinstance(item, Mapping):
        epoch, score = _count(item.get("epoch")), _printed(item.get("score", item.get("test")))[0]
    else:
        epoch, score = number, _printed(item)[0]
    return None if epoch is None or score is None else (epoch, score.value)


def beside_binary(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Put the 2-class Se beside the stricter one in rows of the same predictions, which share system, run and Sp."""
    binary = {_prediction_identity(row): row.se for row in rows if row.judged == ANY_ABNORMAL}
    return [
        replace(row, binary_se=binary.get(_prediction_identity(row)))
        if row.judged != ANY_ABNORMAL and row.binary_se is None
        else row
        for row in rows
    ]


def _prediction_identity(row: ResultRow) -> tuple[Any, ...]:
    """What the same predictions have in common, however they are judged; nothing where the row has no Sp."""
    return (row.where,) if row.sp is None else (row.system, row.seed, row.part, row.selection, row.epoch, row.sp.value)


def in_percent(rows: list[ResultRow]) -> list[ResultRow]:
    """Rows whose rates are fractions, as percentages: all of them are, where none is above 1."""
    names = list(_NUMBERS)
    values = [value for row in rows for name in names[:3] if (value := getattr(row, name)) is not None]
    if not values or any(value.value > 1 for value in values):
        return rows
    return [
        replace(row, **{name: value.scaled() for name in names if (value := getattr(row, name)) is not None})
        for row in rows
    ]
