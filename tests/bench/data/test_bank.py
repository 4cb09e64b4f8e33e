"""The feature bank: right rows, one computation, and nothing half-written however it ends."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from small_recordings import files_below, make_dataset
from speeds import limit

from bench.core import files
from bench.core.errors import DataError, RunError, SpecError, StoreError, UnexpectedError
from bench.data import bank as bank_module
from bench.data import bank_folder
from bench.data.bank import prepare_bank, recording_features
from bench.data.bank_folder import one_thread
from bench.data.dataset import Cycle, Dataset, Recording
from bench.data.datasets.icbhi.card import CARD as ICBHI
from bench.data.frontends import FRONTENDS
from bench.data.frontends.ast import ASTFrontEnd
from bench.data.samples import read_samples

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = {"seconds": 1.0}


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def forbid_computation(monkeypatch):
    def refuse(*_):
        raise AssertionError("features were computed again")

    monkeypatch.setattr(bank_module, "_compute_features", refuse)


def test_rows_are_the_features_of_the_cycles_in_order(dataset, cache):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    assert bank.features.shape == (14, 98, 128)
    assert bank.features.dtype == np.float32
    assert bank.cycles == dataset.cycles
    assert bank.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 0, 1, 2, 3, 0]
    assert bank.labels.dtype == np.int64
    expected = torch.cat([recording_features(recording, "ast", OPTIONS)[0] for recording in dataset.recordings])
    np.testing.assert_array_equal(bank.features, expected)


def test_features_of_a_recording_read_the_file_as_soundfile_does(dataset):
    recording = dataset.recordings[2]
    wave, rate = soundfile.read(recording.audio, dtype="float32")
    spans = [(cycle.start, cycle.end) for cycle in recording.cycles]
    with one_thread():
        expected = ASTFrontEnd().features(torch.from_numpy(wave), rate, spans)
    assert torch.equal(recording_features(recording, "ast", {})[0], expected)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_samples_equal_soundfile(tmp_path, subtype):
    path = tmp_path / "x.wav"
    values = np.concatenate([[-1.0, 1.0, 0.0], np.random.default_rng(0).uniform(-1, 1, 70_000)])
    soundfile.write(path, values, 10000, subtype=subtype)
    got, rate = read_samples(path)
    assert rate == 10000
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, soundfile.read(path, dtype="float32")[0])


def test_the_second_time_nothing_is_computed(dataset, cache, monkeypatch):
    first = np.array(prepare_bank(dataset, "ast", OPTIONS, cache).features)
    forbid_computation(monkeypatch)
    steps = []
    again = prepare_bank(dataset, "ast", OPTIONS, cache, on_progress=lambda *step: steps.append(step))
    np.testing.assert_array_equal(again.features, first)
    assert steps == []


def test_progress_counts_recordings(dataset, cache):
    steps = []
    prepare_bank(dataset, "ast", OPTIONS, cache, on_progress=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_defaults_spelled_out_are_the_same_bank(dataset, cache, monkeypatch):
    bank = prepare_bank(dataset, "ast", {"seconds": 1.0}, cache)
    forbid_computation(monkeypatch)
    again = prepare_bank(dataset, "ast", {"seconds": "1", "fade": "recording", "normalise": "2std"}, cache)
    assert again.path == bank.path


def test_data_options_and_version_each_make_a_new_bank(dataset, cache, monkeypatch):
    paths = {prepare_bank(dataset, "ast", OPTIONS, cache).path}
    paths.add(prepare_bank(replace(dataset, fingerprint="e" * 64), "ast", OPTIONS, cache).path)
    paths.add(prepare_bank(dataset, "ast", {**OPTIONS, "fade": "cycle"}, cache).path)
    paths.add(prepare_bank(dataset, "ast", {**OPTIONS, "normalise": "std"}, cache).path)
    newer = replace(FRONTENDS.card("ast"), version=FRONTENDS.card("ast").version + 1)
    monkeypatch.setattr(FRONTENDS, "card", lambda _: newer)
    paths.add(prepare_bank(dataset, "ast", OPTIONS, cache).path)
    assert len(paths) == 5


def cut_short(path):
    os.truncate(path, path.stat().st_size - 1)


def other_shape(path):
    np.save(path, np.zeros((13, 98, 128), np.float32))


def other_type(path):
    np.save(path, np.zeros((14, 98, 128), np.float64))


def archive(path):
    with path.open("wb") as stream:
        np.savez(stream, a=np.zeros(3))


@pytest.mark.parametrize(
    "damage",
    [
        cut_short,
        other_shape,
        other_type,
        archive,
        lambda path: path.write_bytes(b"no array"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.unlink(),
        lambda path: path.with_name("bank.json").unlink(),
        lambda path: path.with_name("bank.json").write_text("{"),
        lambda path: path.with_name("bank.json").write_text('{"format": 0}'),
    ],
)
def test_a_damaged_bank_is_made_again(dataset, cache, damage):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    expected, path = np.array(bank.features), bank.path
    del bank
    damage(path)
    np.testing.assert_array_equal(prepare_bank(dataset, "ast", OPTIONS, cache).features, expected)
    assert files_below(cache) == ["bank.json", "features.npy", "lock"]


def test_what_a_killed_process_left_is_cleaned(dataset, cache):
    path = prepare_bank(dataset, "ast", OPTIONS, cache).path
    path.unlink()
    path.with_name(".features.npy.abc123.tmp").write_bytes(b"half")
    prepare_bank(dataset, "ast", OPTIONS, cache)
    assert files_below(cache) == ["bank.json", "features.npy", "lock"]


UNFINISHED = ["done.jsonl", "features.npy.part", "lock"]


def assert_goes_on(dataset, cache):
    """What was computed before a preparation was stopped is not computed again, and the bank is that of one go."""
    assert files_below(cache) == UNFINISHED
    steps = []
    bank = prepare_bank(dataset, "ast", OPTIONS, cache, on_progress=lambda *step: steps.append(step))
    assert 1 < steps[0][0] <= 4
    assert steps[-1] == (4, 4)
    alone = [recording_features(recording, "ast", OPTIONS)[0] for recording in dataset.recordings]
    np.testing.assert_array_equal(bank.features, np.concatenate(alone))
    assert files_below(cache) == ["bank.json", "features.npy", "lock"]


PROGRAM = """
import os, signal, sys
from pathlib import Path

