"""``bench data`` from the outside: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from icbhi_sets import CYCLES, NAMES, mark_simulated, write_annotation, write_set, write_wav

from bench.cli import main

FIRST = "501_1b1_Al_sc_Meditron"


@pytest.fixture
def data(tmp_path) -> Path:
    write_set(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    """Runs the command line; returns exit code, stdout and stderr."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


@pytest.mark.parametrize("command", ["fetch", "verify", "info", "prepare", "features", "demo"])
def test_help_has_an_example(bench, command):
    code, out, _ = bench("data", command, "--help")
    assert code == 0
    assert f"bench data {command}" in out


def test_verify_of_a_sound_set(bench, data):
    code, out, err = bench("data", "verify", "--data", data)
    assert (code, err) == (0, "")
    assert "complete and sound" in out
    code, out, _ = bench("data", "verify", "--data", data, "--format", "json")
    assert code == 0
    assert json.loads(out)["ok"] is True


def test_verify_of_a_broken_set_names_all_faults_and_ends_with_3(bench, data):
    write_annotation(data / "ICBHI_final_database" / f"{FIRST}.txt", [(0.5, 0.1, 0, 0), (0.5, 9.0, 0, 0)])
    (data / "ICBHI_final_database" / "503_1b1_Ar_sc_Litt3200.wav").unlink()
    code, out, _ = bench("data", "verify", "--data", data)
    assert code == 3
    assert f"{FIRST}.txt:1: the cycle ends at 0.1 s, not after its start at 0.5 s" in out
    assert f"{FIRST}.txt:2: the cycle ends at 9.0 s, but the recording ends at 2.000 s" in out
    assert "503_1b1_Ar_sc_Litt3200.wav: the recording is missing" in out
    code, out, _ = bench("data", "verify", "--data", data, "--format", "json")
    assert code == 3
    assert [fault["line"] for fault in json.loads(out)["faults"]] == [1, 2, None]


def test_verify_of_a_partial_set_says_how_to_run_it(bench, data):
    (data / "ICBHI_final_database" / f"{FIRST}.wav").unlink()
    code, out, _ = bench("data", "verify", "--data", data)
    assert code == 3
    assert "the set is partial (4 of 5): runs need --allow-partial" in out


def test_a_folder_without_data(bench, tmp_path):
    for command in ("verify", "info", "prepare"):
        code, out, err = bench("data", command, "--data", tmp_path / "nowhere")
        assert (code, out) == (3, "")
        assert "nowhere does not exist" in err
        assert "bench data fetch" in err


def test_an_unknown_format(bench, data):
    code, _, err = bench("data", "info", "--data", data, "--format", "xml")
    assert code == 2
    assert "Unknown format 'xml'" in err


def test_info(bench, data):
    code, out, _ = bench("data", "info", "--data", data)
    assert code == 0
    assert "demo, simulated" in out
    assert "4000 Hz: 1, 10000 Hz: 2, 44100 Hz: 2" in out
    (data / "ICBHI_final_database" / f"{FIRST}.wav").unlink()
    document = json.loads(bench("data", "info", "--data", data, "--format", "json")[1])
    assert document["partial"] == "partial (4 of 5)"
    assert document["counts"]["cycles"] == 16
    assert document["patients_with_diagnosis"] == 4
    assert len(document["fingerprint"]) == 64


def test_features_of_a_named_recording(bench, data, tmp_path):
    out_file = tmp_path / "out" / "features.npz"
    words = ("data", "features", FIRST, "--data", data, "--out", out_file, "--set", "frontend.seconds=1")
    code, out, _ = bench(*words, "--format", "json")
    assert code == 0
    document = json.loads(out)
    assert (document["recording"], document["cycles"], document["mels"]) == (FIRST, 4, 128)
    stored = np.load(out_file)
    assert stored["features"].shape == (4, document["frames"], 128)
    assert (stored["features"].dtype, stored["labels"].dtype) == (np.float32, np.int64)
    assert stored["labels"].tolist() == [0, 1, 2, 3]
    assert stored["start"].tolist() == [cycle[0] for cycle in CYCLES]
    assert [path.name for path in out_file.parent.iterdir()] == ["features.npz"]


def test_features_of_a_file_of_any_rate_and_of_a_cycle_that_ends_late(bench, tmp_path):
    audio = tmp_path / "my recording.wav"
    write_wav(audio, rate=16000, subtype="PCM_16")
    write_annotation(audio.with_suffix(".txt"), [(0.5, 1.0, 0, 1), (1.0, 99.0, 0, 0)])
    code, _, err = bench("data", "features", audio, "--out", tmp_path / "f.npz")
    assert code == 0
    assert "my recording.txt:2: the cycle ends at 99.0 s, but the recording ends at 2.000 s; it is cut there" in err
    assert np.load(tmp_path / "f.npz")["features"].shape == (2, 798, 128)


