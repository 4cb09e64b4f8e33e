"""The systems of printed rows with recipes of a test's own, so that boards of made-up runs can be looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bench.experiment.paper_rows import row_systems
from leaderboard.published import printed_table
from leaderboard.tables.row_systems import RowSystems

Expected = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Fields that a recipe sets, by row id and data set."""


def systems_with(name: str, expected: Expected = MappingProxyType({})) -> RowSystems:
    """The systems of a table's rows with the recipes that a test expects; without an entry nothing deviates."""
    found = row_systems(printed_table(name))
    # A system may stand for several rows.
    recipes = {system.id: expected[row] for row, systems in found.items() for system in systems if row in expected}
    return {
        row: [
            dataclasses.replace(
                system,
                runs={
                    part: dataclasses.replace(run, recipes=recipes.get(system.id, {}))
                    for part, run in system.runs.items()
                },
            )
            for system in systems
        ]
        for row, systems in found.items()
    }
