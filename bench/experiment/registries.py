"""The registries of what a spec names: models, methods and front-ends."""

from __future__ import annotations

from typing import Any

from bench.core.registry import Registry


def registries() -> dict[str, Registry[Any]]:
    """The registries by what the spec calls their things: ``model``, ``method``, ``frontend``."""
    from baselines import MODELS
    from bench.data.frontends import FRONTENDS
    from methods import METHODS

    return {"model": MODELS, "method": METHODS, "frontend": FRONTENDS}
