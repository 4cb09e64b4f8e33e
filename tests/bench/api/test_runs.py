"""``bench.run`` and ``bench.resolve``: the same runs as the command's, as values."""

import json
import logging
import shutil
import signal
import threading

import numpy as np
import pytest
import torch
from small_runs import SETTINGS, small_run

import bench
from bench.core.errors import InterruptedRunError, RegistryError, RunError, SpecError, WeightsError
from bench.engine.trainer import Trainer
from leaderboard.results.predictions import read_predictions

WORDS = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def finished(small_data, small_cache, home):
    return small_run(small_data, small_cache, home, epochs=2)


def test_a_run_is_that_of_the_command(finished, bench, small_data, small_cache, home):
    words = ["--model", "ast", "--method", "patchmix-cl", "--epochs", "2", "--device", "cpu", *WORDS]
    place = ["--data", small_data, "--cache", small_cache, "--home", home]
    captured = bench("run", *words, *place, "--format", "json")
    assert "is finished already" in captured.err
    assert finished.to_json() == json.loads(captured.out)


def test_a_run_says_what_it_is(finished, home):
    assert finished.status == "finished"
    assert finished.folder == home / "runs" / finished.id
    assert finished.spec.run_id == finished.id
    assert finished.spec.schedule.epochs == len(finished.epochs) == 2
    assert finished.seconds > 0
    assert finished.error is None
    assert set(finished.metrics) == {"last", "best-test", "best-val"}
    assert finished.metrics["best-val"] is None
    assert finished.metrics["last"]["4class"]["epoch"] == 2
    assert finished.id in repr(finished)


def test_predictions_are_arrays_with_keys(finished):
    assert set(finished.predictions) == {"last", "best-test"}
    found = finished.predictions["last"]
    assert len(found) == 12
    assert found.scores.shape == (12, 4)
    assert found.keys[0] == (found.recordings[0], found.cycles[0])
    assert set(found.patients) == {"201", "202", "203"}
    assert found.predicted.tolist() == found.scores.argmax(1).tolist()
    confusion = finished.metrics["last"]["4class"]["confusion"]
    assert np.bincount(found.labels * 4 + found.predicted, minlength=16).reshape(4, 4).tolist() == confusion


def test_predictions_are_written_as_a_file(finished, tmp_path):
    found = finished.predictions["last"]
    written = read_predictions(found.to_csv(tmp_path / "predictions.csv"))
    assert list(written.keys) == found.keys
    assert written.scores.tolist() == found.scores.tolist()


def test_the_model_is_loaded_with_the_weights_of_a_rule(finished, small_data, small_cache):
    model = finished.model()
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    again = bench.evaluate(model, frontend="ast", data=small_data, cache=small_cache, frontend_options={"seconds": 1.0})
    assert again.predictions.keys == finished.predictions["last"].keys
    np.testing.assert_allclose(again.predictions.scores, finished.predictions["last"].scores, rtol=1e-6)
    assert again.metrics["4class"]["score"] == finished.metrics["last"]["4class"]["score"]


def test_weights_that_are_not_there_are_told(finished):
    with pytest.raises(WeightsError, match="keeps no weights of 'best-val'") as caught:
        finished.model("best-val")
    assert caught.value.hint == "It keeps those of best-test, last."


def test_weights_of_something_else_are_refused(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.folder, tmp_path / finished.id)
    monkeypatch.setattr(finished, "folder", tmp_path / finished.id)
    torch.save({}, tmp_path / finished.id / "weights" / "last.safetensors")
    with pytest.raises(WeightsError, match="are not those of the run's model"):
        finished.model()
    shutil.rmtree(tmp_path / finished.id / "weights")
    with pytest.raises(WeightsError, match="keeps no weights") as caught:
        finished.model()
    assert "rerun=True" in caught.value.hint


def test_resolve_says_what_would_be_run(finished, small_data, small_cache):
    spec = bench.resolve(
        "ast", "patchmix-cl", data=str(small_data), cache=small_cache, device="cpu", epochs=2, settings=SETTINGS
    )
    assert isinstance(spec, bench.RunSpec)
    assert spec == finished.spec


@pytest.mark.parametrize(
    ("model", "options", "error", "said"),
    [
        ("asst", {}, RegistryError, "did you mean 'ast'"),
        (torch.nn.Linear(1, 1), {}, SpecError, "must be an id"),
        ("ast", {"epochs": 0}, SpecError, "epochs is 0"),
        ("ast", {"epochs": 2.5}, SpecError, "epochs is 2.5"),
        ("ast", {"seeds": 5}, SpecError, "did you mean 'seed'"),
        ("ast", {"lr": 1e-4, "settings": {"lr": 1e-3}}, SpecError, "'lr' is given as a keyword and in settings"),
        ("ast", {"settings": {"method.alhpa": 1}}, SpecError, "did you mean 'method.alpha'"),
        ("ast", {"seed": -1}, SpecError, "seed is -1"),
        ("ast", {"processes": 0}, SpecError, "processes"),
        ("ast", {"plugins": "none.py"}, SpecError, "none.py"),
    ],
)
def test_what_cannot_be_run_is_refused(small_data, small_cache, model, options, error, said):
    with pytest.raises(error, match=said):
        bench.resolve(model, "patchmix-cl", data=small_data, cache=small_cache, **options)


def test_a_run_that_fails_raises_what_it_failed_with(small_data, small_cache, tmp_path):
    with pytest.raises(RunError, match="The loss is"):
        small_run(small_data, small_cache, tmp_path, lr=1e30, epochs=3)
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"


def test_nothing_is_printed_on_the_standard_output(small_data, small_cache, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a program that has set up no logging
    small_run(small_data, small_cache, tmp_path)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "simulated data prove that the pipeline works" in captured.err


def interrupted_at_step(monkeypatch, wanted):
    """Have Ctrl-C come after so many steps."""
    steps, step = [], Trainer._train_step

    def stopped(self, *words):
        steps.append(1)
        if len(steps) == wanted:
            signal.raise_signal(signal.SIGINT)
        return step(self, *words)

    monkeypatch.setattr(Trainer, "_train_step", stopped)


def test_ctrl_c_saves_the_state_and_the_same_call_goes_on(finished, small_data, small_cache, tmp_path, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupted_at_step(patch, 2)
        with pytest.raises(InterruptedRunError, match="the state is saved") as caught:
            small_run(small_data, small_cache, tmp_path, epochs=2, rerun=True)
    assert caught.value.hint.startswith("Go on with: bench.run('ast', 'patchmix-cl', epochs=2, data=")
    assert "rerun" not in caught.value.hint
    assert signal.getsignal(signal.SIGINT) == handler
    assert (tmp_path / "runs" / finished.id / "checkpoint" / "current.json").is_file()
    gone_on = small_run(small_data, small_cache, tmp_path, epochs=2)
    assert gone_on.metrics == finished.metrics


def test_another_thread_than_the_main_one_trains_without_handlers(finished, small_data, small_cache, tmp_path):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    done, seen = [], []

    def train():
        done.append(small_run(small_data, small_cache, tmp_path, epochs=2))

    step = Trainer._train_step

    def look(self, *words):
        seen.append({number: signal.getsignal(number) for number in handlers})
        return step(self, *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_train_step", look)
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert done[0].metrics == finished.metrics
    assert seen
    assert all(found == handlers for found in seen)
