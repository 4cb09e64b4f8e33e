"""A run inside a script leaves the script's random numbers alone, however it ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_runs import small_run

from bench.core.errors import BenchError, InterruptedRunError
from bench.engine.random_states import random_states_kept
from bench.engine.trainer import Trainer


def drawn():
    """What torch and numpy draw next."""
    return torch.rand(3).tolist(), np.random.rand(3).tolist()


@pytest.fixture
def expected():
    """What is drawn where nothing came between; the generators are then as before."""
    torch.manual_seed(17)
    np.random.seed(17)
    with random_states_kept():
        return drawn()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_generators_are_as_before_however_the_block_ends(expected, error):
    def spoil():
        with random_states_kept():
            torch.manual_seed(1)
            np.random.seed(1)
            drawn()
            if error is not None:
                raise error

    if error is None:
        spoil()
    else:
        with pytest.raises(error):
            spoil()
    assert torch.initial_seed() == 17
    assert drawn() == expected


def test_blocks_may_stand_within_one_another(expected):
    with random_states_kept():
        torch.manual_seed(1)
        inner = torch.rand(1)
        torch.manual_seed(1)
        with random_states_kept():
            drawn()
        assert torch.equal(torch.rand(1), inner)
    assert drawn() == expected


def test_devices_get_back_what_they_had(monkeypatch):
    given = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["first", "second"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given.append)
    with random_states_kept():
        assert given == []
    assert given == [["first", "second"]]


def test_devices_that_nothing_had_used_begin_with_the_seed_of_the_script(monkeypatch):
    seeds = []
    torch.manual_seed(23)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    with random_states_kept():
        torch.manual_seed(1)
    assert seeds[-1] == 23


def test_a_run_draws_nothing_from_the_script(small_data, small_cache, tmp_path, expected):
    first = small_run(small_data, small_cache, tmp_path / "a")
    assert drawn() == expected
    first.model()
    again = drawn()
    torch.manual_seed(17)
    np.random.seed(17)
    drawn()
    assert drawn() == again
    # And what the script draws changes no run.
    assert small_run(small_data, small_cache, tmp_path / "b").metrics == first.metrics


@pytest.mark.parametrize("error", [InterruptedRunError("Stopped."), MemoryError()])
def test_a_run_that_ends_badly_gives_the_generators_back_too(
    small_data, small_cache, tmp_path, monkeypatch, expected, error
):
    def fail(self):
        torch.manual_seed(1)
        np.random.seed(1)
        raise error

    monkeypatch.setattr(Trainer, "fit", fail)
    with pytest.raises(BenchError):
        small_run(small_data, small_cache, tmp_path)
    assert drawn() == expected
