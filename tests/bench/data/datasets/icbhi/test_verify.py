"""The report on a data folder: every kind of fault once, counts, JSON; and the real folder."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from icbhi_sets import (
    CYCLES,
    NAMES,
    inspect_folder,
    load_dataset,
    verify,
    write_annotation,
    write_set,
    write_split,
    write_wav,
)

from bench.core.errors import DataError
from bench.data.bank import recording_features
from bench.data.datasets.icbhi.pinned import Count
from bench.data.datasets.icbhi.recording import read_annotated
from bench.data.samples import read_samples
from bench.data.wav import inspect_wav, read_header

FIRST = "501_1b1_Al_sc_Meditron"


def test_a_sound_set_has_no_fault(tmp_path):
    write_set(tmp_path)
    report = verify(tmp_path)
    assert report.ok
    assert (report.name, report.present, report.expected, report.partial) == ("demo", 5, 5, None)
    assert report.counts.by_split == {"test": Count(2, 2, 2, 2, 2), "train": Count(3, 3, 3, 3, 3)}
    assert report.counts.by_device["train", "Meditron"] == Count(2, 2, 2, 2, 2)
    assert report.counts.by_patient["train", "501"][1:] == (2, 2, 2, 2)
    assert report.counts.by_rate == {4000: 1, 10000: 2, 44100: 2}


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def cut_in_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_flac(path: Path) -> None:
    soundfile.write(path, np.zeros(100), 4000, format="FLAC")


def make_float(path: Path) -> None:
    write_wav(path, subtype="DOUBLE")


def make_mu_law(path: Path) -> None:
    write_wav(path, subtype="ULAW")


def make_stereo(path: Path) -> None:
    soundfile.write(path, np.zeros((20000, 2)), 10000)


def make_16_khz(path: Path) -> None:
    write_wav(path, rate=16000)


def make_silent(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 10000)


def patch(path: Path, form: str, place: int, *values: int) -> None:
    """Change numbers of a header that soundfile wrote: 44 bytes, the format from byte 20."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, place, *values)
    path.write_bytes(content)


def make_7_bits(path: Path) -> None:
    patch(path, "<H", 34, 7)


def make_block_0(path: Path) -> None:
    patch(path, "<H", 32, 0)


def make_block_of_two(path: Path) -> None:
    patch(path, "<H", 32, 4)


def make_no_channels(path: Path) -> None:
    patch(path, "<H", 22, 0)


def make_0_hz(path: Path) -> None:
    patch(path, "<I", 24, 0)


def make_fast(path: Path) -> None:
    patch(path, "<I", 24, 2**31)


def make_streamed(path: Path) -> None:
    patch(path, "<I", 40, 0xFFFFFFFF)


def make_size_0(path: Path) -> None:
    patch(path, "<I", 40, 0)


def make_rf64(path: Path) -> None:
    write_wav(path)
    path.write_bytes(b"RF64" + path.read_bytes()[4:])


def make_wave64(path: Path) -> None:
    soundfile.write(path, np.zeros(100), 4000, format="W64")


def make_chunks(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:36] + b"JUNK\0\0\0\0" * 2000 + content[36:])


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("", encoding="utf-8")


AUDIO_FAULTS = {
    cut_short: ("audio-truncated", "holds 38,000 of the 40,000 bytes"),
    cut_in_header: ("audio-format", "ends before its samples begin"),
    make_empty: ("audio-format", "is empty (0 bytes)"),
    make_flac: ("audio-format", "is no RIFF WAVE file"),
    make_float: ("audio-format", "has 64 bits per sample, but one of 32 is needed"),
    make_mu_law: ("audio-format", "samples of format 7"),
    make_stereo: ("audio-channels", "has 2 channels, but 1 is needed"),
    make_16_khz: ("audio-rate", "rate of 16000 Hz, but the set's are 4000, 10000, 44100 Hz"),
    make_silent: ("audio-empty", "holds no samples"),
    make_7_bits: ("audio-format", "has 7 bits per sample, but one of 8, 16, 24, 32 is needed"),
    make_block_0: ("audio-format", "contradicts itself: 0 bytes for 1 channel of 16 bits"),
    make_block_of_two: ("audio-format", "contradicts itself: 4 bytes for 1 channel of"),
    make_no_channels: ("audio-channels", "has 0 channels"),
    make_0_hz: ("audio-rate", "rate of 0 Hz"),
    make_fast: ("audio-rate", "rate of 2147483648 Hz"),
    make_streamed: ("audio-streamed", "was written to a pipe"),
    make_size_0: ("audio-empty", "holds no samples"),
    make_rf64: ("audio-format", "is no RIFF WAVE file, but RF64"),
    make_wave64: ("audio-format", "is no RIFF WAVE file, but Wave64"),
    make_chunks: ("audio-format", "more than 1,000 chunks"),
    make_folder: ("audio-missing", "the recording is missing"),
}


