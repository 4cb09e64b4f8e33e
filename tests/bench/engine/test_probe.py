"""Linear probes and fine-tuning of pretrained encoders: features computed once, kept, and trained on."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from encoder_checkpoints import save_beats, save_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import baselines
import bench
import methods
from bench.core.errors import InterruptedRunError, SpecError
from bench.engine import probe
from bench.engine.accelerator import build_accelerator
from bench.engine.data import open_run_data
from bench.engine.evaluate import class_probabilities
from bench.engine.initial_weights import load_weights
from bench.engine.made_up import made_up_data, made_up_spec
from bench.engine.trainer import Trainer
from bench.experiment.recipes import Request, choose_source, resolve
from leaderboard.results.run_folder import RunFolder
from methods.linear_probe.logistic import STRENGTHS

TRAINED = ("audio-spectrogram-transformer", "clap", "wav2vec2", "hubert", "beats")
LENGTH = {
    "wav2vec2": {"frontend.seconds": 1.0, "frontend.fit": "pad"},
    "hubert": {"frontend.seconds": 1.0},
    "beats": {"frontend.frames": 98},
}
"""Settings that make cycles short, of those whose checkpoint does not say how long they are."""

PROBE = {"batch": 8, "c": 1.0}
SMALL_AST = {"embed_dim": 16, "depth": 1, "heads": 2, "frames": 98, "stride": 16}
SMALL = {"embed_dim": 16, "depth": 1, "heads": 2, "frontend.seconds": 1.0, "batch": 8}
SMALL_PROBE = {**SMALL, "c": 1.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("checkpoints") / kind
            (save_beats(made[kind]) if kind == "beats" else save_checkpoint(kind, made[kind]))
        return made[kind]

    return folder


@pytest.fixture
def run(small_data, small_cache, home):
    def start(model, method, settings, **words):
        known = {"data": small_data, "cache": small_cache, "home": home, "device": "cpu", **words}
        return bench.run(model, method, settings=settings, **known)

    return start


@pytest.fixture(scope="module")
def ast_weights(tmp_path_factory):
    """Weights of a small AST, as a user names them in a file."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "ast.safetensors"
    save_file(baselines.create("ast", **SMALL_AST).state_dict(), path)
    return path


def predictions(found, rule="last"):
    return found.predictions[rule].scores


def opened(found):
    """Model and method of a stored run with its weights, as they are opened elsewhere: without the checkpoint."""
    spec = found.spec
    model = baselines.create(spec.model, 4, **spec.model_options)
    method = methods.create(spec.method, feature_dim=model.feature_dim, class_counts=[1] * 4, **spec.method_options)
    load_weights(model, method, RunFolder(found.folder), "last", spec.run_id, spec)
    return model, method


def scores_of(found):
    """Scores of the tested cycles by the whole model that the run has stored, on the pictures of its front-end."""
    data = open_run_data(found.spec)
    accelerator = build_accelerator(found.spec, processes=1)
    return class_probabilities(opened(found)[0], data, data.test, accelerator, batch=5)


def counting(monkeypatch):
    """Counts how often features are computed."""
    calls, encoded = [], probe._encoded

    def counted(*given):
        calls.append(1)
        return encoded(*given)

    monkeypatch.setattr(probe, "_encoded", counted)
    return calls


@pytest.mark.parametrize("kind", TRAINED)
def test_an_encoder_is_fine_tuned_and_probed_and_its_runs_open_without_the_checkpoint(kind, folder_of, run, tmp_path):
    place = tmp_path / "checkpoint"
    original = folder_of(kind)
    (shutil.copytree if original.is_dir() else shutil.copy)(original, place)
    short = LENGTH.get(kind, {})
    runs = [
        run(f"hf:{place}", "ce", {"batch": 8, **short}, epochs=1),
        run(f"hf:{place}", "linear-probe", {**PROBE, **short}),
    ]
    for found in runs:
        assert found.status == "finished"
        assert (found.spec.model, found.spec.pretrain) == (f"hf:{kind}", "file")
        assert found.spec.weights_sha256 is not None
    place.rename(tmp_path / "gone")
    if kind == "wav2vec2":
        # Waveforms of any length go in; the mask of what they are filled up with is part of the program.
        told = bench.export(runs[1], "torch", out=tmp_path / "made.pt2").document
        assert told["frontend_included"]
        assert told["inputs"] == {"waveform": ["batch", "samples"]}
        assert told["parity"]["batches"] == [1, 3]
    for found in runs:
        np.testing.assert_allclose(scores_of(found), predictions(found), atol=1e-5)


