"""The category relationship of Co-Tuning: which source classes a target class looks like to the source model.

Source: You et al. 2020, section 3.2; thuml/CoTuning @ fc3eb54, ``module/relationship_learning.py``. The authors fit the
regressions with scikit-learn, whose solver stops early on gradients as small as these, in each release elsewhere. Here
each is solved to its only minimum. Two target classes, or a class that no row is of, stop the authors' code, not this.

Shapes: N rows, S source classes, T target classes, r rank of the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import log_softmax, softmax

STRENGTHS = tuple(factor * 10.0**power for power in range(4, -5, -1) for factor in (1.0, 0.3))[:-1]
"""Strengths C of the fit against the penalty that are tried, from 10,000 to 0.0001."""

LARGEST_SCALE = 50.0
"""Bound of the calibration, either way: where validation rows are told apart without a fault it would have no end."""

GRADIENT = 1e-7
"""Largest entry of the gradient at which a regression is solved."""

MOST_STEPS = 200


@dataclass(frozen=True)
class Rows:
    """Rows of a part of the training part.

    Attributes:
        probabilities: (N, S) float64, what the source model says of each.
        labels: (N,) target class of each.
    """

    probabilities: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Relationship:
    """What was learnt, and how.

    Attributes:
        source_given_target: (T, S) float64, p(source class | target class); rows sum to 1.
        target_given_source: (S, T) float64, p(target class | source class).
        coefficients: (T, S) float64 of the regression that was chosen.
        accuracies: Accuracy on the validation rows by strength, in the order of :data:`STRENGTHS`.
        strength: The strength that was chosen: the largest of the best.
        scale: Factor of the calibration.
    """

    source_given_target: np.ndarray
    target_given_source: np.ndarray
    coefficients: np.ndarray
    accuracies: tuple[float, ...]
    strength: float
    scale: float


def learn_relationship(train: Rows, validation: Rows, classes: int) -> Relationship:
    """Learn p(source class | target class) by a calibrated regression and Bayes' rule.

    Args:
        train: Rows that the regressions are fitted to.
        validation: Rows that one of them is chosen and calibrated by.
        classes: T.
    """
    fitted = fit_regressions(train, classes)
    logits = [validation.probabilities @ each.T for each in fitted]
    accuracies = [float((each.argmax(1) == validation.labels).mean()) for each in logits]
    chosen = int(np.argmax(accuracies))
    scale = calibrate(logits[chosen], validation.labels)
    target_given_source = softmax(scale * fitted[chosen].T, axis=1)
    marginal = np.concatenate([train.probabilities, validation.probabilities]).mean(0)
    joint = (target_given_source * marginal[:, None]).T
    return Relationship(
        source_given_target=joint / joint.sum(1, keepdims=True),
        target_given_source=target_given_source,
        coefficients=fitted[chosen],
        accuracies=tuple(accuracies),
        strength=STRENGTHS[chosen],
        scale=scale,
    )


def direct_relationship(rows: Rows, classes: int) -> np.ndarray:
    """Mean probabilities of the rows of each class, (T, S); those of all rows for a class that has none."""
    everything = rows.probabilities.mean(0)
    of_class = [rows.probabilities[rows.labels == label] for label in range(classes)]
    return np.stack([own.mean(0) if len(own) else everything for own in of_class])


def fit_regressions(rows: Rows, classes: int) -> list[np.ndarray]:
    """Fit a multinomial logistic regression without intercept for each of :data:`STRENGTHS`.

    Args:
        rows: N rows.
        classes: T.

    Returns:
        (T, S) coefficients of each, in that order.
    """
    # The penalty keeps coefficients within the span of the rows: r numbers for each class in place of S.
    left, sizes, axes = np.linalg.svd(rows.probabilities, full_matrices=False)
    kept = sizes > sizes[0] * 1e-12
    values, axes = left[:, kept] * sizes[kept], axes[kept]
    wanted = np.eye(classes)[rows.labels]
    found: list[np.ndarray] = []
    weights = np.zeros((classes, values.shape[1]))
    # From the strongest penalty on, each from the solution of the one before.
    for strength in reversed(STRENGTHS):
        weights = _solve(values, wanted, strength, weights)
        found.insert(0, weights @ axes)
    return found


def _solve(values: np.ndarray, wanted: np.ndarray, strength: float, weights: np.ndarray) -> np.ndarray:
    """Minimise C * sum of cross-entropies + |W|² / 2 by Newton's method with conjugate gradients.

    Args:
        values: (N, r), with orthogonal columns.
        wanted: (N, T), one 1 in each row.
        strength: C.
        weights: (T, r), where it begins.
    """

    def objective(at: np.ndarray) -> float:
        return float(-strength * (wanted * log_softmax(values @ at.T, axis=1)).sum() + 0.5 * (at * at).sum())

    for _ in range(MOST_STEPS):
        chances = softmax(values @ weights.T, axis=1)
        gradient = strength * (chances - wanted).T @ values + weights
        if np.abs(gradient).max() < GRADIENT:
            break
        step = _newton_step(values, chances, strength, gradient)
        slope, before = float((gradient * step).sum()), objective(weights)
        length = 1.0
        # At the end rounding hides the decrease that a whole step brings.
        while objective(weights + length * step) > before + 1e-4 * length * slope + 1e-13 * abs(before):
            length /= 2
        weights = weights + length * step
    return weights


def _newton_step(values: np.ndarray, chances: np.ndarray, strength: float, gradient: np.ndarray) -> np.ndarray:
    """Solve Hessian x step = -gradient, (T, r), as exactly as the gradient is large."""
    shape = gradient.shape

    def curvature(flat: np.ndarray) -> np.ndarray:
        direction = flat.reshape(shape)
        moved = values @ direction.T
        moved = chances * (moved - (chances * moved).sum(1, keepdims=True))
        curved: np.ndarray = (strength * moved.T @ values + direction).ravel()
        return curved

    diagonal = (1 + strength * (chances * (1 - chances)).T @ (values * values)).ravel()
    size = gradient.size
    matrix = LinearOperator((size, size), matvec=curvature, dtype=np.float64)
    inverse = LinearOperator((size, size), matvec=lambda flat: flat.ravel() / diagonal, dtype=np.float64)
    exactness = min(0.1, float(np.sqrt(np.abs(gradient).max())) * 1e-2)
    step, _ = cg(matrix, -gradient.ravel(), rtol=exactness, maxiter=10 * size, M=inverse)
    found: np.ndarray = np.asarray(step).reshape(shape)
    return found


def calibrate(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the factor of logits that makes the cross-entropy smallest; it may be negative, where they mislead.

    Args:
        logits: (N, T).
        labels: (N,).

    Returns:
        The factor, within :data:`LARGEST_SCALE` of 0.
    """
    logits = np.asarray(logits, dtype=np.float64)
    at_label = logits[np.arange(len(labels)), labels]

    def slope(scale: float) -> float:
        return float((softmax(scale * logits, axis=1) * logits).sum(1).mean() - at_label.mean())

    # The cross-entropy is convex in the factor: its slope rises.
    if slope(LARGEST_SCALE) <= 0:
        return LARGEST_SCALE
    if slope(-LARGEST_SCALE) >= 0:
        return -LARGEST_SCALE
    return float(brentq(slope, -LARGEST_SCALE, LARGEST_SCALE, xtol=1e-12))
