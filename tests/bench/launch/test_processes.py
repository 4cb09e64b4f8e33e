"""What a batch means does not depend on the number of processes."""

import csv
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from cli_runs import EVERY_EPOCH, SMALL_AST, bench, bench_json, environment, json_here, start

pytestmark = pytest.mark.slow


def scores(document):
    with Path(document["predictions"]).open() as stream:
        rows = list(csv.DictReader(stream))
    return [[float(row[name]) for name in ("normal", "crackle", "wheeze", "both")] for row in rows]


def largest_difference(one, two):
    return max(abs(a - b) for x, y in zip(scores(one), scores(two), strict=True) for a, b in zip(x, y, strict=True))


def test_a_stopped_group_goes_on_and_gives_the_scores_of_one_process(small_data, small_cache, tmp_path):
    """The whole way of a command; every method and batch norm are compared in test_global_batch.py."""
    epochs = 12
    common = ["run", *SMALL_AST, *EVERY_EPOCH, "--epochs", str(epochs), "--data", str(small_data)]
    one = json_here(*common, env=environment(tmp_path / "one", small_cache))
    env, words = environment(tmp_path / "two", small_cache), [*common, "--processes", "2"]
    with start(*words, env=env) as process:
        wait_for_checkpoint(process, tmp_path / "two")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 130, err
    two = bench_json(*words, env=env)
    assert two["status"] == "finished"
    assert [entry["epoch"] for entry in two["epochs"]] == list(range(1, epochs + 1))
    assert one["run_id"] == two["run_id"]
    assert len(scores(two)) == 12
    assert largest_difference(one, two) < 1e-4
    losses, expected = ([entry["loss"] for entry in document["epochs"]] for document in (two, one))
    assert losses == pytest.approx(expected, abs=1e-4)
    assert one["epochs"][0]["loss"] != one["epochs"][1]["loss"]


def test_a_lost_process_ends_the_run_with_a_sentence_and_none_outlives_its_launcher(small_data, small_cache, tmp_path):
    env = environment(tmp_path, small_cache)
    words = ["run", *SMALL_AST, *EVERY_EPOCH, "--epochs", "500", "--processes", "2", "--data", str(small_data)]
    with start(*words, env=env) as process:
        wait_for_checkpoint(process, tmp_path)
        workers = [p for p in psutil.Process(process.pid).children() if "bench.launch.rank" in " ".join(p.cmdline())]
        workers[1].kill()
        _, err = process.communicate(timeout=90)
    assert process.returncode == 1, err
    assert "was killed by SIGKILL" in err
    assert not list(tmp_path.glob("runs/*/error-*.json"))
    assert not list(tmp_path.glob("runs/*/result.json")), "a lost process is no failed run"
    with start(*words, env=env) as process:
        for line in process.stderr:
            if "going on after epoch" in line:
                break
        else:
            pytest.fail("the same command does not go on")
        ranks = psutil.Process(process.pid).children(recursive=True)
        assert len(ranks) >= 2
        os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(ranks, timeout=20)
    assert not alive


def test_a_batch_that_does_not_divide_is_refused(small_data, small_cache, tmp_path):
    env = environment(tmp_path, small_cache)
    done = bench("run", *SMALL_AST, "--processes", "3", "--data", str(small_data), env=env, code=2)
    assert "global batch of 8 does not divide among 3 processes" in done.stderr
    assert "--set batch=6" in done.stderr


def wait_for_checkpoint(process, home):
    deadline = time.monotonic() + 120
    while not list(home.glob("runs/*/checkpoint/current.json")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no state was saved"
        time.sleep(0.01)
