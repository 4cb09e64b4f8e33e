"""Small sets that are judged as the whole one is."""

from __future__ import annotations

from pathlib import Path

import pytest
from sprsound_sets import write_set

from bench.data.datasets.sprsound import dataset, fetch, test_part, verify
from bench.data.datasets.sprsound.dataset import inspect_folder
from bench.data.datasets.sprsound.layout import PARTS


@pytest.fixture
def pinned(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set, which is the complete and official one for the time of a test."""
    folder = write_set(tmp_path_factory.mktemp("official") / "sprsound")
    recordings = inspect_folder(folder).recordings
    by_part = {part: [r for r in recordings if r.part == part] for part in PARTS}
    for module in (dataset, fetch, test_part, verify):
        monkeypatch.setattr(module, "RECORDINGS", len(recordings))
    monkeypatch.setattr(verify, "RECORDINGS_OF", {part: len(found) for part, found in by_part.items()})
    monkeypatch.setattr(verify, "PINNED", {part: verify.count(found) for part, found in by_part.items()})
    hashes = {part: verify.annotation_hash(found) for part, found in by_part.items()}
    monkeypatch.setattr(verify, "ANNOTATION_SHA256", hashes)
    monkeypatch.setattr(verify, "AUDIO_SHA256", verify.audio_hash(recordings))
    return folder