def run_id_of(model, data, cache, **words):
    request = Request(
        model=model,
        method="linear-probe",
        data=str(data),
        cache=cache,
        device="cpu",
        **{"settings": ("batch=8",), **words},
    )
    return resolve(request, choose_source(request), [1])[0].run_id


def test_an_id_follows_from_what_the_checkpoint_holds_and_not_from_its_place(
    folder_of, small_data, small_cache, tmp_path
):
    shutil.copytree(folder_of("hubert"), tmp_path / "copy")
    save_checkpoint("hubert", tmp_path / "other", seed=1)
    shutil.copytree(folder_of("hubert"), tmp_path / "unscaled")
    extractor = tmp_path / "unscaled" / "preprocessor_config.json"
    extractor.write_text(json.dumps({**json.loads(extractor.read_text()), "do_normalize": False}))

    def run_id(folder, **words):
        return run_id_of(f"hf:{folder}", small_data, small_cache, **words)

    here = run_id(folder_of("hubert"))
    assert run_id(tmp_path / "copy") == here
    others = {
        run_id(tmp_path / "other"),
        run_id(tmp_path / "unscaled"),
        run_id(tmp_path / "copy", settings=("batch=8", "layer=1")),
        run_id(tmp_path / "copy", pretrain="none"),
    }
    assert len(others | {here}) == 5


def test_a_probe_leaves_the_encoder_as_it_was_and_its_closed_form_has_one_epoch(
    ast_weights, run, monkeypatch, tmp_path
):
    found = run("ast", "linear-probe", SMALL_PROBE, pretrain=str(ast_weights))
    folder, before = RunFolder(found.folder), load_file(ast_weights)
    after = load_file(folder.weights_of("last"))
    encoder = {name for name in before if not name.startswith("classifier.")}
    assert {name for name in after if not name.startswith("classifier.")} == encoder
    for name in encoder:
        assert torch.equal(after[name], before[name]), name
    heads = {f"classifier.{part}" for part in ("mean", "deviation", "linear.weight", "linear.bias")}
    assert after.keys() - encoder == heads
    assert [entry["epoch"] for entry in found.epochs] == [1]
    assert np.array_equal(predictions(found), predictions(found, "best-test"))
    assert opened(found)[1].c.item() == 1.0
    assert torch.equal(found.model().classifier.linear.weight, after["classifier.linear.weight"])
    np.testing.assert_allclose(scores_of(found), predictions(found), atol=1e-5)

    # The card in an exported file says how its weights are loaded: into a probe's own classifier.
    bench.export(found, "safetensors", out=tmp_path / "FILE.safetensors")
    with safe_open(tmp_path / "FILE.safetensors", framework="np") as file:
        snippet = file.metadata()["model_card.md"].partition("## This file")[2].split("```")[1].removeprefix("python")
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(compile(snippet, "model_card.md", "exec"), scope)
    assert torch.equal(scope["model"].classifier.linear.weight, after["classifier.linear.weight"])


def test_features_are_computed_once_for_all_probes_of_an_encoder(ast_weights, run, monkeypatch, tmp_path):
    calls, cache = counting(monkeypatch), tmp_path / "cache"

    def probe_of(pretrain=str(ast_weights), more=None, **words):
        settings = {**SMALL_PROBE, **(more or {})}
        return run("ast", "linear-probe", settings, pretrain=pretrain, home=tmp_path, cache=cache, **words)

    steps = {"solver": "adam", "lr": 0.01}
    found = [probe_of(), probe_of(more={"c": 0.01}, seed=2), probe_of(more=steps, epochs=4)]
    assert len({each.id for each in found}) == 3
    assert len(calls) == 1
    losses = [entry["loss"] for entry in found[-1].epochs]
    assert len(losses) == 4
    assert losses[-1] < losses[0], "by steps it learns"
    # Another encoder has other features, whatever it is called.
    probe_of(pretrain="none")
    assert len(calls) == 2
    banks = list((cache / "encoded").iterdir())
    assert [json.loads((bank / "bank.json").read_text())["shape"] for bank in banks] == [[36, 16]] * 2
    # What was damaged is computed again.
    for bank in banks:
        (bank / "features.npy").write_bytes((bank / "features.npy").read_bytes()[:-4])
    probe_of(more={"c": 0.1})
    assert len(calls) == 3