from bench.data import bank
from small_recordings import make_dataset
from test_bank import OPTIONS


def step(done, total):
    print("step", done, flush=True)
    if end == "killed" and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    data, cache, end, workers = sys.argv[1:]
    bank.prepare_bank(
        make_dataset(Path(data)), "ast", OPTIONS, Path(cache), workers=int(workers), on_progress=step
    )
    print("ready", flush=True)
"""


def start_process(tmp_path, cache, *, data="data", end="finishes", workers=1):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support"), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / data), str(cache), end, str(workers)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )


@pytest.mark.slow
def test_after_a_kill_in_the_middle_the_bank_goes_on(dataset, tmp_path, cache):
    process = start_process(tmp_path, cache, end="killed")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert output.split() == ["step", "1", "step", "2"]
    assert files_below(cache) == UNFINISHED
    steps = []
    bank = prepare_bank(dataset, "ast", OPTIONS, cache, on_progress=lambda *step: steps.append(step))
    assert steps == [(3, 4), (4, 4)]
    np.testing.assert_array_equal(bank.features[:4], recording_features(dataset.recordings[0], "ast", OPTIONS)[0])
    assert files_below(cache) == ["bank.json", "features.npy", "lock"]


@pytest.mark.slow
def test_of_two_processes_at_once_one_computes(dataset, tmp_path, cache):
    processes = [start_process(tmp_path, cache, data=name) for name in ("one", "two")]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(output.count("step") for output in outputs) == [0, 4]
    assert all("ready" in output for output in outputs)
    assert files_below(cache) == ["bank.json", "features.npy", "lock"]


@pytest.mark.parametrize("workers", [2, 3, 9])
def test_workers_side_by_side_give_the_same_bank(dataset, cache, tmp_path, workers):
    steps = []
    shared = prepare_bank(dataset, "ast", OPTIONS, cache, workers=workers, on_progress=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    alone = prepare_bank(dataset, "ast", OPTIONS, tmp_path / "other", workers=1)
    np.testing.assert_array_equal(shared.features, alone.features)
    assert multiprocessing.active_children() == []


def test_recordings_are_computed_at_the_same_time(dataset, cache, monkeypatch):
    meeting, fill = multiprocessing.get_context("fork").Barrier(2, timeout=60), bank_module._compute_and_write

    def meet_and_fill(*job):
        meeting.wait()
        return fill(*job)

    monkeypatch.setattr(bank_module, "_compute_and_write", meet_and_fill)
    assert len(prepare_bank(dataset, "ast", OPTIONS, cache, workers=2).features) == 14


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_helper_is_a_run_error_and_the_bank_goes_on(dataset, cache, monkeypatch, workers):
    parent, fill = os.getpid(), bank_module._compute_and_write

    def die_at_the_third(job, *rest):
        assert os.getpid() != parent
        if job.recording.name.startswith("103"):
            os.kill(os.getpid(), signal.SIGKILL)
        return fill(job, *rest)

    monkeypatch.setattr(bank_module, "_compute_and_write", die_at_the_third)
    with pytest.raises(RunError, match=r"computed features was killed \(SIGKILL\)"):
        prepare_bank(dataset, "ast", OPTIONS, cache, workers=workers)
    assert multiprocessing.active_children() == []
    monkeypatch.setattr(bank_module, "_compute_and_write", fill)
    assert_goes_on(dataset, cache)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_is_the_parents_to_answer(dataset, cache, monkeypatch, number):
    fill = bank_module._compute_and_write

    def hear_it_and_fill(*job):
        os.kill(os.getpid(), number)
        return fill(*job)

    monkeypatch.setattr(bank_module, "_compute_and_write", hear_it_and_fill)
    assert len(prepare_bank(dataset, "ast", OPTIONS, cache, workers=2).features) == 14


def interrupt(done, total):
    raise KeyboardInterrupt


def test_an_interruption_ends_the_workers_and_the_bank_goes_on(dataset, cache):
    with pytest.raises(KeyboardInterrupt):
        prepare_bank(dataset, "ast", OPTIONS, cache, workers=2, on_progress=interrupt)
    assert multiprocessing.active_children() == []
    assert_goes_on(dataset, cache)


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: os.truncate(part, 500),
        lambda part: part.unlink(),
        lambda part: part.write_bytes(bytes(part.stat().st_size)),
        lambda part: part.with_name("done.jsonl").write_text('[0, {"": [1, 2, 3, 4]}]\n[9, {}]\nnonsense\n[1, {"": [1'),
        lambda part: part.with_name("done.jsonl").unlink(),
    ],
)
def test_what_was_lost_of_an_unfinished_bank_is_computed_again(dataset, cache, tmp_path, damage):
    with pytest.raises(KeyboardInterrupt):
        prepare_bank(dataset, "ast", OPTIONS, cache, workers=1, on_progress=interrupt)
    damage(next(cache.rglob("*.part")))
    steps = []
    bank = prepare_bank(dataset, "ast", OPTIONS, cache, on_progress=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    np.testing.assert_array_equal(bank.features, prepare_bank(dataset, "ast", OPTIONS, tmp_path / "other").features)
    assert files_below(cache) == ["bank.json", "features.npy", "lock"]


def test_an_unfinished_bank_that_nobody_asked_for_for_long_is_given_up(dataset, cache):
    with pytest.raises(KeyboardInterrupt):
        prepare_bank(dataset, "ast", OPTIONS, cache, on_progress=interrupt)
    begun = [*cache.rglob("*.part"), *cache.rglob("done.jsonl")]
    assert len(begun) == 2
    prepare_bank(dataset, "ast", {"seconds": 0.6}, cache)
    assert all(path.exists() for path in begun)
    for path in begun:
        os.utime(path, (0, 0))
    prepare_bank(dataset, "ast", {"seconds": 0.6}, cache)
    assert not any(path.exists() for path in begun)


def overwrite(path):
    """Other numbers in the last row, and the times of before."""
    times = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-8, os.SEEK_END)
        stream.write(np.array([1.5, 2.5], "<f4").tobytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def other_checksums(path):
    description = path.with_name("bank.json")
    document = json.loads(description.read_text())
    description.write_text(json.dumps({**document, "checksums": [1] * 14}))


@pytest.mark.parametrize("damage", [overwrite, other_checksums])
def test_a_row_that_is_not_what_was_written_is_refused_and_the_bank_made_anew(dataset, cache, damage):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    expected = np.array(bank.features)
    damage(bank.path)
    changed = prepare_bank(dataset, "ast", OPTIONS, cache)
    with pytest.raises(RunError, match=r"features\.npy is not what was written \(row") as caught:
        changed.features[np.array([13])]
    assert caught.value.hint == "Run the command again: the bank is made anew."
    np.testing.assert_array_equal(prepare_bank(dataset, "ast", OPTIONS, cache).features, expected)


def test_a_bank_that_is_written_to_while_it_is_used_is_compared_again(dataset, cache):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    kept = bank.features[13]
    with bank.path.open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(b"\0\0\0\0")
    os.utime(bank.path, ns=(7, 7))
    np.testing.assert_array_equal(bank.features[12], bank.features[np.array([12])][0])
    with pytest.raises(RunError, match="row 13"):
        bank.features[13]
    assert kept[-1, -1] != 0


def test_a_bank_that_is_cut_short_while_it_is_used_is_a_run_error(dataset, cache):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    os.truncate(bank.path, bank.path.stat().st_size // 2)
    with pytest.raises(RunError, match=r"features\.npy was cut short while it was used") as caught:
        bank.features[:]
    assert "the bank is made anew" in caught.value.hint
    assert prepare_bank(dataset, "ast", OPTIONS, cache).features[13].shape == (98, 128)


def test_a_damaged_bank_whose_folder_cannot_be_written_says_what_to_delete(dataset, cache, monkeypatch):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    os.truncate(bank.path, 200)

    def refuse(path):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunError) as caught:
        bank.features[0]
    assert caught.value.hint.startswith(f"Delete the folder {bank.path.parent} and run")


def test_a_disk_that_fails_is_a_run_error(dataset, cache, monkeypatch):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(RunError, match=r"cannot be read: Input/output error"):
        bank.features[0]
    assert bank.path.with_name("bank.json").exists()


def test_an_open_bank_stays_what_it_was_when_another_takes_its_name(dataset, cache):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    expected = np.array(bank.features)
    np.save(bank.path.with_name("other.npy"), np.zeros((14, 98, 128), np.float32))
    bank.path.with_name("other.npy").replace(bank.path)
    np.testing.assert_array_equal(bank.features, expected)


def test_rows_are_given_as_an_array_would_give_them(dataset, cache):
    rows = prepare_bank(dataset, "ast", OPTIONS, cache).features
    whole = np.array(rows)
    for key in (3, -1, slice(2, 9, 3), [4, 4, 0], np.array([True] * 7 + [False] * 7), np.array([], dtype=int)):
        np.testing.assert_array_equal(rows[key], whole[key])
    np.testing.assert_array_equal(np.stack(list(rows)), whole)
    with pytest.raises(IndexError):
        rows[14]


def forget_checksums(path):
    """As the first version left a bank."""
    description = path.with_name("bank.json")
    document = json.loads(description.read_text())
    del document["checksums"]
    description.write_text(json.dumps(document))


def test_a_bank_of_the_first_version_gets_checksums_and_keeps_its_features(dataset, cache, monkeypatch):
    first = prepare_bank(dataset, "ast", OPTIONS, cache)
    expected, description = np.array(first.features), first.path.with_name("bank.json")
    written = json.loads(description.read_text())
    forget_checksums(first.path)
    forbid_computation(monkeypatch)
    np.testing.assert_array_equal(prepare_bank(dataset, "ast", OPTIONS, cache).features, expected)
    assert json.loads(description.read_text()) == written
    assert len(written["checksums"]) == 14


def test_a_bank_of_the_first_version_in_a_cache_that_cannot_be_written_is_used(dataset, cache, monkeypatch):
    first = prepare_bank(dataset, "ast", OPTIONS, cache)
    expected = np.array(first.features)
    forget_checksums(first.path)

    def refuse(*_):
        raise StoreError("Read-only file system")

    monkeypatch.setattr(bank_module, "write_json", refuse)
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    np.testing.assert_array_equal(bank.features, expected)
    assert bank.features.checksums.shape == (14,)


@pytest.mark.parametrize("checksums", [[1] * 13, "x", {"a": 1}, [None] * 14, [-1] * 14, [2**40] * 14, [[1]] * 14])
def test_checksums_that_are_none_mean_a_bank_that_is_made_anew(dataset, cache, checksums):
    bank = prepare_bank(dataset, "ast", OPTIONS, cache)
    expected, description = np.array(bank.features), bank.path.with_name("bank.json")
    document = json.loads(description.read_text())
    description.write_text(json.dumps({**document, "checksums": checksums}))
    np.testing.assert_array_equal(prepare_bank(dataset, "ast", OPTIONS, cache).features, expected)
    assert json.loads(description.read_text()) == document


def test_a_finished_bank_is_opened_without_writing_anything(dataset, cache, monkeypatch):
    prepare_bank(dataset, "ast", OPTIONS, cache)
    for lock in cache.rglob("lock"):
        lock.unlink()
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    forbid_computation(monkeypatch)
    prepare_bank(dataset, "ast", OPTIONS, cache).features[:]
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_what_a_killed_process_left_of_another_bank_is_swept_away(dataset, cache):
    left = files.temporary_name(cache / "features" / "another" / "features.npy")
    left.parent.mkdir(parents=True)
    process = subprocess.Popen(["true"])
    process.wait()
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{process.pid}-"))
    left.write_bytes(b"half")
    prepare_bank(dataset, "ast", OPTIONS, cache)
    assert not left.exists()


@pytest.mark.parametrize("lacking", ["the functions", errno.EOPNOTSUPP, errno.EINVAL])
def test_systems_that_cannot_reserve_space_make_the_same_bank(dataset, cache, tmp_path, monkeypatch, lacking):
    expected = np.array(prepare_bank(dataset, "ast", OPTIONS, tmp_path / "other").features)

    def refuse(*_):
        raise OSError(lacking, os.strerror(lacking))

    for name in ("posix_fallocate", "posix_fadvise"):
        if lacking == "the functions":  # macOS
            monkeypatch.delattr(os, name)
        else:
            monkeypatch.setattr(os, name, refuse)
    np.testing.assert_array_equal(prepare_bank(dataset, "ast", OPTIONS, cache).features, expected)


def test_no_semaphores_are_needed(dataset, cache, monkeypatch):
    """A machine without /dev/shm has none: neither locks nor queues of the standard library's processes."""
    import _multiprocessing

    def none(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(_multiprocessing, "SemLock", none)
    assert len(prepare_bank(dataset, "ast", OPTIONS, cache, workers=2).features) == 14


def test_a_machine_that_starts_no_process_is_named_as_the_cause(dataset, cache, monkeypatch):
    def refuse():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(RunError, match="No helper process can be started: Resource temporarily unavailable"):
        prepare_bank(dataset, "ast", OPTIONS, cache, workers=2)
    assert files_below(cache) == ["lock"]


class OddError(Exception):
    """An error that pickle cannot make again, whatever a library has taught it about errors."""

    def __init__(self, what, where):
        super().__init__()
        self.what = what

    def __reduce__(self):
        raise TypeError("it cannot be pickled")


def test_an_error_that_cannot_be_pickled_is_told_in_words(dataset, cache, monkeypatch):
    def fail(*_):
        raise OddError("a", "b")

    monkeypatch.setattr(bank_module, "_compute_features", fail)
    with pytest.raises(UnexpectedError, match="OddError"):
        prepare_bank(dataset, "ast", OPTIONS, cache, workers=2)


@pytest.mark.parametrize("reserved", [True, False], ids=["when space is reserved", "while features are written"])
def test_a_full_disk_is_a_store_error_and_leaves_nothing(dataset, cache, monkeypatch, reserved):
    if not reserved:
        monkeypatch.setattr(os, "posix_fallocate", lambda *_: None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"Cannot write .*features\.npy"):
            prepare_bank(dataset, "ast", OPTIONS, cache, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_below(cache) == ["lock"]
    assert prepare_bank(dataset, "ast", OPTIONS, cache).features.shape == (14, 98, 128)


def test_no_space_names_the_reason(dataset, cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match="No space left"):
        prepare_bank(dataset, "ast", OPTIONS, cache)


def test_a_cache_that_is_a_file_is_a_store_error(dataset, cache):
    cache.write_text("in the way")
    with pytest.raises(StoreError, match="Cannot write"):
        prepare_bank(dataset, "ast", OPTIONS, cache)


def stereo(path):
    soundfile.write(path, np.zeros((4000, 2)), 4000)


def floating(path):
    soundfile.write(path, np.zeros(4000), 4000, subtype="DOUBLE")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: path.write_bytes(b"RIFF"), "is no RIFF WAVE file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "of the .* bytes"),
        (stereo, "2 channels"),
        (floating, "64 bits per sample, but one of 32 is needed"),
    ],
)
def test_bad_audio_names_the_file(dataset, cache, damage, message):
    broken = dataset.recordings[1].audio
    damage(broken)
    with pytest.raises(DataError, match=f"{broken.name}.*{message}"):
        prepare_bank(dataset, "ast", OPTIONS, cache)
    assert files_below(cache) == ["lock"]


