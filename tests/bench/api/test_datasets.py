"""The data by the API: counted, described, checked, and turned into features."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from icbhi_sets import CYCLES, NAMES, RATES, write_annotation, write_set

from bench.api import datasets, features
from bench.core.errors import DataError, SpecError, StoreError
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
    assert (report.ok, report.sound, report.partial, report.name) == (True, True, None, "demo")
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


@pytest.mark.parametrize("call", [datasets.verify_data, datasets.describe_data, features.prepare_features])
def test_a_folder_without_data_is_told(tmp_path, call):
    words = {} if call is not features.prepare_features else {"frontend": "ast"}
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
    with pytest.raises(DataError, match="1 of 5 recordings is missing") as caught:
        features.prepare_features(data=str(data), cache=tmp_path, options={"seconds": 1.0}, workers=1)
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
