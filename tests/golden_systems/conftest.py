"""Golden sets of the earlier systems, numbers that their authors' own code computed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class GoldenSystem:
    """What a golden set holds of one system.

    Attributes:
        facts: The JSON document: seed, cases, labels, drawn numbers.
        arrays: The arrays by key.
    """

    facts: dict[str, Any]
    arrays: Any

    @property
    def seed(self) -> int:
        """The set's master seed, from which its inputs and weights follow."""
        return int(self.facts["seed"])


@pytest.fixture(scope="session")
def golden_system() -> Callable[[str], GoldenSystem]:
    """Read a system of the set that ``BENCH_GOLDEN_SYSTEMS`` names; tests without one are skipped, with the reason."""

    def read(name: str) -> GoldenSystem:
        folder = os.environ.get("BENCH_GOLDEN_SYSTEMS")
        if not folder:
            pytest.skip("needs the numbers of the authors' code: BENCH_GOLDEN_SYSTEMS names no folder")
        assert Path(folder).is_dir(), f"BENCH_GOLDEN_SYSTEMS names {folder}, which is no folder"
        document = Path(folder) / f"{name}.json"
        if not document.is_file():
            pytest.skip(f"the golden set {folder} does not hold {name}")
        facts = json.loads(document.read_text(encoding="utf-8"))
        return GoldenSystem(facts, np.load(document.with_suffix(".npz"), allow_pickle=False))

    return read
