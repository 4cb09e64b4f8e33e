"""Combined scores against the same numbers computed one cycle and one class at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.core.errors import ResultError
from leaderboard.metrics import predicted_classes
from leaderboard.results.combinations import FLOOR, combine, pool, route
from leaderboard.results.predictions import CycleSet


def probabilities(parts=3, cycles=7, seed=0):
    rng = np.random.default_rng(seed)
    return list(rng.dirichlet(np.ones(4), size=(parts, cycles)))


def one_by_one(parts, combined):
    """The same combination by plain Python, for each cycle and class."""
    found = []
    for cycle in range(len(parts[0])):
        row = [combined([float(part[cycle][label]) for part in parts]) for label in range(4)]
        found.append(row)
    return np.array(found)


def by_sum(rows):
    return np.array([[value / sum(row) for value in row] for row in rows.tolist()])


def test_the_mean_is_that_of_each_class():
    parts = probabilities()
    np.testing.assert_allclose(pool(parts, "mean"), one_by_one(parts, lambda p: sum(p) / len(p)), rtol=0, atol=1e-15)


def test_the_product_is_divided_by_its_sum_over_classes():
    parts = probabilities()
    np.testing.assert_allclose(pool(parts, "product"), by_sum(one_by_one(parts, math.prod)), rtol=1e-12)


def test_the_largest_is_divided_by_its_sum_over_classes():
    parts = probabilities()
    np.testing.assert_allclose(pool(parts, "max"), by_sum(one_by_one(parts, max)), rtol=1e-14)


def test_a_product_of_many_parts_does_not_underflow():
    # 0.25 ** 2000 is 0 in a float; the ratio of the classes is not.
    parts = [np.array([[0.26, 0.25, 0.25, 0.24]])] * 2000
    found = pool(parts, "product")
    assert found.sum() == pytest.approx(1.0)
    assert found[0, 0] / found[0, 1] == pytest.approx((0.26 / 0.25) ** 2000, rel=1e-9)


def test_a_zero_enters_a_product_as_the_floor():
    parts = [np.array([[0.0, 0.4, 0.3, 0.3]]), np.array([[1.0, 0.0, 0.0, 0.0]])]
    expected = np.array([[FLOOR * 1.0, 0.4 * FLOOR, 0.3 * FLOOR, 0.3 * FLOOR]])
    np.testing.assert_allclose(pool(parts, "product"), by_sum(expected), rtol=1e-9)


@pytest.mark.parametrize("combination", ["mean", "product", "max"])
def test_of_equal_scores_the_first_class_counts(combination):
    parts = [np.array([[0.1, 0.4, 0.4, 0.1]]), np.array([[0.1, 0.4, 0.4, 0.1]])]
    assert predicted_classes(pool(parts, combination)).tolist() == [1]


@pytest.mark.parametrize("combination", ["product", "max"])
def test_what_needs_probabilities_refuses_scores_below_zero(combination):
    with pytest.raises(ResultError, match=f"A {combination} needs probabilities, but a part has the score -0.5"):
        pool([np.array([[0.1, 0.2, -0.5, 0.1]])] * 2, combination)
    assert pool([np.array([[0.1, 0.2, -0.5, 0.1]])] * 2, "mean")[0, 2] == -0.5


def cycles_of(devices):
    keys = tuple((f"{101 + place}_1b1_Al_sc_X", 0) for place in range(len(devices)))
    return CycleSet(keys, (0,) * len(devices), ("101",) * len(devices), tuple(devices))


def test_a_route_takes_each_cycle_from_the_part_of_its_device():
    high, low = probabilities(2, 4)
    devices = ["Meditron", "AKGC417L", "Meditron", "Litt3200"]
    found = route({"high": high, "low": low}, {"high": "Meditron", "low": None}, devices)
    np.testing.assert_array_equal(found, np.array([high[0], low[1], high[2], low[3]]))
    assert combine({"high": high, "low": low}, "route:device", {"high": "Meditron", "low": None}, cycles_of(devices))[
        1
    ].tolist() == list(low[1])


def test_a_device_without_a_part_is_named():
    high, low = probabilities(2, 2)
    with pytest.raises(ResultError, match="No part serves the device Litt3200 of a judged cycle"):
        route({"a": high, "b": low}, {"a": "Meditron", "b": "AKGC417L"}, ["Meditron", "Litt3200"])


def test_the_order_of_the_parts_does_not_move_a_bit():
    a, b, c = probabilities(3, 500)
    cycles = cycles_of(["X"] * 500)
    for combination in ("mean", "product", "max"):
        one = combine({"a": a, "b": b, "c": c}, combination, {}, cycles)
        other = combine({"c": c, "a": a, "b": b}, combination, {}, cycles)
        assert one.tobytes() == other.tobytes()


def test_an_unknown_combination_is_named():
    with pytest.raises(ResultError, match="Unknown combination 'vote': there are mean, product, max, route:device"):
        combine({}, "vote", {}, cycles_of(["X"]))
