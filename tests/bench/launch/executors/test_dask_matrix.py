"""A matrix of real runs on a real Dask cluster, one of whose workers is killed in the middle."""

from __future__ import annotations

import contextlib
import sys

import pytest
from cli_runs import environment, json_here, start
from dask_cluster import dask_cluster, wait_for

MATRIX = """
name = "two"
seeds = "1-2"
epochs = 20

[[runs]]
models = ["ast"]
methods = ["patchmix-cl"]
settings = [{ embed_dim = 16, depth = 1, heads = 2, "frontend.seconds" = 1.0, batch = 8, checkpoint_minutes = 0 }]
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
            third = lambda: sum("epoch 3/20" in log for log in logs(home)) == 2  # noqa: E731 - a condition of one line
            wait_for(lambda: third() or driver.poll() is not None, "two runs in their third epoch", 200)
            cluster.kill("w1")
            out, said = driver.communicate(timeout=200)
        assert driver.returncode == 0, f"{out}\n{said}"
        assert "The Dask worker w1 on " in said
        (section,) = json_here("board", "list", env=env)["sections"]
        assert sorted((row["seed"], row["status"]) for row in section["rows"]) == [(1, "finished"), (2, "finished")]
        assert [log.count("epoch 1/20") for log in logs(home)] == [1, 1], "the one that was lost went on from its state"


def logs(home):
    return [path.read_text() for path in home.glob("runs/*/run.log")]


@contextlib.contextmanager
def driving(*words, env):
    """A command that ends with the block."""
    driver = start(*words, env=env)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait(30)
