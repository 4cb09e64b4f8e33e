"""Intervals of the rates of normal and abnormal cycles, whatever law the Score follows: a jackknife over patients.

As :mod:`leaderboard.statistics.intervals`, with each rate computed anew without each patient, so that a rate need not
be a sum over patients. Shapes: S seeds, n cycles, P patients, R rates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import ScoreLaw
from leaderboard.statistics.intervals import Estimate, satterthwaite_interval
from leaderboard.statistics.patient_hits import VarianceComponent

Floats = NDArray[np.float64]


def rate_names(law: ScoreLaw) -> tuple[str, ...]:
    """The rates of a law of the Score, in the order in which arrays hold them."""
    return ("sp", "se", "score") if law == "mean" else ("sp", "se", "as", "hs", "score")


def rate_estimates(
    labels: NDArray[np.int64], chosen: NDArray[np.int64], patients: Sequence[str], law: ScoreLaw
) -> dict[str, Estimate]:
    """Estimate the rates of a system on two classes, with intervals over patients and, of several runs, over seeds.

    Args:
        labels: (n,) 0 normal, 1 abnormal.
        chosen: (S, n) predicted classes of each run.
        patients: (n,) patient of each cycle.
        law: How the Score follows from Sp and Se.

    Returns:
        By rate. Where there are not two patients with normal and two with abnormal cycles nothing can be left out: the
        estimates are then without error (``is_degenerate``).
    """
    rows = np.unique(np.asarray(patients), return_inverse=True)[1]
    cycles = _by_patient(np.ones_like(chosen[:1], dtype=bool), labels, rows)[0]
    correct = _by_patient(chosen == labels, labels, rows)
    by_seed = _rates(correct.sum(axis=-1), cycles.sum(axis=-1), law)
    components = _seed_components(by_seed)
    if ((cycles > 0).sum(axis=-1) > 1).all():
        without = _rates(_left(correct).swapaxes(-1, -2), _left(cycles).swapaxes(-1, -2), law).mean(axis=0)
        count = len(without)
        spread = (count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
        for found, variance in zip(components, spread.tolist(), strict=True):
            found.append(VarianceComponent(variance, count - 1))
    else:
        components = [[] for _ in components]
    means = by_seed.mean(axis=0).tolist()
    return {
        name: satterthwaite_interval(mean, found, bounds=(0.0, 100.0))
        for name, mean, found in zip(rate_names(law), means, components, strict=True)
    }


def _by_patient(counted: NDArray[np.bool_], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Floats:
    """(S, 2, P) counted normal and abnormal cycles of each patient."""
    size = int(rows.max()) + 1
    found = [[np.bincount(rows[(labels == kind) & one], minlength=size) for kind in (0, 1)] for one in counted]
    return np.asarray(found, dtype=np.float64)


def _left(counts: Floats) -> Floats:
    """(…, P) what is left of counts without each patient."""
    left: Floats = counts.sum(axis=-1, keepdims=True) - counts
    return left


def _rates(correct: Floats, cycles: Floats, law: ScoreLaw) -> Floats:
    """(…, R) percent, from correct and all cycles, normal and abnormal, (…, 2) each."""
    shares = 100.0 * correct / cycles
    sp, se = shares[..., 0], shares[..., 1]
    mean = (sp + se) / 2.0
    if law == "mean":
        return np.stack([sp, se, mean], axis=-1)
    total = sp + se
    harmonic = np.divide(2.0 * sp * se, total, out=np.zeros_like(total), where=total > 0)
    return np.stack([sp, se, mean, harmonic, (mean + harmonic) / 2.0], axis=-1)


def _seed_components(by_seed: Floats) -> list[list[VarianceComponent]]:
    """The part of the variance of each mean that comes from the seeds; nothing is known of it from a single one."""
    seeds, rates = by_seed.shape
    if seeds < 2:
        return [[] for _ in range(rates)]
    return [[VarianceComponent(variance / seeds, seeds - 1)] for variance in by_seed.var(axis=0, ddof=1).tolist()]
