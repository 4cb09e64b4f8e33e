"""``bench predict`` as a user gives it: formats, pictures, pages, the standard input, exit codes."""

import csv
import io
import json
import os
import re
import shutil
import sys
import tempfile
from types import SimpleNamespace
from xml.dom import minidom

import numpy as np
import pytest
import soundfile
from small_data import write_small_data
from small_runs import small_run

from bench.api import prediction_page, prediction_writers
from bench.cli import predict as command


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_cache):
    """A results folder with a run, and its data."""
    folder = tmp_path_factory.mktemp("predict")
    write_small_data(folder / "data")
    run = small_run(folder / "data", small_cache, folder / "home")
    return SimpleNamespace(data=folder / "data", run=run, home=folder / "home", cache=small_cache)


@pytest.fixture
def predict(bench, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0, reference=None):
        options = ("--home", place.home, "--cache", place.cache, "--device", "cpu")
        return bench("predict", reference or place.run.id[:8], *words, *options, code=code)

    return run


@pytest.fixture
def wav(place):
    return next(place.data.rglob("201_*.wav"))


def wanted(place):
    found = place.run.predictions["last"]
    return dict(zip(found.keys, found.scores.tolist(), strict=True))


def test_a_table_for_each_recording(predict, wav):
    found = predict(wav)
    # Without spaces: a title that is longer than a line is on two.
    assert f"{wav} · 3.6 s at 4,000 Hz · cycles of {wav.stem}.txt".replace(" ", "") in "".join(found.out.split())
    assert found.out.endswith("\n\nPredictions are for research, and no diagnosis.\n")
    assert "\n\n\n" not in found.out
    assert "annotated" in found.out
    assert "was trained on simulated data" in found.err
    assert re.search(r"4 cycles of 1 file in [\d.]+ s \([\d,.]+ cycles/s\)", found.err)
    assert "Hz·windows" in "".join(predict(wav, "--cycles", "windows", "--window", "2", "--hop", "1").out.split())


def test_one_json_document_of_the_documented_form(predict, place):
    found = predict(place.data, "nowhere.wav", "--format", "json", code=3)
    document = json.loads(found.out)
    assert list(document) == [
        *("schema", "runs", "combine", "classes", "notices", "recordings"),
        *("skipped", "files", "cycles", "seconds", "cycles_per_second"),
    ]
    assert (document["schema"], document["combine"]) == ("lungbench-predictions/1", None)
    assert (document["files"], document["cycles"]) == (10, 36)
    assert document["runs"][0]["metrics"] == place.run.metrics["last"]
    assert document["runs"][0]["simulated"] is True
    first = document["recordings"][0]
    assert (first["rate"], first["channel"], first["channels"], first["cycles_from"]) == (4000, 1, 1, "annotation")
    assert first["cycles"][1]["label"] == "crackle"
    assert document["skipped"] == [
        {
            "file": "nowhere.wav",
            "error": "There is no file nowhere.wav.",
            "hint": "Name sound files, folders that hold some, or a pattern in quotes.",
        }
    ]
    assert "skipped: There is no file nowhere.wav." in found.err
    scores = {
        (one["recording"], cycle["cycle"]): list(cycle["scores"].values())
        for one in document["recordings"]
        for cycle in one["cycles"]
    }
    for key, row in wanted(place).items():
        assert scores[key] == pytest.approx(row, abs=1e-5)


