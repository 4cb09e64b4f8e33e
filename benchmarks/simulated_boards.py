"""Boards whose truth is known: systems of equal skill on patients as many and as large as ICBHI's test part.

Each cycle has a latent difficulty; a system answers it rightly where its skill exceeds that. A patient's cycles share
an effect, most of it the same for all systems; a seed shifts its system's operating point, and answers a few cycles
otherwise. Sizes of patients are those of the official test part (bench/data/pinned.py). All effects are normal, so
that the expected Score of a method over patients and seeds is known exactly.

Shapes: M systems, S seeds, P patients, C cycles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bench.data.datasets.icbhi.pinned import BY_PATIENT


@dataclass(frozen=True)
class Truth:
    """How systems and seeds vary, in units of the cycles' difficulty.

    Attributes:
        skill: Mean skill on normal and on abnormal cycles.
        patient: Deviation of the patients' effect that all systems share.
        interaction: Deviation of the patients' effect on one system.
        own: Share of a cycle's difficulty that is a system's own.
        shift: Deviation of a seed's shift of Sp and of Se.
        noise: Deviation of a seed's answer to one cycle.
    """

    skill: tuple[float, float] = (0.7, -0.2)
    patient: float = 0.7
    interaction: float = 0.4
    own: float = 0.5
    shift: float = 0.02
    noise: float = 0.4

    @property
    def score(self) -> float:
        """The expected Score over patients and seeds, percent; the same for every system."""
        spread = math.sqrt(self.patient**2 + self.interaction**2 + 1.0 + self.shift**2 + self.noise**2)
        return float(50.0 * ndtr(np.array(self.skill) / spread).sum())


STEADY = Truth(shift=0.02, noise=0.4)
"""Seeds that differ by 0.6 points of Score (sample deviation), the steady end of what the paper prints."""

UNSTEADY = Truth(shift=0.065, noise=0.5)
"""Seeds that differ by 1.3 points, the unsteady end."""


class SimulatedTestPart:
    """Cycles with patient and kind, as many as ICBHI's official test part holds.

    Args:
        truth: How systems and seeds vary.
    """

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        sizes = [
            (count.normal, count.cycles - count.normal) for (side, _), count in BY_PATIENT.items() if side == "test"
        ]
        self.sizes = np.array(sizes)
        self.kind = np.repeat(np.tile([0, 1], len(sizes)), self.sizes.ravel())
        self.patient = np.repeat(np.repeat(np.arange(len(sizes)), 2), self.sizes.ravel())
        # Cycles are sorted by patient and kind: sums over each are differences of running sums.
        self.ends = np.cumsum(self.sizes.ravel())

    def board(self, systems: int, seeds: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Confusion counts of systems of equal skill: (M, S, P, 4, 4), crackle being the only abnormal class."""
        right = self._right(systems, seeds, rng)
        running = np.cumsum(right, axis=-1)[..., self.ends - 1]
        hits = np.diff(running, axis=-1, prepend=0).reshape(systems, seeds, len(self.sizes), 2)
        counts = np.zeros((systems, seeds, len(self.sizes), 4, 4), dtype=np.int64)
        counts[..., 0, 0], counts[..., 0, 1] = hits[..., 0], self.sizes[:, 0] - hits[..., 0]
        counts[..., 1, 1], counts[..., 1, 0] = hits[..., 1], self.sizes[:, 1] - hits[..., 1]
        return counts

    def _right(self, systems: int, seeds: int, rng: np.random.Generator) -> NDArray[np.int64]:
        truth, patients, cycles = self.truth, len(self.sizes), len(self.kind)
        effect = truth.patient * rng.standard_normal((1, patients, 2))
        effect = effect + truth.interaction * rng.standard_normal((systems, patients, 2))
        shared = math.sqrt(1.0 - truth.own**2) * rng.standard_normal(cycles)
        difficulty = shared + truth.own * rng.standard_normal((systems, cycles))
        level = np.array(truth.skill)[self.kind] + effect[:, self.patient, self.kind] - difficulty
        shift = truth.shift * rng.standard_normal((systems, seeds, 2))
        noise = truth.noise * rng.standard_normal((systems, seeds, cycles))
        right: NDArray[np.int64] = (level[:, None] + shift[:, :, self.kind] + noise > 0).astype(np.int64)
        return right