@pytest.mark.parametrize("breaks", AUDIO_FAULTS, ids=lambda breaks: breaks.__name__)
def test_broken_audio_is_named(tmp_path, breaks):
    kind, message = AUDIO_FAULTS[breaks]
    database = write_set(tmp_path)
    breaks(database / f"{FIRST}.wav")
    report = verify(tmp_path)
    assert not report.ok
    fault = next(fault for fault in report.faults if fault.kind == kind)
    assert message in fault.message
    assert fault.file.endswith(f"{FIRST}.wav")
    assert {fault.file.rpartition("/")[2].partition(".")[0] for fault in report.faults} == {FIRST}
    with pytest.raises(DataError):
        load_dataset(tmp_path)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    header, (problem,) = inspect_wav(tmp_path)
    assert header is None
    assert problem.kind == "audio-unreadable"


def test_extensible_format_and_other_chunks_are_understood(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(1000), 44100, subtype="PCM_24", format="WAVEX")
    whole = path.read_bytes()
    junk = b"JUNK" + struct.pack("<I", 3) + b"abc\0"
    path.write_bytes(whole[:12] + junk + whole[12:])
    header = read_header(path)
    assert (header.code, header.rate, header.bits, header.frames) == (1, 44100, 24, 1000)
    assert inspect_wav(path) == (header, [])


@pytest.mark.parametrize("name", [b"JUNK", b"LIST", b"bext"])
@pytest.mark.parametrize("before", ["the format", "the samples"])
@pytest.mark.parametrize("padding", [b"\0", b"", b"x"], ids=["padded", "not padded", "padded with a letter"])
def test_chunks_of_odd_length_are_stepped_over(tmp_path, name, before, padding):
    path = tmp_path / "x.wav"
    values = np.random.default_rng(0).uniform(-1, 1, 999)
    soundfile.write(path, values, 44100, subtype="PCM_24")
    expected = soundfile.read(path, dtype="float32")[0]
    whole, place = path.read_bytes(), 12 if before == "the format" else 36
    path.write_bytes(whole[:place] + name + struct.pack("<I", 3) + b"abc" + padding + whole[place:])
    assert inspect_wav(path)[1] == []
    np.testing.assert_array_equal(read_samples(path)[0], expected)


@pytest.mark.parametrize(("rate", "seconds"), [(1, 40_000), (999, 1), (768_001, 1), (1000, 3601)])
def test_recordings_that_no_memory_holds_are_refused(tmp_path, rate, seconds):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(rate * seconds, np.int16), rate, subtype="PCM_U8")
    write_annotation(path.with_suffix(".txt"), [(0.0, 1.0, 0, 0)])
    with pytest.raises(DataError, match=r"x\.wav: (has a rate of \d+ Hz, but 1,000 to|lasts 3,601 s)"):
        read_annotated(path)
    with pytest.raises(DataError, match=r"x\.wav (has a rate|lasts)"):
        read_samples(path)


def test_a_file_of_samples_without_end_is_refused(tmp_path):
    """Sparse: four gigabytes that take no place on the disk."""
    path = tmp_path / "x.wav"
    write_wav(path, rate=768_000, subtype="PCM_U8", seconds=0.1)
    patch(path, "<I", 40, 0xFFFFFF00)
    os.truncate(path, 44 + 0xFFFFFF00)
    with pytest.raises(DataError, match=r"lasts 5,592 s \(4,294,967,040 samples\), but at most"):
        read_samples(path)


def test_a_recording_that_becomes_shorter_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    write_wav(path, rate=4000, subtype="PCM_16")
    header = read_header(path)
    os.truncate(path, 1000)
    monkeypatch.setattr("bench.data.samples.read_header", lambda _: header)
    with pytest.raises(DataError, match="became shorter while it was read"):
        read_samples(path)


# From a cycle without a sample to one that just holds one, at each rate of the set and at 16 kHz.
SHORT = [(0.5, 0.5 + length) for length in (1e-6, 1e-5, 2e-5, 3e-5, 5e-5, 6.2e-5, 6.3e-5, 1e-4, 2e-4, 2.6e-4, 1e-3)]
SHORT += [(0.50001, end) for _, end in SHORT if end > 0.50001]


def computes(recording, frontend):
    try:
        recording_features(recording, frontend, {})
    except DataError as error:
        if "holds no sample" in error.message:
            return False
        raise
    return True


