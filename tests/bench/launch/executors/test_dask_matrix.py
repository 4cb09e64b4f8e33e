"""A matrix of real runs on a real Dask cluster, one of whose workers is killed in the middle."""

from __future__ import annotations

import contextlib
import sys

import pytest
from cli_runs import bench_json, environment, start
from dask_cluster import dask_cluster, wait_for

MATRIX = """
name = "two"
seeds = "1-2"
epochs = 6

[[runs]]
models = ["ast"]
methods = ["patchmix-cl"]
settings = [{ embed_dim = 16, depth = 1, heads = 2, "frontend.seconds" = 1.0, batch = 8 }]
"""


@pytest.mark.slow
def test_a_matrix_is_complete_though_a_worker_is_killed(small_data, small_cache, tmp_path):
    home = tmp_path / "home"
    env = environment(home, small_cache, PYTHONPATH=":".join(sys.path))
    (tmp_path / "two.toml").write_text(MATRIX)
    words = ["matrix", "run", str(tmp_path / "two.toml"), "--data", str(small_data), "--device", "cpu"]
    with dask_cluster(tmp_path, "w1", "w2") as cluster:
        words += ["--launcher", "dask", "--scheduler", cluster.address]
        with driving(*words, env=env) as driver:
            states = lambda: list(home.glob("runs/*/checkpoint/*"))  # noqa: E731 - a condition of one line
            wait_for(lambda: len(states()) >= 2 or driver.poll() is not None, "two saved states", 200)
            cluster.kill("w1")
            out, said = driver.communicate(timeout=200)
        assert driver.returncode == 0, f"{out}\n{said}"
        assert "The Dask worker w1 on " in said
        board = bench_json("board", "list", env=env)
        assert sorted((row["seed"], row["status"]) for row in board["runs"]) == [(1, "finished"), (2, "finished")]
        logs = [path.read_text() for path in home.glob("runs/*/run.log")]
        assert sum("goes on" in log for log in logs) == 1, "the one that was lost went on from its state"
        with driving(*words, env=env) as again:
            again.communicate(timeout=100)
        assert again.returncode == 0


@contextlib.contextmanager
def driving(*words, env):
    """A command that ends with the block."""
    driver = start(*words, env=env)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait(30)
