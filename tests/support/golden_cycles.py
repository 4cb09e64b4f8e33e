"""The recordings whose cycles the golden sets of LungSys and LungAttn hold: real ones, and those of the sets' rules."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_known import known_recording, real_file
from golden_recordings import pretend_recording

from bench.data.samples import read_samples
from bench.data.wav import read_header


@dataclass(frozen=True)
class GoldenCycle:
    """A cycle of a golden set with its recording.

    Attributes:
        name: Its name in the keys.
        facts: What the set says of it: recording, index, span, sizes.
        wave: (samples,) float32 of the whole recording, −1..1.
        rate: Hz.
        bits: Bits of a sample in the file; the authors pad those of 24 to 32.
    """

    name: str
    facts: dict[str, Any]
    wave: np.ndarray
    rate: int
    bits: int

    @property
    def span(self) -> tuple[float, float]:
        """Start and end, seconds."""
        return self.facts["start"], self.facts["end"]


def cycle_names(system: str) -> list[str]:
    """Names of a system's cycles in the set that ``BENCH_GOLDEN_SYSTEMS`` names; one that stands for none, without."""
    path = Path(os.environ.get("BENCH_GOLDEN_SYSTEMS", "")) / f"{system}.json"
    return sorted(json.loads(path.read_text(encoding="utf-8"))["cycles"]) if path.is_file() else ["none"]


def golden_cycle(golden: Any, name: str, request: pytest.FixtureRequest) -> GoldenCycle:
    """Read or make the recording of a cycle; the test is skipped where a real one is not there, with the reason."""
    facts = golden.facts["cycles"][name]
    recording = facts["recording"]
    if not facts["real"]:
        known = known_recording(recording)
        whole = pretend_recording(golden.seed, recording, known.rate, known.bits, known.count)
        wave = (whole / 2.0 ** (known.bits - 1)).astype(np.float32)
        return GoldenCycle(name, facts, wave, known.rate, known.bits)
    path = real_file(request.getfixturevalue("icbhi_folder"), recording)
    return GoldenCycle(name, facts, *read_samples(path), read_header(path).bits)


def at_positions(golden: Any, key: str, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of an array that the set has, whole or some of them, and those found at the same places."""
    if key in golden.arrays:
        return found.ravel(), golden.arrays[key].ravel()
    return found.ravel()[golden.arrays[f"{key}_pos"]], golden.arrays[f"{key}_val"]
