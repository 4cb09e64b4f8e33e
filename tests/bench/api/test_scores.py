"""``bench.evaluate`` and ``bench.score``: any model, and any predictions, judged as the board would."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import bench
from bench.core.errors import DataError, ResultError, RunError, SpecError
from leaderboard.metrics import CLASSES
from leaderboard.results.submission_checks import RefusedError

SHORT = {"seconds": 1.0}


def by_loudness(pictures):
    """Logits that depend on the pictures alone."""
    loud = pictures.mean((1, 2, 3))
    return torch.stack([loud, -loud, loud * 2, torch.zeros_like(loud)], 1)


@pytest.fixture(scope="module")
def place(small_data, small_cache):
    return {"data": small_data, "cache": small_cache}


@pytest.fixture(scope="module")
def scores(place):
    return bench.evaluate(by_loudness, frontend="ast", frontend_options=SHORT, **place)


# --- evaluate -----------------------------------------------------------------------------------------------------


def test_a_plain_function_is_judged_on_every_test_cycle(scores):
    assert len(scores.predictions) == 12
    assert set(scores.metrics) == {"4class", "2class"}
    assert scores.metrics["4class"]["n"] == 12
    assert (scores.dataset, scores.partial) == ("demo", None)
    assert scores.predictions.scores.sum(1) == pytest.approx(np.ones(12))
    assert "12 cycles" in repr(scores)


def test_batches_do_not_matter(scores, place):
    one = bench.evaluate(by_loudness, frontend="ast", frontend_options=SHORT, batch=1, **place)
    np.testing.assert_allclose(one.predictions.scores, scores.predictions.scores, rtol=1e-6)


def test_probabilities_stay_what_they_are(scores, place):
    found = bench.evaluate(
        lambda x: by_loudness(x).softmax(-1), frontend="ast", frontend_options=SHORT, **place
    ).predictions
    np.testing.assert_allclose(found.scores, scores.predictions.scores, rtol=1e-6)
    certain = bench.evaluate(lambda x: np.eye(4)[[2] * len(x)], frontend="ast", frontend_options=SHORT, **place)
    assert certain.predictions.scores.tolist() == [[0, 0, 1, 0]] * 12


class Drops(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop, self.frozen, self.weight = nn.Dropout(0.9), nn.Dropout(0.9).eval(), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return by_loudness(self.frozen(self.drop(x))) * self.weight


def test_a_module_is_evaluated_and_left_in_its_modes(scores, place):
    model = Drops()
    found = bench.evaluate(model, frontend="ast", frontend_options=SHORT, **place).predictions
    np.testing.assert_allclose(found.scores, scores.predictions.scores, rtol=1e-6)
    assert (model.training, model.drop.training, model.frozen.training) == (True, True, False)
    assert model.weight.grad is None


def test_a_front_end_that_normalises_in_the_batch_gets_it(place):
    sizes = []

    def look(x):
        sizes.append((tuple(x.shape[1:]), float(x.min()), float(x.max())))
        return torch.zeros(len(x), 4)

    bench.evaluate(look, frontend="scl", frontend_options={**SHORT, "normalise": "batch"}, **place)
    assert [shape for shape, _, _ in sizes] == [(1, 32, 64)]
    assert sizes[0][2] - sizes[0][1] == pytest.approx(1 / 0.0255, rel=1e-3)


@pytest.mark.parametrize(
    ("model", "options", "error", "said"),
    [
        (lambda x: torch.zeros(len(x), 3), {}, SpecError, r"gives \(12, 3\) for 12 pictures, but must give \(12, 4\)"),
        (lambda x: "normal", {}, SpecError, "must give a tensor"),
        (lambda x: torch.full((len(x), 4), torch.nan), {}, RunError, "not finite"),
        (by_loudness, {"frontend": "asst"}, SpecError, "did you mean 'ast'"),
        (by_loudness, {"frontend_options": {"second": 1}}, SpecError, "seconds"),
        (by_loudness, {"batch": 0}, SpecError, "batch is 0"),
        (by_loudness, {"data": "/nowhere"}, DataError, "nowhere"),
    ],
)
def test_what_cannot_be_judged_is_refused(place, model, options, error, said):
    with pytest.raises(error, match=said):
        bench.evaluate(model, **{"frontend": "ast", "frontend_options": SHORT, **place, **options})


def test_parts_are_judged_alone(scores):
    assert sum(part["cycles"] for part in scores.by_device.values()) == 12
    assert set(scores.by_patient) == {"201", "202", "203"}
    (device,) = scores.by_device.values()
    whole = {name: scores.metrics["4class"][name] for name in ("sp", "se", "score")}
    assert device == {"cycles": 12, "4class": whole, "2class": device["2class"]}
    assert device["2class"]["se"] == scores.metrics["2class"]["se"]


def test_the_file_of_predictions_is_taken_by_the_board(scores, place, tmp_path, bench):
    file = scores.to_csv(tmp_path / "predictions.csv")
    words = ["--system", "loud", "--selection", "last", "--home", tmp_path / "home", "--format", "json"]
    where = ["--data", place["data"], "--cache", place["cache"]]
    document = json.loads(bench("board", "submit", file, *words, *where).out)
    stored = document["metrics"]["official"]["4class"]
    assert {name: stored[name] for name in scores.metrics["4class"]} == scores.metrics["4class"]


# --- score --------------------------------------------------------------------------------------------------------


class Frame:
    """A data frame of whatever library: columns by name."""

    def __init__(self, columns):
        self.columns, self._columns = list(columns), columns

    def __getitem__(self, name):
        return self._columns[name]


def columns_of(predictions):
    return {
        "recording": predictions.recordings,
        "cycle": predictions.cycles,
        **{name: predictions.scores[:, place] for place, name in enumerate(CLASSES)},
    }


def structured(columns):
    rows = list(zip(*(column.tolist() for column in columns.values()), strict=True))
    kinds = [(name, column.dtype) for name, column in columns.items()]
    return np.array(rows, dtype=kinds)


def test_predictions_in_any_form_are_the_same(scores, place, tmp_path):
    found = scores.predictions
    columns = columns_of(found)
    forms = [
        scores,
        found,
        scores.to_csv(tmp_path / "p.csv"),
        str(tmp_path / "p.csv"),
        columns,
        Frame(columns),
        structured(columns),
        {key: found.scores[row] for row, key in enumerate(found.keys)},
    ]
    for form in forms:
        judged = bench.score(form, place["data"])
        assert judged.metrics == scores.metrics
        assert judged.predictions.scores.tolist() == found.scores.tolist()
        assert judged.predictions.keys == found.keys


def test_classes_are_enough(scores, place):
    found = scores.predictions
    for classes in (found.predicted.tolist(), [CLASSES[one] for one in found.predicted]):
        answers = dict(zip(found.keys, classes, strict=True))
        assert bench.score(answers, place["data"]).metrics == scores.metrics


def test_what_is_missing_is_refused_with_the_difference(scores, place):
    found = scores.predictions
    answers = {key: found.scores[row] for row, key in enumerate(found.keys)}
    missing = found.keys[3]
    del answers[missing]
    with pytest.raises(RefusedError, match="What was given lacks 1 test cycle") as caught:
        bench.score(answers, place["data"])
    assert caught.value.difference.missing == (missing,)


@pytest.mark.parametrize(
    ("predictions", "error", "said"),
    [
        (np.zeros((12, 4)), SpecError, "which cycle is which row"),
        ({("a", 0): [1, 2, 3]}, SpecError, "must be 4 scores, or one class"),
        ({("a", 0, 1): 1}, SpecError, r"must each be \(recording, cycle\)"),
        ({"recording": ["a"], "cycles": [0], "predicted": [1]}, ResultError, "'cycles' is no column"),
        ("missing.csv", ResultError, "Cannot read"),
    ],
)
def test_predictions_that_cannot_be_read_are_refused(place, predictions, error, said):
    with pytest.raises(error, match=said):
        bench.score(predictions, place["data"])


def test_data_that_are_not_there_are_told(scores, tmp_path):
    with pytest.raises(DataError):
        bench.score(scores, tmp_path)


# --- data frames --------------------------------------------------------------------------------------------------


def test_predictions_are_a_data_frame_where_a_library_is_there(scores, monkeypatch):
    made = type("Pandas", (), {"DataFrame": staticmethod(dict)})
    monkeypatch.setattr("bench.api.frames.find_spec", lambda name: name == "polars")
    monkeypatch.setattr("bench.api.frames.import_module", lambda name: made)
    frame = scores.predictions.to_dataframe()
    assert list(frame) == ["recording", "cycle", "label", "patient", "device", *CLASSES, "predicted"]
    assert frame["cycle"] == scores.predictions.cycles.tolist()
    monkeypatch.setattr("bench.api.frames.find_spec", lambda name: None)
    with pytest.raises(SpecError, match="pandas or polars"):
        scores.predictions.to_dataframe()
