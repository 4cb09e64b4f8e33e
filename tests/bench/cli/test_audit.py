"""``bench audit``: what it prints, its exit codes, and that it leaves nothing behind."""

import json
import re
from pathlib import Path

import pytest
from icbhi_sets import NAMES, part_of_folder, write_set


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "no-data"))


@pytest.fixture
def data(tmp_path):
    """A simulated set without audio."""
    write_set(tmp_path / "data", names=NAMES)
    for path in (tmp_path / "data").rglob("*.wav"):
        path.unlink()
    return tmp_path / "data"


@pytest.fixture
def predictions(data, tmp_path):
    """Sp 100, Se 1 of 6 strict and 4 of 6 binary: normal, crackle, wheeze and both in turn, in each recording."""
    keys = part_of_folder(data).cycles.keys
    answers = ["0", "2", "1", "0", "0", "1", "1", "0"]
    lines = ["recording,cycle,predicted", *(f"{r},{c},{a}" for (r, c), a in zip(keys, answers, strict=True))]
    path = tmp_path / "p.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_sound_predictions_end_with_0_and_leave_nothing(bench, data, predictions, tmp_path):
    printed = bench("audit", predictions, "--data", data)
    assert "predictions: nothing wrong was found" in printed.out
    assert "4-class: Sp 100.00, Se 16.67, Score 58.33." in printed.out
    assert "Not checked:" in printed.out
    assert not (tmp_path / "home").exists()


def test_a_claim_is_explained_and_ends_with_1(bench, data, predictions):
    printed = bench("audit", predictions, "--data", data, "--claimed", "sp=100.00,se=66.67,score=83.33", code=1)
    assert "1 thing is wrong" in printed.out
    assert "The claimed Se of 66.67 is not the 4-class Se" in printed.out
    assert "counts any abnormal class as a hit" in " ".join(printed.out.split())
    same = bench("audit", predictions, "--data", data, "--claimed", "sp=1.0000,se=0.6667", code=1)
    assert "claimed Se of 66.67" in same.out
    bench("audit", predictions, "--data", data, "--claimed", "se=66.67", "--judged", "2class")


def test_the_document_of_an_audit(bench, data, predictions):
    printed = bench("audit", predictions, "--data", data, "--claimed", "se=66.67", "--format", "json", code=1)
    document = json.loads(printed.out)
    assert (document["holds"], document["sound"]) == ("predictions", False)
    finding = document["findings"][0]
    assert (finding["kind"], finding["numbers"]["rate"]) == ("binary-hits", "se")
    assert finding["sentence"].endswith(".")
    assert document["numbers"]["2class"]["se"] == pytest.approx(200 / 3)


def test_a_table_needs_no_data(bench, tmp_path):
    (tmp_path / "t.csv").write_text("system,sp,se,score\n[red]A,80.00,40.00,61.00\n")
    printed = bench("audit", tmp_path / "t.csv", code=1)
    assert "In line 2 ([red]A) the Score is 61.00, but (Sp + Se)/2 of 80.00 and 40.00 is 60.00." in printed.out
    (tmp_path / "t.csv").write_text("system,sp,se,score\nA,80.00,40.00,60.00\n")
    assert "nothing wrong was found" in bench("audit", tmp_path / "t.csv").out


def test_names_of_a_file_are_shown_and_never_obeyed(bench, tmp_path):
    (tmp_path / "t.csv").write_text("system,sp,se,score\nA\x1b[31m,80.00,40.00,61.00\n")
    assert "\x1b" not in bench("audit", tmp_path / "t.csv", code=1).out


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        ("a,b\n1,2\n", (), 2),
        ("", (), 2),
        ("recording,cycle,guess\nx,0,1\n", (), 3),  # Predictions, and no test cycles to compare them with.
        ("system,sp,se,score\nA,80,40,60\n", ("--claimed", "sp=80"), 2),
    ],
)
def test_what_cannot_be_read_or_judged(bench, tmp_path, content, words, code):
    (tmp_path / "f.csv").write_text(content)
    printed = bench("audit", tmp_path / "f.csv", *words, code=code)
    assert printed.out == ""
    assert printed.err.startswith("error: ")


def test_a_file_that_is_not_there(bench, tmp_path):
    assert "Cannot read" in bench("audit", tmp_path / "none.csv", code=2).err


@pytest.mark.parametrize("claim", ["sp", "sp=", "sp=eighty", "spec=80", "sp=80,sp=81", "", "sp=80±1", "sp=1_0"])
def test_a_claim_that_cannot_be_read(bench, predictions, data, claim):
    printed = bench("audit", predictions, "--data", data, "--claimed", claim, code=2)
    assert "--claimed sp=81.66,se=43.07,score=62.37" in printed.err


def test_an_unknown_word_for_judged(bench, predictions, data):
    assert "4class" in bench("audit", predictions, "--data", data, "--judged", "3class", code=2).err


def test_every_kind_of_fault_is_explained():
    root = Path(__file__).resolve().parents[3]
    source = "".join(path.read_text() for path in (root / "leaderboard" / "audit").glob("*.py"))
    kinds = set(re.findall(r"""(?:Finding|MetricVariant|_of_cycles)\(\s*"([a-z0-9-]+)",""", source))
    assert len(kinds) > 30
    page = (root / "docs" / "audit.md").read_text()
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in page] == []
