"""Judging: predictions of any origin against the official test cycles, as the board would."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.api.calls import api_call
from bench.api.cycle_predictions import CyclePredictions
from bench.api.requests import FilePath
from bench.core.datasets import FOUR_CLASSES, TaskCard, TestPart
from bench.core.errors import SpecError
from bench.core.paths import cache_folder, expanded
from bench.core.text import echoed, plural
from leaderboard.metrics import Metrics, rate_names, score_cycles
from leaderboard.results.predictions import CycleSet
from leaderboard.results.submission_checks import check_predictions
from leaderboard.results.submitted_predictions import SubmittedPredictions, parse_submitted, read_submitted
from leaderboard.statistics.breakdown import SystemCounts, system_counts, view_of

GIVEN = "What was given"
"""What messages call predictions that are no file."""


@dataclass(frozen=True, eq=False)
class Scores:
    """How a system does on the test cycles.

    Attributes:
        judged: The test cycles with their true classes.
        predictions: What the system says of each.
        dataset: Id of the data set.
        partial: How much of the data set was there, where not all; None for a whole set.
        task: What is judged.
    """

    judged: CycleSet
    predictions: CyclePredictions
    dataset: str
    partial: str | None
    task: TaskCard = FOUR_CLASSES

    @classmethod
    def of(
        cls,
        judged: CycleSet,
        scores: NDArray[np.float64],
        dataset: str,
        partial: str | None,
        task: TaskCard = FOUR_CLASSES,
    ) -> Scores:
        """Judge scores (n, classes) of the n cycles ``judged``."""
        return cls(judged, CyclePredictions.of(judged, scores, task.classes), dataset, partial, task)

    def __repr__(self) -> str:
        strict = self.metrics[self.task.strict]
        rates = ", ".join(f"{name} {strict[key]:.2f}" for name, key in (("Sp", "sp"), ("Se", "se"), ("Score", "score")))  # type: ignore[literal-required]
        part = f" of {self.task.main.id}" if self.task.other_parts else ""
        return f"<Scores of {strict['n']} {plural(self.task.unit_word)}{part}: {rates}>"

    @cached_property
    def metrics(self) -> dict[str, Metrics]:
        """Of the main part: ``4class`` (the exact class of so many) and ``2class`` (any abnormal class is a hit).

        Each holds ``sp``, ``se`` and ``score`` in percent, ``confusion`` (rows are true classes) and ``n``.

        Raises:
            ResultError: If the test part holds no normal or no abnormal cycle, so that a rate is undefined.
        """
        return self._metrics_of(self.task.main)

    @cached_property
    def other_parts(self) -> dict[str, dict[str, Metrics]]:
        """The same metrics of the parts beside the main one, by their ids; parts are never judged as one."""
        return {part.id: self._metrics_of(part) for part in self.task.other_parts}

    def _metrics_of(self, part: TestPart) -> dict[str, Metrics]:
        rows = self.judged.places_of(part.id)
        labels = [self.judged.labels[row] for row in rows]
        return score_cycles(labels, self.predictions.scores[rows], self.task)

    @cached_property
    def _counts(self) -> SystemCounts:
        rows = self.judged.places_of(self.task.main.id)
        return system_counts(self.judged.subset(rows), [self.predictions.predicted[rows]], self.task)

    @property
    def by_device(self) -> dict[str, dict[str, Any]]:
        """The rates on the main part's cycles of each recording device; None for one that no cycle defines."""
        return {device: _rates(self._counts.of_device(device)) for device in self._counts.devices}

    @property
    def by_patient(self) -> dict[str, dict[str, Any]]:
        """The rates on the main part's cycles of each patient; None for one that no cycle defines."""
        patients = set(self._counts.patients)
        return {patient: _rates(self._counts.without(patients - {patient})) for patient in self._counts.patients}

    def to_csv(self, path: FilePath) -> Path:
        """Write the predictions as a file that ``bench board submit`` takes.

        Args:
            path: The file; one that is there is replaced.

        Returns:
            The file.

        Raises:
            StoreError: If it cannot be written.
        """
        return self.predictions.to_csv(path)


def _rates(counts: SystemCounts) -> dict[str, Any]:
    """Cycles and rates of one system, without the deviations over seeds that it does not have."""
    view, names = view_of(counts), rate_names(counts.task.score)
    views = dict(zip(counts.task.sensitivities, (view, view["two_class"]), strict=False))
    return {
        "cycles": view["cycles"],
        **{judged: {name: view[name] for name in names} for judged, view in views.items()},
    }


