"""What a plug-in imports to describe itself and what it is given (docs/extending.md, docs/datasets.md).

These names stay here, wherever their code moves, so that plug-ins of finished runs can be replayed. Cards, options and
:class:`Registration` come without torch; what the engine gives to a system, and what a reader of data is made of, is
loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.core.cards import (
    CompositeCard,
    FrontEndCard,
    MethodCard,
    ModelCard,
    NoOptions,
    PartCard,
    Quirk,
    SystemCard,
    WeightsCard,
)
from bench.core.datasets import DatasetCard, TaskCard, TestPart
from bench.core.errors import DataError, SpecError
from bench.core.options import Space, option
from bench.core.registry import Registration

if TYPE_CHECKING:
    from bench.data.dataset import Cycle, Dataset, Recording
    from bench.data.fingerprint import fingerprint
    from bench.data.frontends import BatchFrontEnd, FrontEnd, LearningFrontEnd, PieceOptions, WaveformFrontEnd
    from bench.data.reading import wav_header
    from bench.data.units import UnitWaves
    from bench.engine.optim import OptimOptions
    from bench.engine.schedule import ScheduleOptions
    from leaderboard.results.official_part import OfficialPart
    from leaderboard.results.predictions import CycleSet
    from methods.base import Batch, Stage, Task, TrainingRows, patch_access

__all__ = [
    "Batch",
    "BatchFrontEnd",
    "CompositeCard",
    "Cycle",
    "CycleSet",
    "DataError",
    "Dataset",
    "DatasetCard",
    "FrontEnd",
    "FrontEndCard",
    "LearningFrontEnd",
    "MethodCard",
    "ModelCard",
    "NoOptions",
    "OfficialPart",
    "OptimOptions",
    "PartCard",
    "PieceOptions",
    "Quirk",
    "Recording",
    "Registration",
    "ScheduleOptions",
    "Space",
    "SpecError",
    "Stage",
    "SystemCard",
    "Task",
    "TaskCard",
    "TestPart",
    "TrainingRows",
    "UnitWaves",
    "WaveformFrontEnd",
    "WeightsCard",
    "fingerprint",
    "option",
    "patch_access",
    "wav_header",
]

_MODULES = {
    "Batch": "methods.base",
    "BatchFrontEnd": "bench.data.frontends",
    "Cycle": "bench.data.dataset",
    "CycleSet": "leaderboard.results.predictions",
    "Dataset": "bench.data.dataset",
    "FrontEnd": "bench.data.frontends",
    "LearningFrontEnd": "bench.data.frontends",
    "OfficialPart": "leaderboard.results.official_part",
    "OptimOptions": "bench.engine.optim",
    "PieceOptions": "bench.data.frontends",
    "Recording": "bench.data.dataset",
    "ScheduleOptions": "bench.engine.schedule",
    "Stage": "methods.base",
    "Task": "methods.base",
    "TrainingRows": "methods.base",
    "UnitWaves": "bench.data.units",
    "WaveformFrontEnd": "bench.data.frontends",
    "fingerprint": "bench.data.fingerprint",
    "patch_access": "methods.base",
    "wav_header": "bench.data.reading",
}
"""Where each name is that is not loaded with the cards."""


def __getattr__(name: str) -> Any:
    """Load a name; Python asks for it once, and finds it in the module from then on."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bench.plugins' has no attribute '{name}'")
    found = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
