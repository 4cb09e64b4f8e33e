"""The data by the API: counted, described, checked, and turned into features."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import soundfile
from icbhi_sets import CYCLES, NAMES, RATES, write_annotation, write_set, write_wav
from plugin_files import FRONTEND, fresh_registries, write_plugin

from bench.api import datasets
from bench.core.errors import BenchError, DataError, RegistryError, SpecError, StoreError
from bench.data.datasets.simulated import demo

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


# --- checking -----------------------------------------------------------------------------------------------------


def test_a_sound_set_has_no_fault(whole, tmp_path):
    report = datasets.verify_data(str(whole), cache=tmp_path)
    assert (report.ok, report.runnable, report.partial, report.name) == (True, True, None, "demo")
    assert (report.present, report.expected) == (len(NAMES), len(NAMES))
    assert report.counts == report.annotated
    assert (report.split_official, report.counts_official) == (None, None)


def test_counts_are_those_of_the_files(whole, tmp_path):
    document = datasets.verify_data(str(whole), cache=tmp_path).to_json()["counts"]
    sides = Counter(NAMES.values())
    for side, recordings in sides.items():
        assert document[side]["recordings"] == recordings
        assert document[side]["cycles"] == recordings * len(CYCLES)
        assert set(document[side]["classes"].values()) == {recordings}
        for part in ("devices", "patients"):
            assert sum(one["cycles"] for one in document[side][part].values()) == recordings * len(CYCLES)
    assert document["recordings"] == len(NAMES)
    assert document["patients"] == len({name[:3] for name in NAMES})
    assert document["rates"] == {
        str(rate): n for rate, n in sorted(Counter(RATES[name.split("_")[-1]] for name in NAMES).items())
    }


def test_the_data_of_the_environment_are_checked_where_none_are_named(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(whole))
    assert datasets.verify_data(cache=tmp_path).root == datasets.verify_data(str(whole), cache=tmp_path).root
    assert datasets.describe_data(cache=tmp_path).dataset.root == whole


def test_every_fault_is_named_with_its_file_and_line(data, tmp_path):
    first, second, third = list(NAMES)[:3]
    write_annotation(data / AUDIO / f"{first}.txt", [(0.5, 0.2, 0, 0)])
    write_annotation(data / AUDIO / f"{second}.txt", [(0.1, 0.5, 0, 0), (0.5, 1.0, 2, 0)])
    (data / AUDIO / f"{third}.wav").write_bytes(b"no sound")
    report = datasets.verify_data(str(data), cache=tmp_path)
    assert not report.ok
    found = {(fault.file.rpartition("/")[2], fault.line) for fault in report.faults}
    assert {(f"{first}.txt", 1), (f"{second}.txt", 2)} <= found
    assert f"{third}.wav" in {file for file, _ in found}
    assert json.loads(json.dumps(report.to_json()))["ok"] is False


@pytest.mark.parametrize("call", [datasets.verify_data, datasets.describe_data, datasets.prepare_features])
def test_a_folder_without_data_is_told(tmp_path, call):
    words = {} if call is not datasets.prepare_features else {"frontend": "ast"}
    with pytest.raises(DataError, match="nothing"):
        call(data=str(tmp_path / "nothing"), cache=tmp_path / "cache", **words)


# --- describing ---------------------------------------------------------------------------------------------------


def test_a_description_adds_up(whole, tmp_path):
    document = datasets.describe_data(str(whole), cache=tmp_path).to_json()
    assert document["recordings"] == {"present": 5, "expected": 5}
    assert document["seconds"] == pytest.approx(5 * sum(end - start for start, end, _, _ in CYCLES))
    assert document["counts"]["cycles"] == 5 * len(CYCLES)
    assert document["patients_with_diagnosis"] == document["patients_with_demographics"] == 4
    assert (document["simulated"], document["partial"]) == (True, None)
    assert json.loads(json.dumps(document)) == document


def test_the_fingerprint_is_of_the_content_and_of_no_path(whole, data, tmp_path):
    one = datasets.describe_data(str(whole), cache=tmp_path / "a").to_json()
    other = datasets.describe_data(str(data), cache=tmp_path / "b").to_json()
    assert one["fingerprint"] == other["fingerprint"]
    write_annotation(data / AUDIO / f"{next(iter(NAMES))}.txt", [(0.1, 0.6, 1, 1), *CYCLES[1:]])
    changed = datasets.describe_data(str(data), cache=tmp_path / "b").to_json()
    assert changed["fingerprint"] != one["fingerprint"]


def test_a_part_of_the_set_is_described_as_that(data, tmp_path):
    gone = list(NAMES)[-1]
    for ending in ("wav", "txt"):
        (data / AUDIO / f"{gone}.{ending}").unlink()
    found = datasets.describe_data(str(data), cache=tmp_path)
    assert found.to_json()["recordings"] == {"present": 4, "expected": 5}
    assert found.dataset.partial == "partial (4 of 5)"
    with pytest.raises(DataError, match="1 of 5 recordings are missing") as caught:
        datasets.prepare_features(data=str(data), cache=tmp_path, options={"seconds": 1.0}, workers=1)
    assert "--allow-partial" in caught.value.hint


# --- simulated data -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_demo(monkeypatch):
    """The simulated set with two of its recordings."""
    plan = demo._plan_recordings
    monkeypatch.setattr(demo, "_plan_recordings", lambda seed: plan(seed)[:2])


@pytest.mark.usefixtures("small_demo")
def test_the_simulated_set_is_the_same_for_the_same_seed(tmp_path):
    made = {
        name: datasets.make_simulated_data(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    }
    assert made["a"] == {"folder": str(tmp_path / "a"), "seed": 3, "recordings": 2, "simulated": True}
    content = {name: {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.wav")} for name in made}
    assert content["a"] == content["b"]
    assert list(content["a"].values()) != list(content["c"].values())


@pytest.mark.usefixtures("small_demo")
@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_cannot_be_makes_nothing(tmp_path, seed):
    with pytest.raises(SpecError, match=f"seed is {seed}"):
        datasets.make_simulated_data(tmp_path / "a", seed=seed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_demo")
def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SpecError, match="is not empty"):
        datasets.make_simulated_data(tmp_path)
    with pytest.raises(StoreError):
        datasets.make_simulated_data(tmp_path / "mine" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


# --- features -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(whole, tmp_path_factory):
    cache = tmp_path_factory.mktemp("features")
    return datasets.prepare_features(options={"seconds": 1.0}, data=str(whole), cache=cache, workers=1), cache


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
    again = datasets.prepare_features(options={"seconds": 1.0}, data=str(whole), cache=cache, workers=1)
    assert (again.path, again.sizes) == (found.path, found.sizes)
    assert {path: path.stat().st_mtime_ns for path in found.path.rglob("*") if path.is_file()} == before
    other = datasets.prepare_features(options={"seconds": 0.5}, data=str(whole), cache=cache, workers=1)
    assert other.path != found.path
    assert other.sizes.shape[0] < found.sizes.shape[0]


@pytest.mark.parametrize("name", list(NAMES))
def test_the_features_of_a_recording_have_its_cycles(whole, tmp_path, name):
    out = tmp_path / "deep" / "f.npz"
    done = datasets.write_recording_features(name, out, options={"seconds": 1.0}, data=str(whole), cache=tmp_path)
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
    one = datasets.write_recording_features(path, tmp_path / "a.npz", "scl", {"seconds": 1.0})
    assert (one.recording, one.sizes.cycles) == ("mine_Meditron", len(CYCLES))


def test_twice_the_same_features_to_the_last_digit(whole, tmp_path):
    name = next(iter(NAMES))
    for out in ("a.npz", "b.npz"):
        datasets.write_recording_features(name, tmp_path / out, options={"seconds": 1.0}, data=str(whole))
    one, other = (np.load(tmp_path / out)["features"] for out in ("a.npz", "b.npz"))
    assert one.tobytes() == other.tobytes()


def test_a_cycle_beyond_the_end_is_cut_and_noted(data, tmp_path, caplog):
    name = next(iter(NAMES))
    write_annotation(data / AUDIO / f"{name}.txt", [(1.0, 9.0, 0, 0)])
    with caplog.at_level("INFO", "bench"):
        datasets.write_recording_features(name, tmp_path / "f.npz", options={"seconds": 1.0}, data=str(data))
    assert any("note: " in message and f"{name}.txt:1" in message for message in caplog.messages)
    write_annotation(data / AUDIO / f"{name}.txt", [(5.0, 9.0, 0, 0)])
    with pytest.raises(DataError, match=rf"{name}\.txt:1"):
        datasets.write_recording_features(name, tmp_path / "g.npz", data=str(data))
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
        datasets.prepare_features(data=str(tmp_path / "nowhere"), cache=tmp_path, **changes)
    with pytest.raises(error, match=said):
        datasets.write_recording_features("x", tmp_path / "f.npz", data=str(tmp_path / "nowhere"), **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_is_not_there_is_refused_with_the_nearest(whole, tmp_path):
    name = next(iter(NAMES))
    with pytest.raises(DataError, match="There is no recording") as caught:
        datasets.write_recording_features(name[:-1], tmp_path / "f.npz", data=str(whole))
    assert caught.value.hint == f"Did you mean {name}?"
    with pytest.raises(DataError) as caught:
        datasets.write_recording_features("zzz", tmp_path / "f.npz", data=str(whole))
    assert "WAV file with its .txt beside it" in caught.value.hint
    with pytest.raises(DataError, match="There is no WAV file"):
        datasets.write_recording_features("zzz.wav", tmp_path / "f.npz", data=str(whole))


def test_a_recording_without_its_annotation_is_told(tmp_path):
    soundfile.write(tmp_path / "alone.wav", np.zeros(8000), 4000)
    with pytest.raises(DataError, match="There is no annotation file"):
        datasets.write_recording_features(str(tmp_path / "alone.wav"), tmp_path / "f.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["alone.wav"]


def test_a_file_that_cannot_be_written_is_told(whole, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BenchError, match="file"):
        datasets.write_recording_features(
            next(iter(NAMES)), tmp_path / "file" / "f.npz", options={"seconds": 1.0}, data=str(whole)
        )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_front_end_of_ones_own_makes_features(whole, tmp_path):
    plugin = write_plugin(tmp_path / "flat.py", FRONTEND.replace("LEVEL", "0.5"))
    with fresh_registries():
        done = datasets.write_recording_features(
            next(iter(NAMES)), tmp_path / "f.npz", "flat", {"frames": 7}, data=str(whole), plugins=[plugin]
        )
    assert (done.sizes.to_json()["frames"], done.sizes.to_json()["mels"]) == (7, 16)
    with np.load(tmp_path / "f.npz") as found:
        assert np.unique(found["features"]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("shape", "frames", "mels"), [([100, 64], 100, 64), ([2, 100, 64], 100, 64), ([500], None, None), ([], None, None)]
)
def test_sizes_name_frames_and_mels_where_a_row_is_a_picture(shape, frames, mels):
    document = datasets.FeatureSizes(3, 4, shape).to_json()
    assert document == {"cycles": 3, "rows": 4, "shape": shape, "frames": frames, "mels": mels}
