"""``bench report figure2`` on studies as `bench search` keeps them."""

from __future__ import annotations

import csv
import io
import json

import pytest
from kept_studies import keep_study

from bench.api.figures import default_studies
from bench.core.errors import SpecError

SCORES = {0.02: [50.0, 52.0], 0.06: [60.0, 61.0], 0.2: []}


def keep(home, name, param="tau", **more):
    """Make a study of a list of values in a results folder: one of its trials failed."""
    return keep_study(home, name, SCORES, param=param, **more).study


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("BENCH_STUDIES", raising=False)
    keep(tmp_path, "figure2-tau")
    return tmp_path


def test_the_only_study_is_meant(home, bench):
    captured = bench("report", "figure2", "--home", home)
    assert "study figure2-tau; ast + patchmix-cl; SIMULATED DATA; objective: Score on held-out" in captured.out
    assert "trials: 2 finished, 1 failed" in captured.out
    assert "60.50 ± 0.71" in captured.out
    assert captured.err == ""


def test_figure2s_own_studies_are_meant_before_others(home, bench):
    keep(home, "figure2-alpha", "alpha")
    keep(home, "other")
    document = json.loads(bench("report", "figure2", "--format", "json", "--home", home).out)
    assert [study["name"] for study in document["studies"]] == ["figure2-alpha", "figure2-tau"]


def test_studies_may_be_named(home, bench):
    keep(home, "other", objective="test")
    words = ("--study", "other", "--study", "figure2-tau", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(bench("report", "figure2", *words, "--home", home).out)))
    assert [(row["study"], row["objective"], row["data"]) for row in rows[::3]] == [
        ("other", "test", "simulated"),
        ("figure2-tau", "held-out", "simulated"),
    ]


def test_studies_may_be_kept_elsewhere(tmp_path, bench, monkeypatch):
    elsewhere = str(tmp_path / "shared.journal")
    keep(tmp_path, "far", storage=elsewhere)
    assert "study far" in bench("report", "figure2", "--storage", elsewhere, "--home", tmp_path / "none").out
    monkeypatch.setenv("BENCH_STUDIES", elsewhere)
    assert "study far" in bench("report", "figure2", "--home", tmp_path / "none").out
    assert "board is empty" in bench("report", "--home", tmp_path / "none").out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("form", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("html", b"<!doc")])
def test_files_are_written(home, bench, tmp_path, form, start):
    target = tmp_path / "new" / f"figure.{form}"
    captured = bench("report", "figure2", "--format", form, "--out", target, "--home", home)
    assert captured.out == ""
    assert f"wrote {target}" in "".join(captured.err.splitlines())
    assert target.read_bytes().startswith(start)
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["figure2", "--format", "png"], "PNG cannot be printed in a terminal."),
        (["figure2", "--format", "gif"], "Unknown format 'gif'."),
        (["figure2", "--format", "latex"], "Unknown format 'latex'."),
        (["figure2", "--study", "figure2-tua"], "There is no study 'figure2-tua'"),
        (["figure2", "--study", "../x"], "'../x' cannot name a study."),
        (["figure2", "--protocol", "last"], "--protocol is none of figure2's options."),
        (["table1", "--study", "figure2-tau"], "--study and --storage are options of figure2, not of table1."),
        (["figure1"], "did you mean 'figure2'?"),
    ],
)
def test_wrong_words_are_refused(home, bench, words, said):
    assert said in " ".join(bench("report", *words, "--home", home, code=2).err.split())


def test_without_a_study_it_says_what_makes_one(bench, tmp_path):
    said = bench("report", "figure2", "--home", tmp_path / "none", code=2).err
    assert "There is no study yet." in said
    assert "bench search" in said
    assert not (tmp_path / "none").exists()


def test_several_studies_have_to_be_chosen_from():
    assert default_studies(["a"]) == ["a"]
    assert default_studies(["a", "figure2-tau", "figure2", "figure20"]) == ["figure2", "figure2-tau"]
    assert default_studies(["figure2-tau", "figure2-tau-test"]) == ["figure2-tau"]
    assert default_studies(["figure2-tau-test"]) == ["figure2-tau-test"]
    with pytest.raises(SpecError, match="None of 2 studies is meant by itself") as caught:
        default_studies(["a", "b"])
    assert caught.value.hint == "Name one with --study: a, b."


def test_a_file_that_cannot_be_written_is_a_store_problem(home, bench, tmp_path):
    (tmp_path / "file").write_text("")
    words = ("--format", "csv", "--out", tmp_path / "file" / "x.csv")
    assert "Cannot write" in bench("report", "figure2", *words, "--home", home, code=4).err
