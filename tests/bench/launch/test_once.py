"""A run's start and end in its folder: what is kept, what is given back, what killed and refused starts leave."""

import errno
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from logs import logged
from stand_ins import once, stand_in

from bench.core.errors import DataError, InterruptedRunError, LostProcessError, RunError, StoreError
from bench.engine import hardware, hooks, trainer
from bench.experiment.recipes import Request, choose_source, resolve
from bench.launch import once as launching
from bench.launch.once import launch
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

SETTINGS = "embed_dim=16 depth=1 heads=2 seconds=1.0 batch=8 specaug_probability=0.5 specaug_time_width=20".split()


def specs_of(small_data, small_cache, *seeds, **more):
    request = Request(
        model="ast",
        method="ce",
        data=str(small_data),
        cache=small_cache,
        device="cpu",
        settings=[*SETTINGS, "epochs=2"],
        **more,
    )
    return resolve(request, choose_source(request), list(seeds))


@pytest.fixture
def spec(small_data, small_cache):
    return specs_of(small_data, small_cache, 1)[0]


def started(spec, home, **more):
    with logged() as said:
        launched = launch(spec, home, **{"rerun": False, **more})
    return launched, said


# --- what a failed run holds --------------------------------------------------------------------------------------


@pytest.fixture
def models(monkeypatch):
    """Weak references to the models of runs."""
    built, build = [], trainer.build_graph

    def remembered(*given):
        graph = build(*given)
        built.append(weakref.ref(graph.model))
        return graph

    monkeypatch.setattr(trainer, "build_graph", remembered)
    return built


