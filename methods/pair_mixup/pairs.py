"""The pairs of a batch that LungAttn mixes, and the shares by which it does.

Source: SJTU-YONGFU-RESEARCH-GRP/LungAttn @ 8a7972b, ``model/LungAttn.py`` (``mixup_data``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from methods.base import Task

Rows = NDArray[np.int64]
Shares = NDArray[np.float64]


class Generator(Protocol):
    """What numbers are drawn from: numpy's generator, or one that gives those that were drawn before."""

    def beta(self, a: float, b: float, size: int) -> Shares:
        """Draw from a Beta distribution."""
        ...

    def permutation(self, x: Rows) -> Rows:
        """Bring rows to a random order."""
        ...


NAMES = ("normal", "crackle", "wheeze", "both")
ABSENT = -1
"""The classes that are mixed, with the one that crackle and wheeze together are; and the number of one that is not."""


@dataclass(frozen=True)
class Roles:
    """Numbers of the classes that are mixed; :data:`ABSENT`, which no clip has, where the task lacks one.

    Attributes:
        normal: Number of the class of normal clips.
        crackle: Of those with crackles.
        wheeze: Of those with wheezes.
        both: Of those with both.
    """

    normal: int
    crackle: int
    wheeze: int
    both: int

    @classmethod
    def of(cls, task: Task) -> Roles:
        """Find the classes by their names; without names, four of them are taken to be in this order."""
        unnamed = NAMES if len(task.class_counts) == len(NAMES) else ()
        given = task.class_names or unnamed
        return cls(*(given.index(name) if name in given else ABSENT for name in NAMES))


@dataclass(frozen=True)
class PairMixes:
    """The mixes that are added to a batch.

    Attributes:
        first: (mixes,) the rows of the batch that have the shares.
        second: (mixes,) the rows that they are mixed with.
        shares: (mixes,) share of the first rows, 0..1.
        labelled: Class of the last mixes, and the number of mixes before them; those have labels that are mixed alike.
    """

    first: Rows
    second: Rows
    shares: Shares
    labelled: tuple[int, int]

    def __len__(self) -> int:
        return len(self.first)


def _at_least_half(shares: Shares) -> Shares:
    return np.maximum(shares, 1 - shares)


def draw_pair_mixes(labels: Rows, roles: Roles, beta: float, rng: Generator) -> PairMixes:
    """Choose the mixes of a batch.

    Two thirds as many of normal with crackle as the rarer of the two has clips, and twice as many of normal with
    wheeze and of crackle with wheeze; first in the batch's order, then with the normal clips, or the crackles, in a
    random one. Classes that the batch lacks give no mixes, and crackle with wheeze none without a class for both.

    Args:
        labels: (batch,) classes.
        roles: The classes that are mixed.
        beta: Shares are drawn from Beta(beta, beta).
        rng: Generator, drawn from in the authors' order.
    """
    normal, crackle, wheeze = (np.flatnonzero(labels == role) for role in (roles.normal, roles.crackle, roles.wheeze))
    some, twice = int(2 * min(len(normal), len(crackle)) / 3), min(len(normal), len(wheeze))
    pairs = min(len(crackle), len(wheeze)) if roles.both != ABSENT else 0
    shares, together = [rng.beta(beta, beta, some), rng.beta(beta, beta, twice)], [rng.beta(beta, beta, pairs)]
    normal_again = rng.permutation(normal)
    shares.append(rng.beta(beta, beta, twice))
    crackle_again = rng.permutation(crackle)
    together.append(rng.beta(beta, beta, pairs))
    first = crackle[:some], wheeze[:twice], wheeze[:twice], crackle[:pairs], crackle_again[:pairs]
    second = normal[:some], normal[:twice], normal_again[:twice], wheeze[:pairs], wheeze[:pairs]
    return PairMixes(
        np.concatenate(first),
        np.concatenate(second),
        np.concatenate([*map(_at_least_half, shares), *together]),
        (roles.both, some + 2 * twice),
    )
