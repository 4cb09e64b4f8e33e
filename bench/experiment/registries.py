"""The registries of what a spec names: models, methods, front-ends and data sets; and that of the systems."""

from __future__ import annotations

from typing import Any

from baselines.systems import SYSTEMS as SYSTEMS
from bench.core.datasets import DATASETS
from bench.core.registry import Registry


def registries() -> dict[str, Registry[Any]]:
    """The registries by what the spec calls their things: ``model``, ``method``, ``frontend``, ``dataset``.

    All but data sets have options, which a spec keeps beside their id (:data:`bench.experiment.spec.OWNERS`).
    """
    from baselines import MODELS
    from bench.data.frontends import FRONTENDS
    from methods import METHODS

    return {"model": MODELS, "method": METHODS, "frontend": FRONTENDS, "dataset": DATASETS}