@pytest.fixture
def fresh_accelerate():
    """Runs of another precision than those before them; Accelerate keeps the first one of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def out_of_memory(self, rows, epoch, step):
    raise torch.OutOfMemoryError("simulated: tried to allocate 20 GiB\nof a device")


def not_finite(self, rows, epoch, step):
    return {"loss": torch.tensor(float("nan"))}


@pytest.mark.parametrize(("step", "precision"), [(out_of_memory, "fp32"), (not_finite, "fp32"), (not_finite, "bf16")])
@pytest.mark.usefixtures("fresh_accelerate")
def test_a_failed_run_leaves_no_model_behind(small_data, small_cache, tmp_path, monkeypatch, models, step, precision):
    """With bf16 model and wrapper refer to one another."""
    (spec,) = specs_of(small_data, small_cache, 1, precision=precision)
    monkeypatch.setattr(trainer.Trainer, "_train_step", step)
    gc.disable()  # nothing but the launcher itself may give it back
    try:
        launched, _ = started(spec, tmp_path)
    finally:
        gc.enable()
    assert isinstance(launched.error, RunError)
    assert [model() for model in models] == [None]
    assert launched.error.__traceback__ is launched.error.__cause__ is launched.error.__context__ is None
    assert launched.error.hint


def test_a_pruned_run_leaves_no_model_behind(spec, tmp_path, models):
    launched, _ = started(spec, tmp_path, hooks=hooks.Hooks(watch=lambda scores: "worse than others"))
    assert launched.document["status"] == "pruned"
    assert [model() for model in models] == [None]
    assert not (launched.folder / "checkpoint").exists()


def test_the_seeds_of_a_command_do_not_add_up(small_data, small_cache, tmp_path, monkeypatch, models):
    monkeypatch.setattr(trainer.Trainer, "_train_step", out_of_memory)
    kept = [started(spec, tmp_path)[0] for spec in specs_of(small_data, small_cache, 1, 2)]
    assert len(kept) == len(models) == 2
    assert [model() for model in models] == [None, None]


def test_what_is_stored_of_an_error_is_one_line(spec, tmp_path, monkeypatch):
    def failing(*_given):
        raise RunError("The \x1b[2Jdriver\nsays\tno.", "Try again.")

    monkeypatch.setattr(trainer.Trainer, "_train_step", failing)
    launched, _ = started(spec, tmp_path)
    stored = json.loads((launched.folder / "result.json").read_text())
    assert stored["error"] == "The ?[2Jdriver says no."
    assert launched.error.message == stored["error"]


# --- peak memory --------------------------------------------------------------------------------------------------


def test_the_peak_of_a_run_is_not_that_of_an_earlier_one():
    hardware.reset_peak_memory()
    large = np.ones(300 * 2**17)  # 300 MiB
    peak = hardware.peak_memory_mib()["host"]
    del large
    hardware.reset_peak_memory()
    after = hardware.peak_memory_mib()["host"]
    if sys.platform == "linux" and os.access("/proc/self/clear_refs", os.W_OK):
        assert after < peak - 250
    else:
        assert after is None


def test_a_peak_that_may_be_an_earlier_runs_is_not_told(monkeypatch):
    def refused(*_given, **_more):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refused)
    monkeypatch.setattr(hardware, "_host_peak", hardware._HostPeak())
    hardware.reset_peak_memory()
    assert hardware.peak_memory_mib()["host"] > 10
    hardware.reset_peak_memory()
    assert hardware.peak_memory_mib()["host"] is None


def test_a_failed_group_has_no_peak_of_this_process(small_data, small_cache, tmp_path, monkeypatch):
    def failing(*_given):
        raise RunError("No.", None)

    (spec,) = specs_of(small_data, small_cache, 1, processes=2)
    monkeypatch.setattr("bench.launch.group.run_group", failing)
    launched, _ = started(spec, tmp_path)
    assert launched.document["provenance"]["peak_memory_mib"] == {"host": None, "gpu": None}


# --- lost processes -----------------------------------------------------------------------------------------------


def test_a_lost_process_stores_nothing_and_keeps_the_state(small_data, small_cache, tmp_path, monkeypatch):
    def lost(folder, *_given):
        (folder / "checkpoint" / "epoch0001-step000000").mkdir(parents=True)
        (folder / "checkpoint" / "current.json").write_text('{"state": "epoch0001-step000000"}')
        raise LostProcessError("Process 2 of the run's 2 was killed by SIGKILL.", "The same command goes on.")

    (spec,) = specs_of(small_data, small_cache, 1, processes=2)
    monkeypatch.setattr("bench.launch.group.run_group", lost)
    with pytest.raises(LostProcessError, match="SIGKILL"):
        started(spec, tmp_path)
    folder = RunFolder.of_run(tmp_path, spec.run_id).path
    assert not (folder / "result.json").exists()
    assert (folder / "checkpoint" / "epoch0001-step000000").is_dir()
    assert Store.open(tmp_path).runs() == []


def test_ctrl_c_while_the_processes_import_stores_nothing(small_data, small_cache, tmp_path, monkeypatch):
    script = "pathlib.Path(task['folder'], f'ready-{task[\"rank\"]}').touch()\ntime.sleep(60)"
    stand_in(monkeypatch, tmp_path, script)
    (spec,) = specs_of(small_data, small_cache, 1, processes=2)
    folder = RunFolder.of_run(tmp_path, spec.run_id).path
    both_ready = once(lambda: len(list(folder.glob("ready-*"))) == 2, signal.SIGINT)
    with both_ready, pytest.raises(InterruptedRunError):
        started(spec, tmp_path)
    assert not (folder / "result.json").exists()
    assert Store.open(tmp_path).runs() == []


def test_a_lost_helper_of_the_features_is_a_lost_process(spec, tmp_path):
    def lost(_spec, _on_progress):
        raise LostProcessError("A process that computed features was killed (SIGKILL).")

    with pytest.raises(LostProcessError):
        started(spec, tmp_path, hooks=hooks.Hooks(open_data=lost))
    assert not (RunFolder.of_run(tmp_path, spec.run_id).path / "result.json").exists()
    assert started(spec, tmp_path)[0].document["status"] == "finished"


# --- refused starts -----------------------------------------------------------------------------------------------


def refusing(_spec, _on_progress):
    raise DataError("The data are gone.", "Look for them.")


def test_a_refused_start_leaves_nothing(spec, tmp_path):
    with pytest.raises(DataError):
        started(spec, tmp_path, hooks=hooks.Hooks(open_data=refusing))
    assert list((tmp_path / "runs").iterdir()) == []


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_refused_rerun_keeps_what_was_there(spec, tmp_path):
    before = contents(started(spec, tmp_path)[0].folder)
    assert {"result.json", "weights/last.safetensors"} <= set(before)
    with pytest.raises(DataError):
        started(spec, tmp_path, rerun=True, hooks=hooks.Hooks(open_data=refusing))
    assert contents(RunFolder.of_run(tmp_path, spec.run_id).path) == before
    assert "finished already" in started(spec, tmp_path)[1][0]


def test_a_rerun_that_fails_replaces_what_was_there(spec, tmp_path, monkeypatch):
    started(spec, tmp_path)
    monkeypatch.setattr(trainer.Trainer, "_train_step", not_finite)
    launched, _ = started(spec, tmp_path, rerun=True)
    assert launched.document["status"] == "failed"
    assert not (launched.folder / "weights").exists()
    assert not [path for path in launched.folder.iterdir() if path.name.startswith(".")]


WAITER = """
import fcntl, os, shutil, sys, time
from pathlib import Path
from bench.core.locks import exclusive_lock
from bench.core.files import temporary_name
folder, refused, log = Path(sys.argv[1]), sys.argv[2] == "refused", Path(sys.argv[3])
def note(word):
    with log.open("a") as stream:
        stream.write(f"{word} {os.getpid()}\\n")
