"""Predictions as arrays, frames and files: the same numbers in every form and in any order."""

from __future__ import annotations

import random

import numpy as np
import pandas
import polars
import pytest
from board_runs import cycle_set, scores_for
from icbhi_sets import part_of_folder, write_set

import bench
from bench.api.cycle_predictions import CyclePredictions
from bench.api.frames import data_frame
from bench.api.scores import Scores
from bench.core.errors import BenchError, ResultError, SpecError, StoreError
from leaderboard.metrics import CLASSES
from leaderboard.results.predictions import CycleSet
from leaderboard.results.submission_checks import RefusedError

LIBRARIES = {"pandas": pandas.DataFrame, "polars": polars.DataFrame}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    write_set(folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def judged(data):
    return part_of_folder(data).cycles


@pytest.fixture
def scores(judged):
    """Scores without ties, of some skill."""
    rng = np.random.default_rng(5)
    return rng.random((len(judged), 4)) + 0.3 * np.eye(4)[list(judged.labels)]


@pytest.fixture
def predictions(judged, scores):
    return CyclePredictions.of(judged, scores)


# --- arrays -------------------------------------------------------------------------------------------------------


def test_every_row_is_one_cycle(judged, scores, predictions):
    assert predictions.keys == list(judged.keys)
    assert predictions.predicted.tolist() == scores.argmax(1).tolist()
    arrays = [value for value in vars(predictions).values() if isinstance(value, np.ndarray)]
    assert len(arrays) == 7
    assert {len(one) for one in arrays} == {len(judged)} == {len(predictions)}
    assert repr(predictions) == f"<CyclePredictions of {len(judged)} cycles>"


def test_scores_are_kept_in_double_precision(judged, scores):
    found = CyclePredictions.of(judged, scores.astype(np.float32))
    assert found.scores.dtype == np.float64
    assert found.scores.tolist() == scores.astype(np.float32).astype(np.float64).tolist()


@pytest.mark.parametrize(
    ("row", "chosen"), [([1, 1, 0, 0], 0), ([0, 2, 2, 2], 1), ([0, 0, 0, 0], 0), ([-1, -2, -1, -3], 0)]
)
def test_the_first_of_equal_scores_counts(row, chosen):
    one = CycleSet((("101_1b1_Al_sc_Meditron", 0),), (0,), ("101",), ("Meditron",))
    assert CyclePredictions.of(one, np.array([row], dtype=float)).predicted.tolist() == [chosen]


@pytest.mark.parametrize("form", [str, lambda path: path])
def test_a_file_holds_the_scores_to_the_last_digit(predictions, data, tmp_path, form):
    file = predictions.to_csv(form(tmp_path / "p.csv"))
    assert file == tmp_path / "p.csv"
    again = bench.score(file, data).predictions
    assert again.scores.tolist() == predictions.scores.tolist()
    assert again.keys == predictions.keys
    file.write_text("old")
    predictions.to_csv(file)
    assert bench.score(file, data).predictions.scores.tolist() == predictions.scores.tolist()


def test_a_file_that_cannot_be_written_is_told(predictions, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="file"):
        predictions.to_csv(tmp_path / "file" / "p.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_has_a_row_for_each_cycle(predictions, monkeypatch, library):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", (library,))
    frame = predictions.to_dataframe()
    assert isinstance(frame, LIBRARIES[library])
    assert list(frame.columns) == ["recording", "cycle", "label", "patient", "device", *CLASSES, "predicted"]
    assert list(zip(frame["recording"], frame["cycle"], strict=True)) == predictions.keys
    assert np.column_stack([np.asarray(frame[name]) for name in CLASSES]).tolist() == predictions.scores.tolist()
    assert list(frame["predicted"]) == predictions.predicted.tolist()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["scores", "classes", "numbers"])
def test_a_frame_is_judged_as_the_file(predictions, data, library, kind):
    columns = {"recording": predictions.recordings.tolist(), "cycle": predictions.cycles.tolist()}
    if kind == "scores":
        columns |= {name: predictions.scores[:, place].tolist() for place, name in enumerate(CLASSES)}
    elif kind == "classes":
        columns["predicted"] = [CLASSES[one] for one in predictions.predicted]
    else:
        columns["predicted"] = predictions.predicted.tolist()
    found = bench.score(LIBRARIES[library](columns), data)
    assert found.metrics == bench.score(predictions, data).metrics
    assert found.predictions.predicted.tolist() == predictions.predicted.tolist()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_in_another_order_with_another_index_is_the_same(predictions, data, library, monkeypatch):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", (library,))
    frame = predictions.to_dataframe()
    kept = ["recording", "cycle", *CLASSES]
    turned = (
        frame[kept].sample(frac=1, random_state=3)
        if library == "pandas"
        else frame[kept].sample(fraction=1, shuffle=True, seed=3)
    )
    assert list(turned["recording"]) != list(frame["recording"]) or list(turned["cycle"]) != list(frame["cycle"])
    assert bench.score(turned, data).predictions.scores.tolist() == predictions.scores.tolist()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_with_a_gap_is_refused(predictions, data, library):
    columns = {"recording": predictions.recordings.tolist(), "cycle": predictions.cycles.tolist()}
    columns["predicted"] = [None, *predictions.predicted.tolist()[1:]]
    with pytest.raises(BenchError) as caught:
        bench.score(LIBRARIES[library](columns), data)
    assert isinstance(caught.value, ResultError)


