"""The simulated set: its layout, its promises about patients, devices and classes, and how it is put on disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import soundfile
from icbhi_sets import load_dataset

from bench.core.errors import SpecError, StoreError
from bench.data.datasets.simulated import demo
from bench.data.sources import FetchableReader, MadeReader, reader_of

SMALL = {"train": 2, "test": 2}
SPLIT = "ICBHI_challenge_train_test.txt"
PINNED_TEXTS = "ccd092c8aef734e2"
PINNED_LEVELS = [0.0111795851, 0.0080352144, 0.0077800336, 0.0075870433]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The complete set of seed 0, as `bench run` without data makes it."""
    return demo.demo_folder(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def small(monkeypatch):
    """Few patients: enough where only the writing is tested."""
    monkeypatch.setattr(demo, "PATIENTS", SMALL)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def recordings(folder: Path) -> list[Path]:
    return sorted((folder / "ICBHI_final_database").glob("*.wav"))


def annotation(audio: Path) -> list[list[str]]:
    return [line.split("\t") for line in audio.with_suffix(".txt").read_text().splitlines()]


def sides(folder: Path) -> dict[str, str]:
    return dict(line.split("\t") for line in (folder / SPLIT).read_text().splitlines())


def test_the_layout_is_the_official_archives(whole):
    names = [path.stem for path in recordings(whole)]
    assert {path.name for path in whole.iterdir()} == {
        "ICBHI_final_database",
        SPLIT,
        "ICBHI_challenge_diagnosis.txt",
        "ICBHI_challenge_demographic_information.txt",
        "SIMULATED.json",
    }
    assert {len(name) for name in names} == {22}
    assert [path.stem for path in sorted((whole / "ICBHI_final_database").glob("*.txt"))] == names
    assert list(sides(whole)) == names
    marker = json.loads((whole / "SIMULATED.json").read_text())
    assert marker == {"simulated": True, "seed": 0, "recordings": len(names), "version": demo.VERSION}


def test_the_reader_takes_it_for_what_it_is(whole, tmp_path):
    dataset = load_dataset(whole, cache=tmp_path)
    assert (dataset.name, dataset.simulated, dataset.partial) == ("demo", True, None)
    assert dataset.expected == len(dataset.recordings) == len(recordings(whole))
    patients = {recording.patient for recording in dataset.recordings}
    assert set(dataset.diagnosis) == set(dataset.demographics) == patients
    assert len(patients) == sum(demo.PATIENTS.values()) >= 20


def test_parts_share_no_patient_and_every_device_is_in_both(whole):
    split = sides(whole)
    parts = {side: [name for name in split if split[name] == side] for side in ("train", "test")}
    assert not {name[:3] for name in parts["train"]} & {name[:3] for name in parts["test"]}
    devices = {"AKGC417L", "LittC2SE", "Litt3200", "Meditron"}
    assert {name[-8:] for name in parts["train"]} == devices == {name[-8:] for name in parts["test"]}
    assert 0.55 < len(parts["train"]) / len(split) < 0.68


def test_no_simulated_patient_has_a_real_patients_number(whole):
    assert all(int(path.stem[:3]) > 226 for path in recordings(whole))


def test_rates_and_bits_are_the_devices_own(whole):
    expected = {"AKGC417L": (44100, "PCM_16"), "LittC2SE": (44100, "PCM_24"), "Litt3200": (4000, "PCM_16")}
    expected["Meditron"] = (10000, "PCM_16")
    for path in recordings(whole):
        info = soundfile.info(path)
        assert (info.samplerate, info.subtype) == expected[path.stem[-8:]], path.name
        assert info.channels == 1


def test_classes_are_as_imbalanced_as_icbhis(whole):
    split, counts = sides(whole), {"train": Counter(), "test": Counter()}
    for path in recordings(whole):
        counts[split[path.stem]].update((crackle, wheeze) for _, _, crackle, wheeze in annotation(path))
    assert 780 <= counts["train"].total() <= 880
    assert 400 <= counts["test"].total() <= 550
    for part in counts.values():
        order = (("0", "0"), ("1", "0"), ("0", "1"), ("1", "1"))
        shares = [part[flags] / part.total() for flags in order]
        assert shares == pytest.approx(demo.CLASS_SHARES, abs=0.002)


def test_cycles_follow_each_other_inside_the_recording(whole):
    lengths = []
    for path in recordings(whole):
        lines = [(float(start), float(end)) for start, end, _, _ in annotation(path)]
        assert len(lines) == demo.CYCLES_PER_RECORDING
        assert all(end == start for (_, end), (start, _) in itertools.pairwise(lines))
        assert lines[0][0] > 0
        assert lines[-1][1] < soundfile.info(path).duration
        lengths += [end - start for start, end in lines]
    usual = sum(1.5 <= length <= 4.0 for length in lengths)
    assert usual > 0.95 * len(lengths)
    assert 0.99 < min(lengths) < 1.5
    assert 4.0 < max(lengths) < 5.01


@pytest.mark.parametrize("device", ["AKGC417L", "LittC2SE", "Litt3200", "Meditron"])
def test_sound_is_there_and_never_clipped(whole, device):
    path = next(path for path in recordings(whole) if path.stem.endswith(device))
    wave, _ = soundfile.read(path)
    assert 0.003 < (wave**2).mean() ** 0.5 < 0.1
    assert abs(wave).max() < 0.9


@pytest.mark.usefixtures("small")
def test_a_seed_is_a_set_bit_by_bit(tmp_path):
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        demo.write_demo(tmp_path / name, seed=seed)
    first, again, other = (hashes(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    same = {name for name in first.keys() & other.keys() if first[name] == other[name]}
    assert not {name for name in same if name.endswith(".wav")}
    assert first[SPLIT] != other[SPLIT]


@pytest.mark.usefixtures("small")
def test_a_version_is_a_set(tmp_path):
    """Fails when a change moves the set: raise demo.VERSION, then pin the new numbers."""
    demo.write_demo(tmp_path / "set", seed=0)
    texts = {name: value for name, value in hashes(tmp_path / "set").items() if name.endswith(".txt")}
    combined = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]
    levels = [(soundfile.read(path)[0] ** 2).mean() ** 0.5 for path in recordings(tmp_path / "set")[::5]]
    assert (demo.VERSION, combined) == (1, PINNED_TEXTS)
    assert levels == pytest.approx(PINNED_LEVELS, rel=1e-6)


@pytest.mark.usefixtures("small")
def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path):
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    file.write_text("mine")
    demo.write_demo(empty)
    assert len(recordings(empty)) > 0
    for target in (full, file, empty):
        before = hashes(tmp_path)
        with pytest.raises(SpecError, match=f"{target.name} is not empty") as caught:
            demo.write_demo(target)
        assert caught.value.exit_code == 2
        assert hashes(tmp_path) == before


@pytest.mark.usefixtures("small")
def test_a_link_to_an_empty_folder_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    demo.write_demo(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(recordings(tmp_path / "real")) > 0


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_that_is_negative_or_too_large_is_refused(tmp_path, seed):
    with pytest.raises(SpecError, match=r"seed is .*, but must be from 0 to 9223372036854775807"):
        demo.write_demo(tmp_path / "set", seed=seed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    write, done = soundfile.write, []

    def write_until_full(path, *arguments, **options):
        if len(done) >= 3:
            raise soundfile.LibsndfileError(2, f"Error opening {path}: ")
        done.append(path)
        write(path, *arguments, **options)

    monkeypatch.setattr(soundfile, "write", write_until_full)
    with pytest.raises(StoreError, match="Cannot write the simulated set") as caught:
        demo.write_demo(tmp_path / "set")
    assert caught.value.exit_code == 4
    assert "Free space" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_target_below_a_file_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="Cannot write the simulated set"):
        demo.write_demo(tmp_path / "file" / "set")


@pytest.mark.usefixtures("small")
def test_progress_counts_to_the_number_of_recordings(tmp_path):
    seen = []
    demo.write_demo(tmp_path / "set", on_progress=lambda done, total: seen.append((done, total)))
    count = len(recordings(tmp_path / "set"))
    assert seen == [(done, count) for done in range(1, count + 1)]


@pytest.mark.usefixtures("small")
def test_the_cached_set_is_made_once(tmp_path):
    folder = demo.demo_folder(tmp_path, 3)
    made = {path: path.stat().st_mtime_ns for path in recordings(folder)}
    assert demo.demo_folder(tmp_path, 3) == folder == tmp_path / f"demo-v{demo.VERSION}-3"
    assert {path: path.stat().st_mtime_ns for path in recordings(folder)} == made


def process(cache: Path, at_fifth: str) -> subprocess.Popen:
    """Ask for the cached set in a process of its own; ``at_fifth`` is what it does after five recordings."""
    program = (
        "import os, pathlib, signal, sys, time\n"
        "from bench.data.datasets.simulated import demo\n"
        f"demo.PATIENTS = {SMALL}\n"
        f"def progress(done, total):\n    if done == 5:\n        {at_fifth}\n"
        "print(demo.demo_folder(pathlib.Path(sys.argv[1]), on_progress=progress))\n"
    )
    root = Path(demo.__file__).resolve().parents[4]
    return subprocess.Popen(
        [sys.executable, "-c", program, str(cache)], env=os.environ | {"PYTHONPATH": str(root)}, stdout=subprocess.PIPE
    )


@pytest.mark.usefixtures("small")
def test_what_a_killed_process_left_is_swept_away(tmp_path):
    assert process(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)").wait(timeout=60) == -9
    folder = tmp_path / f"demo-v{demo.VERSION}-0"
    assert not folder.exists()
    assert len(list(tmp_path.glob(".demo-*.tmp"))) == 1
    assert demo.demo_folder(tmp_path) == folder
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, f"{folder.name}.lock"]
    demo.write_demo(tmp_path / "fresh")
    assert hashes(folder) == hashes(tmp_path / "fresh")


@pytest.mark.usefixtures("small")
def test_what_a_killed_process_left_of_another_set_is_swept_away_too(tmp_path):
    demo.demo_folder(tmp_path, 3)
    before = sorted(tmp_path.iterdir())
    assert process(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)").wait(timeout=60) == -9
    assert len(list(tmp_path.glob(".demo-*.tmp"))) == 1
    demo.demo_folder(tmp_path, 3)
    assert [path for path in sorted(tmp_path.iterdir()) if path.suffix != ".lock"] == [
        path for path in before if path.suffix != ".lock"
    ]


@pytest.mark.usefixtures("small")
def test_the_set_has_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        demo.write_demo(tmp_path / "set")
    finally:
        os.umask(before)
    assert (tmp_path / "set").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "set" / "SIMULATED.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("small")
def test_a_cached_set_is_used_without_writing_anything(tmp_path, monkeypatch):
    folder = demo.demo_folder(tmp_path)
    (tmp_path / f"{folder.name}.lock").unlink()

    def refuse(*_):
        raise AssertionError("a cache that holds the set was locked or written to")

    monkeypatch.setattr(demo, "exclusive_lock", refuse)
    assert demo.demo_folder(tmp_path) == folder
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.usefixtures("small")
def test_two_processes_at_once_get_one_whole_set(tmp_path):
    pair = [process(tmp_path / "cache", "time.sleep(0.5)") for _ in range(2)]
    answers = {each.communicate(timeout=60)[0].decode().strip() for each in pair}
    assert [each.returncode for each in pair] == [0, 0]
    (folder,) = map(Path, answers)
    demo.write_demo(tmp_path / "fresh")
    assert hashes(folder) == hashes(tmp_path / "fresh")
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_the_reader_makes_the_set_once_and_cannot_fetch_it(tmp_path):
    reader = reader_of("demo")
    assert isinstance(reader, MadeReader)
    assert not isinstance(reader, FetchableReader)
    calls = []
    made = tmp_path / "demo-v1-0"
    made.mkdir()
    (made / "SIMULATED.json").write_text("{}")
    assert reader.make(tmp_path, on_progress=lambda *step: calls.append(step)) == made
    assert calls == []
