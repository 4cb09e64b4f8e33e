from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys

import pytest
from board_runs import write_run
from cli_runs import cpu_seconds
from speeds import limit

from benchmarks.made_up_board import multiply_runs
from leaderboard.store.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    store = Store.open(tmp_path)
    for run in (
        {"seed": 1},
        {"seed": 2},
        {"method": "ce"},
        {"dataset": "demo"},
        {"seed": 3, "failed": "The loss is nan."},
    ):
        store.import_run(write_run(tmp_path, **run))
    return tmp_path


@pytest.mark.parametrize("words", [["report"], ["report", "leaderboard"], ["report", "--protocol", "best-test"]])
def test_the_board_is_printed(home, bench, words):
    text = bench(*words, "--home", home).out
    rule = "best-test" if "best-test" in words else "last"
    for word in ("ICBHI 2017, official split", "patchmix-cl", "simulated", "failed runs", f"Selection rule: {rule}."):
        assert word in text


def test_json_and_csv_are_for_scripts(home, bench):
    document = json.loads(bench("report", "--format", "json", "--home", home).out)
    assert document["table"] == "leaderboard"
    assert document["protocol"] == "last"
    assert [section["ranked"] for section in document["sections"]] == [True, False, False]
    row = next(row for row in document["sections"][0]["rows"] if row["method"] == "patchmix-cl")
    assert row["seeds"] == [1, 2]
    rows = list(csv.DictReader(io.StringIO(bench("report", "--format", "csv", "--home", home).out)))
    assert len(rows) == 4


def test_the_home_may_come_from_the_environment(home, bench, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(home))
    assert "patchmix-cl" in bench("report").out


def test_out_writes_a_file_and_says_so(home, bench, tmp_path):
    target = tmp_path / "new" / "board.md"
    captured = bench("report", "--format", "markdown", "--out", target, "--home", home)
    assert captured.out == ""
    assert "wrote" in captured.err
    assert target.read_text().startswith("## ICBHI 2017, official split")


def test_an_empty_board_is_no_error_and_makes_nothing(bench, tmp_path):
    captured = bench("report", "--home", tmp_path / "none")
    assert "The board is empty." in captured.out
    assert "bench run --model ast" in captured.err
    assert json.loads(bench("report", "--format", "json", "--home", tmp_path / "none").out)["sections"] == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("what", "rows"), [("table1", 16), ("table2", 9), ("table3", 24)])
def test_a_table_of_the_paper_needs_no_data_and_no_run(bench, tmp_path, what, rows):
    captured = bench("report", what, "--format", "json", "--home", tmp_path / "none")
    document = json.loads(captured.out)
    assert (document["table"], document["protocol"], len(document["rows"])) == (what, "best-test", rows)
    assert all(row["reproduced"] is None for row in document["rows"])
    assert f"`bench reproduce {what}`" in captured.err
    assert not (tmp_path / "none").exists()


def test_a_run_stands_beside_the_printed_row_with_its_deviations(home, bench):
    options = {"mix": "patch", "negatives": "all", "target": "stop-z"}
    Store.open(home).import_run(write_run(home, seed=8, method_options=options, epochs=3, lr=5e-5))
    row = json.loads(bench("report", "table2", "--format", "json", "--home", home).out)["rows"][3]
    assert (row["id"], row["data"]) == ("cl-patch", "ICBHI 2017")
    assert row["differs"] == {"epochs": {"here": 3, "recipe": 50}}
    text = bench("report", "table2", "--protocol", "last", "--home", home).out
    assert "cl-patch: not the row's recipe: epochs 3 instead of 50." in text
    assert "selection rule last" in " ".join(text.split())


def test_the_page_of_the_board_needs_a_folder(home, bench, tmp_path):
    error = bench("report", "--format", "html", "--home", home, code=2).err
    assert "bench report --format html --out DIR" in error
    folder = tmp_path / "new" / "page"
    captured = bench("report", "--format", "html", "--out", folder, "--protocol", "best-test", "--home", home)
    assert (captured.out, "wrote" in captured.err) == ("", True)
    assert '"start":"best-test"' in (folder / "index.html").read_text()
    refused = bench("report", "--format", "html", "--out", home, "--home", home, code=4).err
    assert "is no page of this program" in " ".join(refused.split())


@pytest.mark.parametrize("what", ["table1", "table2", "table3", "published"])
def test_a_table_is_one_page(home, bench, tmp_path, what):
    text = bench("report", what, "--format", "html", "--home", home).out
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert "<script" not in text
    bench("report", what, "--format", "html", "--home", home, "--out", tmp_path / "table.html")
    assert (tmp_path / "table.html").read_text() == text


def test_the_command_of_a_page_replays_the_run(bench, tmp_path, small_data, monkeypatch):
    words = ["--model", "ast-tiny", "--method", "patchmix-cl", "--data", small_data, "--set", "lr=3e-5", "--seed", 4]
    resolved = json.loads(bench("run", *words, "--cache", tmp_path, "--dry-run", "--format", "json").out)
    execution = resolved["execution"]
    result = {"run_id": resolved["run_id"], "execution": execution, "profile": execution["profile"]}
    folder = write_run(tmp_path / "home", result=result, **resolved["identity"])
    Store.open(tmp_path / "home").import_run(folder)
    bench("report", "--format", "html", "--out", tmp_path / "page", "--home", tmp_path / "home")
    command = re.search(r'"command":"bench ([^"]*)"', (tmp_path / "page" / "index.html").read_text())[1]
    monkeypatch.chdir(tmp_path / "page")
    replayed = json.loads(bench(*command.split(), "--cache", tmp_path, "--dry-run", "--format", "json").out)
    assert replayed["run_id"] == resolved["run_id"]
    assert replayed["identity"] == resolved["identity"]


def test_tables_of_the_paper_import_no_torch():
    code = (
        "import sys\nfrom bench.cli import main\n"
        "try:\n    main(['report', 'table1', '--home', 'none'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'soundfile', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["leaderbord"], "did you mean 'leaderboard'?"),
        (["--protocol", "best_test"], "did you mean 'best-test'?"),
        (["--format", "xml"], "Unknown format 'xml'"),
        (["--formt", "csv"], "No such option"),
    ],
)
def test_wrong_words_are_refused_with_a_suggestion(bench, words, said):
    assert said in bench("report", *words, code=2).err


def test_a_place_that_cannot_be_written_is_a_store_problem(home, bench, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Cannot write" in bench("report", "--out", tmp_path / "file" / "x.md", "--home", home, code=4).err


def test_a_damaged_board_says_how_to_make_it_anew(home, bench):
    (home / "leaderboard.sqlite").write_bytes(b"x" * 4096)
    assert "bench board rebuild" in " ".join(bench("report", "--home", home, code=4).err.split())


@pytest.mark.slow
@pytest.mark.perf
def test_reports_of_ten_thousand_runs_are_quick(tmp_path):
    """CPU seconds of the whole command, imports included."""
    store = Store.open(tmp_path)
    for method in ("ce", "patchmix-cl"):
        store.import_run(write_run(tmp_path, method=method, model="cnn6", pretrain="audioset"))
    multiply_runs(store, 5000, seeds=5)
    for words in ("report table3", "report leaderboard", "board list"):
        took, shown = cpu_seconds(*words.split(), "--home", str(tmp_path))
        assert took < limit(4.0), words
        assert "cnn6" in shown or "CNN6" in shown
    assert "first 1000 of 10002; all with --format csv or json" in " ".join(shown.split())
