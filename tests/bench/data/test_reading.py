"""What readers of data sets return is checked before anything relies on it; a plug-in's failure is one sentence."""

from __future__ import annotations

import dataclasses

import pytest
from plugin_files import fresh_registries
from wheeze_set import PLUGIN, rows, write_plugin_of_page, write_table, write_wheezes

from bench.core.datasets import DATASETS, DatasetCard, TaskCard, TestPart
from bench.core.errors import DataError
from bench.core.registry import RegistryEntry
from bench.data.dataset import Cycle, Dataset, Recording
from bench.data.reading import check_dataset, told_by, wav_header
from bench.data.sources import entries_in, load_dataset
from bench.data.wav import WavHeader
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import Request, choose_source

TASK = TaskCard(
    id="two", title="Two", classes=("normal", "odd"), parts=(TestPart(id="far", title="Far"),), unit="event"
)
CARD = DatasetCard(id="made", title="Made", summary="Made up.", tasks=(TASK,))
HEADER = WavHeader(1, 1, 4000, 16, 2, 44, 40_000, 40_000)  # 5 s


@pytest.fixture(autouse=True)
def _forget():
    with fresh_registries():
        yield


def recording(name="a", *cycles, **changes):
    fields = {"patient": "p", "index": "", "location": "", "mode": "", "device": "d", "split": "train"}
    fields |= {"audio": f"{name}.wav", "annotation": f"{name}.txt", "cycles": cycles, "header": HEADER}
    return Recording(name=name, **{**fields, **changes})


def cycle(start=0.0, end=1.0, *, name="a", index=0, label=0):
    return Cycle(name, index, start, end, label)


def dataset(*recordings, **changes):
    made = Dataset(CARD, TASK, "folder", recordings, 9, "f" * 64)
    return dataclasses.replace(made, **changes)


def test_a_sound_set_passes():
    check_dataset(dataset(recording("a", cycle()), recording("b", split="far")), CARD, TASK)


SOUND = recording("a", cycle())
FAULTS = {
    "no-set": ([SOUND], "The reader of the data set 'made' returned a list, but must return a Dataset."),
    "task": (dataset(task=dataclasses.replace(TASK, id="x")), "was asked for two, but returned made (x)"),
    "fingerprint": (dataset(fingerprint=""), "gave no fingerprint"),
    "order": (dataset(recording("b"), recording("a")), "not in the order of their names"),
    "twice": (dataset(SOUND, SOUND), "the recording a stands twice"),
    "many": (dataset(SOUND, expected=0), "1 recording is there, but the set has 0"),
    "patient": (dataset(recording(patient="")), "the recording a has no patient, by whom held-out parts and"),
    "device": (dataset(recording(device="")), "the recording a has no device"),
    "part": (dataset(recording(split="dev")), "the recording a is of the part 'dev', but the task has train, far"),
    "audio": (dataset(recording(audio=None)), "the recording a has no audio"),
    "header": (dataset(recording(header=None)), "the recording a has no header"),
    "zero-length": (dataset(recording("a", cycle(1.0, 1.0))), "event 0 of a lasts no time (1 s to 1 s)"),
    "backwards": (dataset(recording("a", cycle(2.0, 1.0))), "event 0 of a lasts no time (2 s to 1 s)"),
    "not-a-number": (
        dataset(recording("a", cycle(float("nan")))),
        "event 0 of a lasts from nan s to 1 s, which are no",
    ),
    "before": (dataset(recording("a", cycle(-1.0))), "event 0 of a lasts from -1 s to 1 s, which are no times"),
    "beyond": (dataset(recording("a", cycle(5.0, 6.0))), "begins at 5 s, but the recording ends at 5 s"),
    "class": (dataset(recording("a", cycle(label=2))), "event 0 of a is of class 2, but classes are 0 to 1"),
    "other-name": (dataset(recording("a", cycle(name="b"))), "event 0 of a names the recording b"),
    "one-index": (dataset(recording("a", cycle(), cycle(1.0, 2.0))), "two cycles of a have one index"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(name):
    found, words = FAULTS[name]
    with pytest.raises(DataError) as caught:
        check_dataset(found, CARD, TASK)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"", "is empty (0 bytes)"), (b"fLaC" + b"0" * 60, "FLAC")],
)
def test_a_wav_file_without_a_header_is_told(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError) as caught:
        wav_header(tmp_path / "a.wav")
    assert words in caught.value.message


