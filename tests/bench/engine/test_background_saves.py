"""States that a thread writes while training goes on: equality, errors, and files that any version can read."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from safetensors.torch import load_file
from small_runs import SETTINGS

import bench
from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import InterruptedRunError, RunError, StoreError
from bench.engine import checkpoint
from bench.engine.data import open_run_data
from bench.engine.listeners import Listener, Wish
from bench.engine.selection import Selection
from bench.engine.states import epochs_so_far, named_states
from bench.engine.trainer import Trainer

ALL_THE_TIME = 1e-9
"""Minutes between two states."""


@pytest.fixture(scope="module")
def spec(small_data, small_cache):
    return bench.resolve(
        "ast", "patchmix-cl", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=2
    )


@pytest.fixture
def no_best_epoch(monkeypatch):
    """No epoch is the best so far, with whose weights a state would be saved: states are saved as asked alone."""
    monkeypatch.setattr(Selection, "update", lambda *epoch: [])


def trainer_of(spec, folder, *listeners):
    return Trainer(spec, open_run_data(spec), folder, listeners=listeners)


class Watcher(Listener):
    """Does something when losses are looked at."""

    def __init__(self, act):
        self.act, self.looks = act, []

    def on_losses(self, epoch, step, losses):
        self.looks.append((epoch, step))
        return self.act(epoch, step) or Wish.GO_ON


@pytest.mark.usefixtures("no_best_epoch")
def test_training_goes_on_while_a_state_is_written_and_a_stop_waits_for_it(spec, tmp_path, monkeypatch):
    may_write, real = threading.Event(), checkpoint.sync_tree

    def slow(folder):
        assert may_write.wait(60)
        real(folder)

    monkeypatch.setattr(checkpoint, "sync_tree", slow)

    def act(epoch, step):
        if (epoch, step) == (1, 1):
            return Wish.SAVE
        if (epoch, step) == (2, 1):
            assert not (tmp_path / "checkpoint" / "current.json").exists(), "nothing half-written is current"
            may_write.set()
            return Wish.STOP
        return None

    watcher = Watcher(act)
    with pytest.raises(InterruptedRunError, match="the state is saved"):
        trainer_of(spec, tmp_path, watcher).fit()
    assert watcher.looks == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert _names(tmp_path) == ["epoch0001-step000001", "epoch0000-step000001"]


def test_the_weights_of_the_best_epoch_so_far_are_on_the_disk_with_a_state_that_knows_of_them(spec, tmp_path):
    def stop(epoch, step):
        return Wish.STOP if (epoch, step) == (2, 1) else None

    with pytest.raises(InterruptedRunError):
        trainer_of(spec, tmp_path, Watcher(stop)).fit()
    assert (tmp_path / "weights" / "best-test.safetensors").exists()
    assert "epoch0001-step000000" in _names(tmp_path)


def _names(folder):
    return [state.folder.name for state in named_states(folder / "checkpoint")]


def test_an_error_of_the_thread_stops_the_run_at_the_next_look(spec, tmp_path, monkeypatch):
    real, calls = checkpoint.sync_tree, []

    def full(folder):
        calls.append(folder)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(folder)

    monkeypatch.setattr(checkpoint, "sync_tree", full)

    def wait(epoch, step):
        deadline = time.monotonic() + 60
        while (write := trainer.checkpoint._write) is not None and not write.done() and time.monotonic() < deadline:
            time.sleep(0.001)

    trainer = trainer_of(spec.changed(checkpoint_minutes=ALL_THE_TIME), tmp_path, watcher := Watcher(wait))
    with pytest.raises(StoreError, match=r"Cannot save the run's state in .*step000002: .*No space left") as caught:
        trainer.fit()
    assert caught.value.hint == "Free space there; the run goes on from the last one."
    assert watcher.looks == [(1, 1), (1, 2), (1, 3)]
    folder = tmp_path / "checkpoint"
    assert [state.folder.name for state in named_states(folder)] == ["epoch0000-step000001"]
    assert not (folder / "epoch0000-step000002").exists()


def test_a_state_that_could_not_be_written_hides_no_other_error(spec, tmp_path, monkeypatch, caplog):
    def full(folder):
        raise OSError(28, "No space left on device")

    def fail(epoch, step):
        if step == 2:
            raise RunError("Enough.")
        return Wish.SAVE

    monkeypatch.setattr(checkpoint, "sync_tree", full)
    monkeypatch.setattr(checkpoint.Checkpoint, "raise_error", lambda self: None)
    with pytest.raises(RunError, match="Enough"):
        trainer_of(spec, tmp_path, Watcher(fail)).fit()
    assert "No space left" in caplog.text


@pytest.mark.usefixtures("no_best_epoch")
def test_a_run_that_fails_tells_of_all_its_epochs_however_old_its_state_is(spec, tmp_path):
    def fail(epoch, step):
        if (epoch, step) == (2, 2):
            raise RunError("Enough.")

    with pytest.raises(RunError, match="Enough"):
        trainer_of(spec, tmp_path, Watcher(fail)).fit()
    assert not named_states(tmp_path / "checkpoint")
    assert [entry["epoch"] for entry in epochs_so_far(tmp_path / "checkpoint", FOUR_CLASSES)] == [1]
    (tmp_path / "checkpoint" / "epochs.json").write_text("{")
    assert epochs_so_far(tmp_path / "checkpoint", FOUR_CLASSES) == []


@pytest.mark.usefixtures("no_best_epoch")
def test_the_files_are_those_that_accelerate_writes_and_reads(spec, tmp_path):
    trainer = trainer_of(spec, tmp_path / "run")
    trainer.fit()
    (state,) = named_states(tmp_path / "run" / "checkpoint")
    trainer.accelerator.save_state(str(tmp_path / "theirs"), safe_serialization=True)
    ours = {path.name for path in state.folder.iterdir()}
    assert ours == {path.name for path in (tmp_path / "theirs").iterdir()} | {"position.json", "choices.npz"}
    for name in ("model.safetensors", "optimizer.bin", "random_states_0.pkl"):
        read = load_file if name.startswith("model") else lambda path: torch.load(path, weights_only=False)
        one, other = (read(folder / name) for folder in (state.folder, tmp_path / "theirs"))
        torch.testing.assert_close(_comparable(one), _comparable(other), rtol=0, atol=0)


def _comparable(value):
    """The tensors and numbers of a state, without what differs between two moments of one process."""
    if isinstance(value, dict):
        return {str(name): _comparable(one) for name, one in value.items() if name not in ("step", "random_state")}
    if isinstance(value, list | tuple):
        return [_comparable(one) for one in value if not isinstance(one, str | type(None))]
    return value
