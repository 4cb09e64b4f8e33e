"""What runs will take: by other seeds, by runs like them, by what models cost; the costs are made up."""

from __future__ import annotations

import pytest
from matrix_files import RUNS, SMALL, planned

from bench.api.launching import launch_options, seconds_of
from bench.core.errors import SpecError
from bench.launch.matrix.estimate import History, joined_measurements
from leaderboard.store.costs import RunCost
from leaderboard.store.result_rows import system_hash


@pytest.fixture
def spec(tmp_path, small_data, small_cache):
    text = f"seeds = 1\nepochs = 10\n{RUNS}settings = [{SMALL}]"
    return planned(tmp_path, small_data, small_cache, text).runs[0].spec


def cost(spec, seconds, memory=1000.0, **changes):
    """What a run took that differs from a spec in some fields."""
    identity = {**spec.identity(), **changes}
    peak = {"host": memory, "gpu": memory / 2}
    place = spec.distribution
    return RunCost(system_hash(identity), identity, place.device, place.processes, seconds, peak)


def measured(**changes):
    """A row of `bench models bench`."""
    training, evaluation = {"seconds_per_step": 0.8, "peak_memory_mib": 700.0}, {"seconds_per_cycle": 0.05}
    row = {"model": "ast", "device": "cpu", "batch": 8, "frames": None, "error": None}
    return {**row, "training": training, "evaluation": evaluation, **changes}


def test_other_seeds_of_the_system_go_before_other_runs_of_the_pair(spec):
    others = [cost(spec, seconds, lr=0.5, epochs=5) for seconds in (40.0, 50.0, 600.0)]
    by_pair = History([*others, cost(spec, 9.0, model="cnn6")]).estimate(spec)
    assert (by_pair.seconds, by_pair.memory_mib, by_pair.source) == (100.0, 1000.0, "board")
    own = History([*others, cost(spec, 30.0, 900.0, seed=7)]).estimate(spec)
    assert (own.seconds, own.memory_mib, own.source) == (30.0, 900.0, "other seeds")


def test_models_that_were_measured_give_a_rough_number_and_nothing_gives_none(spec):
    found = History((), [measured()]).estimate(spec)
    # 24 training cycles at 0.1 s and 12 test cycles at 0.05 s, ten times.
    assert (found.seconds, found.source) == (pytest.approx(30.0), "rough")
    assert History((), [measured(model="cnn6")]).estimate(spec).source == "nothing"
    assert History().estimate(spec).seconds is None


def test_memory_of_a_gpu_is_taken_from_runs_alone(spec):
    gpu = spec.changed(device="cuda")
    assert History([cost(gpu, 30.0)]).memory(gpu) == 500 * 2**20
    assert History((), [measured(device="cuda")]).memory(gpu) is None
    assert History([cost(spec, 30.0)]).memory(spec) is None


def test_a_new_measurement_takes_the_place_of_the_old_one(spec):
    kept = joined_measurements([measured(), measured(batch=2)], [measured(mels=5), measured(batch=2, error="no")])
    assert [(row["batch"], row.get("mels")) for row in kept] == [(2, None), (8, 5)]


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90m", 5400), (3600, 3600), ("1.5 h", 5400), ("1d", 86400)]
)
def test_times_have_units(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "-1h", "2w", "h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(SpecError, match="must be like 2h, 90m or 3600"):
        seconds_of(text)


def test_options_of_another_launcher_are_refused():
    assert launch_options(devices="0, 1,0").devices == ("0", "1")
    for words in ({"slurm": {"time": "1:00"}}, {"devices": "0", "launcher": "slurm"}, {"scheduler": "tcp://x:1"}):
        with pytest.raises(SpecError, match="has no use for"):
            launch_options(**words)
    with pytest.raises(SpecError, match="did you mean 'slurm'"):
        launch_options(launcher="slrum")