def test_an_empty_cycle_names_recording_and_cycle(dataset, cache):
    first = dataset.recordings[0]
    beyond = replace(first.cycles[2], start=7.0, end=8.0)
    broken = replace(first, cycles=(*first.cycles[:2], beyond, first.cycles[3]))
    with pytest.raises(DataError, match=r"Cycle 2 of 101_1b1_Al_sc_Meditron \(7\.0 s to 8\.0 s\)"):
        prepare_bank(replace(dataset, recordings=(broken, *dataset.recordings[1:])), "ast", OPTIONS, cache)


@pytest.mark.parametrize("broken", [0, 3])
def test_an_error_beside_other_work_keeps_its_words(dataset, cache, broken):
    dataset.recordings[broken].audio.write_bytes(b"RIFF")
    with pytest.raises(DataError, match=rf"{dataset.recordings[broken].name}\.wav is no RIFF") as caught:
        prepare_bank(dataset, "ast", OPTIONS, cache, workers=2)
    assert "bench data verify" in caught.value.hint
    assert files_below(cache) == ["lock"]


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lambda features: features[1:], r"float32 \(3, 98, 128\)"),
        (lambda features: features.double(), r"float64 \(4, 98, 128\)"),
        (lambda features: features.transpose(1, 2), r"float32 \(4, 128, 98\)"),
    ],
)
def test_a_front_end_that_returns_something_else_is_refused(dataset, cache, monkeypatch, change, made):
    compute = bank_module._compute_features
    monkeypatch.setattr(bank_module, "_compute_features", lambda *job: change(compute(*job)))
    with pytest.raises(SpecError, match=made + r" of 101_.*, not float32 \(4, 98, 128\)"):
        prepare_bank(replace(dataset, recordings=dataset.recordings[:1]), "ast", OPTIONS, cache)
    assert files_below(cache) == ["lock"]


