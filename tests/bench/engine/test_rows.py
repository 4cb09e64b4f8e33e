"""Rows that are not one spectrogram a cycle: several pieces of a cycle, pictures with channels, two inputs in a row."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from icbhi_sets import load_dataset
from plugin_files import fresh_registries

from bench.data.bank import prepare_bank
from bench.engine.data import RunData, open_run_data
from bench.experiment.plugins import load_plugins
from bench.experiment.spec import read_spec

PLUGIN = '''
from dataclasses import dataclass

import torch
from torch import nn

from bench.core.cards import FrontEndCard, ModelCard
from bench.core.registry import Registration

PIECE = 0.4


@dataclass(frozen=True, kw_only=True)
class Options:
    @property
    def shape(self):
        return SHAPE

    def pieces(self, seconds):
        return [max(1, round(length / PIECE + 0.25)) for length in seconds]


class Pieces:
    """Pieces of 0.4 s, the last one what is left; each holds its mean level."""

    shape = property(lambda self: SHAPE)

    def __init__(self, options):
        self.pieces = options.pieces

    def features(self, wave, rate, spans, *, name="the recording"):
        rows = []
        for (start, end), count in zip(spans, self.pieces([end - start for start, end in spans])):
            for piece in range(count):
                first = int((start + piece * PIECE) * rate)
                part = wave[first : min(int(end * rate), first + int(PIECE * rate))]
                rows.append(torch.full(SHAPE, float(part.abs().mean())))
        return torch.stack(rows)


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    pass


class TwoInputs(nn.Module):
    """Takes a row of 12 values apart: a picture of 2 x 4, and 4 values."""

    feature_dim = 8

    def __init__(self, options, num_classes):
        super().__init__()
        self.left, self.right = nn.Linear(8, 4), nn.Linear(4, 4)
        self.classifier = nn.Linear(8, num_classes)

    def features(self, x):
        left, right = x.flatten(1).split((8, 4), dim=1)
        return torch.cat([self.left(left), self.right(right)], 1)

    def forward(self, x):
        return self.classifier(self.features(x))


pieces = Registration(
    FrontEndCard(id="pieces", title="Pieces", summary="A level.", options=Options, version=1), Pieces
)
two = Registration(
    ModelCard(
        id="two", title="Two", summary="Two inputs.", options=NoOptions, frontend="pieces",
        recipes={name: {"lr": 0.01, "batch": 4, "epochs": 1, "schedule": "constant", "specaug_probability": 0.0,
                        "time_shift": False} for name in ("paper", "demo")},
    ),
    TwoInputs,
)
'''


@pytest.fixture(scope="module", params=["(12,)", "(3, 2, 2)"], ids=["two inputs", "three channels"])
def plugin(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("plugin") / "rows.py"
    path.write_text(PLUGIN.replace("SHAPE", request.param))
    with fresh_registries():
        load_plugins([path])
        yield path


@pytest.fixture(scope="module")
def result(plugin, small_data, tmp_path_factory):
    from bench.cli import main

    home = tmp_path_factory.mktemp("home")
    words = ["run", "--model", "two", "--method", "ce", "--plugin", plugin, "--data", small_data, "--device", "cpu"]
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in (*words, "--home", home, "--cache", home / "cache")])
    assert caught.value.code in (0, None)
    return next(home.glob("runs/*"))


def data_of(folder: Path) -> RunData:
    return open_run_data(read_spec(folder / "spec.json"))


def test_a_bank_holds_every_piece_with_its_cycles_label(plugin, small_data, tmp_path):
    dataset = load_dataset(small_data, cache=tmp_path)
    bank = prepare_bank(dataset, "pieces", {}, tmp_path)
    # A cycle of 0.9 s is two pieces of 0.4 s and one of 0.1 s, rounded to two.
    assert len(bank.features) == len(bank.cycles) == len(bank.labels) == 2 * len(dataset.cycles)
    assert bank.cycles[::2] == bank.cycles[1::2] == dataset.cycles
    assert bank.labels.tolist() == [cycle.label for cycle in dataset.cycles for _ in range(2)]
    again = prepare_bank(dataset, "pieces", {}, tmp_path)
    np.testing.assert_array_equal(again.features, bank.features)


def test_a_cycles_scores_are_the_means_of_its_pieces(result):
    document = json.loads((result / "result.json").read_text())
    data = data_of(result)
    with (result / document["predictions"]["last"]).open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == document["metrics"]["last"]["4class"]["n"] == len(data.test) // 2
    assert len({(row["recording"], row["cycle"]) for row in rows}) == len(rows)

    from safetensors.torch import load_file

    import baselines

    model = baselines.create("two").eval()
    model.load_state_dict(load_file(result / "weights" / "last.safetensors"))
    with torch.inference_mode():
        pieces = model(data.inputs(data.test)).double().softmax(-1).numpy()
    expected = {
        key: (pieces[2 * place] + pieces[2 * place + 1]) / 2 for place, key in enumerate(data.keys(data.test[::2]))
    }
    for row in rows:
        found = [float(row[name]) for name in ("normal", "crackle", "wheeze", "both")]
        np.testing.assert_allclose(found, expected[row["recording"], int(row["cycle"])], rtol=0, atol=1e-6)


def test_rows_that_are_no_pictures_are_not_masked(plugin, bench, small_data, tmp_path):
    words = ["run", "--model", "two", "--method", "ce", "--plugin", plugin, "--data", small_data, "--device", "cpu"]
    words += ["--home", tmp_path, "--cache", tmp_path / "cache", "--set", "time_shift=true"]
    if "12,)" in plugin.read_text():
        assert "are no pictures" in bench(*words, code=2).err
        assert not list(tmp_path.glob("runs/*"))
    else:
        bench(*words)


def test_features_of_one_recording_have_a_row_for_each_piece(plugin, bench, small_data, tmp_path):
    audio = next(small_data.rglob("101_*.wav"))
    bench("data", "features", audio, "--frontend", "pieces", "--plugin", plugin, "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as found:
        assert len(found["features"]) == len(found["labels"]) == 8
        assert found["labels"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
