"""What the results of the paper are called in commands and documents (Bae et al. 2023, arXiv 2305.14032)."""

from __future__ import annotations

from typing import Literal

TABLES = ("table1", "table2", "table3")

FIGURE = "figure2"
"""The figure of its searches, and what the names of their studies begin with."""

RULE: Literal["best-test"] = "best-test"
"""The selection rule of its numbers."""
