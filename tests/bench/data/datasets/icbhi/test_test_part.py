"""The tested cycles of ICBHI's layout without audio, from annotations or from a run on the board."""

from __future__ import annotations

import numpy as np
import pytest
from board_runs import cycle_set, write_run
from icbhi_sets import CYCLES, NAMES, card_of, part_of_folder, write_annotation, write_set
from official_sets import MADE_UP, moved_labels, official_like

from bench.core.errors import DataError
from bench.data.answers import answers_of_board, known_answers
from bench.data.datasets.icbhi.card import CARD, OFFICIAL_SET, TASK
from bench.data.datasets.icbhi.pinned import BY_SPLIT, TEST_PATIENT_SHA256
from bench.data.datasets.icbhi.test_part import patient_hashes
from leaderboard.store.store import Store

SHARED = {**NAMES, "503_1b2_Ar_sc_Litt3200": "train"}
"""A split with patient 503 on both sides, as ICBHI has 156 and 218."""


def official_part(folder, store, *, named):
    return known_answers(card_of(folder), TASK, folder, store, named=named)


def part_of_board(store):
    return answers_of_board(CARD, TASK, store)


def without_audio(folder, keep=0):
    for path in sorted(folder.rglob("*.wav"))[keep:]:
        path.unlink()


def test_annotations_and_split_suffice(tmp_path):
    write_set(tmp_path, names=SHARED)
    with_audio = part_of_folder(tmp_path)
    without_audio(tmp_path)
    part = part_of_folder(tmp_path)
    assert part == with_audio
    assert part.cycles.keys == tuple(
        (name, index) for name in ("503_1b1_Ar_sc_Litt3200", "504_1p2_Ll_mc_LittC2SE") for index in range(len(CYCLES))
    )
    assert part.cycles.labels == (0, 1, 2, 3) * 2
    assert set(part.cycles.devices) == {"Litt3200", "LittC2SE"}
    assert (part.dataset, part.partial) == ("demo", None)
    assert part.train_patients == {"501", "502", "503"}
    assert part.shared_patients == {"503"}


def test_missing_annotations_need_allow_partial(tmp_path):
    database = write_set(tmp_path)
    for ending in (".wav", ".txt"):
        (database / f"504_1p2_Ll_mc_LittC2SE{ending}").unlink()
    with pytest.raises(DataError, match="1 of 5 annotation files is missing") as caught:
        part_of_folder(tmp_path)
    assert "--allow-partial" in caught.value.hint
    part = part_of_folder(tmp_path, allow_partial=True)
    assert part.partial == "partial (4 of 5)"
    assert len(part.cycles) == 4


def test_allow_partial_takes_the_recordings_with_audio_as_a_run_does(tmp_path):
    write_set(tmp_path)
    without_audio(tmp_path, keep=4)
    assert part_of_folder(tmp_path).partial is None
    part = part_of_folder(tmp_path, allow_partial=True)
    assert (part.partial, len(part.cycles)) == ("partial (4 of 5)", 4)


@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        ("ICBHI_final_database/504_1p2_Ll_mc_LittC2SE.txt", "0.1 0.6 0 2\n", "crackle and wheeze are '0' and '2'"),
        ("ICBHI_final_database/501_1b1_Al_sc_Meditron.txt", "", "holds no cycle"),
        ("ICBHI_challenge_train_test.txt", "501_1b1_Al_sc_Meditron\tboth\n", "is no recording with 'train' or 'test'"),
        ("SIMULATED.json", "{", "does not say how many recordings"),
    ],
)
@pytest.mark.parametrize("audio", [True, False])
def test_what_could_change_cycles_or_labels_is_refused_with_and_without_audio(tmp_path, file, text, word, audio):
    write_set(tmp_path)
    if not audio:
        without_audio(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=word) as caught:
        part_of_folder(tmp_path)
    assert "bench data verify" in caught.value.hint


def test_broken_audio_does_not_matter(tmp_path):
    database = write_set(tmp_path)
    before = part_of_folder(tmp_path)
    (database / "504_1p2_Ll_mc_LittC2SE.wav").write_bytes(b"noise")
    assert part_of_folder(tmp_path) == before


def test_a_split_file_is_needed(tmp_path):
    write_set(tmp_path)
    (tmp_path / "ICBHI_challenge_train_test.txt").unlink()
    with pytest.raises(DataError, match="there is no split file"):
        part_of_folder(tmp_path)


def test_a_set_that_only_calls_itself_icbhi_is_refused(tmp_path):
    write_set(tmp_path, simulated=False)
    with pytest.raises(DataError, match="915 of 920 annotation files are missing"):
        part_of_folder(tmp_path)
    assert part_of_folder(tmp_path, allow_partial=True).partial == "partial (5 of 920)"


