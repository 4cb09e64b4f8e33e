"""How far results of one system lie apart over its seeds: mean and deviation, and a spread pooled over systems.

Two seeds of one method differ by 0.6 to 1.3 points of Score on ICBHI, so that a run of one seed is no measurement of
its method. What several systems show of their seeds is put together here, for those that show nothing themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bench.core.errors import ResultError


@dataclass(frozen=True)
class SeedSpread:
    """Standard deviations over seeds, in points, as other systems show them.

    Attributes:
        sp: Deviation of the specificity.
        se: Deviation of the sensitivity.
        score: Deviation of the Score.
        degrees: Degrees of freedom behind the deviations: the number of seeds of each system less one, summed up.
        source: The systems that the deviations come from, in words that "the spread of" can stand before.
    """

    sp: float
    se: float
    score: float
    degrees: int
    source: str


PAPER_SPREAD = SeedSpread(sp=5.685, se=4.217, score=0.936, degrees=60, source="the paper's own rows")
"""Root mean square of the deviations that the paper prints for its fifteen four-class rows, five seeds each.

A test computes it again from the printed tables. (Its epochs were chosen on the test part.)
"""


class MeanAndDeviation(NamedTuple):
    """Mean and sample standard deviation (divisor n - 1; None for a single value) over n seeds."""

    mean: float
    std: float | None
    n: int


def mean_and_deviation(values: Sequence[float]) -> MeanAndDeviation:
    """Take the mean and the sample standard deviation of one value for each seed.

    Raises:
        ResultError: If there is no value.
    """
    if not values:
        raise ResultError("There is no seed to take a mean over.")
    # fsum rounds once: the same seeds in another order give the same digits.
    n, mean = len(values), math.fsum(values) / len(values)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return MeanAndDeviation(mean, std, n)


def pooled_seed_spread(systems: Iterable[ArrayLike], source: str) -> SeedSpread | None:
    """Pool the deviations over seeds of several systems, each weighted by its degrees of freedom.

    Args:
        systems: (S, 3) Sp, Se and Score, percent, of each of the S seeds of each system; a single seed counts nothing.
        source: What the systems are, in words that "the spread of" can stand before.

    Returns:
        The pooled deviations; None where no system has two seeds.
    """
    several = [rates for system in systems if len(rates := np.asarray(system, dtype=np.float64)) > 1]
    degrees = sum(len(rates) - 1 for rates in several)
    if not degrees:
        return None
    # Variances are averaged, not deviations: the root of a sample variance is too small on average, most of all with
    # few seeds.
    squares = sum(rates.var(axis=0, ddof=1) * (len(rates) - 1) for rates in several)
    sp, se, score = np.sqrt(squares / degrees).tolist()
    return SeedSpread(sp, se, score, degrees, source)
