"""The registries of what a spec names: models, methods, front-ends and data sets."""

from __future__ import annotations

from typing import Any

from bench.core.cards import CompositeCard
from bench.core.datasets import DATASETS
from bench.core.registry import Registry

SYSTEMS: Registry[CompositeCard] = Registry("system", CompositeCard, "lungbench.systems")
"""The composite systems, which ``bench run --system`` runs: none is built in so far, plug-ins bring theirs."""


def registries() -> dict[str, Registry[Any]]:
    """The registries by what the spec calls their things: ``model``, ``method``, ``frontend``, ``dataset``.

    All but data sets have options, which a spec keeps beside their id (:data:`bench.experiment.spec.OWNERS`).
    """
    from baselines import MODELS
    from bench.data.frontends import FRONTENDS
    from methods import METHODS

    return {"model": MODELS, "method": METHODS, "frontend": FRONTENDS, "dataset": DATASETS}
