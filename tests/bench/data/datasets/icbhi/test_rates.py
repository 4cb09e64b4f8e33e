"""Copies that were resampled as a whole: data sets of their own, told from the owners' archive by rates alone."""

from __future__ import annotations

import pytest
import soundfile
from icbhi_sets import write_set, write_wav
from scipy.signal import resample_poly

from bench.core.datasets import DATASETS
from bench.core.errors import DataError
from bench.data.answers import answers_in
from bench.data.datasets.icbhi.card import OFFICIAL_SET
from bench.data.datasets.icbhi.pinned import BY_DEVICE, RATES, RECORDINGS, RESAMPLED
from bench.data.datasets.icbhi.rates import native_rates
from bench.data.sources import FetchableReader, entries_in, load_dataset, reader_of
from leaderboard.tasks import judged_task

NAMES = {
    "101_1b1_Al_sc_Meditron": "test",
    "110_1b1_Pr_sc_Meditron": "train",
    "107_2b3_Ar_mc_AKGC417L": "train",
    "156_2b3_Al_mc_AKGC417L": "test",
}
"""Recordings of patients of the set."""


def native_set(folder, names=NAMES):
    """A made-up part of the owners' archive, with the rates that its recordings have."""
    database = write_set(folder, simulated=False, names=names)
    for name in names:
        write_wav(database / f"{name}.wav", rate=native_rates(name)[0], subtype="PCM_16")
    return database


def resample(database, rate, only=""):
    """Resample the recordings whose names end with some words, as the makers of copies do."""
    for path in database.glob(f"*{only}.wav"):
        wave, native = soundfile.read(path)
        soundfile.write(path, resample_poly(wave, rate, native), rate, subtype="PCM_16")


def sets_in(folder):
    return [entry.id for entry in entries_in(folder)]


def test_native_rates_are_those_of_device_and_patient():
    assert native_rates("101_1b1_Al_sc_Meditron") == (44100,)
    assert native_rates("110_1b1_Pr_sc_Meditron") == (4000,)
    assert native_rates("223_1b1_Pr_sc_Meditron") == (10000,)
    assert native_rates("133_2p2_Tc_mc_AKGC417L") == (44100,)
    assert native_rates("170_1b2_Al_mc_Litt3200") == (4000,)
    assert native_rates("501_1b1_Al_sc_Meditron") == RATES  # of nobody in the set
    assert {device for _, device in BY_DEVICE} == {"AKGC417L", "Litt3200", "LittC2SE", "Meditron"}


@pytest.mark.parametrize(("rate", "name"), RESAMPLED.items())
def test_a_folder_of_one_rate_is_the_resampled_set_and_no_other(tmp_path, rate, name):
    database = native_set(tmp_path)
    assert sets_in(tmp_path) == ["icbhi"]
    native = load_dataset(tmp_path, "icbhi", allow_partial=True)
    resample(database, rate)
    assert sets_in(tmp_path) == [name]
    dataset = load_dataset(tmp_path, name, allow_partial=True)
    assert {recording.header.rate for recording in dataset.recordings} == {rate}
    assert dataset.cycles == native.cycles
    assert dataset.fingerprint != native.fingerprint
    assert dataset.partial == "partial (4 of 920)"
    assert (dataset.card.id, dataset.simulated) == (name, False)


@pytest.mark.parametrize(("rate", "name"), RESAMPLED.items())
def test_a_resampled_set_has_the_labels_of_the_official_one_and_is_never_official(rate, name):
    card, official = DATASETS.card(name), DATASETS.card("icbhi")
    assert card.title == f"ICBHI 2017 resampled to {rate // 1000} kHz"
    assert [task.id for task in card.tasks] == [task.id for task in official.tasks]
    assert [task.counts for task in card.tasks] == [task.counts for task in official.tasks]
    assert all(not task.judged_sets for task in card.tasks)
    assert (card.published, card.primary, card.rates, card.environment) == (None, False, (rate,), None)
    assert (card.patients, card.shared_patients) == (official.patients, {"156", "218"})
    assert card.recordings == RECORDINGS
    judged = judged_task({"dataset": name, "split": "official"})
    assert (judged.card, judged.is_official(OFFICIAL_SET), judged.is_pinned) == (card, False, False)
    assert not isinstance(reader_of(name), FetchableReader)


def test_recordings_made_at_4_khz_alone_are_no_resampled_set(tmp_path):
    names = {"110_1b1_Pr_sc_Meditron": "train", "170_1b2_Al_mc_Litt3200": "test"}
    native_set(tmp_path, names)
    assert sets_in(tmp_path) == ["icbhi"]


def test_annotations_alone_are_the_official_set_and_answer_for_resampled_ones_too(tmp_path):
    database = native_set(tmp_path)
    for path in database.glob("*.wav"):
        path.unlink()
    assert sets_in(tmp_path) == ["icbhi"]
    for name in ("icbhi", *RESAMPLED.values()):
        card = DATASETS.card(name)
        part = answers_in(tmp_path, card, card.tasks[0], allow_partial=True)
        assert (part.dataset, len(part.cycles), part.partial) == (name, 8, "partial (4 of 920)")