def written_rows(monkeypatch, stop_after=None):
    """First rows of the batches whose features are written; a stop comes after so many of them."""
    firsts, write = [], probe.RowsFile.write

    def noted(file, rows, first):
        if file.path.parents[1].name != probe.KIND:
            return write(file, rows, first)
        if len(firsts) == stop_after:
            raise KeyboardInterrupt
        firsts.append(first)
        return write(file, rows, first)

    monkeypatch.setattr(probe.RowsFile, "write", noted)
    return firsts


def test_features_that_were_stopped_are_gone_on_with(ast_weights, run, monkeypatch, tmp_path):
    cache, finished = tmp_path / "cache", {"features.npy", "bank.json", "lock"}

    def probe_of(home):
        words = {"pretrain": str(ast_weights), "home": tmp_path / home, "cache": cache}
        return run("ast", "linear-probe", {**SMALL_PROBE, "c": 0.0, "eval_batch": 10}, **words)

    whole = probe_of("whole")
    (bank,) = (cache / probe.KIND).iterdir()
    whole_bank = {name: (bank / name).read_bytes() for name in finished}
    shutil.rmtree(bank)
    with monkeypatch.context() as patch:
        firsts = written_rows(patch, stop_after=3)
        with pytest.raises(InterruptedRunError, match="Stopped at once"):
            probe_of("stopped")
        assert firsts == [0, 10, 20]
    assert {path.name for path in bank.iterdir()} == {"features.npy.part", "done.jsonl", "lock"}
    # As after a crash of the machine: a row of the second batch never reached the disk.
    with (bank / "features.npy.part").open("r+b") as stream:
        stream.seek(-(36 - 15) * 16 * 4, 2)
        stream.write(bytes(64))
    firsts = written_rows(monkeypatch)
    found = probe_of("stopped")
    assert firsts == [10, 30]
    assert np.array_equal(predictions(found), predictions(whole))
    (chosen,) = {json.dumps(RunFolder(each.folder).read_document()["chosen"]) for each in (found, whole)}
    assert json.loads(chosen)["method_options.c"] in STRENGTHS
    assert {path.name: path.read_bytes() for path in bank.iterdir()} == whole_bank


def test_a_probe_starts_from_the_encoder_of_a_run_of_another_method(ast_weights, run):
    tuned = run("ast", "ce", SMALL, pretrain=str(ast_weights), epochs=1)
    found = run("ast", "linear-probe", SMALL_PROBE, pretrain="none", init_from=f"{tuned.id}:last")
    before, after = (load_file(RunFolder(each.folder).weights_of("last")) for each in (tuned, found))
    for name in before:
        if not name.startswith("classifier."):
            assert torch.equal(before[name], after[name])
    assert after["classifier.linear.weight"].abs().max() > 0


@pytest.mark.parametrize(
    ("settings", "words", "message"),
    [
        ({"noise_probability": 0.5}, {}, "computes the features of each cycle once, so that nothing can be augmented"),
        ({"time_shift": True}, {}, "so that nothing can be augmented"),
        ({"frontend.normalise": "batch"}, {"frontend": "scl"}, "the front-end scl normalises pictures by the batch"),
    ],
)
def test_what_would_change_with_each_batch_is_refused(settings, words, message, run):
    with pytest.raises(SpecError, match=message):
        run("ast", "linear-probe", {**SMALL_PROBE, **settings}, pretrain="none", **words)


def test_a_model_that_is_more_than_a_classifier_on_features_is_refused(run):
    settings = {"batch": 8, "c": 1.0, "width": 4}
    with pytest.raises(SpecError, match="cnn8-dilated does not classify by its features alone"):
        run("cnn8-dilated", "linear-probe", settings, pretrain="none")


def test_a_made_up_run_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"embed_dim": 16, "depth": 1, "heads": 2, "frames": 98}
    spec = made_up_spec("ast", "linear-probe", small, frontend_options={"seconds": 1.0}, batch=4, time_shift=False)
    outcome = Trainer(spec, made_up_data(spec, 8), tmp_path / "run").fit()
    assert outcome.position.epochs[-1]["test"] is not None
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
