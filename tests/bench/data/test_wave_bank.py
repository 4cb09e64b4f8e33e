"""The waveform bank: rows of different lengths come back as they were cut, and nothing half-written is left."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_recordings import files_below, make_dataset

from bench.core.errors import DataError, RunError, SpecError, StoreError
from bench.data import wave_bank as module
from bench.data.bank import prepare_bank
from bench.data.bank_folder import read_recording
from bench.data.frontends import FRONTENDS
from bench.data.frontends.ast import ASTFrontEnd
from bench.data.wave_bank import prepare_wave_bank

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = {"seconds": 1.0}
WHOLE = ["bank.json", "lock", "waves.f32"]


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def cut_by_hand(dataset):
    front_end = ASTFrontEnd()
    return [wave for recording in dataset.recordings for wave in front_end.fit(*read_recording(recording))]


def assert_whole(bank, dataset):
    expected = cut_by_hand(dataset)
    units = bank.units(np.arange(len(expected)))
    assert len(bank.waves) == len(expected) == 14
    for found, wave in zip(units.waves(), expected, strict=True):
        assert torch.equal(found, wave)


def test_rows_are_the_waveforms_of_the_cycles_in_order_with_their_devices(dataset, cache):
    bank = prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    assert_whole(bank, dataset)
    assert bank.devices == ("Meditron",) * 4 + ("LittC2SE",) * 3 + ("AKGC417L",) * 2 + ("Meditron",) * 5
    # 3 s in 4 cycles, 2 s in 3, 1.5 s in 2, 2.5 s in 5, at 16 kHz.
    assert sorted(set(bank.waves.lengths.tolist())) == [8000, 10666, 10667, 12000]
    expected = cut_by_hand(dataset)
    picked = bank.units(np.array([8, 0, 8]))
    assert picked.devices == ("AKGC417L", "Meditron", "AKGC417L")
    for found, row in zip(picked.waves(), (8, 0, 8), strict=True):
        assert torch.equal(found, expected[row])


def test_what_is_read_is_memory_of_its_own(dataset, cache):
    bank = prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    bank.units(np.array([3])).samples[:] = 9.0
    assert_whole(bank, dataset)


def test_the_rows_are_those_of_the_feature_bank(dataset, cache):
    pictures = prepare_bank(dataset, "ast", OPTIONS, cache).features
    front_end = FRONTENDS.get("ast").load()(FRONTENDS.card("ast").options(seconds=1.0))
    units = prepare_wave_bank(dataset, "ast", OPTIONS, cache).units(np.arange(14))
    np.testing.assert_allclose(front_end.picture(units), pictures, atol=1e-6)


def test_the_second_time_nothing_is_read_again(dataset, cache, monkeypatch):
    prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    for lock in cache.rglob("lock"):
        lock.unlink()
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}

    def refuse(*_):
        raise AssertionError("waveforms were cut again")

    monkeypatch.setattr(module, "_cut", refuse)
    again = prepare_wave_bank(dataset, "ast", OPTIONS, cache, on_progress=refuse)
    assert_whole(again, dataset)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_only_what_cuts_waveforms_makes_a_new_bank(dataset, cache, monkeypatch):
    first = prepare_wave_bank(dataset, "ast", OPTIONS, cache).path
    for same in ({}, {"seconds": 4.0}, {"normalise": "std"}, {"fade": "recording"}):
        assert prepare_wave_bank(dataset, "ast", same, cache).path == first
    paths = {
        first,
        prepare_wave_bank(dataset, "ast", {"fade": "cycle"}, cache).path,
        prepare_wave_bank(replace(dataset, fingerprint="e" * 64), "ast", OPTIONS, cache).path,
        prepare_wave_bank(dataset, "scl", OPTIONS, cache).path,
    }
    newer = replace(FRONTENDS.card("ast"), version=FRONTENDS.card("ast").version + 1)
    monkeypatch.setattr(FRONTENDS, "card", lambda _: newer)
    paths.add(prepare_wave_bank(dataset, "ast", OPTIONS, cache).path)
    assert len(paths) == 5
    assert all(path.parent.parent == cache / "waveforms" for path in paths)


@pytest.mark.parametrize("workers", [1, 3, 9])
def test_workers_side_by_side_give_the_same_bank(dataset, cache, workers):
    steps = []
    bank = prepare_wave_bank(
        dataset, "ast", OPTIONS, cache, workers=workers, on_progress=lambda *step: steps.append(step)
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert_whole(bank, dataset)
    assert files_below(cache) == WHOLE
    assert multiprocessing.active_children() == []


def edited(change):
    """Damage of the description: a change of its fields."""

    def damage(path):
        description = path.with_name("bank.json")
        description.write_text(json.dumps({**json.loads(description.read_text()), **change}))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.unlink(),
        lambda path: path.with_name("bank.json").unlink(),
        lambda path: path.with_name("bank.json").write_text("["),
        lambda path: path.with_name("bank.json").write_text("[1]"),
        edited({"lengths": [8000] * 14}),
        edited({"lengths": [8000] * 13}),
        edited({"lengths": "x"}),
        edited({"lengths": [2**70] * 14}),
        edited({"checksums": [1] * 13}),
        edited({"checksums": [-1] * 14}),
        edited({"format": 0}),
    ],
)
def test_a_damaged_bank_is_made_again(dataset, cache, damage):
    path = prepare_wave_bank(dataset, "ast", OPTIONS, cache).path
    damage(path)
    assert_whole(prepare_wave_bank(dataset, "ast", OPTIONS, cache), dataset)
    assert files_below(cache) == WHOLE


@pytest.mark.parametrize("fields", [["lengths"], ["checksums"], ["lengths", "checksums"]])
def test_a_description_that_lacks_a_field_is_none(dataset, cache, fields):
    path = prepare_wave_bank(dataset, "ast", OPTIONS, cache).path
    description = path.with_name("bank.json")
    document = json.loads(description.read_text())
    description.write_text(json.dumps({name: value for name, value in document.items() if name not in fields}))
    assert_whole(prepare_wave_bank(dataset, "ast", OPTIONS, cache), dataset)


def test_a_row_that_is_not_what_was_written_is_refused_and_the_bank_made_anew(dataset, cache):
    bank = prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    with bank.path.open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(np.array([1.5], "<f4").tobytes())
    assert len(bank.units(np.array([0, 12]))) == 2
    with pytest.raises(RunError, match=r"waveform bank .*waves\.f32 is not what was written \(row 13\)") as caught:
        bank.units(np.array([0, 13]))
    assert caught.value.hint == "Run the command again: the bank is made anew."
    assert_whole(prepare_wave_bank(dataset, "ast", OPTIONS, cache), dataset)


def test_a_bank_that_is_cut_short_while_it_is_used_is_a_run_error(dataset, cache):
    bank = prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    os.truncate(bank.path, bank.path.stat().st_size // 2)
    with pytest.raises(RunError, match="was cut short while it was used"):
        bank.units(np.arange(14))


def test_what_a_killed_process_left_is_cleaned(dataset, cache):
    path = prepare_wave_bank(dataset, "ast", OPTIONS, cache).path
    path.unlink()
    path.with_name(".waves.f32.abc123.tmp").write_bytes(b"half")
    prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    assert files_below(cache) == WHOLE


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_helper_is_a_run_error_and_leaves_nothing(dataset, cache, monkeypatch, workers):
    parent, cut = os.getpid(), module._cut

    def die_at_the_third(job, *rest):
        assert os.getpid() != parent
        if job[0].name.startswith("103"):
            os.kill(os.getpid(), signal.SIGKILL)
        return cut(job, *rest)

    monkeypatch.setattr(module, "_cut", die_at_the_third)
    with pytest.raises(RunError, match=r"was killed \(SIGKILL\)"):
        prepare_wave_bank(dataset, "ast", OPTIONS, cache, workers=workers)
    assert multiprocessing.active_children() == []
    assert files_below(cache) == ["lock"]


def test_an_interruption_ends_the_workers_and_leaves_nothing(dataset, cache):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_wave_bank(dataset, "ast", OPTIONS, cache, workers=2, on_progress=interrupt)
    assert multiprocessing.active_children() == []
    assert files_below(cache) == ["lock"]


def test_a_full_disk_is_a_store_error_and_leaves_nothing(dataset, cache):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"Cannot write .*waves\.f32"):
            prepare_wave_bank(dataset, "ast", OPTIONS, cache, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_below(cache) == ["lock"]
    assert_whole(prepare_wave_bank(dataset, "ast", OPTIONS, cache), dataset)


def test_a_disk_that_fails_is_a_run_error(dataset, cache, monkeypatch):
    bank = prepare_wave_bank(dataset, "ast", OPTIONS, cache)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(RunError, match=r"waveform bank .* cannot be read: Input/output error"):
        bank.units(np.array([0]))


def test_bad_audio_names_the_file(dataset, cache):
    broken = dataset.recordings[1].audio
    broken.write_bytes(b"RIFF")
    with pytest.raises(DataError, match=f"{broken.name} is no RIFF"):
        prepare_wave_bank(dataset, "ast", OPTIONS, cache)
    assert files_below(cache) == ["lock"]


def test_recordings_without_cycles_are_passed_over_and_a_set_without_any_is_refused(dataset, cache):
    recordings = (replace(dataset.recordings[0], cycles=()), *dataset.recordings[1:])
    assert len(prepare_wave_bank(replace(dataset, recordings=recordings), "ast", OPTIONS, cache).waves) == 10
    empty = tuple(replace(recording, cycles=()) for recording in dataset.recordings)
    with pytest.raises(DataError, match="no annotated cycle"):
        prepare_wave_bank(replace(dataset, recordings=empty), "ast", OPTIONS, cache)


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lambda waves: waves[1:], "3 waveforms of 101_.*, not 4"),
        (lambda waves: [*waves[:3], waves[3].double()], r"a waveform of float64 \(12000,\)"),
        (lambda waves: [*waves[:3], waves[3][None]], r"a waveform of float32 \(1, 12000\)"),
        (lambda waves: [*waves[:3], waves[3][:0]], r"a waveform of float32 \(0,\)"),
    ],
)
def test_a_front_end_that_cuts_something_else_is_refused(dataset, cache, monkeypatch, change, made):
    fit = ASTFrontEnd.fit
    monkeypatch.setattr(ASTFrontEnd, "fit", lambda *job, **name: change(fit(*job, **name)))
    with pytest.raises(SpecError, match=made):
        prepare_wave_bank(replace(dataset, recordings=dataset.recordings[:1]), "ast", OPTIONS, cache)
    assert files_below(cache) == ["lock"]


def test_waveforms_that_do_not_lie_in_order_are_written_in_order(dataset, cache, monkeypatch):
    fit = ASTFrontEnd.fit
    monkeypatch.setattr(ASTFrontEnd, "fit", lambda *job, **name: [every_second(wave) for wave in fit(*job, **name)])
    assert_whole(prepare_wave_bank(dataset, "ast", OPTIONS, cache), dataset)


def every_second(wave):
    """The same numbers with a gap after each."""
    spread = torch.zeros(2 * len(wave))
    spread[::2] = wave
    return spread[::2]


PROGRAM = """
import sys
from pathlib import Path

from bench.data.wave_bank import prepare_wave_bank
from small_recordings import make_dataset

if __name__ == "__main__":
    data, cache = sys.argv[1:]
    prepare_wave_bank(make_dataset(Path(data)), "ast", {}, Path(cache), workers=1, on_progress=lambda *_: print("step"))
    print("ready")
"""


@pytest.mark.slow
def test_of_two_processes_at_once_one_computes(dataset, tmp_path, cache):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / name), str(cache)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )
        for name in ("one", "two")
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(output.count("step") for output in outputs) == [0, 4]
    assert all("ready" in output for output in outputs)
    assert files_below(cache) == WHOLE
    assert_whole(prepare_wave_bank(dataset, "ast", {}, cache), dataset)