def test_mixed_rates_are_an_error_that_names_the_files_and_the_resampled_sets(tmp_path):
    database = native_set(tmp_path)
    resample(database, 16000, "AKGC417L")
    assert sets_in(tmp_path) == ["icbhi"]
    with pytest.raises(DataError, match=r"2 recordings below .* have other rates than those of ICBHI 2017") as caught:
        load_dataset(tmp_path, "icbhi", allow_partial=True)
    assert "107_2b3_Ar_mc_AKGC417L.wav, ICBHI_final_database/156_2b3_Al_mc_AKGC417L.wav" in caught.value.message
    assert "icbhi-16khz (16000 Hz), icbhi-4khz (4000 Hz)" in caught.value.hint
    faults = {fault.file: fault.message for fault in reader_of("icbhi").verify(tmp_path).faults}
    assert faults["ICBHI_final_database/107_2b3_Ar_mc_AKGC417L.wav"] == (
        "has a rate of 16000 Hz, but was made at 44100 Hz"
    )


def test_one_recording_of_another_rate_among_resampled_ones_is_an_error(tmp_path):
    database = native_set(tmp_path)
    whole = (database / "107_2b3_Ar_mc_AKGC417L.wav").read_bytes()
    resample(database, 16000)
    (database / "107_2b3_Ar_mc_AKGC417L.wav").write_bytes(whole)
    assert sets_in(tmp_path) == ["icbhi"]
    with pytest.raises(DataError, match=r"3 recordings below .* have other rates"):
        load_dataset(tmp_path, "icbhi", allow_partial=True)


def test_another_rate_that_no_set_has_is_an_error(tmp_path):
    resample(native_set(tmp_path), 8000)
    with pytest.raises(DataError, match=r"4 recordings below .* have other rates .*Meditron\.wav and 1 more"):
        load_dataset(tmp_path, "icbhi", allow_partial=True)


@pytest.mark.parametrize("asked", ["icbhi", "icbhi-4khz", "sprsound"])
def test_a_set_that_is_not_there_is_refused_with_the_id_of_the_one_that_is(tmp_path, asked):
    resample(native_set(tmp_path), 16000)
    for use in (load_dataset, lambda folder, name: reader_of(name).verify(folder)):
        with pytest.raises(DataError, match=r"are not .*, but ICBHI 2017 resampled to 16 kHz") as caught:
            use(tmp_path, asked)
        assert "--dataset icbhi-16khz" in caught.value.hint


def test_the_mark_of_a_simulated_set_and_the_name_of_the_set_must_fit(tmp_path, small_data):
    card = DATASETS.primary().card
    with pytest.raises(DataError, match="are not ICBHI 2017, but simulated data") as caught:
        load_dataset(small_data, card.id)
    assert "--dataset demo" in caught.value.hint
    native_set(tmp_path)
    with pytest.raises(DataError, match=r"does not hold SIMULATED\.json"):
        reader_of("demo").test_part(tmp_path, card.tasks[0])
    with pytest.raises(DataError, match=r"holds SIMULATED\.json"):
        reader_of("icbhi").test_part(small_data, card.tasks[0])


def test_a_folder_that_holds_nothing_is_left_to_the_reader(tmp_path):
    with pytest.raises(DataError, match="holds no ICBHI 2017 resampled to 16 kHz recordings or annotations"):
        load_dataset(tmp_path, "icbhi-16khz")
    with pytest.raises(DataError, match="holds no recordings or annotations of SPRSound"):
        load_dataset(tmp_path, "sprsound")


def test_missing_recordings_are_completed_by_fetching_where_the_set_can_be_fetched(tmp_path):
    database = native_set(tmp_path)
    with pytest.raises(DataError, match="916 of 920 recordings are missing") as caught:
        load_dataset(tmp_path, "icbhi")
    assert caught.value.hint.startswith("Complete the set (`bench data fetch`), or")
    resample(database, 16000)
    with pytest.raises(DataError, match="916 of 920 recordings are missing") as caught:
        load_dataset(tmp_path, "icbhi-16khz")
    assert caught.value.hint.startswith("Complete the set, or")


@pytest.mark.icbhi
def test_all_real_recordings_have_their_native_rates(icbhi_folder, tmp_path):
    dataset = load_dataset(icbhi_folder, "icbhi", allow_partial=True)
    assert all(native_rates(recording.name) == (recording.header.rate,) for recording in dataset.recordings)
    assert sum("Meditron" in recording.name for recording in dataset.recordings) == 127  # all that the set has
    part = answers_in(icbhi_folder, DATASETS.card("icbhi-16khz"), DATASETS.card("icbhi-16khz").tasks[0])
    assert part.cycles.hash in DATASETS.primary().card.tasks[0].judged_sets
