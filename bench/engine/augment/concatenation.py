"""Concatenation: a sample of the batch becomes two units in a row, by a law of their classes.

RespireNet's augmentation (CBA) adds ``scale × largest class - class`` joined cycles of each class to the training set
once, and samples all of them with equal chances for each class. Here they are made anew in every step, which needs no
second data set: ``sampler=balanced`` (or ``weighted``) draws the class, and ``concat_rare`` makes that share of its
samples joined ones that the added cycles would have, ``1 - class / (scale × largest)``. So ``concat_law=cba
concat_probability=1 concat_rare=true concat_scale=K`` is CBA with the flag K, but for cycles that are drawn anew each
time. A number n of additional samples for a class of m is the chance n / (m + n).

Drawn on the host for the global batch: :func:`draw_partners` says which rows are loaded, :func:`concatenate` joins what
was loaded for this process's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import SpecError
from bench.engine.augment.options import AugmentOptions
from bench.engine.augment.waves import Waves, column, joined, positions, power, rows_of, taken, with_rows

NORMAL, CRACKLE, WHEEZE, BOTH = range(4)
"""The four classes of respiratory cycles, whose number says what is heard: bit 0 a crackle, bit 1 a wheeze.

The laws ``union``, ``cba`` and ``splice`` need them.
"""

RESPIRENET_PAIRS: tuple[tuple[tuple[float, int, int], ...], ...] = (
    ((1.0, NORMAL, NORMAL),),
    ((0.6, CRACKLE, CRACKLE), (0.2, CRACKLE, NORMAL), (0.2, NORMAL, CRACKLE)),
    ((0.6, WHEEZE, WHEEZE), (0.2, WHEEZE, NORMAL), (0.2, NORMAL, WHEEZE)),
    ((0.5, BOTH, BOTH), (0.2, CRACKLE, WHEEZE), (0.1, WHEEZE, CRACKLE), (0.1, BOTH, NORMAL), (0.1, NORMAL, BOTH)),
)
"""Of each class: shares, class of the first cycle and of the second (microsoft/RespireNet @ 5e3f41a)."""

SPLICE_PAIRS: tuple[tuple[tuple[float, int, int], ...], ...] = tuple(
    tuple((1.0, first, second) for first in range(4) for second in range(4) if first | second == label)
    for label in range(4)
)
"""The same for Splice: all pairs in which the sounds of the class are heard, and no others, equally often."""

SMALLEST_SHARE = 0.25
"""Share of a spliced unit that each of its two segments has, at least."""


def rare_shares(counts: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Find which share of a class's samples is additional when all classes are brought to one size.

    Args:
        counts: (classes,) training samples of each class.
        scale: That size, in sizes of the largest class.

    Returns:
        (classes,) float64 in [0, 1): 0 for a class that is as large, nearly 1 for a very rare one.
    """
    shares: np.ndarray = 1 - counts / np.maximum(counts, scale * counts.max()).clip(min=1)
    return shares


@dataclass(frozen=True)
class Partners:
    """Which rows are heard in a batch.

    Attributes:
        first: (batch,) int64, rows of the bank, heard first.
        second: (batch,) int64, rows heard after them; -1 where nothing is.
        labels: (batch,) int64, classes of what is heard.
        cuts: (batch, 3) float64 in [0, 1), where segments are heard: how much of the first, and where each begins;
            None where units are heard whole.
    """

    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray
    cuts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> Partners:
        cuts = None if self.cuts is None else self.cuts[rows]
        return Partners(self.first[rows], self.second[rows], self.labels[rows], cuts)

    @property
    def places(self) -> np.ndarray:
        """(joined,) int64: places in the batch at which two units are heard."""
        return np.flatnonzero(self.second >= 0)


