"""What processes send is counted in a real group of two; what is computed from it follows by hand."""

from __future__ import annotations

import pytest
from five_steps import fork_context

from benchmarks.communication import GATHERED, GRADIENTS, REDUCED, GroupCase, measure_group
from benchmarks.paper_costs import RunCost, costs_of_tables, passes_of
from benchmarks.scaling import SEEDS, Assumptions, StepVolume, gpu_hours, volume_of

ROWS, WIDTH, TOKENS = 8, 16, 9 * 12
"""Cycles of a step, width of the stand-in, and patches of 98 frames and 128 mels."""

STAND_IN = GroupCase(
    model="ast",
    method="patchmix-cl",
    model_options={"embed_dim": WIDTH, "depth": 1, "heads": 2, "frames": 98},
    fields={"frontend_options": {"seconds": 1.0}, "batch": ROWS},
    steps=2,
)
GIVEN = Assumptions(gpu_flops=200.0, fraction=0.5, links={"box": 10.0}, latency=0.0, backward=0.5)


def test_two_processes_send_each_gradient_once_and_the_patches_and_features_of_their_rows():
    facts = measure_group(STAND_IN, 2, fork_context())
    assert len(facts) == 2
    for one in facts:
        assert one.sent[GRADIENTS] == 4 * one.parameters
        # What Patch-Mix mixes, and the features of both views.
        assert one.sent[GATHERED] == 4 * (ROWS // 2) * WIDTH * (TOKENS + 2)
        assert one.sent[REDUCED] == 2 * one.sent[GATHERED]
    volume = volume_of(facts[0], 2, parameters=5, forward=1.0, passes=3.0)
    assert volume.gathered == volume.reduced == 4 * WIDTH * (TOKENS + 2)


def test_one_process_sends_nothing():
    (alone,) = measure_group(STAND_IN, 1, fork_context())
    assert (alone.sent, alone.calls) == ({}, {})


def test_efficiency_by_hand():
    # Of one GPU 8 × 3 × 100 / 100 s, of four 6 s; gradients take 2 × 3/4 × 40 / 10 = 6 s, 3 of which are hidden.
    volume = StepVolume(parameters=10, gathered=0.0, reduced=0.0, calls=1, forward=100.0, passes=3.0)
    assert volume.efficiency(8, 4, 10.0, GIVEN) == (6 / 12, 6 / 9)
    # Gathered rows, 3 × 2 × 5 / 10 = 3 s, and sums of their gradients, 1.5 × 8 × 5 / 10 = 6 s, wait for nothing else.
    volume = StepVolume(parameters=10, gathered=5.0, reduced=5.0, calls=1, forward=100.0, passes=3.0)
    assert volume.efficiency(8, 4, 10.0, GIVEN) == (6 / 21, 6 / 18)


def test_operations_and_hours_by_hand():
    cost = RunCost(system="s", part="", model="m", method="ce", epochs=2, passes=3.0, forward=10)
    assert cost.flops == 2 * 10 * (4142 * 3 + 2756)
    assert gpu_hours([cost], GIVEN) == SEEDS * cost.flops / 100 / 3600


def test_a_training_step_is_three_forward_passes_and_twice_as_many_for_two_views():
    assert passes_of("ce") == pytest.approx(3, rel=0.05)
    assert passes_of("patchmix-cl") == pytest.approx(6, rel=0.1)


def test_the_runs_of_table_2():
    tables, left_out = costs_of_tables(["table2"])
    assert left_out == {}
    assert len(tables["table2"]) == 9
    assert {(cost.model, cost.epochs) for cost in tables["table2"]} == {("ast", 50)}
    assert tables["table2"][0].forward == pytest.approx(0.19e12, rel=0.1)
