"""What a search adds to a run: a watcher that may prune it after an epoch, and data that several runs share.

In a run of several processes the watcher lives in the process that started them. The first rank asks it; the answer
reaches the others through their process group, so that all of them end together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.data.bank import Progress

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.experiment.spec import RunSpec

Watch = Callable[[Mapping[int, float]], str | None]
"""Given the Score by the exact class (percent) of each epoch so far, says why to stop here; None to go on."""


@dataclass(frozen=True)
class Hooks:
    """The calls by which a search takes part in a run.

    Attributes:
        watch: Asked after each epoch; None where nobody wants to know.
        open_data: Opens the data of a spec; None for the usual way.
    """

    watch: Watch | None = None
    open_data: Callable[[RunSpec, Progress | None], RunData] | None = None