def test_pandas_comes_first_where_both_are(monkeypatch):
    assert isinstance(data_frame({"a": [1]}), pandas.DataFrame)
    asked = []
    monkeypatch.setattr("bench.api.frames.find_spec", lambda name: asked.append(name))
    with pytest.raises(SpecError) as caught:
        data_frame({"a": [1]})
    assert asked == ["pandas", "polars"]
    assert caught.value.hint == "pip install pandas"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "columns", [{}, {"a": []}, {"a": [None, None], "b": ["x", "yz"]}, {"a": [1.5, None], "b": [[1], [2, 3]]}]
)
def test_a_frame_holds_what_it_is_given(monkeypatch, library, columns):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", (library,))
    frame = data_frame(columns)
    assert list(frame.columns) == list(columns)
    assert len(frame) == max(map(len, columns.values()), default=0)
    if "b" in columns:
        assert [one if isinstance(one, str) else list(one) for one in frame["b"]] == columns["b"]


# --- judging ------------------------------------------------------------------------------------------------------


def expected_rates(labels, predicted):
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    normal = labels == 0
    sp = float(100 * np.mean(predicted[normal] == 0)) if normal.any() else None
    ill = ~normal
    strict = float(100 * np.mean(predicted[ill] == labels[ill])) if ill.any() else None
    loose = float(100 * np.mean(predicted[ill] != 0)) if ill.any() else None
    return sp, strict, loose


def test_metrics_are_those_of_their_definition(predictions, data):
    found = bench.score(predictions, data).metrics
    sp, strict, loose = expected_rates(predictions.labels, predictions.predicted)
    for judged, se in (("4class", strict), ("2class", loose)):
        one = found[judged]
        assert (one["sp"], one["se"], one["score"]) == pytest.approx((sp, se, (sp + se) / 2))
        assert one["n"] == len(predictions)
    pairs = np.bincount(predictions.labels * 4 + predictions.predicted, minlength=16).reshape(4, 4)
    assert found["4class"]["confusion"] == pairs.tolist()


def test_patients_and_devices_are_judged_on_their_own_cycles():
    judged = cycle_set()
    found = Scores.of(judged, scores_for(1, "last"), "demo", None)
    assert sum(one["cycles"] for one in found.by_patient.values()) == len(judged)
    for patient, one in found.by_patient.items():
        chosen = np.asarray(judged.patients) == patient
        sp, strict, loose = expected_rates(found.predictions.labels[chosen], found.predictions.predicted[chosen])
        assert (one["cycles"], one["4class"]["sp"]) == (chosen.sum(), pytest.approx(sp))
        assert one["4class"]["se"] == pytest.approx(strict)
        assert one["2class"]["se"] == pytest.approx(loose)
    assert set(found.by_device) == {"Meditron"}


def test_a_patient_without_a_normal_cycle_has_no_specificity():
    judged = CycleSet(
        (("101_1b1_Al_sc_Meditron", 0), ("102_1b1_Al_sc_Litt3200", 0)), (0, 2), ("101", "102"), ("Meditron", "Litt3200")
    )
    found = Scores.of(judged, np.eye(4)[[0, 2]], "demo", None)
    assert found.by_patient["102"]["4class"] == {"sp": None, "se": 100.0, "score": None}
    assert found.by_patient["101"]["4class"] == {"sp": 100.0, "se": None, "score": None}
    assert found.by_device["Litt3200"]["cycles"] == 1
    assert found.metrics["4class"]["score"] == 100.0


@pytest.mark.parametrize("label", [0, 1])
def test_a_part_with_one_kind_of_cycle_has_no_score(label):
    judged = CycleSet((("101_1b1_Al_sc_Meditron", 0),), (label,), ("101",), ("Meditron",))
    with pytest.raises(ResultError):
        _ = Scores.of(judged, np.eye(4)[[0]], "demo", None).metrics


def test_the_order_of_answers_changes_nothing(predictions, data):
    answers = dict(zip(predictions.keys, predictions.scores.tolist(), strict=True))
    items = list(answers.items())
    random.Random(2).shuffle(items)
    assert items != list(answers.items())
    found = bench.score(dict(items), data)
    assert found.predictions.keys == predictions.keys
    assert found.predictions.scores.tolist() == predictions.scores.tolist()