@pytest.mark.parametrize("frontend", ["ast", "scl"])
@pytest.mark.parametrize("name", [FIRST, "502_2b1_Pr_mc_AKGC417L", "503_1b1_Ar_sc_Litt3200"])
def test_what_verify_calls_sound_can_be_computed(tmp_path, name, frontend):
    """And what no front-end can compute, verify refuses."""
    database = write_set(tmp_path)
    verdicts = set()
    for start, end in SHORT:
        write_annotation(database / f"{name}.txt", [(0.1, 0.3, 0, 0), (start, end, 0, 0)])
        report = verify(tmp_path)
        (recording,) = (one for one in inspect_folder(tmp_path).recordings if one.name == name)
        verdicts.add(report.ok)
        if report.ok:
            assert computes(recording, frontend)
            continue
        assert [(fault.kind, fault.line) for fault in report.faults] == [("annotation-short", 2)]
        with pytest.raises(DataError, match=r"\.txt:2: the cycle from 0\.5.* s to .* s holds no sample"):
            load_dataset(tmp_path)
        # One front-end cuts at 16 kHz, the other as it was recorded.
        assert not (computes(recording, "ast") and computes(recording, "scl"))
    assert verdicts == {True, False}


def test_all_faults_stand_in_one_report(tmp_path):
    database = write_set(tmp_path)
    cut_short(database / f"{FIRST}.wav")
    (database / "501_1b2_Tc_sc_Meditron.txt").write_text("0.1 0.6 0 0\n0.6 0.2 0 0\nx y 0 0\n", encoding="utf-8")
    (database / "502_2b1_Pr_mc_AKGC417L.txt").unlink()
    (database / "503_1b1_Ar_sc_Litt3200.wav").unlink()
    (tmp_path / "ICBHI_challenge_diagnosis.txt").write_text("501\tCOPD\nhello\n", encoding="utf-8")
    report = verify(tmp_path)
    lines = sorted(str(fault) for fault in report.faults)
    expected = [
        "503_1b1_Ar_sc_Litt3200.wav: the recording is missing",
        "502_2b1_Pr_mc_AKGC417L.txt: the annotation file is missing",
        "ICBHI_challenge_diagnosis.txt:2: 'hello' is no patient and diagnosis",
        "ICBHI_final_database/501_1b1_Al_sc_Meditron.wav: holds 38,000 of the 40,000 bytes of samples that its header "
        "declares",
        "ICBHI_final_database/501_1b2_Tc_sc_Meditron.txt:2: the cycle ends at 0.2 s, not after its start at 0.6 s",
        "ICBHI_final_database/501_1b2_Tc_sc_Meditron.txt:3: times are 'x' and 'y', but must be numbers (seconds)",
        "ICBHI_final_database/501_1b1_Al_sc_Meditron.txt:4: the cycle ends at 2.0 s, but the recording ends at 1.900 s",
    ]
    assert lines == sorted(expected)
    assert not report.sound


def test_bad_companion_files_and_missing_audio_leave_a_set_runnable(tmp_path):
    database = write_set(tmp_path)
    (tmp_path / "ICBHI_challenge_demographic_information.txt").write_text("501 x F NA NA NA\n", encoding="utf-8")
    (database / f"{FIRST}.wav").unlink()
    report = verify(tmp_path)
    assert [fault.kind for fault in report.faults] == ["demographics-format", "audio-missing"]
    assert report.sound
    assert report.partial == "partial (4 of 5)"
    assert load_dataset(tmp_path, allow_partial=True).partial == report.partial


@pytest.mark.parametrize(
    "line",
    [
        "501 1_0 F NA NA NA",
        "501 nan F NA NA NA",
        "501 70 F inf NA NA",
        "501 \u0667\u0660 F NA NA NA",
        "5O1 70 F NA NA NA",
        "\u0665\u0660\u0661 70 F NA NA NA",
        "501 70 F 0x10 NA NA",
        "501 70 F",
    ],
)
def test_numbers_of_the_demographic_table_are_plain_ones(tmp_path, line):
    write_set(tmp_path)
    (tmp_path / "ICBHI_challenge_demographic_information.txt").write_text(
        f"502 3 F NA 19 99\n{line}\n", encoding="utf-8"
    )
    faults = verify(tmp_path).faults
    assert [(fault.kind, fault.line) for fault in faults] == [("demographics-format", 2)]


def test_patients_of_the_diagnosis_table_have_plain_digits(tmp_path):
    write_set(tmp_path)
    (tmp_path / "ICBHI_challenge_diagnosis.txt").write_text("501\tCOPD\n\u0665\u0660\u0662\tURTI\n", encoding="utf-8")
    faults = verify(tmp_path).faults
    assert [(fault.kind, fault.line) for fault in faults] == [("diagnosis-format", 2)]


def test_bad_split_lines_are_named(tmp_path):
    write_set(tmp_path)
    with (tmp_path / "ICBHI_challenge_train_test.txt").open("a", encoding="utf-8") as stream:
        stream.write("504_1p2_Ll_mc_LittC2SE train\n505_1b1_Al_sc_Meditron both\nnonsense\n")
    faults = {(fault.line, fault.kind) for fault in verify(tmp_path).faults}
    assert faults == {(6, "split-conflict"), (7, "split-format"), (8, "split-format")}


