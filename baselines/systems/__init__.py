"""The published systems: model, method, front-end and recipe together, as the row of a printed table is run.

Each module of this package holds the cards of a family of systems in a tuple ``SYSTEMS``; there is no list of the
modules. Other packages declare their systems in the group ``lungbench.systems``.
"""

from __future__ import annotations

import importlib
import pkgutil

from bench.core.cards import RunnableCard
from bench.core.registry import Registry

__all__ = ["SYSTEMS"]

SYSTEMS: Registry[RunnableCard] = Registry("system", RunnableCard, "lungbench.systems")
"""What ``bench run --system`` runs: cards of systems, and composites that come without one."""

for _place in sorted(pkgutil.iter_modules(__path__, f"{__name__}."), key=lambda module: module.name):
    for _card in importlib.import_module(_place.name).SYSTEMS:
        SYSTEMS.add(_card.id, _card, None, origin=_place.name)
