"""The features of cycles by the API: made once for a set, or written to a file for a recording."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from icbhi_sets import CYCLES, NAMES, write_annotation, write_set, write_wav
from plugin_files import FRONTEND, fresh_registries, write_plugin

from bench.api import features
from bench.core.errors import BenchError, DataError, RegistryError, SpecError

AUDIO = "ICBHI_final_database"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sound set that no test writes into."""
    folder = tmp_path_factory.mktemp("whole")
    write_set(folder / "data")
    return folder / "data"


@pytest.fixture
def data(tmp_path):
    """A set that a test may spoil."""
    write_set(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def prepared(whole, tmp_path_factory):
    cache = tmp_path_factory.mktemp("features")
    return features.prepare_features(options={"seconds": 1.0}, data=str(whole), cache=cache, workers=1), cache


def test_features_are_made_for_every_cycle(prepared):
    found, cache = prepared
    document = found.to_json()
    assert (document["frontend"], document["partial"]) == ("ast", None)
    assert document["cycles"] == document["rows"] == 5 * len(CYCLES)
    assert document["shape"] == [document["frames"], document["mels"]]
    assert cache in found.path.parents
    assert found.path.exists()


def test_features_are_made_once(prepared, whole, monkeypatch):
    found, cache = prepared
    before = {path: path.stat().st_mtime_ns for path in found.path.rglob("*") if path.is_file()}
    again = features.prepare_features(options={"seconds": 1.0}, data=str(whole), cache=cache, workers=1)
    assert (again.path, again.sizes) == (found.path, found.sizes)
    assert {path: path.stat().st_mtime_ns for path in found.path.rglob("*") if path.is_file()} == before
    other = features.prepare_features(options={"seconds": 0.5}, data=str(whole), cache=cache, workers=1)
    assert other.path != found.path
    assert other.sizes.shape[0] < found.sizes.shape[0]


@pytest.mark.parametrize("name", list(NAMES))
def test_the_features_of_a_recording_have_its_cycles(whole, tmp_path, name):
    out = tmp_path / "deep" / "f.npz"
    done = features.write_recording_features(name, out, options={"seconds": 1.0}, data=str(whole), cache=tmp_path)
    with np.load(out) as found:
        assert found["features"].dtype == np.float32
        assert list(found["features"].shape) == [done.sizes.rows, *done.sizes.shape]
        assert np.isfinite(found["features"]).all()
        assert found["labels"].tolist() == [crackle + 2 * wheeze for _, _, crackle, wheeze in CYCLES]
        assert found["start"].tolist() == [start for start, _, _, _ in CYCLES]
        assert found["end"].tolist() == [end for _, end, _, _ in CYCLES]
    assert done.to_json()["recording"] == name
    assert done.to_json()["out"] == str(out)


def test_a_file_anywhere_is_a_recording_too(tmp_path):
    write_wav(tmp_path / "mine_Meditron.wav", rate=8000)
    write_annotation(tmp_path / "mine_Meditron.txt")
    path = str(tmp_path / "mine_Meditron.wav")
    one = features.write_recording_features(path, tmp_path / "a.npz", "scl", {"seconds": 1.0})
    assert (one.recording, one.sizes.cycles) == ("mine_Meditron", len(CYCLES))


def test_twice_the_same_features_to_the_last_digit(whole, tmp_path):
    name = next(iter(NAMES))
    for out in ("a.npz", "b.npz"):
        features.write_recording_features(name, tmp_path / out, options={"seconds": 1.0}, data=str(whole))
    one, other = (np.load(tmp_path / out)["features"] for out in ("a.npz", "b.npz"))
    assert one.tobytes() == other.tobytes()


def test_a_cycle_beyond_the_end_is_cut_and_noted(data, tmp_path, caplog):
    name = next(iter(NAMES))
    write_annotation(data / AUDIO / f"{name}.txt", [(1.0, 9.0, 0, 0)])
    with caplog.at_level("INFO", "bench"):
        features.write_recording_features(name, tmp_path / "f.npz", options={"seconds": 1.0}, data=str(data))
    assert any("note: " in message and f"{name}.txt:1" in message for message in caplog.messages)
    write_annotation(data / AUDIO / f"{name}.txt", [(5.0, 9.0, 0, 0)])
    with pytest.raises(DataError, match=rf"{name}\.txt:1"):
        features.write_recording_features(name, tmp_path / "g.npz", data=str(data))
    assert not (tmp_path / "g.npz").exists()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"frontend": "asst"}, RegistryError, "did you mean 'ast'"),
        ({"options": {"secnods": 1}}, SpecError, "did you mean 'seconds'"),
        ({"options": {"seconds": -1}}, SpecError, "seconds is -1"),
        ({"options": {"seconds": "long"}}, SpecError, "seconds is 'long'"),
        ({"plugins": ["none.py"]}, SpecError, r"none\.py"),
    ],
)
def test_what_no_front_end_can_do_is_refused_before_data_are_read(tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        features.prepare_features(data=str(tmp_path / "nowhere"), cache=tmp_path, **changes)
    with pytest.raises(error, match=said):
        features.write_recording_features("x", tmp_path / "f.npz", data=str(tmp_path / "nowhere"), **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_is_not_there_is_refused_with_the_nearest(whole, tmp_path):
    name = next(iter(NAMES))
    with pytest.raises(DataError, match="There is no recording") as caught:
        features.write_recording_features(name[:-1], tmp_path / "f.npz", data=str(whole))
    assert caught.value.hint == f"Did you mean {name}?"
    with pytest.raises(DataError) as caught:
        features.write_recording_features("zzz", tmp_path / "f.npz", data=str(whole))
    assert "WAV file with its annotation beside it" in caught.value.hint
    with pytest.raises(DataError, match="There is no WAV file"):
        features.write_recording_features("zzz.wav", tmp_path / "f.npz", data=str(whole))


def test_a_recording_without_its_annotation_is_told(tmp_path):
    soundfile.write(tmp_path / "alone.wav", np.zeros(8000), 4000)
    with pytest.raises(DataError, match="There is no annotation file"):
        features.write_recording_features(str(tmp_path / "alone.wav"), tmp_path / "f.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["alone.wav"]


def test_a_file_that_cannot_be_written_is_told(whole, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BenchError, match="file"):
        features.write_recording_features(
            next(iter(NAMES)), tmp_path / "file" / "f.npz", options={"seconds": 1.0}, data=str(whole)
        )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_front_end_of_ones_own_makes_features(whole, tmp_path):
    plugin = write_plugin(tmp_path / "flat.py", FRONTEND.replace("LEVEL", "0.5"))
    with fresh_registries():
        done = features.write_recording_features(
            next(iter(NAMES)), tmp_path / "f.npz", "flat", {"frames": 7}, data=str(whole), plugins=[plugin]
        )
    assert (done.sizes.to_json()["frames"], done.sizes.to_json()["mels"]) == (7, 16)
    with np.load(tmp_path / "f.npz") as found:
        assert np.unique(found["features"]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("shape", "frames", "mels"), [([100, 64], 100, 64), ([2, 100, 64], 100, 64), ([500], None, None), ([], None, None)]
)
def test_sizes_name_frames_and_mels_where_a_row_is_a_picture(shape, frames, mels):
    document = features.FeatureSizes(3, 4, shape).to_json()
    assert document == {"cycles": 3, "rows": 4, "shape": shape, "frames": frames, "mels": mels}
