"""How the scores of several runs become one score per cycle and class: their product, mean or largest, or a route.

Every combination works on one cycle at a time and gives the class of the largest combined score; of equal ones the
first class counts (:func:`leaderboard.metrics.predicted_classes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.results.predictions import CycleSet

Pooling = Literal["mean", "product", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
"""Combinations that take every part's score of every cycle."""

ROUTE = "route:device"
"""The combination in which the recording device of a cycle says which part's score counts."""

COMBINATIONS = (*POOLINGS, ROUTE)

FLOOR = 1e-12
"""Smallest probability that enters a product: a class that one part rounds to 0 is not lost for all the others."""

Scores = NDArray[np.float64]


def pool(scores: Sequence[Scores], combination: Pooling) -> Scores:
    """Combine the scores of several parts for the same cycles.

    ``mean`` is the arithmetic mean. ``product`` multiplies probabilities, none below :data:`FLOOR`, as a sum of their
    logarithms, so that many parts do not underflow, and divides by the sum over classes. ``max`` takes the largest
    probability that any part gives a class, and divides by the sum over classes.

    Args:
        scores: For each part, (cycles, classes) scores in the same order of cycles.
        combination: One of :data:`POOLINGS`.

    Returns:
        (cycles, classes) combined scores.

    Raises:
        ResultError: If a score is below 0 and probabilities are needed.
    """
    stacked = np.stack([np.asarray(one, dtype=np.float64) for one in scores])  # (parts, cycles, 4)
    if combination == "mean":
        found: Scores = stacked.mean(axis=0)
        return found
    if stacked.min(initial=0.0) < 0.0:
        raise ResultError(
            f"A {combination} needs probabilities, but a part has the score {stacked.min():.3g}.", "Use the mean."
        )
    return _POOLED[combination](stacked)


def _product(stacked: Scores) -> Scores:
    return normalised_products(np.log(np.maximum(stacked, FLOOR)).sum(axis=0))


def normalised_products(logarithms: Scores) -> Scores:
    """Products of probabilities, made to sum to 1 over the classes.

    Args:
        logarithms: (rows, classes) sums of the logarithms of what is multiplied, each at least that of :data:`FLOOR`.

    Returns:
        (rows, classes) scores.
    """
    # The largest becomes 1 before the exponential: products of many parts are too small for a float.
    return _normalised(np.exp(logarithms - logarithms.max(axis=1, keepdims=True)))


def _largest(stacked: Scores) -> Scores:
    return _normalised(stacked.max(axis=0))


def _normalised(scores: Scores) -> Scores:
    """Scores of each cycle divided by their sum; a cycle with none above 0 keeps its zeros."""
    sums = scores.sum(axis=1, keepdims=True)
    found: Scores = scores / np.where(sums > 0.0, sums, 1.0)
    return found


_POOLED: Mapping[str, Callable[[Scores], Scores]] = {"product": _product, "max": _largest}


def route(scores: Mapping[str, Scores], served: Mapping[str, str | None], devices: Sequence[str]) -> Scores:
    """Take each cycle's scores from the part that serves its recording device.

    Args:
        scores: By part, (cycles, classes) scores in the same order of cycles.
        served: By part, the device that it serves; None for the part that serves every device without one.
        devices: Recording device of each cycle.

    Returns:
        (cycles, classes) scores.

    Raises:
        ResultError: If no part serves the device of a cycle.
    """
    part_of = {device: name for name, device in served.items()}
    lost = unserved(served, devices)
    if lost:
        raise ResultError(
            f"No part serves the device {', '.join(echoed(device) for device in lost)} of a judged cycle.",
            "Name a part for it, or make one the default.",
        )
    chosen = [scores[part_of.get(device, part_of.get(None, ""))][row] for row, device in enumerate(devices)]
    return np.stack(chosen)


def unserved(served: Mapping[str, str | None], devices: Sequence[str]) -> list[str]:
    """Recording devices among some that no part serves, each once; arguments as for :func:`route`."""
    if None in served.values():
        return []
    return sorted(set(devices) - set(served.values()))


def combine(
    scores: Mapping[str, Scores], combination: str, served: Mapping[str, str | None], cycles: CycleSet
) -> Scores:
    """Combine the scores of parts for some cycles.

    Args:
        scores: By part, (cycles, classes) scores in the order of ``cycles``.
        combination: One of :data:`COMBINATIONS`.
        served: For a route, by part the device that it serves, or None for the default part.
        cycles: The judged cycles.

    Raises:
        ResultError: As :func:`pool` and :func:`route`, or if there is no such combination.
    """
    if combination == ROUTE:
        return route(scores, served, cycles.devices)
    for pooling in POOLINGS:
        if combination == pooling:
            # By name, so that the sum over parts is the same in whatever order they were named.
            return pool([scores[name] for name in sorted(scores)], pooling)
    raise ResultError(f"Unknown combination '{echoed(combination)}': there are {', '.join(COMBINATIONS)}.")
