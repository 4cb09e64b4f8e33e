"""Which predictions are those of others: the same classes but for a handful, or scores up to a monotone change.

Two systems that were trained apart, or with two seeds, differ in some hundred of the 2,756 test cycles. A copy is
looked for in two ways.

- Classes: at most one cycle in :data:`ONE_IN` differs (13 of 2,756). Answers that name one class alone say nothing.
- Scores: a copy may be rescaled, and its class biases tuned, even for each patient, which changes many classes. What
  stays is the order of the cycles of one patient by the logarithm of each class's score against the first one's. Two
  runs are alike where these ranks correlate with :data:`CORRELATED` or more for each of the other classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.metrics import predicted_classes
from leaderboard.results.predictions import CycleSet

ONE_IN = 200
CORRELATED = 0.999

MOST_BY_SCORES = 600
"""Runs whose scores are compared: the first ones by date; all are compared by their classes."""

_BLOCKS = 16
"""Parts of the cycles whose counts of classes are compared before the cycles themselves."""

_SKETCH = 97
"""Cycles by which correlations are foreseen, before all are looked at."""

_FORESEEN = 0.98
"""Correlation over the sketch from which all cycles are looked at: a few cycles estimate it less surely than all do."""

_FEWEST = 20
"""Cycles in which two runs could differ; on fewer, equal ranks mean little."""


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """The predictions of one run under a selection rule.

    Attributes:
        run_id: Id of the run.
        cycles: The n judged cycles.
        scores: (n, k) scores of the k classes in the order of the cycles.
        scored: Whether they are scores; otherwise they are 1 for the predicted class and 0 for the others.
    """

    run_id: str
    cycles: CycleSet
    scores: NDArray[Any]
    scored: bool = True


@dataclass(frozen=True)
class CopyPair:
    """Two runs with the same predictions.

    Attributes:
        earlier: Id of the run that was there first.
        later: Id of the other run.
        likeness: What is the same, in words that "as X" can follow.
    """

    earlier: str
    later: str
    likeness: str


def find_copies(answers: Sequence[RunPredictions]) -> Iterator[CopyPair]:
    """Find, for each run with the predictions of an earlier one, the first such run.

    Args:
        answers: Predictions of runs on one judged set, the earliest first; runs on other cycles than the first one's
            are left out.
    """
    same = [one for one in answers if one.cycles.hash == answers[0].cycles.hash]
    if len(same) < 2:
        return
    found = _copies_by_classes(same)
    for later, earlier in _copies_by_scores(same[:MOST_BY_SCORES]).items():
        found.setdefault(later, (earlier, "The order of its scores within each patient is the same"))
    for later, (earlier, told) in sorted(found.items()):
        yield CopyPair(same[earlier].run_id, same[later].run_id, told)


# --- by classes -------------------------------------------------------------------------------------------------


def _copies_by_classes(same: Sequence[RunPredictions]) -> dict[int, tuple[int, str]]:
    chosen = np.stack([predicted_classes(one.scores, None).astype(np.int8) for one in same])
    most = chosen.shape[1] // ONE_IN
    varied = np.flatnonzero((chosen != chosen[:, :1]).any(axis=1))
    found: dict[int, tuple[int, str]] = {}
    for i, j in _pairs_near_in_class_counts(chosen, varied, most, same[0].scores.shape[1]):
        differing = int((chosen[i] != chosen[j]).sum())
        if differing <= most and j not in found:
            of = (
                f"all {chosen.shape[1]:,} cycles"
                if differing == 0
                else f"all but {differing} of {chosen.shape[1]:,} cycles"
            )
            found[j] = (i, f"It has the same classes in {of}")
    return found


def _pairs_near_in_class_counts(
    chosen: NDArray[np.int8], varied: NDArray[np.int64], most: int, classes: int
) -> Iterator[tuple[int, int]]:
    """Pairs whose counts of classes, block by block, do not rule out that at most ``most`` cycles differ.

    A cycle that differs changes two counts by one: counts that differ by more than twice ``most`` belong to no copies.
    """
    from scipy.spatial.distance import cdist

    if len(varied) < 2:
        return
    edges = np.linspace(0, chosen.shape[1], _BLOCKS + 1).astype(int)
    blocks = [chosen[varied, start:end] for start, end in pairwise(edges)]
    counts = np.stack([(block == c).sum(axis=1) for block in blocks for c in range(classes)], axis=1)
    for place in range(1, len(varied)):
        distances = cdist(counts[place : place + 1], counts[:place], "cityblock")[0]
        for other in np.flatnonzero(distances <= 2 * most):
            yield int(varied[other]), int(varied[place])


# --- by scores --------------------------------------------------------------------------------------------------


def _copies_by_scores(same: Sequence[RunPredictions]) -> dict[int, int]:
    """By place of a run, the place of the first earlier one whose scores are a monotone change of its own.

    A run whose scores do not vary in some class has no ranks to compare, and is not taken for a copy.
    """
    scored = [place for place, one in enumerate(same) if one.scored]
    if len(scored) < 2 or len(same[0].cycles) < _FEWEST:
        return {}
    patients = np.unique(same[0].cycles.patients, return_inverse=True)[1]
    ranks = np.stack([_ranks_within_patients(same[place].scores, patients) for place in scored])
    able = (np.count_nonzero(ranks, axis=2) > 0).all(axis=1)
    sketch = _to_unit_length(ranks[:, :, :: max(1, ranks.shape[2] // _SKETCH)])
    foreseen = np.min([sketch[:, c] @ sketch[:, c].T for c in range(sketch.shape[1])], axis=0)
    whole = _to_unit_length(ranks)
    found: dict[int, int] = {}
    for j, i in zip(*np.nonzero(np.tril(foreseen >= _FORESEEN, -1)), strict=True):
        sound = able[i] and able[j] and scored[j] not in found
        if sound and (whole[i] * whole[j]).sum(axis=1).min() >= CORRELATED:
            found[scored[int(j)]] = scored[int(i)]
    return found


def _ranks_within_patients(scores: NDArray[Any], patients: NDArray[np.int64]) -> NDArray[np.float32]:
    """(k - 1, n) ranks within each patient, from -1/2 to 1/2, of the scores of the other classes against the first's.

    Scores that can be probabilities are compared by their logarithms: class biases before a softmax shift these.
    """
    values = scores.astype(np.float64)
    if (values >= 0).all() and (values <= 1).all():
        values = np.log(np.maximum(values, 1e-30))
    against = (values[:, 1:] - values[:, :1]).T
    found = np.empty(against.shape, dtype=np.float32)
    sizes = np.bincount(patients)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    # Small numbers are sorted by digits, in a tenth of the time.
    small = patients.astype(np.uint16) if patients.max() < 2**16 else patients
    for number, column in enumerate(against):
        order = np.argsort(column, kind="stable")
        order = order[np.argsort(small[order], kind="stable")]
        place = np.arange(len(order)) - starts[patients[order]]
        found[number, order] = (place + 0.5) / sizes[patients[order]] - 0.5
        if np.ptp(column) == 0:
            found[number] = 0
    return found


def _to_unit_length(ranks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row scaled to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(ranks, axis=2, keepdims=True)
    scaled: NDArray[np.float32] = ranks / np.maximum(lengths, 1e-12)
    return scaled
