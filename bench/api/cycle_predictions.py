"""Predictions of test cycles as arrays with keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api.frames import data_frame
from bench.core.text import counted_noun
from leaderboard.metrics import CLASSES, predicted_classes
from leaderboard.results.predictions import CycleSet, write_predictions


@dataclass(frozen=True, eq=False)
class CyclePredictions:
    """What a system says of n test cycles, and what is true; row i of every array is the same cycle.

    Attributes:
        recordings: (n,) name of the recording, its file name without ending.
        cycles: (n,) number of the cycle in its recording, from 0: its line in the annotation file.
        labels: (n,) true class, the number of one of ``classes``.
        patients: (n,) patient.
        devices: (n,) recording device.
        scores: (n, classes) score or probability of each class, float64.
        predicted: (n,) class with the highest score.
        classes: Names of the classes, the normal one first.
        parts: (n,) tested part; None where the task has one.
    """

    recordings: NDArray[np.str_]
    cycles: NDArray[np.int64]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    devices: NDArray[np.str_]
    scores: NDArray[np.float64]
    predicted: NDArray[np.int64]
    classes: tuple[str, ...] = CLASSES
    parts: NDArray[np.str_] | None = None

    @classmethod
    def of(cls, judged: CycleSet, scores: NDArray[np.float64], classes: Sequence[str] = CLASSES) -> CyclePredictions:
        """Lay out scores (n, classes) beside the n cycles that they are of."""
        return cls(
            recordings=np.asarray([recording for recording, _ in judged.keys]),
            cycles=np.asarray([cycle for _, cycle in judged.keys], dtype=np.int64),
            labels=np.asarray(judged.labels, dtype=np.int64),
            patients=np.asarray(judged.patients),
            devices=np.asarray(judged.devices),
            scores=np.asarray(scores, dtype=np.float64),
            predicted=predicted_classes(scores, len(classes)),
            classes=tuple(classes),
            parts=np.asarray(judged.parts) if judged.parts else None,
        )

    def __len__(self) -> int:
        return len(self.cycles)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {counted_noun(len(self), 'cycle')}>"

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Recording and cycle number of each row."""
        return list(zip(self.recordings.tolist(), self.cycles.tolist(), strict=True))

    def to_csv(self, path: str | Path) -> Path:
        """Write the scores as a file that ``bench board submit`` and :func:`bench.score` take.

        Args:
            path: The file; one that is there is replaced.

        Returns:
            The file.

        Raises:
            StoreError: If it cannot be written.
        """
        file = Path(path)
        write_predictions(file, self.keys, self.scores, self.classes)
        return file

    def to_dataframe(self) -> Any:
        """The predictions as a data frame of pandas, or of polars where that alone is installed; a row per cycle.

        Raises:
            SpecError: If neither is installed.
        """
        columns = {
            "recording": self.recordings,
            "cycle": self.cycles,
            "label": self.labels,
            "patient": self.patients,
            "device": self.devices,
            **({} if self.parts is None else {"part": self.parts}),
            **{name: self.scores[:, place] for place, name in enumerate(self.classes)},
            "predicted": self.predicted,
        }
        return data_frame({name: values.tolist() for name, values in columns.items()})
