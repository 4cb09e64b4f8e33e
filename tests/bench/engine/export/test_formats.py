"""Programs in files: they give what the model gives, whatever the batch, and hold nothing of the machine."""

import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from export_table import Pair, untrained_run
from torch import nn

import baselines
from bench.core.errors import RunError, SpecError
from bench.core.inputs import UNNAMED
from bench.engine.export import formats
from bench.engine.export.examples import Examples, examples_for, made_up
from bench.engine.export.formats import OnnxProgram, TorchProgram, check_onnx
from bench.engine.export.parity import LIMIT, compared, trials_of
from bench.engine.export.programs import FromPictures, Program, ProgramInput, program_of

SOUNDS = Examples([made_up(0)], "made-up waveforms")
PICTURES = ProgramInput("features", ("batch", 1, 32, 32))
CNN6 = Pair("cnn6", "scl", settings={"frontend.seconds": 1.0, "frontend.normalise": "batch"})


@pytest.fixture(scope="module")
def cnn6(small_data, small_cache):
    """A small run with weights that tell sounds apart, as drawn ones hardly do."""
    run = untrained_run(CNN6, small_data, small_cache)
    with torch.no_grad():
        run.graph.model.classifier.weight.mul_(200)
    return run


@pytest.fixture(scope="module")
def trials(cnn6):
    return trials_of(cnn6, program_of(cnn6), SOUNDS)


def written(made, path):
    made.write(path, {"about": "a text"})
    return made.load(path)


def test_a_program_with_its_front_end_gives_what_the_run_gives(cnn6, trials, tmp_path):
    program = program_of(cnn6)
    example = {name: torch.zeros_like(tensor) for name, tensor in trials[-1][0].items()}
    parity = compared(written(TorchProgram(program, example), tmp_path / "made"), trials, SOUNDS.source)
    assert parity.greatest < LIMIT / 3
    assert parity.batches == (1, 3)
    spread = max(float(wanted.max(0).max() - wanted.min(0).min()) for _, wanted in trials)
    assert spread > 0.1  # the comparison could fail
    content = (tmp_path / "made").read_bytes()
    for place in (str(Path(formats.__file__).parents[3]), str(Path(torch.__file__).parents[1])):
        assert place.encode() not in content


def test_a_model_alone_takes_pictures(tmp_path):
    model = baselines.create("resnet18", channels=1).eval()
    program = Program(FromPictures(model, None, None, (UNNAMED,), None), (PICTURES,), without_frontend="for a test")
    made = TorchProgram(program, {"features": torch.zeros(2, 1, 32, 32)})
    loaded = written(made, tmp_path / "made.pt2")
    for rows in (1, 5):
        x = torch.randn(rows, 1, 32, 32)
        with torch.no_grad():
            wanted = model(x).softmax(-1).numpy()
        assert compared(loaded, [({"features": x}, wanted)], "noise").greatest < LIMIT


def test_pictures_are_the_input_where_the_front_end_is_left_out(cnn6):
    program = program_of(cnn6, without_frontend="on request")
    assert program.described()["without_frontend"] == "on request"
    assert program.inputs[0].shape == ("batch", 1, *cnn6.chosen.options.shape)


class Sigmoids(nn.Module):
    """A method that makes the scores."""

    def scores(self, logits):
        return logits.sigmoid()


def test_a_method_that_makes_the_scores_is_part_of_the_program():
    logits = torch.tensor([[0.0, 2.0, -1.0]])
    found = FromPictures(nn.Identity(), Sigmoids(), None, (UNNAMED,), None)(logits)
    torch.testing.assert_close(found, logits.sigmoid() / logits.sigmoid().sum())


@pytest.mark.parametrize("error", [2 * LIMIT, float("nan")])
def test_other_probabilities_are_refused(trials, error):
    # In one batch alone, and not the first.
    answers = iter([wanted + (error if place == len(trials) - 1 else 0.0) for place, (_, wanted) in enumerate(trials)])
    with pytest.raises(RunError, match="differs by"):
        compared(lambda _: next(answers), trials, SOUNDS.source)


def test_several_rows_are_tried_where_there_is_one_unit(cnn6):
    one = SOUNDS.sounds[0]
    alone = Examples([replace(one, spans=one.spans[:1])], "one unit")
    assert [len(waves) for waves in alone.waveforms(cnn6)] == [1, 3]
    assert [len(pictures) for pictures in alone.pictures(cnn6)] == [1, 3]


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    program = Program(nn.Linear(4, 100_000), (ProgramInput("waveform", ("batch", 4)),), rate=1)
    made = TorchProgram(program, {"waveform": torch.zeros(2, 4)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The nearest thing to a full disk that does not need one.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            made.write(tmp_path / "made", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_model_that_a_file_of_onnx_cannot_hold_is_refused(cnn6, monkeypatch):
    monkeypatch.setattr(formats, "MOST_ONNX_BYTES", 1000)
    with pytest.raises(RunError, match="a file of ONNX holds less than 2 GiB"):
        OnnxProgram(program_of(cnn6), {}, 18)


def test_a_file_that_onnx_runtime_refuses_is_told(tmp_path):
    (tmp_path / "made.onnx").write_bytes(b"no model")
    with pytest.raises(RunError, match="cannot be loaded by ONNX Runtime: "):
        OnnxProgram.load(None, tmp_path / "made.onnx")


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
    assert found.source == "made-up waveforms, as the data of the run are not here"
    assert len(found.sounds) == 2


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(SpecError, match="needs packages that are not installed: onnxscript") as caught:
        check_onnx()
    assert "pip install 'lungbench[onnx]'" in caught.value.hint
