"""What a plug-in imports to describe itself and what it is given (docs/extending.md).

These names stay here, wherever their code moves, so that plug-ins of finished runs can be replayed. Cards, options and
:class:`Registration` come without torch; what the engine gives to a system is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.core.cards import CompositeCard, FrontEndCard, MethodCard, ModelCard, NoOptions, PartCard, WeightsCard
from bench.core.errors import DataError, SpecError
from bench.core.options import Space, option
from bench.core.registry import Registration

if TYPE_CHECKING:
    from bench.data.frontends import BatchFrontEnd, FrontEnd, LearningFrontEnd, PieceOptions, WaveformFrontEnd
    from bench.data.units import UnitWaves
    from bench.engine.optim import OptimOptions
    from bench.engine.schedule import ScheduleOptions
    from methods.base import Batch, Stage, Task, TrainingRows, patch_access

__all__ = [
    "Batch",
    "BatchFrontEnd",
    "CompositeCard",
    "DataError",
    "FrontEnd",
    "FrontEndCard",
    "LearningFrontEnd",
    "MethodCard",
    "ModelCard",
    "NoOptions",
    "OptimOptions",
    "PartCard",
    "PieceOptions",
    "Registration",
    "ScheduleOptions",
    "Space",
    "SpecError",
    "Stage",
    "Task",
    "TrainingRows",
    "UnitWaves",
    "WaveformFrontEnd",
    "WeightsCard",
    "option",
    "patch_access",
]

_MODULES = {
    "Batch": "methods.base",
    "BatchFrontEnd": "bench.data.frontends",
    "FrontEnd": "bench.data.frontends",
    "LearningFrontEnd": "bench.data.frontends",
    "OptimOptions": "bench.engine.optim",
    "PieceOptions": "bench.data.frontends",
    "ScheduleOptions": "bench.engine.schedule",
    "Stage": "methods.base",
    "Task": "methods.base",
    "TrainingRows": "methods.base",
    "UnitWaves": "bench.data.units",
    "WaveformFrontEnd": "bench.data.frontends",
    "patch_access": "methods.base",
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
