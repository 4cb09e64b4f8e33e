"""Predictions for new recordings: equal to the run's own, whatever the run is and wherever its folder lies."""

import json
import logging
import re
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_data import write_small_data
from small_runs import SETTINGS, small_run

import bench
from bench.api import heard_recordings
from bench.core.errors import SpecError, WeightsError
from bench.engine import trained
from leaderboard.results.combinations import POOLINGS

NEAR = 1e-5


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("predict") / "data", devices=("Meditron", "AKGC417L"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(data, home, small_cache):
    return small_run(data, small_cache, home, epochs=2)


@pytest.fixture(scope="module")
def other(data, home, small_cache):
    return small_run(data, small_cache, home, seed=2)


@pytest.fixture(scope="module")
def loud(data, home, small_cache):
    """A run whose front-end normalises by the batch."""
    return small_run(data, small_cache, home, frontend="scl", settings={**SETTINGS, "frontend.normalise": "batch"})


@pytest.fixture
def predict(home, small_cache):
    def made(what, paths, **words):
        return bench.predict(what, paths, **{"home": home, "cache": small_cache, "device": "cpu", **words})

    return made


def scores_of(found):
    return {
        (recording.recording, cycle.cycle): list(cycle.scores.values())
        for recording in found
        for cycle in recording.cycles
    }


def stored(predictions):
    return dict(zip(predictions.keys, predictions.scores.tolist(), strict=True))


def difference(found, wanted):
    return max(np.abs(np.array(found[key]) - np.array(scores)).max() for key, scores in wanted.items())


# --- equal scores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [None, 3])
def test_scores_are_those_that_the_run_stored(run, data, predict, batch):
    found = predict(run.id[:6], data, batch=batch)
    assert difference(scores_of(found), stored(run.predictions["last"])) < NEAR
    assert (found.cycles, found.skipped) == (36, [])
    assert found.cycles_per_second > 0


def test_each_selection_rule_has_its_weights(run, data, predict):
    found = scores_of(predict(f"{run.id}:best-test", data))
    assert difference(found, stored(run.predictions["best-test"])) < NEAR


def test_a_folder_that_was_copied_elsewhere_is_opened_without_the_data_of_the_run(run, data, predict, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "spec.json"
    document = json.loads(path.read_text())
    document["execution"]["data"] = "/nowhere"
    path.write_text(json.dumps(document))
    found = scores_of(predict(tmp_path / "copy", data, home=tmp_path / "none"))
    assert difference(found, stored(run.predictions["last"])) < NEAR


@pytest.mark.icbhi
def test_real_recordings_are_scored_as_the_run_scored_them(icbhi_folder, small_cache, tmp_path):
    folder = real_subset(icbhi_folder, tmp_path / "data")
    run = small_run(folder, small_cache, tmp_path, allow_partial=True, pretrain="none")
    found = bench.predict(run, folder, home=tmp_path, cache=small_cache, device="cpu")
    assert difference(scores_of(found), stored(run.predictions["last"])) < NEAR
    assert found.runs[0]["partial"].startswith("partial (")
    assert [notice for notice in found.notices if "a part of its data alone: partial (" in notice]


def real_subset(icbhi: Path, folder: Path, each: int = 3) -> Path:
    """A few recordings of each part of the real set, as links."""
    folder.mkdir()
    for path in icbhi.glob("*.txt"):
        (folder / path.name).symlink_to(path)
    split = dict(line.split() for line in (icbhi / "ICBHI_challenge_train_test.txt").read_text().splitlines())
    here = {path.stem: path for path in sorted(icbhi.rglob("*.wav"))}
    for part in ("train", "test"):
        for name in [name for name in here if split.get(name) == part and labels(here[name]) > 1][:each]:
            for path in (here[name], here[name].with_suffix(".txt")):
                (folder / path.name).symlink_to(path)
    return folder


def labels(audio: Path) -> int:
    """How many of normal and abnormal a recording holds."""
    lines = audio.with_suffix(".txt").read_text().split("\n")
    return len({line.split()[2:] == ["0", "0"] for line in lines if line.strip()})


# --- several runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", POOLINGS)
def test_several_runs_are_combined_as_an_ensemble_is(run, other, data, predict, home, combine):
    ensemble = bench.ensemble([run, other], combine, home=home, dry_run=True)
    found = predict([run, other.id], data, combine=combine)
    assert difference(scores_of(found), stored(ensemble.predictions["last"])) < NEAR
    assert [one["run_id"] for one in found.runs] == [run.id, other.id]


def test_a_stored_ensemble_stands_for_its_parts_and_needs_their_folders(run, other, data, predict, home, tmp_path):
    ensemble = bench.ensemble([run, other], "product", home=home)
    assert difference(scores_of(predict(ensemble.id, data)), stored(ensemble.predictions["last"])) < NEAR
    shutil.copytree(ensemble.folder, tmp_path / "alone" / ensemble.id)
    with pytest.raises(SpecError, match=r"its part [0-9a-f]{16} is not in .*alone"):
        predict(tmp_path / "alone" / ensemble.id, data)
    with pytest.raises(SpecError, match="no weights of 'stage-1'"):
        predict(f"{ensemble.id}:stage-1", data)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"what": []}, "No run is named"),
        ({"what": "ffff"}, "There is no run 'ffff'"),
        ({"paths": []}, "No sound file is named"),
        ({"combine": "median"}, "Unknown combination 'median'"),
        ({"combine": "product"}, "nothing to combine by product"),
        ({"cycles": "annotations", "window": 4}, "--window and --hop are of windows"),
        ({"precision": "fp8"}, "Unknown precision 'fp8'"),
        ({"channel": "left"}, "channel is 'left'"),
        ({"channel": 0}, "channel is '0'"),
        ({"batch": 0}, "batch is 0"),
        ({"hop": 9.0}, "between two windows"),
        ({"cycles": "breaths"}, "cycles is 'breaths'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(run, data, predict, words, message):
    with pytest.raises(SpecError, match=message):
        predict(**{"what": run, "paths": data, **words})


def test_runs_that_cannot_be_combined_are_refused(run, predict, data):
    with pytest.raises(SpecError, match="named twice"):
        predict([run, run.id[:8]], data)


def test_weights_of_another_run_are_refused(run, other, predict, data, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    shutil.copy(other.folder / "weights" / "last.safetensors", tmp_path / "copy" / "weights" / "last.safetensors")
    with pytest.raises(WeightsError, match="are of run_id"):
        predict(tmp_path / "copy", data)


def test_the_spec_of_another_run_is_refused(run, other, predict, data, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    shutil.copy(other.folder / "spec.json", tmp_path / "copy" / "spec.json")
    with pytest.raises(SpecError, match=f"is the spec of run {other.id}, but the result beside it is that of {run.id}"):
        predict(tmp_path / "copy", data)


# --- normalisation by the batch ---------------------------------------------------------------------------------


def test_a_run_that_normalises_by_the_batch_says_what_it_does_instead(loud, data, predict):
    found = predict(loud, data)
    assert found.runs[0]["normalised_by"] == "training batches"
    assert [notice for notice in found.notices if "by the extremes of a usual batch of its training" in notice]
    alone = scores_of(predict(loud, next(data.rglob("201*.wav"))))
    together = scores_of(found)
    # In whatever company.
    assert all(scores == pytest.approx(together[key], abs=NEAR) for key, scores in alone.items())


def test_an_older_run_that_kept_no_extremes_takes_those_of_each_recording(loud, data, predict, tmp_path):
    shutil.copytree(loud.folder, tmp_path / "older")
    path = tmp_path / "older" / "result.json"
    document = json.loads(path.read_text())
    low, high = document["provenance"].pop("batch_extremes")
    assert low < high
    path.write_text(json.dumps(document))
    found = predict(tmp_path / "older", data)
    assert found.runs[0]["normalised_by"] == "recording"
    assert [notice for notice in found.notices if "each recording's own cycles" in notice]
    assert len(scores_of(found)) == 36


# --- one file after the other -----------------------------------------------------------------------------------


@pytest.fixture
def sounds(tmp_path):
    """A folder with good files, and one of each kind of bad ones between them."""
    rng = np.random.default_rng(0)
    for name, rate in (("a", 4000), ("m", 44100), ("z", 16000)):
        soundfile.write(tmp_path / f"{name}.wav", rng.uniform(-0.5, 0.5, rate * 2), rate)
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 4000)
    soundfile.write(tmp_path / "stereo.flac", rng.uniform(-0.5, 0.5, (8000, 2)), 4000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    shutil.copy(tmp_path / "a.wav", tmp_path / "odd.wav")
    (tmp_path / "odd.txt").write_text("0 1 0 0\nhello\n")
    return tmp_path


BAD = {
    "broken.wav": "is no sound file",
    "odd.wav": "odd.txt:2: 1 fields",
    "silent.wav": "is silent: all of its samples are 0",
    "stereo.flac": "has 2 channels, and they are not mixed",
}


def test_bad_files_are_named_and_the_others_done(run, sounds, predict, caplog):
    told = []
    found = predict(run, sounds, window=1.0, on_progress=lambda done, total: told.append((done, total)))
    with caplog.at_level(logging.WARNING, "bench"):
        recordings = list(found)
    assert [Path(recording.file).name for recording in recordings] == ["a.wav", "m.wav", "z.wav"]
    assert {Path(skipped.file).name for skipped in found.skipped} == set(BAD)
    for skipped in found.skipped:
        assert BAD[Path(skipped.file).name] in skipped.error.message
        assert skipped.error.message in caplog.text
    assert told[-1] == (7, 7)
    assert len(list(found)) == 3  # anew
    assert len(found.skipped) == 4


@pytest.mark.parametrize(("channel", "heard"), [("1", [1]), (2, [2]), ("all", [1, 2])])
def test_a_channel_is_heard_by_itself(run, sounds, predict, channel, heard):
    found = list(predict(run, sounds / "stereo.flac", channel=channel, window=1.0))
    assert [recording.channel for recording in found] == heard
    samples, rate = soundfile.read(sounds / "stereo.flac")
    for recording in found:
        soundfile.write(sounds / "alone.flac", samples[:, recording.channel - 1], rate)
        (alone,) = predict(run, sounds / "alone.flac", window=1.0)
        assert recording.cycles == alone.cycles


def test_a_channel_that_is_not_there_is_told(run, sounds, predict):
    found = predict(run, [sounds / "stereo.flac", sounds / "a.wav"], channel=3)
    assert not list(found)
    assert [skipped.error.message.partition(" has ")[2] for skipped in found.skipped] == [
        "2 channels, but --channel is 3.",
        "1 channel, but --channel is 3.",
    ]


def test_a_long_recording_is_classified_in_pieces_with_equal_scores(run, sounds, predict, monkeypatch):
    whole = scores_of(predict(run, sounds / "m.wav", window=0.5, hop=0.1))
    monkeypatch.setattr(trained, "MOST_CYCLES", 3)
    pieces = scores_of(predict(run, sounds / "m.wav", window=0.5, hop=0.1))
    assert difference(pieces, whole) < NEAR
    assert len(whole) == 16


def test_no_more_than_a_batch_of_recordings_is_in_memory(run, sounds, predict, monkeypatch):
    """Of 60 files, however slowly they are asked for."""
    for number in range(60):
        shutil.copy(sounds / "a.wav", sounds / f"copy{number}.wav")
    seen, most = [], []
    read = heard_recordings.read_sound

    def counted(path):
        sound = read(path)
        seen.append(weakref.ref(sound.waves))
        most.append(sum(one() is not None for one in seen))
        return sound

    monkeypatch.setattr(heard_recordings, "read_sound", counted)
    found = predict(run, f"{sounds}/copy*.wav", window=1.0, batch=12)
    assert sum(len(recording.cycles) for recording in found) == 180
    # Three windows of each: four files fill a batch, and one more is being read.
    assert max(most) <= 6


def test_rows_and_frames_are_flat(run, data, predict):
    found = predict(run, data)
    row = next(found.rows())
    assert list(row) == ["file", "recording", "channel", "cycle", "start", "end", "label", "predicted", *found.classes]
    frame = found.frame()
    assert list(frame["label"][:4]) == ["normal", "crackle", "wheeze", "both"]
    assert frame.shape == (36, 12)
    assert repr(found) == f"<Predictions of 9 files by {run.id}:last>"


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "predict.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs(run, sounds, home, small_cache, tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "ward").mkdir()
    shutil.copy(sounds / "m.wav", tmp_path / "ward")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(home))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    names = {}
    exec(compile(block.replace("3f2a", run.id), "docs/predict.md", "exec"), names)
    assert capsys.readouterr().out.startswith("ward/m.wav [(0.0, '")
    assert len(names["frame"]) == 1
