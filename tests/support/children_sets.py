"""A small set in SPRSound's layout that every task can be judged on: each part has normal and abnormal ones."""

from __future__ import annotations

import json
from pathlib import Path

from sprsound_sets import annotation, write_set, write_sound

MORE = {
    "100_3.6_0_p2_18": ("intra_test_json", "Normal", [("100", "900", "Normal")]),
    "103_7.7_0_p3_19": ("inter_test_json", "Poor Quality", [("100", "900", "Normal")]),
}
"""Recordings beside those of :mod:`sprsound_sets`: part, label and events."""


def write_children(folder: Path) -> Path:
    """Write the set; gives the folder."""
    write_set(folder)
    for seed, (name, (part, label, events)) in enumerate(MORE.items(), start=50):
        write_sound(folder / "test_wav" / f"{name}.wav", seed)
        (folder / "test_json" / part / f"{name}.json").write_text(json.dumps(annotation(label, events)))
    return folder