with exclusive_lock(folder / "lock", lambda holder: note("waits")):
    note("in")
    if refused:
        while log.read_text().count("waits") < 3:
            time.sleep(0.01)
        away = temporary_name(folder)
        folder.rename(away)
        shutil.rmtree(away)
    else:
        time.sleep(0.2)
    note("out")
"""


def test_those_who_wait_take_turns_after_a_refused_start_removed_the_folder(tmp_path):
    """One holds the lock and removes it with its folder; two of three waiters must not hold it at once."""
    log, folder = tmp_path / "log", tmp_path / "runs" / "id"
    log.touch()

    def begin(how):
        return subprocess.Popen([sys.executable, "-c", WAITER, str(folder), how, str(log)])

    def wait_for(count, word):
        deadline = time.monotonic() + 60
        while log.read_text().count(word) < count:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)

    first = begin("refused")
    wait_for(1, "in")
    others = [begin("stays") for _ in range(3)]
    for process in (first, *others):
        assert process.wait(timeout=60) == 0
    turns = [line.split() for line in log.read_text().splitlines() if not line.startswith("waits")]
    assert len(turns) == 8
    for (word, process), (next_word, same) in zip(turns[::2], turns[1::2], strict=True):
        assert (word, next_word) == ("in", "out")
        assert process == same, "two held the lock at once"
    assert (folder / "lock").is_file()


# --- what killed processes left -----------------------------------------------------------------------------------


def test_a_start_sweeps_what_killed_processes_left(spec, tmp_path):
    folder = RunFolder.of_run(tmp_path, spec.run_id).path
    left = [
        folder / "weights" / ".best-test.safetensors.00000000-1-00000000.tmp",
        folder / "weights" / ".tmpN0sDx7",
        folder / ".predictions-last.csv.abcd1234.tmp",
        folder / "checkpoint" / ".current.json.00000000-1-00000000.tmp",
        folder / "checkpoint" / "epoch0001-step000002" / "model.safetensors",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)

    def look(spec, on_progress):
        assert not any(path.exists() for path in left)
        raise DataError("Looked.")

    with pytest.raises(DataError, match="Looked"):
        started(spec, tmp_path, hooks=hooks.Hooks(open_data=look))


def test_states_that_a_finished_run_left_go(spec, tmp_path):
    launched, _ = started(spec, tmp_path)
    (launched.folder / "checkpoint" / "epoch0002-step000000").mkdir(parents=True)
    _, said = started(spec, tmp_path)
    assert "finished already" in said[0]
    assert not (launched.folder / "checkpoint").exists()


# --- what will be needed at the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", "checkpoint", "weights"])
def test_a_folder_that_cannot_be_written_is_a_sentence_before_the_training(spec, tmp_path, monkeypatch, part):
    folder = RunFolder.of_run(tmp_path, spec.run_id).path
    (folder / part).mkdir(parents=True)
    real = launching.check_writable

    def forbidden(place):
        if place == folder / part:
            raise StoreError(f"Cannot write into {place}: Permission denied.")
        real(place)

    monkeypatch.setattr(launching, "check_writable", forbidden)
    monkeypatch.setattr(trainer.Trainer, "fit", lambda self: pytest.fail("it trains"))
    with pytest.raises(StoreError, match="Cannot write into"):
        started(spec, tmp_path)


def test_a_result_that_cannot_be_replaced_is_a_sentence(spec, tmp_path, monkeypatch):
    folder = RunFolder.of_run(tmp_path, spec.run_id).path
    folder.mkdir(parents=True)
    failed = launch(spec, tmp_path, rerun=False, hooks=hooks.Hooks(watch=lambda scores: "pruned"))
    rename = Path.rename

    def refused(self, target):
        if self.name == "result.json":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(StoreError, match=r"Cannot replace what .* holds: Operation not permitted"):
        started(spec, tmp_path)
    assert json.loads((folder / "result.json").read_text()) == failed.document


# --- what -v shows ------------------------------------------------------------------------------------------------


def test_the_log_tells_in_detail_what_a_run_uses(spec, tmp_path):
    with logged(logging.DEBUG) as said:
        launch(spec, tmp_path, rerun=False)
    folder = RunFolder.of_run(tmp_path, spec.run_id).path
    for begin in (
        f"run {spec.run_id}: folder {folder}, board ",
        f"data set {spec.dataset} in {spec.data}: ",
        f"features of {spec.frontend}: {Path(spec.cache) / 'features'}",
        "process 1 of 1 computes on cpu in fp32 with ",
        f"state saved: {folder / 'checkpoint'}",
        f"run {spec.run_id} on the board ",
    ):
        assert [line for line in said if line.startswith(begin)], begin
