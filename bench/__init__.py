"""LungBench: the benchmark and leaderboard of respiratory sound classification, as a Python library.

``import bench; run = bench.run("ast", "patchmix-cl", data="demo", epochs=2); print(run.metrics)``

Each name of the API is loaded when it is first used, so that ``import bench`` takes a few milliseconds and brings no
torch. docs/python.md shows every function with an example.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.core.version import __version__

if TYPE_CHECKING:
    from bench.api.boards import Board, open_board
    from bench.api.composites import CombinedRun, run_composite
    from bench.api.ensembles import ensemble
    from bench.api.evaluation import evaluate
    from bench.api.exports import export
    from bench.api.matrices import matrix
    from bench.api.predictions import Predictions, predict
    from bench.api.pushes import push
    from bench.api.reproductions import reproduce
    from bench.api.requests import resolve
    from bench.api.run_result import Run
    from bench.api.runs import run
    from bench.api.scores import Scores, score
    from bench.api.searches import search
    from bench.api.study import Study
    from bench.core.errors import BenchError
    from bench.experiment.spec import RunSpec

__all__ = [
    "BenchError",
    "Board",
    "CombinedRun",
    "Predictions",
    "Run",
    "RunSpec",
    "Scores",
    "Study",
    "__version__",
    "ensemble",
    "evaluate",
    "export",
    "matrix",
    "open_board",
    "predict",
    "push",
    "reproduce",
    "resolve",
    "run",
    "run_composite",
    "score",
    "search",
]

_MODULES = {
    "BenchError": "bench.core.errors",
    "Board": "bench.api.boards",
    "CombinedRun": "bench.api.composites",
    "Predictions": "bench.api.predictions",
    "Run": "bench.api.run_result",
    "RunSpec": "bench.experiment.spec",
    "Scores": "bench.api.scores",
    "Study": "bench.api.study",
    "ensemble": "bench.api.ensembles",
    "evaluate": "bench.api.evaluation",
    "export": "bench.api.exports",
    "matrix": "bench.api.matrices",
    "open_board": "bench.api.boards",
    "predict": "bench.api.predictions",
    "push": "bench.api.pushes",
    "reproduce": "bench.api.reproductions",
    "resolve": "bench.api.requests",
    "run": "bench.api.runs",
    "run_composite": "bench.api.composites",
    "score": "bench.api.scores",
    "search": "bench.api.searches",
}
"""Where each name of the API is."""


def __getattr__(name: str) -> Any:
    """Load a name of the API; Python asks for it once, and finds it in the module from then on."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    found = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)


class _Library(ModuleType):
    """This module: ``bench.search`` stays the function, though there is a package of that name too.

    Python makes a package an attribute of the one that it is in as soon as it is imported; ``import`` statements find
    it without.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Library