class PartnerPool:
    """The training units that may be joined, by class and by what a partner must not share.

    Args:
        rows: (training,) int64, rows of the bank that are trained on.
        labels: (bank,) int64, classes of all rows of the bank.
        options: What the run asks for.
        classes: Names of the classes in the order of their numbers.
        devices: Recording device of each row of the bank; needed for ``concat_partner=other-device``.
        patients: Patient of each row of the bank; needed for ``concat_partner=other-patient``.

    Raises:
        SpecError: If the law needs other classes than the data have, or a training row would find no partner.
    """

    def __init__(
        self,
        rows: np.ndarray,
        labels: np.ndarray,
        options: AugmentOptions,
        *,
        classes: Sequence[str],
        devices: Sequence[str] | None = None,
        patients: Sequence[str] | None = None,
    ) -> None:
        self.labels, self.options = labels, options
        if options.concat_law != "same" and tuple(classes) != FOUR_CLASSES.classes:
            raise SpecError(
                f"concat_law={options.concat_law} needs the classes normal, crackle, wheeze and both, but those of the "
                f"data are {', '.join(classes)}.",
                "Use --set concat_law=same.",
            )
        counts = np.bincount(labels[rows], minlength=len(classes))
        shares = rare_shares(counts, options.concat_scale) if options.concat_rare else np.ones(len(classes))
        self.chances = options.concat_probability * shares
        self.groups = _groups(options.concat_partner, labels, devices, patients)
        self._rows = {label: rows[labels[rows] == label] for label in range(len(classes))} | {None: rows}
        self._check(rows)

    def candidates(self, row: int, label: int | None) -> np.ndarray:
        """Find the partners that a row may have.

        Args:
            row: Row of the bank.
            label: Class of the partners; None for any.

        Returns:
            (candidates,) int64, rows of the bank; the row itself is one of them where it may be.
        """
        rows = self._rows[label]
        return rows if self.groups is None else rows[self.groups[rows] != self.groups[row]]

    def pairs(self, label: int) -> list[tuple[float, int, int]]:
        """Find the pairs that a law of pairs gives a class: their shares, and the classes of both units.

        Where partners are normal, a pair of Splice has a normal unit.
        """
        if self.options.concat_law == "cba":
            return list(RESPIRENET_PAIRS[label])
        only_normal = self.options.concat_partner == "normal"
        pairs = [pair for pair in SPLICE_PAIRS[label] if not only_normal or NORMAL in pair[1:]]
        return [(1 / len(pairs), first, second) for _, first, second in pairs]

    def partner_classes(self, label: int) -> set[tuple[int, int | None]]:
        """Find whom units of a class need: class of a unit, and of its partner, where None stands for any class."""
        if self.options.concat_law == "cba":
            return {(label, each) for _, *both in self.pairs(label) for each in both}
        if self.options.concat_law == "splice":
            return {need for _, first, second in self.pairs(label) for need in _needs(label, first, second)}
        return {(label, self.wanted_class(label))}

    def wanted_class(self, label: int) -> int | None:
        """The class that partners of a class are drawn from where no table says it; None for all of them together."""
        if self.options.concat_law == "same":
            return label
        return NORMAL if self.options.concat_partner == "normal" else None

    def _check(self, rows: np.ndarray) -> None:
        groups = self.labels if self.groups is None else self.groups
        # One row of each class and group stands for all of them.
        kinds = {(int(self.labels[row]), int(groups[row])): int(row) for row in rows}
        for label in sorted({label for label, _ in kinds if self.chances[label] > 0}):
            needs = self.partner_classes(label)
            units = ((row, wanted) for (own, _), row in kinds.items() for each, wanted in needs if own == each)
            if any(len(self.candidates(row, wanted)) == 0 for row, wanted in units):
                raise SpecError(
                    f"concat_law={self.options.concat_law} with concat_partner={self.options.concat_partner} finds no "
                    f"partner for training units of class {label}.",
                    "Use --set concat_partner=any, or another concat_law.",
                )


def _needs(label: int, first: int, second: int) -> list[tuple[int, int]]:
    """Class of a unit and of its partner, for a pair of Splice in the place of a unit of class ``label``."""
    if label in (first, second):
        return [(label, second if first == label else first)]
    # Two others: the first must not share the group of the unit either, in whose place it is.
    return [(label, first), (first, second)]


def _groups(
    partner: str, labels: np.ndarray, devices: Sequence[str] | None, patients: Sequence[str] | None
) -> np.ndarray | None:
    """A number for each row of the bank, which a row and its partner must not share; None where they may share all."""
    names = {"other-device": devices, "other-patient": patients}.get(partner, labels.tolist())
    if names is None:
        raise ValueError(f"concat_partner={partner} needs to know the {partner.removeprefix('other-')} of each row.")
    if not partner.startswith("other-"):
        return None
    numbers: np.ndarray = np.unique(np.asarray(names), return_inverse=True)[1]
    return numbers


def draw_partners(rows: np.ndarray, pool: PartnerPool, rng: np.random.Generator) -> Partners:
    """Draw what is heard in the place of each row of a global batch.

    Four numbers are drawn for each row, whatever comes out, and three more where segments are heard; none where the run
    does not concatenate.

    Args:
        rows: (batch,) int64, rows of the bank that the sampler gave.
        pool: Where partners come from, and the law.
        rng: Generator of the step.
    """
    labels = pool.labels[rows].astype(np.int64)
    if not pool.options.concatenates:
        return Partners(rows, np.full(len(rows), -1), labels)
    draws = rng.random((4, len(rows)))
    first, second, joint = rows.astype(np.int64), np.full(len(rows), -1), labels.copy()
    find = _tabled_pair if pool.options.concat_law in ("cba", "splice") else _free_pair
    for i in np.flatnonzero(draws[0] < pool.chances[labels]):
        first[i], second[i], joint[i] = find(int(rows[i]), pool, draws[1:, i])
    cuts = rng.random((len(rows), 3)) if pool.options.concat_seconds > 0 else None
    return Partners(first, second, joint, cuts)


def _drawn(candidates: np.ndarray, draw: float) -> int:
    return int(candidates[min(int(draw * len(candidates)), len(candidates) - 1)])


