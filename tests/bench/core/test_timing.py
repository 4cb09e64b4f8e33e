from __future__ import annotations

import pytest

from bench.core.timing import OwnSeconds, Timing, cpu_seconds_with_children, paired_ratio, time_in_turn


class FakeClock:
    """A clock that moves when a body says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self):
        return self.now

    def body(self, name, *seconds):
        """A body that takes the seconds in turn, the last again and again."""
        left = list(seconds)

        def call():
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_ways_are_timed_in_turn_after_a_warm_up():
    clock = FakeClock()
    found = time_in_turn({"a": clock.body("a", 9.0, 1.0), "b": clock.body("b", 9.0, 2.0)}, 3, clock)
    assert clock.calls == ["a", "b"] * 4
    assert found == {"a": Timing((1.0,) * 3), "b": Timing((2.0,) * 3)}


def test_a_short_call_is_repeated_until_a_pass_can_be_timed():
    clock = FakeClock()
    found = time_in_turn({"a": clock.body("a", 0.004)}, 2, clock)
    assert len(clock.calls) == 1 + 2 * 5
    assert found["a"].median == pytest.approx(0.004)


def test_a_body_may_say_what_of_it_counts():
    clock = FakeClock()

    def body():
        clock.now += 10.0
        return OwnSeconds(0.25)

    assert time_in_turn({"a": body}, 2, clock)["a"].seconds == (0.25, 0.25)


def test_the_ratio_of_passes_leaves_out_what_slowed_both():
    ratio = paired_ratio(Timing((2.0, 20.0, 4.0)), Timing((1.0, 10.0, 2.0)))
    assert (ratio.median, ratio.noise) == (2.0, 0.0)


def test_noise_is_the_standard_error_of_the_median_and_one_outlier_hardly_moves_it():
    steady = Timing((1.0, 1.01, 0.99, 1.02, 0.98))
    assert steady.noise == pytest.approx(1.2533 * 1.4826 * 0.01 / 5**0.5)
    assert Timing((1.0, 1.01, 0.99, 1.02, 9.0)).noise < 2 * steady.noise
    assert Timing((3.0,)).noise == 0.0


def test_the_time_of_children_that_have_ended_counts():
    import subprocess
    import sys

    before = cpu_seconds_with_children()
    subprocess.run([sys.executable, "-S", "-c", "sum(range(10**6))"], check=True)
    assert cpu_seconds_with_children() > before + 0.01
