"""The rows that each epoch trains on, in their order, and the patients whose rows are held out.

Rows come shuffled, drawn by weight, or with classes in equal shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.errors import SpecError
from bench.core.fields import identity_field
from bench.core.options import Space
from bench.core.text import counted_noun

if TYPE_CHECKING:
    import numpy as np

SAMPLERS = ("shuffled", "weighted", "balanced")


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The batches of an epoch: their size, and which rows they are made of."""

    batch: int = identity_field(
        "global batch, over all processes", 8, low=1, high=1_000_000, space=Space(grid=(8, 16, 32, 64))
    )
    drop_last: bool = identity_field("whether an epoch leaves out its last, smaller batch", True, since=2)
    sampler: str = identity_field(
        "how an epoch's rows are drawn: `shuffled` (each once), `weighted` (with replacement, a class as often as any "
        "other on average), or `balanced` (classes in turn)",
        "shuffled",
        since=3,
        choices=SAMPLERS,
    )
    train_device: str = identity_field(
        "train on recordings of one device alone, as in Meditron; empty: on those of all devices", "", since=3
    )

    def steps_of_epoch(self, rows: int) -> int:
        """Count the steps of an epoch over ``rows`` training rows; a smaller last batch is one unless it is dropped."""
        return rows // self.batch if self.drop_last else -(-rows // self.batch)

    def rows_of_epoch(self, rows: int) -> int:
        """Count the rows that an epoch sees of ``rows`` training rows: all, or those of its whole batches."""
        return rows - rows % self.batch if self.drop_last else rows


def epoch_order(rows: np.ndarray, labels: np.ndarray, sampler: str, rng: np.random.Generator) -> np.ndarray:
    """Draw the rows of an epoch in their order, as many as there are training rows.

    * ``shuffled``: every row once.
    * ``weighted``: with replacement, each row with a chance of 1 / (rows of its class): all classes come equally often
      on average, as torch's WeightedRandomSampler draws them for RespireNet (microsoft/RespireNet @ 5e3f41a).
    * ``balanced``: the classes take turns, so that any stretch of rows holds them in equal numbers (but for the rest);
      each class's rows come shuffled, and again in a new order when they are used up.

    Args:
        rows: (n,) training rows of the bank.
        labels: (n,) class of each.
        sampler: One of :data:`SAMPLERS`.
        rng: Generator of the epoch.

    Returns:
        (n,) rows of the bank.
    """
    if sampler == "shuffled":
        return rng.permutation(rows)
    if sampler == "weighted":
        return _weighted_order(rows, labels, rng)
    return _balanced_order(rows, labels, rng)


def _weighted_order(rows: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import numpy as np

    weights = 1 / np.bincount(labels)[labels]
    drawn: np.ndarray = rng.choice(rows, len(rows), replace=True, p=weights / weights.sum())
    return drawn


def _balanced_order(rows: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import numpy as np

    classes = np.unique(labels)
    turns = -(-len(rows) // len(classes))
    order = np.empty((turns, len(classes)), rows.dtype)
    for column, label in enumerate(classes):
        own = rows[labels == label]
        passes = [rng.permutation(own) for _ in range(-(-turns // len(own)))]
        order[:, column] = np.concatenate(passes)[:turns]
    return order.reshape(-1)[: len(rows)]


def hold_out_patients(patients: Sequence[str], labels: np.ndarray, fraction: float, draws: int = 500) -> frozenset[str]:
    """Choose training patients to hold out, so that size and class shares come near the whole part's.

    The best of ``draws`` random choices is taken; the choice depends on the data and the fraction alone, so that all
    seeds of a system share it.

    Args:
        patients: (cycles,) patient of each training cycle.
        labels: (cycles,) class of each training cycle.
        fraction: Share of each class to hold out.
        draws: Number of random choices that are compared.

    Returns:
        The patients that are held out.

    Raises:
        SpecError: If the part holds fewer than two patients.
    """
    import numpy as np

    names = sorted(set(patients))
    if len(names) < 2:
        raise SpecError(
            f"A share of {fraction} of the training part is to be held out, but it has "
            f"{counted_noun(len(names), 'patient')}, not 2.",
            "Use more data, or hold out none.",
        )
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (np.searchsorted(names, np.asarray(patients)), labels), 1)
    target = fraction * counts.sum(0)
    # A seed that is always the same: the choice belongs to the data, not to a run.
    rng, best, best_distance = np.random.default_rng(0), np.array([0]), np.inf
    for _ in range(draws):
        order = rng.permutation(len(names))
        held = counts[order].cumsum(0)
        # All but the last: somebody must be left to train on. A class of no cycles counts as one, to divide by.
        distances = (np.abs(held - target) / np.maximum(target, 1)).sum(1)[:-1]
        size = int(distances.argmin()) + 1
        if distances[size - 1] < best_distance:
            best, best_distance = order[:size], distances[size - 1]
    return frozenset(names[i] for i in best)