def test_csv_and_json_lines_and_parquet_hold_the_same_rows(predict, place, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rows = list(csv.DictReader(io.StringIO(predict(place.data, "--format", "csv").out)))
    lines = [json.loads(line) for line in predict(place.data, "--format", "jsonl").out.splitlines()]
    predict(place.data, "--format", "parquet", "--out", "rows.parquet")
    frame = pandas.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == len(lines) == len(frame) == 36
    for row, line, packed in zip(rows, lines, frame.to_dict("records"), strict=True):
        assert row["file"] == line["file"] == packed["file"]
        assert int(row["cycle"]) == line["cycle"] == packed["cycle"]
        assert row["label"] == line["label"] == packed["label"]
        assert float(row["wheeze"]) == line["scores"]["wheeze"] == packed["wheeze"]


def test_out_takes_what_would_be_printed(predict, place, tmp_path):
    predict(f"{place.data}/**/20*.wav", "--format", "csv", "--out", "p.csv")
    text = (tmp_path / "p.csv").read_text()
    assert text.startswith("file,recording,channel,cycle,start,end,label,predicted,normal,crackle,wheeze,both\n")
    assert len(text.splitlines()) == 13


def test_pictures_go_into_a_file_or_a_folder(predict, place, wav, tmp_path):
    predict(wav, "--figure", "one.png", "--format", "csv")
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
    predict(f"{place.data}/**/20[12]*.wav", "--figure", "all", "--format", "csv")
    assert sorted(path.name[:3] for path in (tmp_path / "all").iterdir()) == ["201", "202"]
    shutil.copy(wav, tmp_path / "odd\x1b$x_{.wav")
    predict("odd\x1b$x_{.wav", "--figure", "odd.svg", "--format", "csv")
    assert ">odd?$x_{</text>" in minidom.parse(str(tmp_path / "odd.svg")).toxml()
    svg = (tmp_path / "all" / f"{wav.stem}.svg").read_text()
    for words in ("waveform", "log-mel, Hz", "seconds", "crackle", "dot: annotated", "research, not diagnosis"):
        assert words in svg
    assert "one picture, but 9 files" in predict(place.data, "--figure", "one.svg", code=2).err
    assert "cannot be written as .pdf" in predict(wav, "--figure", "one.pdf", code=2).err


def test_windows_have_a_picture_too_and_are_called_windows(predict, wav, tmp_path):
    windows = ("--cycles", "windows", "--window", "1", "--hop", "0.25")
    found = predict(wav, *windows, "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "dot: annotated" not in page
    assert re.search(r"12 windows of 1 file in [\d.]+ s \([\d,.]+ windows/s\)", found.err)
    # The run's own task is `cycle-4`.
    assert not re.search(r"\bcycles?\b(?!-)", found.out + found.err + page)


def test_a_page_holds_everything_and_says_what_it_is(predict, place, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_page, "MOST_PICTURES", 2)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    predict(place.data, "broken.wav", "--html", "page.html", "--format", "csv", code=3)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "The first 2 recordings have a picture" in page
    for words in (
        "no diagnosis",
        place.run.id,
        "simulated data",
        "broken.wav is no sound file",
        "prefers-color-scheme",
    ):
        assert words in page
    assert f"{place.run.metrics['last']['4class']['score']:.2f}" in page
    assert page.count("<section>") == 9
    # Nothing is loaded from elsewhere.
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_a_sound_on_the_standard_input(predict, wav, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(wav.read_bytes()), isatty=lambda: False))
    row = json.loads(predict("-", "--format", "jsonl", "--window", "5").out)
    assert (row["file"], row["start"], row["end"], row["label"]) == ("stdin", 0.0, 3.6, None)
    for is_terminal, words in ((True, "Nothing comes through"), (False, "Nothing came through")):
        empty = SimpleNamespace(buffer=io.BytesIO(), isatty=lambda is_terminal=is_terminal: is_terminal)
        monkeypatch.setattr(sys, "stdin", empty)
        assert f"{words} the standard input" in predict("-", code=3).err


@pytest.mark.parametrize(
    ("subtype", "value", "options", "words"),
    [
        ("PCM_16", 0.5, ["--cycles", "annotations"], "stdin has no annotation"),
        ("FLOAT", np.nan, [], "The recording stdin holds"),
        ("PCM_U8", 0.5, ["--channel", "2"], "stdin has 1 channel,"),
    ],
)
def test_messages_on_a_sound_on_the_standard_input_name_no_temporary_file(
    predict, monkeypatch, tmp_path, subtype, value, options, words
):
    sound = io.BytesIO()
    soundfile.write(sound, np.full(4000, value), 4000, subtype=subtype, format="WAV")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sound.getvalue()), isatty=lambda: False))
    page = tmp_path / "page.html"
    found = predict("-", "--format", "json", "--html", str(page), *options, code=3)
    assert words in found.err
    for text in (found.out, found.err, page.read_text()):
        assert "bench-sound" not in text


