"""Whether an exported file gives what the run itself gives: the greatest difference of a probability."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import RunError
from bench.core.inputs import map_inputs
from bench.data.units import Inputs
from bench.engine.data import with_channels
from bench.engine.export.examples import Examples, pictures_of
from bench.engine.export.programs import WAVEFORM, Program, named_inputs, reference
from bench.engine.trained import TrainedRun

LIMIT = 1e-4
"""Largest difference of a probability with which a file is written."""

Loaded = Callable[[Mapping[str, Tensor]], NDArray[Any]]
"""A file that was loaded: inputs by name → probabilities (batch, classes)."""

Trial = tuple[Mapping[str, Tensor], NDArray[np.float64]]
"""Inputs of a program by name, and the probabilities that the original gives."""


@dataclass(frozen=True)
class Parity:
    """What came out of a comparison.

    Attributes:
        greatest: The greatest difference of a probability.
        batches: Sizes of the batches that were tried, each once, in ascending order.
        units: Number of units that were compared, in all batches.
        source: What they were, in words.
    """

    greatest: float
    batches: tuple[int, ...]
    units: int
    source: str

    def to_json(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        return {
            "greatest_difference": self.greatest,
            "limit": LIMIT,
            "batches": list(self.batches),
            "units": self.units,
            "checked_on": self.source,
        }


def trials_of(run: TrainedRun, program: Program, examples: Examples) -> list[Trial]:
    """What a program is tried with, and what the original says of it.

    Args:
        run: The run, opened on the CPU in single precision.
        program: What is exported of it.
        examples: Recordings.
    """
    return list(_trials(run, program, examples))


def _trials(run: TrainedRun, program: Program, examples: Examples) -> Iterator[Trial]:
    if program.rate is not None:
        for waves in examples.waveforms(run):
            yield {WAVEFORM: waves}, _probabilities(run, pictures_of(run, waves))
        return
    for inputs in examples.pictures(run):
        yield named_inputs(map_inputs(with_channels, inputs)), _probabilities(run, inputs)


def _probabilities(run: TrainedRun, inputs: Inputs) -> NDArray[np.float64]:
    found: NDArray[np.float64] = reference(run, inputs).numpy()
    return found


def compared(loaded: Loaded, trials: list[Trial], source: str) -> Parity:
    """Compare what a file gives with what the run gives.

    Args:
        loaded: The file.
        trials: From :func:`trials_of`.
        source: What they are, in words.

    Raises:
        RunError: If a probability differs by more than :data:`LIMIT`, is not finite, or there is another number of
            them.
    """
    differences, sizes = [], []
    for inputs, wanted in trials:
        found = np.asarray(loaded(inputs), dtype=np.float64)
        if found.shape != wanted.shape:
            raise RunError(f"The exported program gives {found.shape} where the run gives {wanted.shape}.", NOT_WRITTEN)
        differences.append(float(np.abs(found - wanted).max()))
        sizes.append(len(wanted))
    # Not max(), which takes what is not a number for the smaller one wherever that does not come first.
    greatest = float(np.max(differences))
    if not greatest <= LIMIT:
        raise RunError(
            f"The exported program is not the run: a probability differs by {greatest:.3g} (at most {LIMIT:g}), on "
            f"{source}.",
            NOT_WRITTEN,
        )
    return Parity(greatest, tuple(sorted(set(sizes))), sum(sizes), source)


NOT_WRITTEN = "Nothing was written. Try --no-frontend, another --format or another --opset, and report it."
