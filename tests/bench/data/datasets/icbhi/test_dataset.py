"""The reader: layouts, joins, labels, refusals, the fingerprint; and counts of the 920 real annotation files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from icbhi_sets import (
    CYCLES,
    NAMES,
    inspect_folder,
    load_dataset,
    mark_simulated,
    write_annotation,
    write_set,
    write_split,
    write_wav,
)

from bench.core.errors import DataError
from bench.data.dataset import Recording
from bench.data.datasets.icbhi.annotation import END_TOLERANCE, parse_annotation
from bench.data.datasets.icbhi.dataset import InspectedFolder
from bench.data.datasets.icbhi.files import holds_dataset
from bench.data.datasets.icbhi.pinned import (
    BY_DEVICE,
    BY_LOCATION,
    BY_MODE,
    BY_PATIENT,
    BY_SPLIT,
    CLASSES,
    SPLIT_SHA256,
    Count,
)
from bench.data.regular_files import read_text_bytes
from bench.data.wav import inspect_wav

FIRST = "501_1b1_Al_sc_Meditron"


def kinds(layout: InspectedFolder) -> list[str]:
    return [fault.kind for fault in layout.faults]


def test_official_layout_is_read(tmp_path):
    database = write_set(tmp_path)
    dataset = load_dataset(tmp_path)
    assert dataset.name == "demo"
    assert dataset.simulated
    assert dataset.partial is None
    assert [recording.name for recording in dataset.recordings] == sorted(NAMES)
    first = dataset.recordings[0]
    assert (first.patient, first.index, first.location, first.mode) == ("501", "1b1", "Al", "sc")
    assert (first.device, first.split) == ("Meditron", "train")
    assert first.audio == database / f"{FIRST}.wav"
    assert first.annotation == database / f"{FIRST}.txt"
    assert first.header is not None
    assert (first.header.rate, first.header.seconds) == (10000, 2.0)


def test_cycles_have_the_labels_of_their_flags_and_stand_in_order(tmp_path):
    write_set(tmp_path)
    dataset = load_dataset(tmp_path)
    assert len(dataset.cycles) == 4 * len(NAMES)
    assert [cycle.label for cycle in dataset.cycles[:4]] == [0, 1, 2, 3]
    assert [(cycle.recording, cycle.index) for cycle in dataset.cycles[:5]] == [
        *((FIRST, index) for index in range(4)),
        ("501_1b2_Tc_sc_Meditron", 0),
    ]
    assert (dataset.cycles[1].start, dataset.cycles[1].end) == (0.6, 1.1)
    assert {one.name: one.split for one in dataset.recordings}["503_1b1_Ar_sc_Litt3200"] == "test"


def test_companion_files_are_read(tmp_path):
    write_set(tmp_path)
    dataset = load_dataset(tmp_path)
    assert dataset.diagnosis["501"] == "COPD"
    person = dataset.demographics["501"]
    assert (person.age, person.sex, person.adult_bmi, person.child_weight) == (70.0, "F", 28.5, None)


def test_kaggle_layout_nested_and_doubled_is_read(tmp_path):
    source = write_set(tmp_path / "source")
    inner = Path("Respiratory_Sound_Database")
    for place in (tmp_path / "kaggle" / inner, tmp_path / "kaggle" / "respiratory_sound_database" / inner):
        shutil.copytree(source, place / "audio_and_txt_files")
        (place / "patient_diagnosis.csv").write_text("501,URTI\n502,Healthy\n", encoding="utf-8")
    (tmp_path / "kaggle" / "demographic_info.txt").write_text("501 3 F NA 19 99\n", encoding="utf-8")
    write_split(tmp_path / "kaggle" / "official_split.txt")
    mark_simulated(tmp_path / "kaggle")
    dataset = load_dataset(tmp_path / "kaggle")
    assert len(dataset.recordings) == len(NAMES)
    assert dataset.diagnosis == {"501": "URTI", "502": "Healthy"}
    assert dataset.demographics["501"].child_height == 99.0
    assert dataset.fingerprint == load_dataset(tmp_path / "source").fingerprint


def test_kaggle_layout_without_split_file_says_where_to_put_it(tmp_path):
    database = write_set(tmp_path, simulated=False)
    (tmp_path / "ICBHI_challenge_train_test.txt").unlink()
    database.rename(tmp_path / "audio_and_txt_files")
    with pytest.raises(DataError, match=r"ICBHI_challenge_train_test\.txt or official_split\.txt") as caught:
        load_dataset(tmp_path, allow_partial=True)
    assert caught.value.exit_code == 3
    assert str(tmp_path) in str(caught.value.hint)


@pytest.mark.parametrize("ending", [".wav", ".txt"])
def test_second_copies_that_differ_are_refused_and_both_named(tmp_path, ending):
    database = write_set(tmp_path)
    shutil.copytree(database, tmp_path / "copy")
    path = tmp_path / "copy" / f"{FIRST}{ending}"
    if ending == ".wav":
        write_wav(path, seconds=2.5)
    else:
        write_annotation(path, CYCLES[:2])
    with pytest.raises(DataError, match="differs from its second copy") as caught:
        load_dataset(tmp_path)
    assert f"ICBHI_final_database/{FIRST}{ending}" in caught.value.message
    assert f"copy/{FIRST}{ending}" in caught.value.message


def test_macos_junk_and_hidden_folders_are_no_data(tmp_path):
    database = write_set(tmp_path)
    (database / f"._{FIRST}.wav").write_bytes(b"junk")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / f"{FIRST}.wav").write_bytes(b"junk")
    (tmp_path / ".unpacking").mkdir()
    (tmp_path / ".unpacking" / f"{FIRST}.txt").write_bytes(b"junk")
    layout = inspect_folder(tmp_path)
    assert (layout.faults, layout.notes) == ((), ())


def test_wav_files_with_other_names_are_noted(tmp_path):
    database = write_set(tmp_path)
    write_wav(database / "501_1b1_Al_sc_Meditron_cycle_1.wav", rate=4000, subtype="PCM_16")
    layout = inspect_folder(tmp_path)
    assert layout.faults == ()
    assert "Meditron_cycle_1.wav is not named as a recording" in layout.notes[0]


def test_links_to_folders_are_followed_once(tmp_path):
    write_set(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "data").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    assert len(load_dataset(tmp_path / "linked").recordings) == len(NAMES)


def write_226(folder: Path, split_lines: str) -> None:
    database = write_set(folder, names={**NAMES, "226_1b1_Pl_sc_LittC2SE": "train"})
    split = folder / "ICBHI_challenge_train_test.txt"
    kept = [line for line in split.read_text(encoding="utf-8").splitlines() if not line.startswith("226")]
    split.write_text("\n".join(kept) + "\n" + split_lines, encoding="utf-8")
    assert (database / "226_1b1_Pl_sc_LittC2SE.wav").exists()


@pytest.mark.parametrize(
    "lines",
    [
        "226_1b1_Pl_sc_LittC2SE\ttrain\n",
        "226_1b1_Pl_sc_Meditron\ttrain\n",
        "226_1b1_Pl_sc_Meditron\ttrain\n226_1b1_Pl_sc_LittC2SE\ttrain\n",
    ],
)
def test_226_is_joined_whatever_its_name_in_the_split_file(tmp_path, lines):
    write_226(tmp_path, lines)
    dataset = load_dataset(tmp_path)
    assert len(dataset.recordings) == len(NAMES) + 1
    found = dataset.recordings[0]
    assert (found.name, found.device, found.split) == ("226_1b1_Pl_sc_LittC2SE", "LittC2SE", "train")


def test_226_on_both_sides_is_refused(tmp_path):
    write_226(tmp_path, "226_1b1_Pl_sc_Meditron\ttrain\n226_1b1_Pl_sc_LittC2SE\ttest\n")
    with pytest.raises(DataError, match=r"train_test\.txt:7: 226_1b1_Pl_sc_LittC2SE is put into test"):
        load_dataset(tmp_path)


def test_226_annotated_under_its_other_name_is_joined(tmp_path):
    write_226(tmp_path, "226_1b1_Pl_sc_Meditron\ttrain\n")
    database = tmp_path / "ICBHI_final_database"
    (database / "226_1b1_Pl_sc_LittC2SE.txt").rename(database / "226_1b1_Pl_sc_Meditron.txt")
    found = load_dataset(tmp_path).recordings[0]
    assert (found.name, len(found.cycles)) == ("226_1b1_Pl_sc_LittC2SE", 4)


def test_split_files_that_disagree_are_refused(tmp_path):
    write_set(tmp_path)
    write_split(tmp_path / "official_split.txt", {**NAMES, FIRST: "test"})
    with pytest.raises(DataError, match=r"official_split\.txt: splits the recordings otherwise"):
        load_dataset(tmp_path)


def test_a_full_split_that_is_not_the_official_one_is_refused(tmp_path):
    write_set(tmp_path, simulated=False)
    others = {f"{number}_1b1_Al_sc_Meditron": "train" for number in range(100, 1000)}
    write_split(
        tmp_path / "ICBHI_challenge_train_test.txt",
        {**others, **NAMES, "999_9b9_Tc_sc_Litt3200": "train"}
        | {f"{number}_1b2_Al_sc_Meditron": "test" for number in range(100, 130)},
    )
    with pytest.raises(DataError, match="not as the official split of 920 does"):
        load_dataset(tmp_path, allow_partial=True)


def test_an_empty_split_file_is_no_split(tmp_path):
    write_set(tmp_path, simulated=False)
    (tmp_path / "ICBHI_challenge_train_test.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(DataError, match="the split file does not list the recording"):
        load_dataset(tmp_path, allow_partial=True)


def test_missing_recordings_need_allow_partial(tmp_path):
    database = write_set(tmp_path)
    (database / f"{FIRST}.wav").unlink()
    with pytest.raises(DataError, match="1 of 5 recordings is missing") as caught:
        load_dataset(tmp_path)
    assert "--allow-partial" in str(caught.value.hint)
    dataset = load_dataset(tmp_path, allow_partial=True)
    assert dataset.partial == "partial (4 of 5)"
    assert FIRST not in {cycle.recording for cycle in dataset.cycles}


def test_a_real_set_expects_920(tmp_path):
    write_set(tmp_path, simulated=False)
    with pytest.raises(DataError, match="915 of 920 recordings are missing"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, allow_partial=True).partial == "partial (5 of 920)"


def test_faults_of_recordings_without_audio_do_not_stop_a_partial_run(tmp_path):
    database = write_set(tmp_path)
    (database / f"{FIRST}.wav").unlink()
    (database / f"{FIRST}.txt").write_text("not numbers at all\n", encoding="utf-8")
    assert len(load_dataset(tmp_path, allow_partial=True).recordings) == 4
    assert kinds(inspect_folder(tmp_path)) == ["audio-missing", "annotation-format"]


@pytest.mark.parametrize("content", ["missing", "empty", "text only", "annotations only"])
def test_folders_without_recordings_are_refused(tmp_path, content):
    folder = tmp_path / "data"
    if content != "missing":
        folder.mkdir()
    if content == "text only":
        (folder / "README.txt").write_text("nothing here", encoding="utf-8")
    if content == "annotations only":
        write_annotation(folder / f"{FIRST}.txt")
        write_split(folder / "official_split.txt")
    with pytest.raises(DataError, match=r"does not exist|holds") as caught:
        load_dataset(folder, allow_partial=True)
    assert "bench data fetch" in str(caught.value.hint)
    assert holds_dataset(folder) is (content == "annotations only")


def test_find_dataset_sees_nested_recordings(tmp_path):
    write_set(tmp_path / "a" / "b")
    assert holds_dataset(tmp_path)


BAD_LINES = {
    "0.1\t0.6\t0": ("annotation-format", "3 fields, but 4 are needed"),
    "a\t0.6\t0\t0": ("annotation-format", "times are 'a' and '0.6', but must be numbers"),
    "0,1\t0,6\t0\t0": ("annotation-format", "must be numbers"),
    "nan\t0.6\t0\t0": ("annotation-format", "must be numbers"),
    "0.1\tinf\t0\t0": ("annotation-format", "must be numbers"),
    "0.1\t1e999\t0\t0": ("annotation-format", "must be numbers"),
    "0.1\t1_0\t0\t0": ("annotation-format", "times are '0.1' and '1_0', but must be numbers"),
    "0.1\t\u0661\t0\t0": ("annotation-format", "must be numbers"),
    "0.1\t\uff11\t0\t0": ("annotation-format", "must be numbers"),
    "0.1\t0x1\t0\t0": ("annotation-format", "must be numbers"),
    "0.1\t0.6\x00\t0\t0": ("annotation-format", "times are '0.1' and '0.6?'"),
    "0.1\t\x1b[2J\t0\t0": ("annotation-format", "times are '0.1' and '?[2J'"),
    "0.1\t0.6\t0\t\u0661": ("annotation-flag", "must be 0 or 1"),
    f"{'9' * 500}x\t0.6\t0\t0": ("annotation-format", f"times are '{'9' * 79}…'"),
    "0.5\t0.50001\t0\t0": ("annotation-short", "from 0.5 s to 0.50001 s holds no sample of the recording (10000 Hz)"),
    "-0.1\t0.6\t0\t0": ("annotation-order", "starts at -0.1 s, before the recording"),
    "0.6\t0.1\t0\t0": ("annotation-order", "ends at 0.1 s, not after its start at 0.6 s"),
    "0.6\t0.6\t0\t0": ("annotation-order", "not after its start"),
    "0.1\t0.6\t2\t0": ("annotation-flag", "crackle and wheeze are '2' and '0', but must be 0 or 1"),
    "0.1\t0.6\t0\tx": ("annotation-flag", "must be 0 or 1"),
    "0.1\t2.2\t0\t0": ("annotation-beyond", "ends at 2.2 s, but the recording ends at 2.000 s"),
    "2.01\t2.04\t0\t0": ("annotation-beyond", "starts at 2.01 s, but the recording ends at 2.000 s"),
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_annotation_lines_are_named_by_file_and_line(tmp_path, line):
    kind, message = BAD_LINES[line]
    database = write_set(tmp_path)
    (database / f"{FIRST}.txt").write_text(f"0.0 0.1 0 0\n\n{line}\n", encoding="utf-8")
    (fault,) = inspect_folder(tmp_path).faults
    assert (fault.kind, fault.line, fault.file) == (kind, 3, f"ICBHI_final_database/{FIRST}.txt")
    assert message in fault.message
    with pytest.raises(DataError, match=rf"{FIRST}\.txt:3: ") as caught:
        load_dataset(tmp_path)
    assert "bench data verify" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no cycle"),
        (b" \n\n", "no cycle"),
        (b"\xff\xfe0", "no text"),
        (b"0.1 0.6 0 0\n\xe9", "is no text: byte 12 is 0xe9"),
        (b"0.1 0.6 0 0\n" * 100_000, "it has more than 1,048,576 bytes"),
    ],
)
def test_annotation_files_that_are_empty_or_no_text_are_faults(tmp_path, content, message):
    database = write_set(tmp_path)
    (database / f"{FIRST}.txt").write_bytes(content)
    (fault,) = inspect_folder(tmp_path).faults
    assert message in fault.message
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path)


def test_a_byte_that_is_no_text_is_named_with_its_line():
    assert [problem.line for problem in parse_annotation("x", b"0.1 0.6 0 0\r\n0.6 \xe9 0 0\n")[1]] == [2]


def test_lines_are_counted_as_editors_count_them():
    content = "0.1 0.6 0 0\x0b\n0.6\x851 0 0\n\u2028broken\n".encode()
    cycles, problems = parse_annotation("x", content)
    assert [cycle.index for cycle in cycles] == [0, 1]
    assert [problem.line for problem in problems] == [3]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    import socket

    # The name of a socket has 107 bytes at most.
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_endless])
@pytest.mark.parametrize(
    "name",
    [
        f"ICBHI_final_database/{FIRST}.wav",
        f"ICBHI_final_database/{FIRST}.txt",
        "ICBHI_challenge_train_test.txt",
        "ICBHI_challenge_diagnosis.txt",
        "SIMULATED.json",
    ],
)
def test_what_is_no_regular_file_is_passed_over_and_named(tmp_path, make, name):
    write_set(tmp_path)
    (tmp_path / name).unlink()
    make(tmp_path / name)
    layout = inspect_folder(tmp_path)
    (note,) = layout.notes
    assert note.startswith(f"{name} is no regular file, but a ")
    assert holds_dataset(tmp_path)


@pytest.mark.parametrize("make", [make_pipe, make_endless])
def test_texts_and_headers_are_read_of_regular_files_alone(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(OSError, match="it is no regular file, but a"):
        read_text_bytes(tmp_path / "x")
    header, (problem,) = inspect_wav(tmp_path / "x")
    assert header is None
    assert problem.kind == "audio-unreadable"


def test_a_pipe_alone_is_no_data_set(tmp_path):
    make_pipe(tmp_path / f"{FIRST}.wav")
    assert not holds_dataset(tmp_path)
    with pytest.raises(DataError, match="holds no ICBHI"):
        load_dataset(tmp_path)


def test_a_folder_of_too_many_names_says_where_looking_stopped(tmp_path, monkeypatch):
    write_set(tmp_path / "set")
    monkeypatch.setattr("bench.data.files.MOST_ENTRIES", 12)
    with pytest.raises(
        DataError, match=r"holds more than 12 names; looking .* stopped at .*ICBHI_final_database"
    ) as caught:
        inspect_folder(tmp_path)
    assert "--data" in caught.value.hint


def test_a_folder_that_is_nested_too_deep_says_where_looking_stopped(tmp_path):
    deep = tmp_path.joinpath(*["x"] * 40)
    deep.mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds folders more than 32 deep; looking .* stopped at .*/x/x"):
        holds_dataset(tmp_path)


def test_links_that_lead_in_circles_are_no_reason_to_look_twice(tmp_path):
    database = write_set(tmp_path)
    for number in range(5):
        (database / f"loop{number}").symlink_to(tmp_path)
        (tmp_path / f"loop{number}").symlink_to(database)
    (tmp_path / "round").symlink_to("round")
    layout = inspect_folder(tmp_path)
    assert (layout.faults, layout.notes) == ((), ())
    assert len(layout.present) == len(NAMES)


@pytest.mark.parametrize("content", ["{}", "[" * 100_000, '{"recordings": true}', '{"recordings": 1e3}', "\0"])
def test_a_mark_that_says_no_number_is_a_fault(tmp_path, content):
    write_set(tmp_path)
    (tmp_path / "SIMULATED.json").write_text(content, encoding="utf-8")
    assert kinds(inspect_folder(tmp_path))[0] == "marker"


def test_digits_of_other_scripts_name_no_recording(tmp_path):
    write_set(tmp_path)
    write_annotation(tmp_path / "\u0665\u0660\u0661_1b1_Al_sc_Meditron.txt")
    assert len(inspect_folder(tmp_path).recordings) == len(NAMES)


def test_ends_within_the_tolerance_are_sound(tmp_path):
    database = write_set(tmp_path)
    write_annotation(database / f"{FIRST}.txt", [(0.1, 2.0 + END_TOLERANCE, 0, 0)])
    assert inspect_folder(tmp_path).faults == ()


def test_spaces_line_ends_and_byte_order_mark_do_not_matter():
    plain = parse_annotation("x", b"0.1\t0.6\t0\t1\n0.6\t1\t1\t1\n")
    assert parse_annotation("x", b"\xef\xbb\xbf0.1 0.6  0 1\r\n0.6 1 1 1") == plain
    assert [cycle.label for cycle in plain[0]] == [2, 3]


def test_an_index_counts_all_lines_of_the_file():
    cycles, problems = parse_annotation("x", b"0.1 0.6 0 0\nbroken\n0.6 1 1 0\n")
    assert [cycle.index for cycle in cycles] == [0, 2]
    assert [problem.line for problem in problems] == [2]


def change_time(database: Path) -> None:
    os.utime(database / f"{FIRST}.wav", (1, 1))


def change_line_ends(database: Path) -> None:
    path = database / f"{FIRST}.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def add_remark(database: Path) -> None:
    with (database / f"{FIRST}.wav").open("ab") as stream:
        stream.write(b"LIST\x04\x00\x00\x00INFO")


def add_companion(database: Path) -> None:
    (database.parent / "notes.txt").write_text("a note", encoding="utf-8")


def change_sample(database: Path) -> None:
    with (database / f"{FIRST}.wav").open("r+b") as stream:
        stream.seek(100)
        byte = stream.read(1)[0]
        stream.seek(100)
        stream.write(bytes([byte ^ 1]))


def change_label(database: Path) -> None:
    write_annotation(database / f"{FIRST}.txt", [(*CYCLES[0][:2], 1, 0), *CYCLES[1:]])


def change_end(database: Path) -> None:
    write_annotation(database / f"{FIRST}.txt", [*CYCLES[:3], (1.5, 1.999, 1, 1)])


def change_split(database: Path) -> None:
    write_split(database.parent / "ICBHI_challenge_train_test.txt", {**NAMES, FIRST: "test"})


@pytest.mark.parametrize("change", [change_time, change_line_ends, add_remark, add_companion])
def test_what_is_no_content_does_not_move_the_fingerprint(tmp_path, change):
    first, second = write_set(tmp_path / "a"), write_set(tmp_path / "b" / "nested")
    change(second)
    assert load_dataset(first.parent).fingerprint == load_dataset(second.parent).fingerprint


@pytest.mark.parametrize("change", [change_sample, change_label, change_end, change_split])
def test_content_moves_the_fingerprint(tmp_path, change):
    first, second = write_set(tmp_path / "a"), write_set(tmp_path / "b")
    change(second)
    assert load_dataset(first.parent).fingerprint != load_dataset(second.parent).fingerprint


def test_fingerprint_is_stable(tmp_path):
    """Pinned: results of earlier runs are found by it. Made from integers, so that no sound library can move it."""
    database = write_set(tmp_path, names={FIRST: "train"})
    header = (database / f"{FIRST}.wav").read_bytes()[:44]
    samples = bytes(index * 7 % 256 for index in range(40000))
    (database / f"{FIRST}.wav").write_bytes(header + samples)
    expected = hashlib.sha256(
        b"lungbench data 1\n"
        + f"{FIRST} train 10000 1 16 {hashlib.sha256(samples).hexdigest()}\n".encode()
        + b"0.1 0.6 0\n0.6 1.1 1\n1.1 1.5 2\n1.5 2.0 3\n"
    ).hexdigest()
    assert load_dataset(tmp_path).fingerprint == expected


def test_recordings_without_audio_do_not_count_for_the_fingerprint(tmp_path):
    first, second = write_set(tmp_path / "a"), write_set(tmp_path / "b")
    for database in (first, second):
        (database / f"{FIRST}.wav").unlink()
    (second / f"{FIRST}.txt").unlink()
    one, two = (load_dataset(folder.parent, allow_partial=True) for folder in (first, second))
    assert one.fingerprint == two.fingerprint


def test_hashes_are_remembered_by_path_size_and_time(tmp_path, monkeypatch):
    from bench.data import fingerprint as module

    database, cache = write_set(tmp_path / "data"), tmp_path / "cache"
    hashed: list[str] = []
    original = module._hash_samples
    monkeypatch.setattr(
        module, "_hash_samples", lambda path, header: hashed.append(path.name) or original(path, header)
    )
    first = load_dataset(tmp_path / "data", cache=cache).fingerprint
    assert len(hashed) == len(NAMES)
    assert load_dataset(tmp_path / "data", cache=cache).fingerprint == first
    assert len(hashed) == len(NAMES)
    change_sample(database)
    os.utime(database / f"{FIRST}.wav", ns=(5, 5))
    assert load_dataset(tmp_path / "data", cache=cache).fingerprint != first
    assert hashed[len(NAMES) :] == [f"{FIRST}.wav"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1, "files": []}', '{"version": 1, "files": {"x": 3}}'])
def test_a_broken_memory_of_hashes_is_made_anew(tmp_path, content):
    write_set(tmp_path / "data")
    cache = tmp_path / "cache"
    cache.mkdir()
    path = cache / "audio-hashes.json"
    path.write_text(content, encoding="utf-8")
    assert load_dataset(tmp_path / "data", cache=cache).fingerprint == load_dataset(tmp_path / "data").fingerprint
    assert len(json.loads(path.read_text(encoding="utf-8"))["files"]) == len(NAMES)


# The real annotation files, against counts made by the authors' own reader.


@pytest.fixture(scope="module")
def real(icbhi_folder) -> tuple[Recording, ...]:
    return inspect_folder(icbhi_folder).recordings


def check_counts(recordings: list[Recording], expected: dict) -> None:
    """Compare recordings with one block of counts, every field of it."""
    cycles = [cycle for recording in recordings for cycle in recording.cycles]
    lengths = [cycle.end - cycle.start for cycle in cycles]
    labels = Counter(CLASSES[cycle.label] for cycle in cycles)
    content = Counter(
        "+".join(CLASSES[label] for label in sorted({cycle.label for cycle in recording.cycles}))
        for recording in recordings
    )
    found = {
        "recordings": len(recordings),
        "patients": len({recording.patient for recording in recordings}),
        "cycles": len(cycles),
        "classes": {name: labels[name] for name in CLASSES},
        "two_class": {"normal": labels["normal"], "abnormal": len(cycles) - labels["normal"]},
        "shorter_than_1s": sum(length < 1 for length in lengths),
        "longer_than_8s": sum(length > 8 for length in lengths),
        "recordings_by_label_content": dict(content),
    }
    for name, key in (("by_device", "device"), ("by_chest_location", "location"), ("by_acquisition", "mode")):
        for value, block in expected.get(name, {}).items():
            check_counts([recording for recording in recordings if getattr(recording, key) == value], block)
        if name in expected:
            assert {getattr(recording, key) for recording in recordings} == set(expected[name])
    sums = {"seconds_total": sum(lengths), "seconds_min": min(lengths), "seconds_max": max(lengths)}
    for name, value in sums.items():
        if name in expected:
            assert expected[name] == pytest.approx(value, abs=1e-6)
    handled = {*found, *sums, "by_device", "by_chest_location", "by_acquisition"}
    assert set(expected) <= handled, set(expected) - handled
    assert {name: found[name] for name in expected if name in found} == {
        name: value for name, value in expected.items() if name in found
    }


@pytest.mark.golden
@pytest.mark.icbhi
def test_counts_of_the_whole_set(golden, real):
    expected = golden.json("cycles.json")
    assert tuple(expected["class_order"]) == CLASSES
    check_counts(list(real), expected["all"])


@pytest.mark.golden
@pytest.mark.icbhi
@pytest.mark.parametrize("split", ["train", "test"])
def test_counts_of_the_official_split(golden, real, split):
    expected = golden.json("cycles.json")["official"][split]
    check_counts([recording for recording in real if recording.split == split], expected)


@pytest.mark.golden
@pytest.mark.icbhi
def test_split_file_names_every_recording_once(golden, icbhi_folder):
    expected = golden.json("cycles.json")
    layout = inspect_folder(icbhi_folder)
    keys = {recording.name.rpartition("_")[0] for recording in layout.recordings}
    assert len(layout.split.sides) == expected["split_lines"]
    assert sorted(set(layout.split.sides) - keys) == expected["split_names_without_annotation"]
    assert sorted(keys - set(layout.split.sides)) == expected["annotations_without_split"]
    assert layout.split.sha256 == SPLIT_SHA256


@pytest.mark.golden
@pytest.mark.icbhi
def test_patients_on_both_sides(golden, real):
    expected = golden.json("cycles.json")["patient_overlap"]
    sides = {side: {recording.patient for recording in real if recording.split == side} for side in ("train", "test")}
    both = sides["train"] & sides["test"]
    assert sorted(both) == expected["patients"]
    for patient, block in expected["per_patient"].items():
        mine = {side: [r for r in real if (r.patient, r.split) == (patient, side)] for side in ("train", "test")}
        labels = Counter(CLASSES[cycle.label] for recording in mine["test"] for cycle in recording.cycles)
        assert block == {
            "train_recordings": len(mine["train"]),
            "test_recordings": len(mine["test"]),
            "train_cycles": sum(len(recording.cycles) for recording in mine["train"]),
            "test_cycles": sum(len(recording.cycles) for recording in mine["test"]),
            "test_classes": {name: labels[name] for name in CLASSES},
        }
    rest = [recording for recording in real if recording.split == "test" and recording.patient not in both]
    check_counts(rest, expected["test_without_overlap"])


@pytest.mark.golden
@pytest.mark.icbhi
def test_seeded_split(golden, real):
    document = golden.json("cycles.json")

    def side(name: str) -> str:
        first = hashlib.sha256(f"{document['seed']}:split:{name}".encode()).digest()[0]
        return "test" if first < 102 else "train"

    for split in ("train", "test"):
        if split in document["seeded_split"]:
            check_counts([r for r in real if side(r.name) == split], document["seeded_split"][split])


@pytest.mark.golden
@pytest.mark.icbhi
def test_diagnosis_of_each_cycle(golden, icbhi_folder):
    expected = golden.json("cycles.json")["diagnosis_cycle_counts"]
    layout = inspect_folder(icbhi_folder)
    for split, block in expected.items():
        diseases = Counter(
            layout.diagnosis[recording.patient]
            for recording in layout.recordings
            if recording.split == split
            for _ in recording.cycles
        )
        assert {name: diseases[name] for name in block["by_disease"]} == block["by_disease"]
        assert set(diseases) <= set(block["by_disease"])
        chronic = sum(diseases[name] for name in ("COPD", "Bronchiectasis", "Asthma"))
        healthy, everyone = diseases["Healthy"], diseases.total()
        assert block["three_class"] == [healthy, chronic, everyone - healthy - chronic]
        assert block["two_class"] == [healthy, everyone - healthy]


@pytest.mark.golden
@pytest.mark.icbhi
def test_sample_bounds_of_cycles(golden, real):
    expected = golden.json("cycles.json")["index_rule"]
    cycles = [cycle for recording in real for cycle in recording.cycles]
    bounds = [time for cycle in cycles for time in (cycle.start, cycle.end)]
    lengths = [int(cycle.end * 16000) - int(cycle.start * 16000) for cycle in cycles]
    assert len(bounds) == expected["boundaries"]
    assert sum(int(time * 16000) != round(time * 16000) for time in bounds) == expected["int_differs_from_round"]
    assert sum(lengths) == expected["sum_of_chunk_lengths_16k"]
    assert sum(length > 128000 for length in lengths) == expected["chunks_over_128000"]
    assert sum(length == 128000 for length in lengths) == expected["chunks_equal_128000"]
    assert min(lengths) == expected["shortest_chunk"]


@pytest.mark.golden
def test_pinned_counts_are_the_golden_ones(golden):
    expected = golden.json("cycles.json")
    for split, block in expected["official"].items():
        assert BY_SPLIT[split] == Count(block["recordings"], *(block["classes"][name] for name in CLASSES))
        assert BY_SPLIT[split].cycles == block["cycles"]
        for device, part in block["by_device"].items():
            assert BY_DEVICE[split, device] == Count(part["recordings"], *(part["classes"][name] for name in CLASSES))
        assert {device for side, device in BY_DEVICE if side == split} == set(block["by_device"])
        assert len([patient for side, patient in BY_PATIENT if side == split]) == block["patients"]
    whole = expected["all"]
    assert {name: block["recordings"] for name, block in whole["by_chest_location"].items()} == BY_LOCATION
    assert {name: block["recordings"] for name, block in whole["by_acquisition"].items()} == BY_MODE


def test_pinned_counts_agree_with_each_other():
    for split, total in BY_SPLIT.items():
        for table in (BY_DEVICE, BY_PATIENT):
            parts = [count for (side, _), count in table.items() if side == split]
            assert tuple(map(sum, zip(*parts, strict=True))) == total
    assert len({patient for _, patient in BY_PATIENT}) == 126
    assert sum(BY_LOCATION.values()) == sum(BY_MODE.values()) == 920


@pytest.mark.icbhi
def test_real_recordings_load(icbhi_folder, tmp_path):
    dataset = load_dataset(icbhi_folder, allow_partial=True, cache=tmp_path)
    assert dataset.partial == "partial (198 of 920)"
    assert len(dataset.cycles) == 2047
    assert {recording.header.rate for recording in dataset.recordings if recording.header} == {4000, 10000, 44100}
