"""Files of matrices of small runs, and their plans."""

from __future__ import annotations

from pathlib import Path

from bench.launch.matrix.cells import plan_matrix
from bench.launch.matrix.file import read_matrix
from bench.launch.matrix.plans import MatrixPlan

SMALL = (
    '{ embed_dim = 16, depth = 1, heads = 2, batch = 8, checkpoint_minutes = 0, "frontend.seconds" = 1.0, '
    "specaug_probability = 0.0 }"
)
RUNS = "[[runs]]\nmodels = ['ast']\nmethods = ['ce']\n"
"""A table of runs, which settings may follow."""


def written(folder: Path, text: str, name: str = "small.toml") -> Path:
    """Write a matrix's file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def planned(folder: Path, data: Path, cache: Path, text: str) -> MatrixPlan:
    """Plan a file whose results go to its folder."""
    path = written(folder, text)
    common = {"cache": cache, "home": folder, "device": "cpu", "plugins": ()}
    return plan_matrix(read_matrix(path), path, common, data=str(data))
