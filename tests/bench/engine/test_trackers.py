"""Trackers: what they hear of a run, that a resumed run tells them nothing twice, and that none can stop a run.

TensorBoard, MLflow (a database of its own) and Weights & Biases (offline) are the real ones; Trackio, which wants an
older Pillow than there is, was tried by hand alone. Trackers that fail are made up.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time

import psutil
import pytest
from small_runs import SETTINGS, small_run

import bench
from bench.core.errors import SpecError
from bench.engine import tracking
from bench.engine.data import open_run_data
from bench.engine.hooks import Hooks
from bench.engine.listeners import Listener, Start, Wish
from bench.engine.run_listeners import listeners_of_run
from bench.engine.trackers import device_load
from bench.engine.trackers.background import BackgroundTracker
from bench.engine.trackers.listener import RunTracking
from bench.engine.trackers.reports import configuration, rule_values
from bench.engine.trackers.services import SERVICES
from bench.engine.trainer import Trainer
from leaderboard.results.run_folder import RunFolder

STEPS, EPOCHS = 3, 2
KEY = "0123456789abcdef0123456789abcdef01234567"


class Killed(BaseException):
    pass


class Killer(Listener):
    """Has the state saved after an epoch, and ends the run as kill -9 would, with steps behind it that no state has."""

    def on_losses(self, epoch, step, losses):
        if (epoch, step) == (2, 2):
            raise Killed
        return Wish.SAVE if (epoch, step) == (1, STEPS) else Wish.GO_ON


@pytest.fixture(scope="module")
def spec(small_data, small_cache):
    return bench.resolve(
        "ast", "patchmix-cl", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=EPOCHS
    )


@pytest.fixture(scope="module")
def tracked(spec, tmp_path_factory):
    """The folder of a run with three trackers that was killed in its second epoch, and went on to its end."""
    home = tmp_path_factory.mktemp("tracked")
    folder = RunFolder.of_run(home, spec.run_id)
    asked = spec.changed(tracker="tensorboard,mlflow,wandb", tracker_every=1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "WANDB_DIR", "WANDB_PROJECT"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_API_KEY", KEY)
        for killers in ([Killer()], []):
            try:
                Trainer(asked, open_run_data(asked), folder.path, listeners=killers).fit()
            except Killed:
                assert killers
    assert "MLFLOW_TRACKING_URI" not in os.environ
    return folder


@pytest.mark.slow
def test_tensorboard_has_every_step_and_epoch_once_and_the_figures(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tracked.tracking / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert sorted(tags["images"]) == ["confusion_matrix", "learning_curves"]
    for name in ("train/loss", "train/ce", "train/contrastive", "train/lr"):
        assert [event.step for event in events.Scalars(name)] == [1, 2, 3, 4, 5, 6], name
    assert [event.value for event in events.Scalars("epoch")] == [1, 2]
    for name in ("epoch/cycles_per_second", "test/4class/score", "test/2class/se", "score/cycle-4/best-test/4class"):
        assert [event.step for event in events.Scalars(name)] == [3, 6], name
    assert {"system/cpu_percent", "system/memory_mib"} <= set(tags["scalars"])
    # The configuration, once: in a folder of its own, as Accelerate writes it.
    (written,) = (tracked.tracking / "tensorboard").glob("*/hparams.yml")
    assert "method.alpha: 1.0" in written.read_text()


@pytest.mark.slow
def test_mlflow_goes_on_with_its_run_in_a_file_of_the_results_folder(tracked, spec):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tracked.path.parent.parent / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "lungbench"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == spec.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params["model.embed_dim"] == "16"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2, 3, 4, 5, 6]
    shown = {path.path for path in client.list_artifacts(run.info.run_id)}
    assert shown == {"confusion_matrix.png", "learning_curves.png"}


@pytest.mark.slow
def test_offline_runs_of_wandb_have_one_id_and_hold_no_key(tracked):
    memory = json.loads((tracked.tracking / "wandb.json").read_text())
    assert (memory["step"], memory["epoch"]) == (6, 2)
    kept = sorted((tracked.tracking / "wandb").glob("offline-run-*"))
    assert len(kept) == 2
    assert all(folder.name.endswith(memory["run"]) for folder in kept)
    # Of the part after the kill; `wandb sync` joins the two by their id.
    assert {path.name.rpartition("_")[0] for path in kept[1].rglob("*.png")} == {
        "confusion_matrix_6",
        "learning_curves_6",
    }
    for path in tracked.path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


# --- trackers that fail -------------------------------------------------------------------------------------------


class Working:
    """A tracker that remembers what it hears."""

    def __init__(self, run, before):
        self.run, self.heard, self.ended = "mine", [], False

    def log(self, values, step):
        self.heard.append((step, values))

    def draw(self, figures, step):
        self.heard.append((step, sorted(figures)))

    def finish(self):
        self.ended = True


class FailsAtStart(Working):
    def __init__(self, run, before):
        raise SystemExit(f"the key {os.environ['WANDB_API_KEY']} is refused by https://me:pw@example.org")


class FailsInTheMiddle(Working):
    def log(self, values, step):
        if step == 2:
            raise OSError(28, "No space left on device")


class FailsAtTheEnd(Working):
    def finish(self):
        raise ConnectionError("the server has gone")


class Hangs(Working):
    def draw(self, figures, step):
        threading.Event().wait()


def opened(kind, made):
    def open_service(run, before):
        made.append(kind(run, before))
        return made[-1]

    return open_service


def test_no_tracker_stops_a_run_whenever_it_fails(spec, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    kinds = {kind.__name__: kind for kind in (FailsAtStart, FailsInTheMiddle, FailsAtTheEnd, Hangs, Working)}
    made = []
    services = {name: opened(kind, made) for name, kind in kinds.items()}
    every = spec.changed(tracker_every=1)
    listener = RunTracking(every, RunFolder(tmp_path / "runs" / "x"), services, end_seconds=6.0)
    with caplog.at_level(logging.WARNING, "bench"):
        outcome = Trainer(every, open_run_data(every), tmp_path / "runs" / "x", listeners=[listener]).fit()
    assert outcome.position.epoch == EPOCHS
    said = sorted(record.getMessage() for record in caplog.records if "tracker" in record.getMessage())
    off = "is off for the rest of this run, which goes on"
    assert said == [
        f"the tracker FailsAtStart {off}: SystemExit: the key *** is refused by https://***@example.org",
        f"the tracker FailsAtTheEnd {off}: ConnectionError: the server has gone",
        f"the tracker FailsInTheMiddle {off}: OSError: [Errno 28] No space left on device",
        f"the tracker Hangs {off}: it did not end in time; what it has not sent is lost",
    ]
    (working,) = [one for one in made if type(one) is Working]
    assert working.ended
    assert [step for step, _ in working.heard] == [1, 2, 3, 3, 4, 5, 6, 6, 6]
    assert working.heard[-1][1] == ["confusion_matrix", "learning_curves"]
    rates = [values["train/lr"] for _, values in working.heard[:-1] if "train/lr" in values]
    assert len(rates) == 6
    assert rates[STEPS - 1] == outcome.position.epochs[0]["lr"]


def test_a_tracker_that_does_not_answer_is_given_up_in_the_middle(spec, tmp_path, caplog):
    class Slow(Working):
        def log(self, values, step):
            threading.Event().wait()

    listener = RunTracking(spec.changed(tracker_every=1), RunFolder(tmp_path / "runs" / "x"), {"slow": Slow})
    (tracker,) = listener._trackers
    tracker._background.silent_seconds = 0.05
    listener.on_start(Start(label="", epochs=1, steps=1000))
    began = time.monotonic()
    while not tracker._background.is_off:
        listener.on_losses(1, 1, [{"loss": 1.0}])
        assert time.monotonic() - began < 20
        time.sleep(0.01)
    listener.on_end()
    assert time.monotonic() - began < 20
    assert "it has not answered for 0.05 seconds" in caplog.text


# --- what is asked for --------------------------------------------------------------------------------------------


def test_trackers_are_execution_and_live_in_the_main_process(spec, tmp_path):
    class Other:
        is_main_process = False

    class Main(Other):
        is_main_process = True

    asked = spec.changed(tracker="tensorboard")
    assert asked.run_id == spec.run_id
    assert asked.execution()["tracker"] == "tensorboard"
    assert "tracker" not in spec.execution()

    def tracking_of(spec, accelerator):
        found = listeners_of_run(spec, Hooks(), accelerator, RunFolder(tmp_path))
        return [one for one in found if isinstance(one, RunTracking)]

    assert len(tracking_of(asked, Main())) == 1
    assert not tracking_of(asked, Other())
    assert not tracking_of(spec, Main())
    assert set(SERVICES) == set(tracking.PACKAGES)


def test_the_environment_names_trackers_where_nothing_else_does(bench, small_data, small_cache, monkeypatch):
    words = ("run", "--model", "cnn6", "--method", "ce", "--data", small_data, "--cache", small_cache, "--dry-run")
    monkeypatch.setenv("BENCH_TRACKER", "tensorboard")

    def named(*more):
        return json.loads(bench(*words, *more, "--format", "json").out)["execution"].get("tracker")

    assert named() == "tensorboard"
    assert named("--tracker", "none") is None
    assert named("--tracker", "mlflow", "--tracker", "wandb") == "mlflow,wandb"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("tensorbord", "Unknown tracker 'tensorbord': did you mean 'tensorboard'", None),
        ("wandb", "The tracker wandb needs the package no_such_package, which is not installed", "'lungbench[wandb]'"),
    ],
)
def test_a_tracker_that_cannot_be_used_is_refused_before_anything_starts(
    small_data, small_cache, monkeypatch, name, message, hint
):
    monkeypatch.setattr(tracking, "PACKAGES", {**tracking.PACKAGES, "wandb": ("no_such_package",)})
    with pytest.raises(SpecError, match=message) as caught:
        bench.resolve("cnn6", "ce", data=small_data, cache=small_cache, tracker=name)
    assert hint is None or hint in caught.value.hint


def test_the_configuration_is_flat_and_says_nothing_of_this_machine(spec, small_data):
    told = configuration(spec)
    assert told["run_id"] == spec.run_id
    assert told["lr"] == spec.optim.lr
    assert told["model.embed_dim"] == 16
    assert str(small_data.parent) not in json.dumps(told)


def test_scores_by_rule_are_those_that_the_rules_would_report():
    def entry(epoch, se, score, val=None):
        judged = {"4class": {"se": se, "score": score}, "2class": {"se": se, "score": score + 1}}
        return {"epoch": epoch, "test": judged, "val": None if val is None else {"4class": {"se": se, "score": val}}}

    entries = [entry(1, 3.0, 60.0, 10.0), entry(2, 30.0, 55.0, 20.0), entry(3, 30.0, 50.0, 15.0)]
    entries.append({"epoch": 4, "test": None, "val": None})
    found = rule_values(entries, "cycle-4", min_se=5.0)
    held = {rule: found[f"score/cycle-4/{rule}/epoch"] for rule in ("last", "best-test", "best-val")}
    # The first epoch has the highest Score, but a Se that is not above the threshold.
    assert held == {"last": 3, "best-test": 2, "best-val": 2}
    assert found["score/cycle-4/best-test/2class"] == 56.0


def test_a_run_that_is_done_again_begins_a_new_run_of_its_trackers(small_data, small_cache, tmp_path):
    words = {"data": small_data, "cache": small_cache, "home": tmp_path, "tracker": "tensorboard"}
    first = small_run(**words).folder / "tracking"
    before = {path.name for path in (first / "tensorboard").glob("events*")}
    small_run(**words, rerun=True)
    after = {path.name for path in (first / "tensorboard").glob("events*")}
    assert len(before) == len(after) == 1
    assert before != after


def test_a_run_without_a_tracker_does_not_wait_for_what_draws_figures():
    code = "import sys, bench.engine.trainer; print({'matplotlib', 'wandb', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_machine_that_tells_no_load_stops_no_run(monkeypatch):
    def refused(*_given):
        raise psutil.AccessDenied

    monkeypatch.setattr(device_load.psutil, "Process", refused)
    assert device_load.DeviceLoad("cpu").measured() == {}


def test_a_tracker_without_a_thread_is_off_and_told_of_once(monkeypatch, caplog):
    def refused(_thread):
        raise RuntimeError("can't start new thread")

    tracker = BackgroundTracker("tensorboard")
    monkeypatch.setattr(threading.Thread, "start", refused)
    tracker.start()
    tracker.tell_last(print)
    tracker.wait(0.0)
    assert caplog.text.count("the tracker tensorboard is off") == 1