def test_a_recording_that_the_split_does_not_list_is_a_fault(tmp_path):
    write_set(tmp_path)
    write_split(tmp_path / "ICBHI_challenge_train_test.txt", {name: NAMES[name] for name in NAMES if name != FIRST})
    faults = verify(tmp_path).faults
    assert [(fault.kind, fault.file) for fault in faults] == [("split-unlisted", f"ICBHI_final_database/{FIRST}.wav")]


def test_a_simulated_set_is_held_against_its_own_mark(tmp_path):
    database = write_set(tmp_path)
    document = {"simulated": True, "seed": 0, "recordings": 7, "version": 1}
    (tmp_path / "SIMULATED.json").write_text(json.dumps(document), encoding="utf-8")
    report = verify(tmp_path)
    assert [fault.message for fault in report.faults] == ["2 of 7 recordings are missing and not even listed"]
    (tmp_path / "SIMULATED.json").write_text(json.dumps({**document, "recordings": 4}), encoding="utf-8")
    assert "5 recordings, but 4 by the set's own count" in verify(tmp_path).faults[0].message
    with pytest.raises(DataError, match="5 recordings are there, but the set has 4"):
        load_dataset(tmp_path, allow_partial=True)
    (tmp_path / "SIMULATED.json").write_text("{}", encoding="utf-8")
    assert verify(tmp_path).faults[0].kind == "marker"
    assert database.exists()


def test_a_real_set_is_held_against_the_pinned_numbers(tmp_path):
    write_set(tmp_path, simulated=False)
    report = verify(tmp_path)
    assert report.split_official is False
    assert report.counts_official is None
    assert [fault.kind for fault in report.faults] == ["split-differs", "recordings-missing"]
    assert "915 of 920 recordings are missing" in report.faults[1].message


def test_report_as_json(tmp_path):
    database = write_set(tmp_path)
    write_annotation(database / f"{FIRST}.txt", [*CYCLES, (2.0, 1.0, 0, 0)])
    document = json.loads(json.dumps(verify(tmp_path).to_json()))
    assert document["ok"] is False
    assert document["faults"] == [
        {
            "file": f"ICBHI_final_database/{FIRST}.txt",
            "line": 5,
            "kind": "annotation-order",
            "message": "the cycle ends at 1.0 s, not after its start at 2.0 s",
        }
    ]
    assert document["counts"]["train"]["classes"] == {"normal": 3, "crackle": 3, "wheeze": 3, "both": 3}
    assert document["counts"]["train"]["devices"]["Meditron"]["recordings"] == 2
    assert document["counts"]["test"]["patients"]["504"]["cycles"] == 4
    assert document["recordings"] == {"present": 5, "expected": 5}


def test_a_folder_without_data_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no ICBHI recordings"):
        verify(tmp_path)


@pytest.mark.icbhi
def test_real_recordings_miss_722_and_nothing_else(icbhi_folder):
    report = verify(icbhi_folder)
    assert {fault.kind for fault in report.faults} == {"audio-missing"}
    assert len({fault.file for fault in report.faults}) == 722
    assert (report.split_official, report.counts_official, report.sound) == (True, True, True)
    assert report.counts.cycles == 2047


@pytest.mark.icbhi
def test_a_changed_label_or_side_of_the_real_set_is_seen(icbhi_folder, tmp_path):
    """Links to the real files, with one label and one side of the split changed."""
    (tmp_path / "database").mkdir()
    for path in (icbhi_folder / "ICBHI_final_database").iterdir():
        (tmp_path / "database" / path.name).symlink_to(path)
    name = "101_1b1_Al_sc_Meditron"
    split = (icbhi_folder / "ICBHI_challenge_train_test.txt").read_text(encoding="utf-8")
    (tmp_path / "official_split.txt").write_text(split, encoding="utf-8")
    assert verify(tmp_path).counts_official
    changed = tmp_path / "database" / f"{name}.txt"
    text = changed.read_text(encoding="utf-8").rstrip("\n")
    changed.unlink()
    changed.write_text(f"{text[:-1]}1\n", encoding="utf-8")
    messages = [fault.message for fault in verify(tmp_path).faults if fault.kind == "counts"]
    assert [message.partition(":")[0] for message in messages] == [
        "split test",
        "device test Meditron",
        "patient test 101",
    ]
    (tmp_path / "official_split.txt").write_text(split.replace(f"{name}\ttest", f"{name}\ttrain"), encoding="utf-8")
    report = verify(tmp_path)
    assert report.split_official is False
    assert "split-differs" in {fault.kind for fault in report.faults}
    with pytest.raises(DataError, match="not as the official split of 920 does"):
        load_dataset(tmp_path, allow_partial=True)
