"""What is left out of a result when it is shown to the world: where things lie on the machine that made it.

Nothing that changes a number or tells how it came about is left out; the folders of somebody's disk do neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from leaderboard.results.run_result import RunResult

_UNSAID: dict[str, Any] = {"data": "", "cache": "", "weights": None, "init_weights": None}
"""Execution fields that hold paths, with what stands in their place."""

_FILES = "plugins"
"""The execution field that holds paths of files, of which the names stay."""


def without_places(execution: Mapping[str, Any]) -> dict[str, Any]:
    """The execution fields of a spec without the paths of the machine."""
    said = {name: _UNSAID.get(name, value) for name, value in execution.items()}
    if said.get(_FILES):
        said[_FILES] = [PurePath(str(path)).name for path in said[_FILES]]
    return said


def published_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """A result document without the paths of the machine that made it; it stays a valid one."""
    return {**document, "execution": without_places(document["execution"])}


def published(result: RunResult) -> RunResult:
    """A result with :func:`published_document`; its digest is equal for results that differ in nothing else."""
    document: Any = published_document(result.document)
    return replace(result, document=document)