def test_the_board_knows_the_cycles_of_its_full_runs(tmp_path):
    store = Store.open(tmp_path)
    cycles = official_like()
    assert len(cycles) == BY_SPLIT["test"].cycles == 2756
    # Both say that they are ICBHI's, but have other cycles, and labels moved within patients.
    store.import_run(write_run(tmp_path, seed=1, cycles=cycle_set(48)))
    store.import_run(write_run(tmp_path, seed=4, cycles=moved_labels(cycles)))
    store.import_run(write_run(tmp_path, seed=2, cycles=cycles, partial="partial (198 of 920)"))
    assert part_of_board(store) is None
    folder = write_run(tmp_path, seed=3, cycles=cycles)
    store.import_run(folder)
    part = part_of_board(store)
    assert part.cycles.hash == cycles.hash
    assert part.shared_patients == {"156", "218"}
    assert sum(patient not in part.shared_patients for patient in part.cycles.patients) == 2636
    assert folder.name in part.source
    assert official_part(tmp_path / "none", store, named=False) == part


def test_the_data_come_before_the_board_and_a_named_folder_before_all(tmp_path):
    store = Store.open(tmp_path / "home")
    store.import_run(write_run(tmp_path / "home", cycles=official_like()))
    write_set(tmp_path / "data")
    assert official_part(tmp_path / "data", store, named=False).dataset == "demo"
    with pytest.raises(DataError, match="No ICBHI annotations below") as caught:
        official_part(tmp_path / "none", store, named=True)
    assert "audio is not needed" in caught.value.hint


def test_where_nothing_is_known_the_sentence_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="The official test cycles are not known here") as caught:
        official_part(tmp_path / "none", Store.open(tmp_path / "home"), named=False)
    for word in ("--data", "bench data fetch", "demo"):
        assert word in caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.icbhi
def test_the_real_annotations_are_the_official_test_part(icbhi_folder, tmp_path):
    part = part_of_folder(icbhi_folder)
    assert np.bincount(part.cycles.labels).tolist() == list(BY_SPLIT["test"][1:])
    assert part.partial is None
    assert part.shared_patients == {"156", "218"}
    for path in icbhi_folder.rglob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert part_of_folder(tmp_path) == part
    # One label changed within a patient's file: no count of files or cycles shows it.
    name = next(name for (name, _), label in zip(part.cycles.keys, part.cycles.labels, strict=True) if label == 1)
    lines = [line.split() for line in (tmp_path / f"{name}.txt").read_text().splitlines()]
    write_annotation(tmp_path / f"{name}.txt", [(float(a), float(b), 0, 0) for a, b, *_ in lines])
    with pytest.raises(DataError, match="are not the official ones: 2,756 test cycles") as caught:
        part_of_folder(tmp_path)
    assert f"1 patient differs: patient {name[:3]} (" in caught.value.message


@pytest.mark.icbhi
def test_labels_moved_within_patients_are_refused_whatever_the_counts_say(icbhi_folder, tmp_path):
    part = part_of_folder(icbhi_folder)
    assert part.cycles.hash == OFFICIAL_SET
    assert OFFICIAL_SET not in MADE_UP
    assert patient_hashes(part.cycles) == TEST_PATIENT_SHA256
    for path in icbhi_folder.rglob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    swapped = swap_two_labels(tmp_path, part)
    with pytest.raises(DataError) as caught:
        part_of_folder(tmp_path)
    assert f"patient {swapped[0][0][:3]} (labels were moved between cycles: the counts" in caught.value.message
    # A run on the board that was judged by the official labels knows the cycles.
    store = Store.open(tmp_path / "home")
    store.import_run(write_run(tmp_path / "home", cycles=part.cycles))
    with pytest.raises(DataError) as caught:
        official_part(tmp_path, store, named=True)
    first = min(swapped)
    assert f"2 cycles differ: {first[0]} cycle {first[1]} is " in caught.value.message


def swap_two_labels(folder, part):
    """Exchange the labels of two test cycles of one patient in the annotation files; gives the cycles."""
    one = next(i for i, label in enumerate(part.cycles.labels) if label == 1)
    other = next(
        i
        for i, label in enumerate(part.cycles.labels)
        if label != 1 and part.cycles.patients[i] == part.cycles.patients[one]
    )
    keys = [part.cycles.keys[i] for i in (one, other)]
    flags = {keys[0]: part.cycles.labels[other], keys[1]: 1}
    for (name, index), label in flags.items():
        path = folder / f"{name}.txt"
        lines = [line.split() for line in path.read_text().splitlines()]
        lines[index][2:] = [str(label & 1), str(label >> 1)]
        path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return keys