def test_bad_files_end_with_code_3_and_a_bad_run_with_2(predict, place, tmp_path):
    soundfile.write(tmp_path / "stereo.wav", np.random.default_rng(0).uniform(-1, 1, (8000, 2)), 4000)
    found = predict("stereo.wav", code=3)
    assert "skipped: stereo.wav has 2 channels, and they are not mixed. Say which is heard with --channel" in found.err
    assert "1 of them skipped" in found.err
    assert "channel 2 of 2" in predict("stereo.wav", "--channel", "all", "--window", "1").out
    assert "There is no run 'nothing'" in predict("stereo.wav", reference="nothing", code=2).err
    assert "keeps no weights of 'best-val'" in predict("a.wav", reference=f"{place.run.id}:best-val", code=2).err
    assert "Unknown format 'xlsx'" in predict("stereo.wav", "--format", "xlsx", code=2).err
    assert "Name a file with --out" in predict("stereo.wav", "--format", "parquet", code=2).err


def test_nothing_is_left_where_the_command_cannot_write(predict, wav, tmp_path):
    (tmp_path / "folder").mkdir()
    predict(wav, "--out", "folder", "--format", "csv", code=4)
    predict(wav, "--html", "folder", "--format", "csv", code=4)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "a.wav"), "--out would be written over the sound a.wav"),
        (("--html", "link.wav"), "--html would be written over the sound a.wav"),
        (("--out", "same.svg", "--figure", "same.svg"), "--out and --figure are one file"),
        (("--html", "-"), "would both go to the standard output"),
        (("--figure", "-"), "Pictures are not written to the standard output"),
        (("--channel", "9" * 5000), "must be a number from 1"),
    ],
)
def test_no_result_is_written_over_a_sound_or_another_result(predict, wav, tmp_path, words, message):
    shutil.copy(wav, tmp_path / "a.wav")
    (tmp_path / "link.wav").symlink_to("a.wav")
    refused = predict("a.wav", *words, "--format", "csv", code=2)
    assert message in " ".join(refused.err.split())
    assert refused.out == ""
    assert (tmp_path / "a.wav").read_bytes() == wav.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "link.wav"]


def test_a_document_that_is_broken_off_can_be_read(predict, place, wav, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    words = (wav, "nowhere.wav", "--format", "json")
    document = json.loads(predict(*words, "--figure", "file/a", code=4).out)
    assert document["error"].startswith("Cannot write file/a: ")
    assert (len(document["recordings"]), document["cycles"]) == (1, 4)
    monkeypatch.setattr(prediction_writers.JsonWriter, "add", interrupted)
    document = json.loads(predict(*words, code=130).out)
    assert (document["error"], document["recordings"]) == ("interrupted", [])
    predict(*words, "--out", "a.json", code=130)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def interrupted(*_given):
    raise KeyboardInterrupt


def test_a_name_that_is_not_utf8_is_skipped_whatever_is_written(predict, wav, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "ward").mkdir()
    shutil.copy(wav, tmp_path / "ward" / os.fsdecode(b"a\xff.wav"))
    shutil.copy(wav, tmp_path / "ward" / "b.wav")
    words = ("--window", "2", "--html", "page.html", "--out", "rows.parquet", "--format", "parquet")
    done = predict("ward", *words, code=3)
    assert "skipped: The name of ward/a?.wav is not UTF-8. Rename it." in done.err
    assert "The name of ward/a?.wav" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_without_room_for_temporary_files_there_is_a_sentence(predict, wav, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert "Cannot write temporary files into /nowhere" in predict(wav, "--format", "csv", code=4).err


def test_a_bar_does_not_run_through_a_table_on_a_terminal(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert command._fills_the_terminal(None)
    assert not command._fills_the_terminal(tmp_path / "a.csv")
