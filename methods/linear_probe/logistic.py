"""Multinomial logistic regression with an L2 penalty, by scipy's L-BFGS in double precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from bench.engine.sampling import hold_out_patients

Numbers = NDArray[np.float64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Values of C that are tried on held-out patients."""

MOST_STEPS = 1000


def fit_logistic(features: Numbers, labels: NDArray[np.int64], weights: Numbers, c: float) -> tuple[Numbers, Numbers]:
    """Find the weights that minimise C sum_i w[y_i] (-log p(y_i)) + ||W||^2 / 2; the bias has no penalty.

    It is the objective of scikit-learn's ``LogisticRegression(C=c, class_weight=...)``.

    Args:
        features: (rows, features).
        labels: (rows,) classes.
        weights: (classes,) weight of each class.
        c: Inverse strength of the penalty, above 0.

    Returns:
        (classes, features) weights and (classes,) biases.
    """
    classes, (rows, width) = len(weights), features.shape
    of_row = weights[labels] / rows
    wanted = np.eye(classes)[labels]

    def objective(flat: Numbers) -> tuple[float, Numbers]:
        matrix, bias = flat[classes:].reshape(classes, width), flat[:classes]
        logarithms = log_softmax(features @ matrix.T + bias, axis=1)
        loss = -(of_row * logarithms[np.arange(rows), labels]).sum() + (matrix**2).sum() / (2 * c * rows)
        slopes = of_row[:, None] * (np.exp(logarithms) - wanted)
        gradient = np.concatenate([slopes.sum(0), (slopes.T @ features + matrix / (c * rows)).ravel()])
        return float(loss), gradient

    # From zero: the objective is convex, and the same optimum is found whatever is drawn elsewhere.
    start = np.zeros(classes * (width + 1))
    options = {"maxiter": MOST_STEPS, "maxcor": 20, "gtol": 1e-7, "ftol": 1e-12}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return found[classes:].reshape(classes, width), found[:classes]


def choose_strength(
    features: Numbers, labels: NDArray[np.int64], patients: Sequence[str], weights: Numbers, held_out: float
) -> float:
    """Choose C among :data:`STRENGTHS` by the weighted log-loss on held-out patients; the smallest of equal ones.

    Args:
        features: (rows, features).
        labels: (rows,) classes.
        patients: Patient of each row.
        weights: (classes,) weight of each class.
        held_out: Share of each class to hold out.

    Raises:
        SpecError: If there are fewer than two patients.
    """
    held = hold_out_patients(patients, labels, held_out)
    is_held = np.array([patient in held for patient in patients])
    losses = []
    for c in STRENGTHS:
        matrix, bias = fit_logistic(features[~is_held], labels[~is_held], weights, c)
        logarithms = log_softmax(features[is_held] @ matrix.T + bias, axis=1)
        own = logarithms[np.arange(len(logarithms)), labels[is_held]]
        losses.append(-float((weights[labels[is_held]] * own).sum()))
    return STRENGTHS[int(np.argmin(losses))]
