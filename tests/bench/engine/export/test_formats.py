"""Programs in files: they give what the model gives, whatever the batch, and hold nothing of the machine."""

from pathlib import Path

import pytest
import torch
from export_table import Pair, untrained_run

from bench.core.errors import RunError, SpecError
from bench.engine.export import formats
from bench.engine.export.examples import Examples, examples_for, made_up
from bench.engine.export.formats import OnnxProgram, TorchProgram, check_onnx
from bench.engine.export.parity import LIMIT, compared, trials_of
from bench.engine.export.programs import program_of

SOUNDS = Examples([made_up(0)], "made-up waveforms")
CNN6 = Pair("cnn6", "scl", settings={"frontend.seconds": 1.0, "frontend.normalise": "batch"})


@pytest.fixture(scope="module")
def cnn6(small_data, small_cache):
    """A small run with weights that tell sounds apart, as drawn ones hardly do."""
    run = untrained_run(CNN6, small_data, small_cache)
    with torch.no_grad():
        run.graph.model.classifier.weight.mul_(200)
    return run


def written(made, path):
    made.write(path, {"about": "a text"})
    return made.load(path)


def test_a_program_with_its_front_end_gives_what_the_run_gives(cnn6, tmp_path):
    program = program_of(cnn6)
    trials = trials_of(cnn6, program, SOUNDS)
    example = {name: torch.zeros_like(tensor) for name, tensor in trials[-1][0].items()}
    parity = compared(written(OnnxProgram(program, example, 18), tmp_path / "made"), trials, SOUNDS.source)
    assert parity.greatest < LIMIT / 3
    assert parity.batches == (1, 3)
    spread = max(float(wanted.max(0).max() - wanted.min(0).min()) for _, wanted in trials)
    assert spread > 0.1  # the comparison could fail
    content = (tmp_path / "made").read_bytes()
    for place in (str(Path(formats.__file__).parents[3]), str(Path(torch.__file__).parents[1])):
        assert place.encode() not in content


def test_a_model_alone_takes_pictures(small_data, small_cache, tmp_path):
    pair = Pair("resnet18", "ast", settings={"frontend.seconds": 1.0})
    run = untrained_run(pair, small_data, small_cache)
    program = program_of(run, without_frontend="on request")
    assert program.without_frontend == "on request"
    assert program.inputs[0].shape == ("batch", 1, *run.chosen.options.shape)
    trials = trials_of(run, program, SOUNDS)
    made = TorchProgram(program, trials[-1][0])
    assert compared(written(made, tmp_path / "made.pt2"), trials, SOUNDS.source).greatest < LIMIT


def test_a_method_that_makes_the_scores_is_part_of_the_program(small_data, small_cache):
    run = untrained_run(Pair("cnn6", "ast", "mixup-bce", {"frontend.seconds": 1.0}), small_data, small_cache)
    program = program_of(run)
    trials = trials_of(run, program, SOUNDS)
    assert compared(lambda inputs: program.module(**inputs).numpy(), trials, "here").greatest < LIMIT
    assert not torch.allclose(
        program.module(**trials[0][0]),
        run.graph.model(run.frontend.traced_picture(trials[0][0]["waveform"])[:, None]).softmax(-1),
    )


@pytest.mark.parametrize("error", [2 * LIMIT, float("nan")])
def test_other_probabilities_are_refused(cnn6, error):
    program = program_of(cnn6)
    trials = trials_of(cnn6, program, SOUNDS)
    with pytest.raises(RunError, match="differs by"):
        compared(lambda inputs: program.module(**inputs).numpy() + error, trials, SOUNDS.source)


def test_a_model_that_looks_at_numbers_is_told_of(cnn6, monkeypatch):
    program = program_of(cnn6, without_frontend="on request")
    monkeypatch.setattr(cnn6.graph.model, "forward", lambda x: x.new_zeros(len(x), int(x.sum()) % 2 + 4))
    with pytest.raises(RunError, match="cannot be traced"):
        TorchProgram(program, {"features": torch.zeros(2, 1, 32, 64)})


def test_examples_are_test_recordings_or_made_up(cnn6, small_data, monkeypatch):
    assert "3 test recordings of demo" in examples_for(cnn6).source
    elsewhere = cnn6.spec.changed(data=str(small_data / "nowhere"))
    object.__setattr__(cnn6, "spec", elsewhere)
    found = examples_for(cnn6)
    assert "the data are not here" in found.source
    assert len(found.sounds) == 2


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(SpecError, match="the package onnxscript") as caught:
        check_onnx()
    assert "pip install 'lungbench[onnx]'" in caught.value.hint