def test_features_that_do_not_lie_in_order_are_written_in_order(dataset, cache, tmp_path, monkeypatch):
    plain = np.array(prepare_bank(dataset, "ast", OPTIONS, tmp_path / "plain").features)
    compute = bank_module._compute_features
    monkeypatch.setattr(
        bank_module, "_compute_features", lambda *job: compute(*job).transpose(1, 2).contiguous().transpose(1, 2)
    )
    np.testing.assert_array_equal(prepare_bank(dataset, "ast", OPTIONS, cache).features, plain)


def test_a_recording_without_audio_is_refused(dataset):
    with pytest.raises(DataError, match=r"101_.* has no audio"):
        recording_features(replace(dataset.recordings[0], audio=None), "ast", {})


def test_a_set_without_cycles_is_refused(dataset, cache):
    empty = tuple(replace(recording, cycles=()) for recording in dataset.recordings)
    with pytest.raises(DataError, match="no annotated cycle"):
        prepare_bank(replace(dataset, recordings=empty), "ast", OPTIONS, cache)


def test_recordings_without_cycles_are_passed_over(dataset, cache):
    recordings = (replace(dataset.recordings[0], cycles=()), *dataset.recordings[1:])
    bank = prepare_bank(replace(dataset, recordings=recordings), "ast", OPTIONS, cache)
    assert len(bank.features) == 10