def test_a_header_is_read(tmp_path):
    header = wav_header(write_wheezes(tmp_path / "data") / "w01.wav")
    assert (header.rate, header.seconds) == (4000, 4.0)


def failing():
    raise KeyError("start")


def test_a_failure_in_a_plug_in_is_told_with_its_line():
    entry = RegistryEntry("made", CARD, print, "made.py", "sha256:0")
    with pytest.raises(DataError) as caught:
        told_by(entry, failing)
    line = failing.__code__.co_firstlineno + 1
    assert f"The reader of the data set 'made' (made.py) failed: KeyError: 'start' ({__file__}, line {line})." == (
        caught.value.message
    )
    with pytest.raises(KeyError):
        told_by(dataclasses.replace(entry, version=None), failing)


@pytest.fixture
def wheezes(tmp_path):
    load_plugins([write_plugin_of_page(tmp_path / "wheezes.py")])
    return write_wheezes(tmp_path / "data")


def test_the_example_is_loaded(wheezes):
    loaded = load_dataset(wheezes, "wheezes")
    assert [entry.id for entry in entries_in(wheezes)] == ["wheezes"]
    assert [(found.name, found.patient, found.split) for found in loaded.recordings] == [
        ("w01", "anna", "train"),
        ("w02", "berta", "train"),
        ("w03", "carla", "test"),
    ]
    assert [found.label for found in loaded.cycles] == [0, 1] * 12
    assert loaded.partial is None


def changed(wheezes, **fields):
    first, *others = rows()
    write_table(wheezes, [{**first, **fields}, *others])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"patient": ""}, "the recording w01 has no patient"),
        ({"part": "dev"}, "the recording w01 is of the part 'dev', but the task has train, test"),
        ({"end": "0.0"}, "segment 0 of w01 lasts no time (0 s to 0 s)"),
        ({"start": "4.0", "end": "4.5"}, "segment 0 of w01 begins at 4 s, but the recording ends at 4 s"),
        ({"class": "wheze"}, "failed: ValueError: tuple.index(x): x not in tuple"),
        ({"file": "w00.wav"}, "w00.wav: cannot be read: No such file or directory"),
    ],
)
def test_a_fault_in_the_example_is_told(wheezes, fields, words):
    changed(wheezes, **fields)
    with pytest.raises(DataError) as caught:
        load_dataset(wheezes, "wheezes")
    assert words in caught.value.message


def test_an_incomplete_example_needs_to_be_allowed(wheezes):
    write_table(wheezes, [row for row in rows() if row["file"] != "w02.wav"])
    with pytest.raises(DataError, match=r"are partial \(2 of 3\) recordings") as caught:
        load_dataset(wheezes, "wheezes")
    assert "--allow-partial" in caught.value.hint
    assert load_dataset(wheezes, "wheezes", allow_partial=True).partial == "partial (2 of 3)"


def test_a_plug_in_that_fails_when_it_is_asked_leaves_the_others_alone(tmp_path, caplog, small_data):
    text = PLUGIN.replace("return (folder / TABLE).is_file()", "return folder.missing")
    (tmp_path / "wheezes.py").write_text(text)
    load_plugins([tmp_path / "wheezes.py"])
    with caplog.at_level("WARNING", "bench"):
        assert [entry.id for entry in entries_in(small_data)] == [DATASETS.simulated().id]
    assert "The reader of the data set 'wheezes'" in caplog.text
    assert "AttributeError" in caplog.text


def test_a_plug_in_that_fails_when_it_alone_is_asked_is_told(tmp_path):
    (tmp_path / "wheezes.py").write_text(PLUGIN.replace("return (folder / TABLE).is_file()", "return folder.missing"))
    request = Request(
        model="cnn6",
        method="ce",
        cache=tmp_path,
        data=str(tmp_path),
        dataset="wheezes",
        plugins=[tmp_path / "wheezes.py"],
    )
    with pytest.raises(DataError, match=r"'wheezes' .*failed: AttributeError"):
        choose_source(request)


def test_a_reader_that_cannot_be_built_is_told(tmp_path):
    (tmp_path / "wheezes.py").write_text(PLUGIN.replace("def __init__(self, card)", "def __init__(self)"))
    load_plugins([tmp_path / "wheezes.py"])
    with pytest.raises(DataError, match=r"failed: TypeError: Reader.__init__\(\) takes 1 positional argument"):
        load_dataset(tmp_path, "wheezes")