def _free_pair(row: int, pool: PartnerPool, draws: np.ndarray) -> tuple[int, int, int]:
    """A row and a partner in either order, and the class of both; draws: order, partner, not used."""
    label, options = int(pool.labels[row]), pool.options
    partner = _drawn(pool.candidates(row, pool.wanted_class(label)), draws[1])
    # Of the same class it is the class itself; of two, all that is heard in either: normal adds nothing.
    joint = label | int(pool.labels[partner])
    if options.concat_order == "random" and draws[0] < 0.5:
        return partner, row, joint
    return row, partner, joint


def _tabled_pair(row: int, pool: PartnerPool, draws: np.ndarray) -> tuple[int, int, int]:
    """Two rows of the classes that the table draws, the row itself where its class is asked for; draws: pair, rows.

    The row that the sampler drew stands for one that is drawn at random within its class, as both are there.
    """
    label = int(pool.labels[row])
    pairs = pool.pairs(label)
    bounds = np.cumsum([share for share, _, _ in pairs])
    _, first, second = pairs[min(int(np.searchsorted(bounds, draws[0], side="right")), len(pairs) - 1)]
    at_first = row if first == label else _drawn(pool.candidates(row, first), draws[1])
    # Of Splice's two segments each is a partner to the other; RespireNet's are both partners to the row.
    beside = at_first if pool.options.concat_law == "splice" else row
    at_second = row if second == label != first else _drawn(pool.candidates(beside, second), draws[2])
    return at_first, at_second, label


def concatenate(first: Waves, second: Waves, partners: Partners, options: AugmentOptions, rate: int) -> Waves:
    """Join the units of this process's rows with their partners.

    Args:
        first: Units of ``partners.first``.
        second: Units of ``partners.second[partners.places]``, in their order.
        partners: This process's part of what was drawn.
        options: Level and cross-fade.
        rate: Sample rate of the units, Hz.

    Returns:
        The units; those that are joined have the sum of both lengths, less the cross-fade.
    """
    places = partners.places
    if len(places) == 0:
        return first
    early, late = rows_of(first, places), second
    if partners.cuts is not None:
        early, late = _segments(early, late, partners.cuts[places], options, rate)
    late = _levelled(late, early) if options.concat_level else late
    overlap = torch.minimum(early.lengths, late.lengths).clamp(max=round(options.concat_crossfade * rate))
    if int(overlap.max()) > 0:
        early, late = _faded(early, overlap, out=True), _faded(late, overlap, out=False)
    return with_rows(first, places, joined(early, late, overlap))


def _segments(early: Waves, late: Waves, cuts: np.ndarray, options: AugmentOptions, rate: int) -> tuple[Waves, Waves]:
    """Cut a segment out of each of two units, which fill ``concat_seconds`` together, cross-fade included.

    Args:
        early: Units that are heard first.
        late: Units that are heard after them.
        cuts: (units, 3), as in :class:`Partners`.
        options: Length and cross-fade.
        rate: Sample rate of the units, Hz.
    """
    total = max(2, round(options.concat_seconds * rate))
    shares = SMALLEST_SHARE + (1 - 2 * SMALLEST_SHARE) * torch.from_numpy(cuts[:, 0])
    lengths = (shares * total).long().clamp(1, total - 1)
    rest = total - lengths
    faded = torch.minimum(lengths, rest).clamp(max=round(options.concat_crossfade * rate))
    places = torch.from_numpy(cuts)
    return _segment(early, places[:, 1], lengths), _segment(late, places[:, 2], rest + faded)


def _segment(waves: Waves, places: Tensor, lengths: Tensor) -> Waves:
    """Parts of given lengths (units,) that begin at a share (units,) of each unit, which begins anew at its end."""
    starts = (places * waves.lengths).long()
    found = positions(waves.samples, int(lengths.max())) + column(starts, waves.samples)
    return taken(waves, found % column(waves.lengths, waves.samples), lengths)


def _levelled(waves: Waves, like: Waves) -> Waves:
    """Waves with the mean squares of others; silent ones on either side stay as they are."""
    own, wanted = power(waves), power(like)
    sounding = (own > 0) & (wanted > 0)
    factors = torch.where(sounding, wanted / torch.where(sounding, own, 1.0), 1.0).sqrt()
    return Waves(waves.samples * factors, waves.lengths)


def _faded(waves: Waves, overlap: Tensor, *, out: bool) -> Waves:
    """Waves that fade linearly in their first or out in their last samples, as many as ``overlap`` says (units,).

    Sample k of an overlap of n has the weights (k + ½) / n and 1 - (k + ½) / n, which sum to 1.
    """
    place = positions(waves.samples, waves.samples.shape[1])
    inner = column(waves.lengths, waves.samples) - 1 - place if out else place
    size = column(overlap, waves.samples)
    weights = ((inner + 0.5) / size.clamp(min=1)).clamp(0, 1)
    return Waves(waves.samples * torch.where(size > 0, weights, 1.0), waves.lengths)
