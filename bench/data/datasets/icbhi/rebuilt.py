"""The official split from pinned facts alone, for copies without a split file."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from bench.data.datasets.icbhi.pinned import BY_PATIENT, SHARED_TEST_SHA256, SPLIT_SHA256
from bench.data.datasets.icbhi.tables import Split

NOTE = "The split was rebuilt from pinned facts: no split file is there."


def rebuilt_split(names: Collection[str]) -> Split | None:
    """Rebuild the official split, where every name of the official set is there and no other.

    Args:
        names: Names of recordings without device (:func:`bench.data.datasets.icbhi.files.join_key`).

    Returns:
        The split; None where its hash is not the pinned one.
    """
    split = Split({name: _side(name) for name in names}, {}, (), (NOTE,))
    return split if split.sha256 == SPLIT_SHA256 else None


def _side(name: str) -> str:
    """The part of a recording: that of its patient, or of itself where the patient is in both."""
    patient = name.partition("_")[0]
    tested, trained = (("test", patient) in BY_PATIENT, ("train", patient) in BY_PATIENT)
    if tested and trained:
        tested = sha256(name.encode()).hexdigest()[:8] in SHARED_TEST_SHA256
    return "test" if tested else "train"