@pytest.mark.parametrize(("frontend", "options"), [("asst", {}), ("ast", {"second": 8})])
def test_unknown_front_end_or_option_makes_no_folder(dataset, cache, frontend, options):
    with pytest.raises(SpecError, match="did you mean"):
        prepare_bank(dataset, frontend, options, cache)
    assert not cache.exists()


@pytest.mark.perf
def test_a_bank_of_the_full_set_opens_at_once(tmp_path, cache, monkeypatch):
    """6,898 cycles of 798 x 128 in a sparse file: nothing may read it through."""
    names = [f"{number:03d}_1b1_Al_sc_Meditron" for number in range(920)]
    sizes = [8] * 458 + [7] * 462
    recordings = tuple(
        Recording(
            name, name[:3], "1b1", "Al", "sc", "Meditron", "train", tmp_path / "x.wav", tmp_path / "x.txt",
            tuple(Cycle(name, k, float(k), k + 1.0, k % 4) for k in range(size)),
        )
        for name, size in zip(names, sizes, strict=True)
    )  # fmt: skip
    dataset = Dataset(ICBHI, ICBHI.tasks[0], tmp_path, recordings, 920, "a" * 64)
    assert len(dataset.cycles) == 6898
    parts = [{"": [0] * size} for size in sizes]

    def run(*_):
        yield from enumerate(parts)

    monkeypatch.setattr(bank_folder, "share_jobs", run)
    monkeypatch.setattr(os, "posix_fallocate", lambda stream, offset, size: os.truncate(stream, offset + size))
    prepare_bank(dataset, "ast", {}, cache)
    begin = time.perf_counter()
    bank = prepare_bank(dataset, "ast", {}, cache)
    seconds = time.perf_counter() - begin
    assert bank.features.shape == (6898, 798, 128)
    assert len(bank.labels) == 6898
    assert seconds < limit(0.5)
    assert json.loads(bank.path.with_name("bank.json").read_text())["shape"] == [6898, 798, 128]