@api_call
def score(
    predictions: Any,
    data: FilePath,
    *,
    dataset: str | None = None,
    task: str | None = None,
    allow_partial: bool = False,
    cache: FilePath | None = None,
) -> Scores:
    """Judge predictions against the official test cycles, as ``bench board submit`` does; nothing is stored.

    Args:
        predictions: A CSV or Parquet file; a data frame, structured array or mapping of columns with ``recording``,
            ``cycle`` and either the classes of the task (``normal``, ``crackle``, ``wheeze``, ``both``) or
            ``predicted``; or a mapping from (recording, cycle) to a score for each class, or to a class (its number,
            or its name).
        data: Folder with annotation files, or ``demo`` for the simulated set. No audio is needed where the reader of
            the set does without.
        dataset: Id of the data set; None for the one that the folder holds.
        task: Id of the task; None for the first of the set.
        allow_partial: Judge on the recordings that are there.
        cache: Cache folder, for the simulated set.

    Raises:
        RefusedError: If they do not answer exactly the test cycles; its ``difference`` names every cycle.
        ResultError: If they cannot be read.
        DataError: If the test cycles are not known.
    """
    from bench.data.answers import answers_in
    from bench.data.location import locate_data

    folder, card = locate_data(data, dataset, cache_folder(cache))
    judged = card.task(task)
    answers, where = _answers(predictions, judged.classes)
    part = answers_in(folder, card, judged, allow_partial=allow_partial)
    accepted = check_predictions(answers, part, where)
    return Scores.of(part.cycles, accepted.scores, part.dataset, part.partial, judged)


def _answers(predictions: Any, classes: Sequence[str]) -> tuple[SubmittedPredictions, str]:
    """Predictions of any form, and what messages call them."""
    if isinstance(predictions, str | Path):
        path = expanded(predictions)
        return read_submitted(path, classes), str(path)
    if isinstance(predictions, Scores):
        predictions = predictions.predictions
    if isinstance(predictions, CyclePredictions):
        predictions = dict(zip(predictions.keys, predictions.scores.tolist(), strict=True))
    # A name that is no UTF-8 is none of the test cycles', and is refused as that.
    content = _csv_text(_columns(predictions, classes)).encode(errors="backslashreplace")
    return parse_submitted(content, GIVEN, classes), GIVEN


def _columns(table: Any, classes: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of a table of any library, by name.

    Raises:
        SpecError: If it has no columns with names, or they are not of one length.
    """
    if isinstance(table, Mapping) and table and all(isinstance(key, tuple) for key in table):
        return _columns_of_keys(table, classes)
    names = getattr(getattr(table, "dtype", None), "names", None) or getattr(table, "columns", None)
    if names is None and isinstance(table, Mapping):
        names = table.keys()
    if names is None:
        raise SpecError(
            f"Predictions cannot be a {type(table).__name__} without names: which cycle is which row of?",
            "Give a file, a data frame, or a mapping from (recording, cycle) to scores.",
        )
    columns = {str(name): _column(str(name), table[name]) for name in names}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"'{echoed(name)}' has {length}" for name, length in lengths.items())
        raise SpecError(f"The columns of the predictions must have one value for each cycle, but {told}.")
    return columns


def _column(name: str, values: Any) -> list[Any]:
    """The values of a column; raises SpecError where it is something else than one value after the other."""
    found = _array(values)
    if found is None or found.ndim != 1:
        raise SpecError(f"The column '{echoed(name)}' of the predictions must have one value for each cycle.")
    return cast(list[Any], found.tolist())


def _array(values: Any) -> NDArray[Any] | None:
    """Values as an array; None where their rows are of different length."""
    try:
        return np.asarray(values)
    except ValueError:
        return None


def _columns_of_keys(answers: Mapping[Any, Any], classes: Sequence[str]) -> dict[str, list[Any]]:
    """A mapping from (recording, cycle) to a score for each class, or to a class, as columns."""
    if any(len(key) != 2 for key in answers):
        raise SpecError("The keys of the predictions must each be (recording, cycle).")
    columns: dict[str, list[Any]] = {
        "recording": [recording for recording, _ in answers],
        "cycle": [cycle for _, cycle in answers],
    }
    values = [found for value in answers.values() if (found := _array(value)) is not None]
    if len(values) == len(answers) and all(value.ndim == 0 for value in values):
        return {**columns, "predicted": [value.item() for value in values]}
    if len(values) < len(answers) or any(value.shape != (len(classes),) for value in values):
        raise SpecError(f"The predictions of a cycle must be {len(classes)} scores, or one class.")
    return {**columns, **{name: [value[row].item() for value in values] for row, name in enumerate(classes)}}


def _csv_text(columns: Mapping[str, Sequence[Any]]) -> str:
    """Columns as the text of a CSV file: predictions in memory are read by the rules of those in files."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    rows: Iterable[Sequence[Any]] = zip(*columns.values(), strict=True)
    writer.writerows(rows)
    return stream.getvalue()
