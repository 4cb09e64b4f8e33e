"""A real run that the two nodes of a real Slurm share, one of which dies in the middle."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.engine.states import POINTER
from bench.experiment.recipes import Request, choose_source, resolve
from bench.launch.executors.slurm import SlurmExecutor
from bench.launch.jobs import Job, LaunchOptions
from bench.launch.once import launch
from bench.launch.scheduler import carry_out
from bench.launch.tasks import Policy, Task
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
SETTINGS = [
    *"embed_dim=16 depth=1 heads=2 seconds=1.0 batch=8 epochs=6 specaug_probability=0".split(),
    "checkpoint_minutes=0",
]


class PowerCut:
    """Hears of tasks; when a run has saved its first state, node n2 loses its power."""

    def __init__(self, slurm, states):
        self.slurm, self.states, self.cut = slurm, states, False

    def on_queue(self, tasks): ...

    def on_start(self, task, attempt): ...

    def on_retry(self, task, error, seconds): ...

    def on_end(self, end): ...

    def on_look(self, executor):
        if not self.cut and self.states.exists():
            self.cut = True
            self.slurm.kill_node("n2")
            self.slurm.revive_node("n2")
            self.slurm.start_again_now()


def task_of(spec, home, store):
    folder = RunFolder.of_run(home, spec.run_id)
    job = Job(
        key=spec.run_id,
        module="bench.launch.isolated",
        task={"spec": spec.to_json(), "home": str(home), "rerun": False, "stored": False},
        name=f"run {spec.run_id}",
        log=folder.log,
        processes=spec.distribution.processes,
        nodes=spec.distribution.processes,
        environment={"PYTHONPATH": str(ROOT)},
    )
    return Task(
        key=spec.run_id,
        said=f"run {spec.run_id}",
        is_done=folder.has_result,
        job=job,
        on_done=lambda: store.import_result(folder.read()),
    )


def scores(folder):
    """The probabilities of every cycle, of every rule by which an epoch is chosen."""
    found = []
    for path in sorted(folder.path.glob("predictions-*.csv")):
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        found += [float(row[name]) for row in rows for name in ("normal", "crackle", "wheeze", "both")]
    return found


def test_a_run_of_two_nodes_survives_the_death_of_one_and_gives_the_scores_of_one_process(
    slurm, small_data, small_cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def spec(processes=1):
        request = Request(
            model="ast",
            method="ce",
            data=str(small_data),
            cache=small_cache,
            device="cpu",
            settings=SETTINGS,
            processes=processes,
        )
        return resolve(request, choose_source(request), [1])[0]

    home, shared = tmp_path / "home", spec(processes=2)
    alone = launch(spec(), tmp_path / "alone", rerun=False, stored=False)
    folder = RunFolder.of_run(home, shared.run_id)
    executor = SlurmExecutor(LaunchOptions(launcher="slurm"), tmp_path / "jobs")
    executor.end_seconds, executor.queue_seconds, executor.grace_seconds = 0.1, 0.3, 2.0
    watcher = PowerCut(slurm, folder.checkpoint / POINTER)
    store = Store.open(home)
    with executor:
        (end,) = carry_out([task_of(shared, home, store)], executor, Policy(retries=2, backoff=0.1), watcher)
    assert watcher.cut
    assert (end.status, end.error) == ("finished", None)
    assert [run.run_id for run in store.runs()] == [shared.run_id]
    assert "going on after epoch" in folder.log.read_text()
    assert scores(folder) == pytest.approx(scores(RunFolder(alone.folder)), abs=1e-4)
