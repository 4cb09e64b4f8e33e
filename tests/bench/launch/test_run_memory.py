"""What is said of a run's memory before it starts and after; where it is from, and when it is too much."""

import json
import logging

import psutil
import pytest
from small_runs import SETTINGS

import bench
from bench.launch import run_memory
from bench.launch.once import launch
from bench.launch.run_memory import RunMemory, memory_of_run, peaks_of, say_memory
from leaderboard.store.costs import RunCost
from leaderboard.store.store import Store


@pytest.fixture(scope="module")
def spec(small_data, small_cache):
    return bench.resolve(
        "ast", "patchmix-cl", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=1
    )


def cost(spec, host, processes=1, **execution):
    return RunCost("", spec.identity(), "cpu", processes, 1.0, {"host": host, "gpu": None}, execution)


def test_runs_that_held_as_much_at_a_time_are_believed(spec):
    runs = [cost(spec, 500.0), cost(spec, 600.0, micro_batch=2), cost(spec, 700.0, processes=2), cost(spec, None)]
    assert list(peaks_of(spec, runs)) == [500.0]
    assert list(peaks_of(spec.changed(micro_batch=2), runs)) == [600.0]


def test_a_run_says_its_memory_before_and_after_and_the_next_seed_knows_it(spec, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "bench"):
        document = launch(spec, tmp_path, rerun=False).document
    said = [line for line in caplog.messages if line.startswith("memory: ")]
    assert said[0].endswith(" GiB (computed)")
    assert said[1].endswith(f" GiB at the peak, {said[0].split()[2]} GiB were estimated")
    found = memory_of_run(spec.changed(seed=2), Store.open(tmp_path))
    assert (found.mib, found.source) == (document["provenance"]["peak_memory_mib"]["host"], "other seeds")
    computed = memory_of_run(spec, None)
    assert computed.source == "computed"
    assert sum(computed.parts.values()) == pytest.approx(computed.mib, abs=1)


def test_less_memory_than_estimated_is_a_warning_that_says_what_to_do(spec, monkeypatch, caplog):
    free = type("Free", (), {"available": 3 * 2**30})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    for mib, processes, warned in ((2048.0, 1, False), (4096.0, 1, True), (2048.0, 2, True)):
        caplog.clear()
        say_memory(spec.changed(processes=processes), RunMemory(mib, "computed"))
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        expected = f"The run will take about 4.0 GiB of memory, but 3.0 GiB are free. {run_memory.ADVICE}"
        assert warnings == ([expected] if warned else [])


def test_a_dry_run_tells_the_memory(capsys, small_data, small_cache, tmp_path):
    from bench.cli import main

    words = ["run", "--model", "cnn6", "--method", "ce", "--data", str(small_data), "--cache", str(small_cache)]
    words += ["--home", str(tmp_path), "--device", "cpu", "--dry-run"]
    with pytest.raises(SystemExit):
        main([*words, "--format", "json"])
    memory = json.loads(capsys.readouterr().out)["memory"]
    assert memory["source"] == "computed"
    assert set(memory["parts"]) == {
        *("program", "weights", "gradients", "optimiser", "activations", "saved_state"),
    }
    with pytest.raises(SystemExit):
        main(words)
    assert "MiB in each process (computed)" in capsys.readouterr().out