def test_scores_may_be_logits_of_any_size(predictions, data):
    answers = {key: (1e6 * row - 5e5).tolist() for key, row in zip(predictions.keys, predictions.scores, strict=True)}
    assert bench.score(answers, data).metrics == bench.score(predictions, data).metrics


def test_keys_may_be_numpys(predictions, data):
    keys = zip(predictions.recordings, predictions.cycles, strict=True)
    answers = {key: np.int64(value) for key, value in zip(keys, predictions.predicted, strict=True)}
    assert bench.score(answers, data).predictions.predicted.tolist() == predictions.predicted.tolist()


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda row: [np.nan, *row[1:]], "not_finite"),
        (lambda row: [np.inf, *row[1:]], "not_finite"),
    ],
)
def test_scores_that_are_not_finite_are_refused_with_their_cycle(predictions, data, spoil, field):
    answers = dict(zip(predictions.keys, predictions.scores.tolist(), strict=True))
    key = predictions.keys[2]
    answers[key] = spoil(answers[key])
    with pytest.raises(RefusedError, match=f"1 cycle \\({key[0]} cycle {key[1]}\\)") as caught:
        bench.score(answers, data)
    assert getattr(caught.value.difference, field) == (key,)


@pytest.mark.parametrize("word", ["Wheeze!", "4", "-1", "1.5", ""])
def test_a_class_that_there_is_not_is_refused(predictions, data, word):
    answers = dict(zip(predictions.keys, predictions.predicted.tolist(), strict=True))
    answers[predictions.keys[0]] = word
    with pytest.raises(ResultError):
        bench.score(answers, data)


def test_cycles_that_are_counted_from_one_are_recognised(predictions, data):
    keys = [(recording, cycle + 1) for recording, cycle in predictions.keys]
    with pytest.raises(RefusedError, match="it counts the cycles of a recording from 1") as caught:
        bench.score(dict(zip(keys, predictions.predicted.tolist(), strict=True)), data)
    assert caught.value.difference.shifted


def test_cycles_of_training_patients_are_named_as_that(predictions, data):
    answers = dict(zip(predictions.keys, predictions.predicted.tolist(), strict=True))
    extra = ("501_1b1_Al_sc_Meditron", 0)
    with pytest.raises(RefusedError, match="1 of your 9 cycles belong to training patients") as caught:
        bench.score({**answers, extra: 0}, data)
    assert (caught.value.difference.extra, caught.value.difference.training) == ((extra,), 1)


@pytest.mark.parametrize(
    "given", [{}, [], None, 5, b"x", {("a", 0): {}}, {"recording": [], "cycle": [], "predicted": []}]
)
def test_what_holds_no_predictions_is_refused(data, given):
    with pytest.raises(BenchError):
        bench.score(given, data)


def test_columns_of_unequal_length_are_refused_with_their_lengths(predictions, data):
    columns = {"recording": predictions.recordings.tolist(), "cycle": [0], "predicted": [1]}
    with pytest.raises(SpecError, match="but 'recording' has 8, 'cycle' has 1, 'predicted' has 1"):
        bench.score(columns, data)


@pytest.mark.parametrize("column", ["a", 5, None, [[0], [1, 2]], [[0, 1]]])
def test_a_column_that_is_none_is_refused_by_its_name(data, column):
    with pytest.raises(SpecError, match="The column 'cycle' of the predictions must have one value for each cycle"):
        bench.score({"recording": ["a"], "cycle": column, "predicted": [1]}, data)


@pytest.mark.parametrize("cycle", [0.5, 0.0, "x", None, -1, True, 10**30])
def test_a_cycle_is_a_whole_number_and_nothing_that_is_rounded_to_one(predictions, data, cycle):
    answers = dict(zip(predictions.keys, predictions.predicted.tolist(), strict=True))
    recording, _ = first = predictions.keys[0]
    answers = {(recording, cycle): answers.pop(first), **answers}
    with pytest.raises(ResultError):
        bench.score(answers, data)


@pytest.mark.parametrize("wrong", [[1, [2], 3, 4], [[1, 2, 3, 4]], [1, 2, 3]])
def test_scores_of_another_shape_are_refused(predictions, data, wrong):
    answers = dict(zip(predictions.keys, predictions.scores.tolist(), strict=True))
    with pytest.raises(SpecError, match="must be 4 scores, or one class"):
        bench.score({**answers, predictions.keys[1]: wrong}, data)


@pytest.mark.parametrize("name", ["\ud800", "a\nb", 'a"b', "a,b", "\x1b[2J", "\0", ""])
def test_odd_names_are_other_cycles_and_break_no_line(predictions, data, name):
    answers = dict(zip(predictions.keys, predictions.predicted.tolist(), strict=True))
    with pytest.raises(ResultError) as caught:
        bench.score({**answers, (name, 0): 1}, data)
    assert not {"\x1b", "\0", "\ud800"} & set(caught.value.message)
