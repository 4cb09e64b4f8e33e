"""The verdicts of ``bench doctor``: each part in a sound state and in a broken one, and what is advised then."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from board_runs import write_run

from bench.api import health
from bench.api.checks import Check, Places, examined, hardware, software, storage, worst
from bench.core.errors import RunError, StoreError
from bench.launch import smoke
from leaderboard.store import database
from leaderboard.store.store import Store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "home", tmp_path / "data", tmp_path / "cache", "utf-8")


def verdict(examination, places):
    check = examined(examination.__name__, examination, places)
    assert check.advice or check.verdict == "ok"
    return check


# --- what is installed --------------------------------------------------------------------------------------------


def test_versions_that_are_not_those_asked_for_are_named(places, monkeypatch):
    assert verdict(software.check_versions, places).verdict == "ok"
    asked = ["numpy>=99", "no-such-package>=1", "pytest>=1; extra == 'test'", "typer>=0.1"]
    monkeypatch.setattr(software, "requires", lambda name: asked)
    found = verdict(software.check_versions, places)
    assert found.verdict == "wrong"
    assert re.search(r"numpy is \d\S+, not >=99; no-such-package is missing$", found.found)


def test_a_variable_with_a_typing_error_is_told_with_what_was_meant(places, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_SPRSOUND", "x")
    assert verdict(software.check_variables, places).verdict == "ok"
    monkeypatch.setenv("BENCH_HOEM", "x")
    found = verdict(software.check_variables, places)
    assert (found.verdict, "BENCH_HOEM: did you mean 'BENCH_HOME'?" in found.found) == ("warning", True)


def test_every_variable_that_the_program_reads_is_known_to_the_doctor():
    places = ("bench", "baselines", "methods", "leaderboard")
    files = [path for place in places for path in (ROOT / place).rglob("*.py")]
    assert len(files) > 200
    named = {name for path in files for name in re.findall(r'"(BENCH_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    assert "BENCH_TRACKER" in named
    assert {name for name in named if not name.startswith("BENCH_TEST_")} <= software.known_variables()


def test_a_terminal_without_utf_8_is_told(places):
    assert verdict(software.check_encoding, places).verdict == "ok"
    found = verdict(software.check_encoding, Places(places.home, None, places.cache, "ANSI_X3.4-1968"))
    assert (found.verdict, "PYTHONIOENCODING" in found.advice) == ("warning", True)


# --- what computes ------------------------------------------------------------------------------------------------


def test_bf16_that_would_be_emulated_is_told_where_somebody_asks_for_it(places, monkeypatch):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert verdict(hardware.check_bf16, places).found == "the CPU has it (avx512_bf16)"
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx2"}))
    assert verdict(hardware.check_bf16, places).verdict == "ok"
    monkeypatch.setenv("BENCH_CPU_PRECISION", "bf16")
    assert verdict(hardware.check_bf16, places).verdict == "warning"


def test_a_driver_without_a_gpu_for_torch_is_told(places, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "none")
    assert verdict(hardware.check_devices, places).found.endswith("no GPU")
    monkeypatch.setattr(hardware, "DRIVER", tmp_path)
    assert verdict(hardware.check_devices, places).verdict == "ok"  # no file
    (tmp_path / "version").write_text("NVRM")
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "version")
    assert "sees no GPU" in verdict(hardware.check_devices, places).found


def test_two_processes_that_do_not_meet_in_time_are_ended(places, monkeypatch):
    monkeypatch.setattr(hardware, "try_group", lambda: smoke.try_group(0.01))
    found = verdict(hardware.check_processes, places)
    assert found.verdict == "wrong"
    assert re.match(r"Process [12] of 2 did not answer within 0\.01 seconds", found.found)


# --- disks --------------------------------------------------------------------------------------------------------


def test_folders_that_are_not_there_are_no_fault_and_nothing_is_made(places, tmp_path):
    for examination in (storage.check_results, storage.check_board, storage.check_clock, storage.check_locks):
        assert verdict(examination, places).verdict == "ok"
    assert verdict(storage.check_data, places).verdict == "warning"
    assert verdict(storage.check_weights, places).verdict == "ok"
    assert list(tmp_path.iterdir()) == []


def test_weights_are_missed_where_there_are_real_data(places, icbhi_folder):
    real = Places(places.home, icbhi_folder, places.cache, "utf-8")
    assert verdict(storage.check_data, real).verdict == "ok"
    assert verdict(storage.check_weights, real).verdict == "warning"


def test_a_results_folder_that_cannot_be_made_is_wrong(places, tmp_path):
    (tmp_path / "home").write_text("a file")
    found = verdict(storage.check_results, places)
    assert (found.verdict, "is no folder" in found.found) == ("wrong", True)


def test_a_board_is_opened_written_and_looked_through(places, monkeypatch):
    store = Store.open(places.home)
    store.import_run(write_run(places.home, seed=1))
    assert verdict(storage.check_board, places).found.endswith("can be written, no damage")
    monkeypatch.setattr(storage, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(database, "_STEPS_BETWEEN_LOOKS", 1)
    # A board that is too large for the time is not called sound.
    assert verdict(storage.check_board, places).found.endswith("can be written")
    monkeypatch.setenv("BENCH_STORE", "none")
    assert verdict(storage.check_board, places).found.startswith("none")


def test_a_damaged_board_is_wrong(places):
    store = Store.open(places.home)
    store.import_run(write_run(places.home, seed=1))
    store.database.settle()
    path = places.home / "leaderboard.sqlite"
    whole = bytearray(path.read_bytes())
    for place in range(len(whole) // 2 // 4096 * 4096, len(whole), 4096):
        whole[place : place + 512] = b"\xff" * 512
    path.write_bytes(whole)
    found = verdict(storage.check_board, places)
    assert found.verdict == "wrong"
    assert "rebuild" in found.advice


def test_locks_that_do_not_hold_between_processes_are_wrong(places, monkeypatch):
    monkeypatch.setattr(smoke, "exclusive_lock", lambda path: nullcontext())
    found = verdict(storage.check_locks, places)
    assert found.verdict == "wrong"
    assert "held one lock" in found.found
    assert list(places.home.parent.iterdir()) == []


@pytest.mark.parametrize(("gib", "expected"), [(50.0, "ok"), (2.0, "warning"), (0.2, "wrong")])
def test_room_is_compared_with_what_a_run_takes(places, monkeypatch, gib, expected):
    usage = shutil.disk_usage(places.home.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(gib * storage.GIB)))
    found = verdict(storage.check_room, places)
    assert found.verdict == expected
    if expected != "ok":
        # Results and cache are on one disk: what they take is added up.
        assert f"{storage.RUN_GIB + storage.CACHE_GIB:g} GiB" in found.advice


def test_a_disk_with_another_clock_is_told(places, monkeypatch):
    now = time.time
    monkeypatch.setattr(storage.time, "time", lambda: now() + 100)
    found = verdict(storage.check_clock, places)
    assert found.verdict == "warning"
    assert re.search(r"the disk's clock is (99|100) s behind", found.found)


# --- all together -------------------------------------------------------------------------------------------------


def test_one_broken_part_keeps_no_other_from_being_looked_at(places):
    def no_memory(places):
        raise RuntimeError("CUDA error: https://me:secret@host")

    def refused(places):
        raise StoreError("The board is locked.", "End the other process.")

    assert examined("gpu", no_memory, places).found == "RuntimeError: CUDA error: https://***@host"
    assert examined("board", refused, places) == Check(
        "board", "wrong", "The board is locked.", "End the other process."
    )
    assert worst([]) == "ok"
    assert worst([Check("a", "warning", ""), Check("b", "wrong", ""), Check("c", "ok", "")]) == "wrong"


def test_the_doctor_ends_with_1_where_something_is_wrong_and_says_what_to_do(bench, tmp_path, monkeypatch):
    words = ("doctor", "--quick", "--home", tmp_path, "--data", tmp_path, "--cache", tmp_path)

    def broken(places):
        raise RunError("It is broken.", "Mend it.")

    named = {name: health.EXAMINATIONS[name] for name in ("variables", "data", "processes")}
    monkeypatch.setattr(health, "EXAMINATIONS", {**named, "thing": broken})
    said = bench(*words, code=1)
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[-5] == "warning  data       no data set below " + f"{tmp_path}: runs take the simulated set"
    assert lines[-3:] == ["wrong    thing      It is broken.", "→ Mend it.", "1 ok, 1 to look at, 1 wrong"]
    assert not any(line != line.rstrip() for line in said.out.splitlines())
    document = json.loads(bench(*words, "--format", "json", code=1).out)
    assert document["checks"][-1] == {
        "name": "thing",
        "verdict": "wrong",
        "found": "It is broken.",
        "advice": "Mend it.",
    }
    assert document["folders"]["results"] == str(tmp_path)
    assert os.environ.get("BENCH_HOME") is None or "variables" in named


def test_a_cache_that_cannot_be_made_is_wrong(places, tmp_path):
    (tmp_path / "file").touch()
    found = verdict(storage.check_cache, replace(places, cache=tmp_path / "file" / "cache"))
    assert (found.verdict, found.advice) == ("wrong", "Name another with --cache.")
    assert "is no folder" in found.found
    assert verdict(storage.check_cache, replace(places, cache=Path("/proc/cache"))).verdict == "warning"
    assert verdict(storage.check_cache, places).verdict == "ok"