@pytest.mark.parametrize("case", ["no such name", "no annotation", "bad line", "cut short", "late start"])
def test_features_refuses_what_is_broken(bench, data, tmp_path, case):
    audio = data / "ICBHI_final_database" / f"{FIRST}.wav"
    recording: object = audio
    if case == "no such name":
        recording = FIRST[:-1]
    elif case == "no annotation":
        audio.with_suffix(".txt").unlink()
    elif case == "bad line":
        audio.with_suffix(".txt").write_text("1 2 3\n", encoding="utf-8")
    elif case == "cut short":
        audio.write_bytes(audio.read_bytes()[:-2000])
    else:
        write_annotation(audio.with_suffix(".txt"), [(2.5, 3.0, 0, 0)])
    code, out, err = bench("data", "features", recording, "--data", data, "--out", tmp_path / "f.npz")
    expected = {
        "no such name": f"Did you mean {FIRST}?",
        "no annotation": "There is no annotation file",
        "bad line": f"{FIRST}.txt:1: 3 fields, but 4 are needed",
        "cut short": "38,000 of the 40,000 bytes",
        "late start": "starts at 2.5 s, but the recording ends at 2.000 s",
    }
    assert (code, out) == (3, "")
    assert expected[case] in err
    assert not (tmp_path / "f.npz").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--frontend", "asd"), "Unknown front-end 'asd'"),
        (("--set", "frontend.secods=4"), "Unknown option 'secods' for front-end ast: did you mean 'seconds'?"),
        (("--set", "frontend.seconds=-4"), "must be at least"),
        (("--set", "seconds=4"), "Write it as --set frontend.KEY=VALUE"),
    ],
)
def test_wrong_front_end_options(bench, data, tmp_path, words, message):
    for command in (("features", FIRST, "--out", tmp_path / "f.npz"), ("prepare",)):
        code, _, err = bench("data", *command, "--data", data, *words)
        assert code == 2
        assert message in err


@pytest.mark.parametrize("command", ["verify", "info", "prepare"])
def test_pipes_and_devices_in_the_data_folder_stop_no_command(bench, data, command):
    """Each of them used to be waited for or read without end."""
    os.mkfifo(data / "ICBHI_final_database" / "505_1b1_Al_sc_Meditron.wav")
    os.mkfifo(data / "ICBHI_final_database" / "stray.wav")
    (data / "official_split.txt").symlink_to("/dev/zero")
    os.mkfifo(data / "patient_diagnosis.csv")
    code, out, err = bench("data", command, "--data", data)
    assert code == 0, err
    if command == "verify":
        assert "note: official_split.txt is no regular file, but a device and is not used." in out
        assert out.count("is no regular file, but a pipe and is not used.") == 3


@pytest.mark.parametrize("what", ["a pipe", "a device"])
@pytest.mark.parametrize("ending", [".wav", ".txt"])
def test_features_of_a_pipe_or_device_are_refused(bench, data, tmp_path, what, ending):
    path = (data / "ICBHI_final_database" / FIRST).with_suffix(ending)
    path.unlink()
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    code, _, err = bench("data", "features", path.with_suffix(".wav"), "--out", tmp_path / "f.npz")
    assert code == 3
    assert f"There is no {'WAV' if ending == '.wav' else 'annotation'} file" in err


@pytest.mark.parametrize("command", ["verify", "info", "prepare"])
def test_a_data_folder_that_is_a_whole_disk_is_a_sentence(bench, tmp_path, monkeypatch, command):
    monkeypatch.setattr("bench.data.files.MOST_ENTRIES", 100)
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text("", encoding="utf-8")
    code, out, err = bench("data", command, "--data", tmp_path)
    assert (code, out) == (3, "")
    assert "holds more than 100 names; looking for recordings stopped at" in err
    assert "Name the folder that holds the data set with --data" in err


@pytest.mark.parametrize("command", ["verify", "info", "prepare"])
@pytest.mark.parametrize("folder", ["x" * 300, "~nosuchuser/x", os.fsdecode(b"caf\xe9")])
def test_data_folders_that_cannot_be(bench, command, folder):
    code, out, err = bench("data", command, "--data", folder)
    assert (code, out) == (3 if folder[0] == "x" else 2, "")
    assert "internal error" not in err


