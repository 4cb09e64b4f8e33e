"""A run begins from the weights of its spec or not at all: at its start, resumed, replayed, and in a search."""

import hashlib
import json

import pytest
import torch
from small_studies import SETTINGS, base_spec, request_of, states, study_of, work_on

import baselines
from bench.core.errors import InterruptedRunError, RunWeightsError
from bench.engine import trainer
from bench.launch.once import launch
from bench.search.workers import Crew
from leaderboard.results.run_folder import RunFolder


def save_weights(path, options, seed):
    torch.manual_seed(seed)
    model = baselines.create("ast", num_classes=4, pretrain=None, cache=path.parent, **options)
    torch.save(model.state_dict(), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def weights(small_data, small_cache, tmp_path):
    """A file of weights, what exchanges it, and the sentence that is then said, with both hashes."""
    path = tmp_path / "weights.pth"
    options = base_spec(small_data, small_cache).model_options
    known = save_weights(path, options, 1)

    def exchange():
        found = save_weights(path, options, 2)
        assert found != known
        return f"their SHA-256 is {found}, the spec's is {known}"

    return path, exchange


@pytest.fixture
def spec(weights, small_data, small_cache):
    made = base_spec(small_data, small_cache, pretrain=str(weights[0]))
    assert made.pretrain == "file"
    return made


def start(spec, home):
    return launch(spec, home, rerun=False)


def test_a_start_is_refused(spec, weights, tmp_path):
    said = weights[1]()
    with pytest.raises(RunWeightsError, match=said) as caught:
        start(spec, tmp_path / "home")
    assert caught.value.exit_code == 2
    assert not RunFolder.of_run(tmp_path / "home", spec.run_id).path.exists()


def test_a_start_is_refused_whose_weights_change_before_the_model_is_built(spec, weights, tmp_path, monkeypatch):
    """The launcher found them right; the model is built minutes later, when the features are there."""
    said = []
    monkeypatch.setattr("bench.launch.once.weights_of_run", lambda *fields: said.append(weights[1]()))
    with pytest.raises(RunWeightsError) as caught:
        start(spec, tmp_path / "home")
    assert said[0] in caught.value.message


def test_a_resumed_run_is_refused_and_keeps_its_state(spec, weights, tmp_path, monkeypatch):
    home = tmp_path / "home"
    folder = RunFolder.of_run(home, spec.run_id).path

    def interrupted(self):
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint" / "current").write_text("state")
        raise InterruptedRunError("Stopped.")

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "fit", interrupted)
        with pytest.raises(InterruptedRunError):
            start(spec, home)
    said = weights[1]()
    with pytest.raises(RunWeightsError, match=said):
        start(spec, home)
    assert (folder / "checkpoint" / "current").read_text() == "state"
    assert (folder / "spec.json").is_file()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_replay_is_refused(spec, weights, bench, tmp_path, more):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec.to_json()))
    said = weights[1]()
    err = bench("run", "--spec", path, "--home", tmp_path / "home", *more, code=2).err
    assert said in " ".join(err.split())
    assert not (tmp_path / "home" / "runs" / spec.run_id).exists()


def test_a_search_is_refused_when_it_starts_and_when_it_goes_on(weights, bench, small_data, small_cache, tmp_path):
    path, exchange = weights
    words = [
        "--data",
        small_data,
        "--cache",
        small_cache,
        "--home",
        tmp_path / "home",
        "--storage",
        tmp_path / "s.journal",
    ]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    search = ["search", "--model", "ast", "--method", "patchmix-cl", "--study", "s", *settings, "--param", "alpha"]
    asked = [*search, "--pretrain", path, "--epochs", "1", "--trials", "1", "--final-seeds", "none", *words]
    bench(*asked)
    said = exchange()
    for command in (asked, ["search", "resume", "s", "--trials", "2", *words]):
        err = " ".join(bench(*command, code=2).err.split())
        found, known = (part.split()[-1] for part in said.split(","))
        assert found in err
        assert known in err


def test_weights_that_are_exchanged_under_a_search_end_it_and_fail_no_trial(spec, weights, tmp_path):
    search = study_of(spec, request_of(spec, "alpha"), tmp_path, 3)
    said = weights[1]()
    with pytest.raises(RunWeightsError, match=said):
        work_on(search, tmp_path)
    assert states(search) == ["WAITING"]
    with pytest.raises(RunWeightsError, match=said):
        Crew(search, tmp_path, search.execution, 1).run()
    assert states(search) == ["WAITING"]
