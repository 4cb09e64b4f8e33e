"""Pinned facts of the complete SPRSound 2022 set, by which a copy on disk is judged: counts and hashes.

They are in ``facts.json`` beside this file, and were counted from the 2,683 annotation and audio files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.data.datasets.sprsound.labels import EVENT_TASKS, EVENT_TYPES, RECORD_LABELS, class_of

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))

ID = "sprsound"
"""Id of the data set."""

OBTAIN = (
    f"Fetch it with `bench data fetch --dataset {ID}`, put the owners' folders there by hand, or name their folder "
    "with --data."
)
"""How to get the set."""

RATE: int = FACTS["rate"]
"""Sampling rate of all recordings, Hz."""

RECORDINGS_OF: dict[str, int] = FACTS["recordings"]
"""Recordings by part."""

PATIENTS_OF: dict[str, int] = FACTS["patients"]
"""Patients by part; those of ``intra`` are all in ``train`` too, those of ``inter`` are not."""

RECORDINGS = sum(RECORDINGS_OF.values())

ANNOTATION_SHA256: dict[str, str] = FACTS["annotation_sha256"]
"""By part, the hash over its annotations (:func:`bench.data.datasets.sprsound.verify.annotation_hash`)."""

AUDIO_SHA256: str = FACTS["audio_sha256"]
"""Hash over the samples of all recordings (:func:`bench.data.datasets.sprsound.verify.audio_hash`)."""

JUDGED_SETS: dict[str, str] = FACTS["judged_sets"]
"""By task, the hash of the judged cycles of both tested parts, each row ended by its part
(:attr:`leaderboard.results.predictions.CycleSet.hash`)."""


def class_counts(task: str) -> dict[str, tuple[int, ...]]:
    """Number of cycles per class of a task, by part."""
    return {part: _by_class(task, part) for part in RECORDINGS_OF}


def _by_class(task: str, part: str) -> tuple[int, ...]:
    words, kind = (EVENT_TYPES, "events") if task in EVENT_TASKS else (RECORD_LABELS, "labels")
    numbers = [0] * (1 + max(class_of(task, word) for word in words))
    for word, number in zip(words, FACTS[kind][part], strict=True):
        numbers[class_of(task, word)] += number
    return tuple(numbers)