def test_features_finds_an_annotation_whose_accents_are_encoded_otherwise(bench, tmp_path):
    audio = tmp_path / unicodedata.normalize("NFC", "Poumon gauche, été.wav")
    write_wav(audio, rate=4000, subtype="PCM_16")
    write_annotation(tmp_path / unicodedata.normalize("NFD", audio.with_suffix(".txt").name))
    code, _, err = bench("data", "features", audio, "--out", tmp_path / "f.npz")
    assert code == 0, err


def test_features_into_a_folder_is_refused(bench, data, tmp_path):
    code, _, err = bench("data", "features", FIRST, "--data", data, "--out", tmp_path)
    assert code == 4
    assert "is a folder" in err


def test_prepare(bench, data):
    words = ("data", "prepare", "--data", data, "--workers", "1", "--set", "frontend.seconds=1", "--format", "json")
    code, out, err = bench(*words)
    assert code == 0
    document = json.loads(out)
    assert (document["cycles"], document["mels"], document["partial"]) == (4 * len(NAMES), 128, None)
    assert Path(document["path"]).exists()
    assert "recordings" in err
    assert json.loads(bench(*words)[1])["path"] == document["path"]


def test_prepare_of_a_partial_set(bench, data):
    mark_simulated(data, 9)
    code, _, err = bench("data", "prepare", "--data", data)
    assert code == 3
    assert "4 of 9 recordings are missing" in err
    assert "--allow-partial" in err


def test_demo_refuses_a_folder_that_is_not_empty(bench, data):
    code, _, err = bench("data", "demo", data)
    assert code == 2
    assert "not empty" in err


def test_demo_is_sound(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.datasets.simulated.demo.PATIENTS", {"train": 2, "test": 1})
    code, out, _ = bench("data", "demo", tmp_path / "demo", "--format", "json")
    assert code == 0
    document = json.loads(out)
    code, out, _ = bench("data", "verify", "--data", tmp_path / "demo", "--format", "json")
    assert code == 0
    assert json.loads(out)["recordings"]["present"] == document["recordings"]


def test_fetch_without_a_connection_ends_with_3(bench, tmp_path):
    code, out, err = bench("data", "fetch", "--data", tmp_path / "data", "--base-url", "http://127.0.0.1:9/")
    assert (code, out) == (3, "")
    assert "Cannot reach http://127.0.0.1:9/" in err
    assert "ICBHI_final_database.zip" in err


def test_fetch_ends_with_the_report(bench, data, tmp_path):
    """Files put there by hand: nothing is downloaded, the archive is unpacked, and what is there is checked."""
    by_hand = tmp_path / "by hand"
    by_hand.mkdir()
    with zipfile.ZipFile(by_hand / "ICBHI_final_database.zip", "w") as archive:
        for path in [*(data / "ICBHI_final_database").iterdir(), data / "SIMULATED.json"]:
            archive.write(path, f"ICBHI_final_database/{path.name}")
    for path in data.glob("*.txt"):
        shutil.copy(path, by_hand)
    code, out, err = bench("data", "fetch", "--data", by_hand, "--base-url", "http://127.0.0.1:9/")
    assert code == 0, err
    assert "complete and sound" in out
    assert "unpacking" in err
    (by_hand / "ICBHI_final_database" / f"{FIRST}.txt").write_text("broken\n", encoding="utf-8")
    code, out, _ = bench("data", "fetch", "--data", by_hand, "--base-url", "http://127.0.0.1:9/", "--format", "json")
    assert code == 3
    assert [fault["line"] for fault in json.loads(out)["faults"]] == [1]


def test_fetch_needs_the_server_for_what_is_missing(bench, data):
    (data / "SIMULATED.json").unlink()
    (data / "ICBHI_final_database").rename(data / "recordings")
    code, _, err = bench("data", "fetch", "--data", data, "--base-url", "http://127.0.0.1:9/")
    assert code == 3
    assert "Cannot reach http://127.0.0.1:9/ICBHI_final_database.zip" in err


SLOW_PREPARE = """
import os, signal, sys, time
from bench.cli import main
from bench.data import bank

# A shell that starts the tests in the background lets them ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

def fill(job, frontend, files):
    os.write(1, b"computing\\n")
    time.sleep(2)
    return {"": [0] * 4}

bank._compute_and_write = fill
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_stopped_prepare_has_made_is_no_bank_yet(data, tmp_path, number):
    words = ["data", "prepare", "--data", str(data), "--allow-partial", "--cache", str(tmp_path / "cache")]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_PREPARE, *words],
        cwd=Path(__file__).resolve().parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "computing\n"
        # As a terminal does, or a scheduler: to the whole group.
        os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    # What a later one goes on with, and nothing under the names of a bank.
    files = {path.name for path in (tmp_path / "cache" / "features").rglob("*") if path.is_file()}
    assert files == {"lock", "features.npy.part"}
