"""The board from Python: the same values as the JSON of the commands, under the names of that JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas
import polars
import pytest
from board_runs import write_run
from task_runs import FIVE, write_task_run

import bench
from bench.api import boards, changes, exchange, pages, upkeep
from bench.api.board_rows import OF_TASKS, RunRow, SystemRow
from bench.api.boards import open_board
from bench.core.errors import ResultError, SpecError, StoreError
from leaderboard.store.store import Store

PAPER = ("table1", "table2", "table3")
FOUR_CLASS_COLUMNS = [name for name in RunRow.__dataclass_fields__ if name not in OF_TASKS]
"""The columns of runs, as they are where no run is of another task than the four classes."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    store = Store.open(folder)
    for run in (
        *({"seed": seed} for seed in (1, 2, 3)),
        *({"seed": seed, "method": "ce", "skill": 0.2, "salt": 1} for seed in (1, 2)),
        {"method": "demo", "dataset": "demo"},
        {"method": "broken", "failed": "The loss is nan."},
    ):
        store.import_run(write_run(folder, **run))
    return folder


@pytest.fixture
def board(home):
    return open_board(home)


@pytest.fixture
def printed(home, bench):
    """What a command prints as JSON."""
    return lambda *words: json.loads(bench(*words, "--format", "json", "--home", home).out)


def test_runs_are_those_of_the_command(board, printed):
    (section,) = printed("board", "list")["sections"]
    named = [vars(run) for run in board.runs()]
    assert [{name: run[name] for name in FOUR_CLASS_COLUMNS} for run in named] == section["rows"]
    assert {(run["task"], run["as_"], run["hs"]) for run in named} == {("cycle-4", None, None)}
    newest = board.runs()[0]
    assert (newest.run_id, newest.rules) == (section["rows"][0]["run_id"], section["rows"][0]["rules"])


@pytest.mark.parametrize("protocol", ["last", "best-test"])
def test_systems_are_the_rows_of_the_report(board, printed, protocol):
    sections = printed("report", "leaderboard", "--protocol", protocol)["sections"]
    rows = [{"section": one["title"], **row} for one in sections for row in one["rows"] if "spec" in row]
    systems = json.loads(json.dumps([vars(system) for system in board.systems(protocol)]))
    assert [{name: system[name] for name in row} for system, row in zip(systems, rows, strict=True)] == rows
    assert {(system["task"], system["part"], system["as_"]) for system in systems} == {("cycle-4", None, None)}
    assert [system["dataset"] for system in systems] == [row["spec"]["dataset"] for row in rows]
    assert len(rows) == 3


@pytest.mark.parametrize("name", ["leaderboard", "published", *PAPER])
def test_tables_are_the_json_of_the_report(board, printed, name):
    table = board.table(name)
    assert json.loads(json.dumps(table.to_json())) == printed("report", name)
    assert table.rows
    assert (table.name, table.protocol) == (table.to_json()["table"], table.to_json()["protocol"])


def test_tables_of_the_paper_begin_with_its_rule(board):
    assert board.table("table3").protocol == "best-test"
    assert board.table("table3", "last").protocol == "last"
    assert board.table("leaderboard").protocol == "last"


@pytest.mark.parametrize("name", ["leaderboard", "runs", "published", "table2"])
@pytest.mark.parametrize(
    ("form", "beginning"),
    [("markdown", ("#", "|")), ("latex", ("%", "\\")), ("csv", ("table", "run_id", "id")), ("html", ("<!",))],
)
def test_tables_are_written_in_every_form(board, home, bench, name, form, beginning):
    text = getattr(board.table(name), f"to_{form}")()
    assert text.startswith(beginning)
    words = ("board", "list") if name == "runs" else ("report", name)
    if (name, form) != ("leaderboard", "html"):  # that one is a folder
        assert bench(*words, "--format", form, "--home", home).out == text


def test_a_table_prints_itself(board, home, bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert str(board.table()) == board.table().to_text()
    assert "patchmix-cl" in str(board.table())
    assert max(map(len, board.table().to_text(width=80).splitlines())) <= 80


def test_what_holds_no_run_says_so(tmp_path):
    empty = open_board(tmp_path / "none")
    assert empty.runs() == []
    assert empty.systems() == []
    assert not any(empty.table(name).holds_runs for name in ("leaderboard", "runs", *PAPER))
    assert empty.table("published").holds_runs
    assert not (tmp_path / "none").exists()


def test_a_comparison_has_the_names_of_its_json(board, printed):
    found = board.compare("ast/patchmix-cl", "ast/ce", "best-test")
    document = printed("board", "compare", "ast/patchmix-cl", "ast/ce", "--protocol", "best-test")
    assert json.loads(json.dumps(found.to_json())) == document
    assert list(found.to_json()) == list(document)
    assert found.a["seeds"] == [1, 2, 3]
    assert found.difference["official"]["4class"]["score"]["value"] > 0
    assert str(found) == found.sentence
    assert "A − B" in found.table.to_markdown()


def test_single_runs_can_be_compared(board):
    one, other = (run.run_id for run in board.runs() if run.method == "patchmix-cl" and run.seed < 3)
    with pytest.raises(ResultError, match="one system"):
        board.compare(one, other)
    assert board.compare(one, other, single=True).a["seeds"] in ([1], [2])


def test_a_run_with_all_that_is_stored_of_it(board, printed):
    first = next(run for run in board.runs() if run.method == "ce")
    found = board.run(first.run_id[:8])
    assert found.to_json() == printed("board", "show", first.run_id)
    assert (found.run_id, found.status, found.spec["method"]) == (first.run_id, "finished", "ce")
    assert found.metrics["last"]["4class"]["score"] == first.score
    cycles, scores = found.predictions()
    assert scores.shape == (len(cycles), 4)
    assert "patient-disjoint" in found.parts().to_csv()
    failed = next(run for run in board.runs() if run.status == "failed")
    assert board.run(failed.run_id).parts().rows == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda board: board.table("table9"), "Unknown table 'table9': did you mean 'table"),
        (lambda board: board.table("leaderboard", "lst"), "Unknown protocol 'lst': did you mean 'last'"),
        (lambda board: board.systems("best_test"), "did you mean 'best-test'"),
        (lambda board: board.compare("a", "b", "x"), "Unknown protocol 'x'"),
    ],
)
def test_unknown_words_are_refused_with_the_nearest(board, call, said):
    with pytest.raises(SpecError, match=said):
        call(board)


def test_an_unknown_run_is_refused(board):
    with pytest.raises(ResultError, match="There is no run 'zz'"):
        board.run("zz")


def test_a_location_is_a_folder_a_url_or_what_the_environment_names(home, tmp_path, monkeypatch):
    count = len(open_board(home).runs())
    url = f"sqlite:///{home / 'leaderboard.sqlite'}"
    assert len(open_board(url).runs()) == count
    monkeypatch.setenv("BENCH_HOME", str(home))
    assert len(open_board().runs()) == count
    monkeypatch.setenv("BENCH_STORE", url)
    assert len(open_board(home=tmp_path).runs()) == count
    assert open_board(home=tmp_path).home == tmp_path
    assert open_board(tmp_path).runs() == []  # what is named in the call counts
    monkeypatch.setenv("BENCH_STORE", "no url")
    with pytest.raises(StoreError, match="BENCH_STORE holds no URL"):
        open_board()


def test_a_password_is_shown_nowhere():
    board = open_board("postgresql://user:s3cret@localhost/board")
    assert "s3cret" not in f"{board} {board!r}"


# --- data frames ------------------------------------------------------------------------------------------------


def test_a_data_frame_of_pandas_where_it_is(board):
    frame = board.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == FOUR_CLASS_COLUMNS
    assert list(frame["run_id"]) == [run.run_id for run in board.runs()]
    assert frame[frame["method"] == "ce"]["score"].mean() > 0


def test_a_data_frame_of_polars_where_pandas_is_not(board, monkeypatch):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", ("polars",))
    frame = board.to_dataframe()
    assert isinstance(frame, polars.DataFrame)
    assert frame.shape == (len(board.runs()), len(FOUR_CLASS_COLUMNS))
    assert frame["error"].to_list()[0] == board.runs()[0].error


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_an_empty_board_is_a_frame_with_its_columns(tmp_path, monkeypatch, library):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", (library,))
    assert list(open_board(tmp_path).to_dataframe().columns) == FOUR_CLASS_COLUMNS


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_names_tasks_where_a_run_is_of_another_one(tmp_path, monkeypatch, library):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", (library,))
    store = Store.open(tmp_path)
    for folder in (write_run(tmp_path), write_task_run(tmp_path)):
        store.import_run(folder)
    board = open_board(tmp_path)
    frame = board.to_dataframe()
    assert list(frame.columns) == [*FOUR_CLASS_COLUMNS, "task", "classes", "as", "hs"]
    rows = dict(zip(frame["task"], range(len(frame)), strict=True))
    assert list(frame["classes"][rows[FIVE.id]]) == list(FIVE.classes)
    assert list(frame["classes"][rows["cycle-4"]]) == ["normal", "crackle", "wheeze", "both"]
    of_task = next(run for run in board.runs() if run.task == FIVE.id)
    stored = board.run(of_task.run_id).metrics["last"]["5class"]
    assert (of_task.as_, of_task.hs, of_task.score) == (stored["as"], stored["hs"], stored["score"])


def test_systems_of_each_tested_part_are_rows_of_their_own(tmp_path):
    Store.open(tmp_path).import_run(write_task_run(tmp_path))
    rows = {row.part: row for row in open_board(tmp_path).systems()}
    assert {part: (row.dataset, row.task, row.patients_seen) for part, row in rows.items()} == {
        "inter": ("noises", FIVE.id, False),
        "intra": ("noises", FIVE.id, True),
    }
    for part, row in rows.items():
        rates = open_board(tmp_path).run(row.run_ids[0])
        stored = rates.metrics if part == "inter" else rates.document["other_parts"]["intra"]
        assert (row.as_, row.hs) == (stored["last"]["5class"]["as"], stored["last"]["5class"]["hs"])
        assert row.two_class is not None
        assert row.as_std is None


def test_both_libraries_are_named_where_neither_is(board, monkeypatch):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", ("no_such_library",))
    with pytest.raises(SpecError, match="pandas or polars, and neither is installed"):
        board.to_dataframe()


# --- rows --------------------------------------------------------------------------------------------------------


def test_every_attribute_of_a_row_is_described():
    for row in (RunRow, SystemRow):
        described = [line.strip().partition(":")[0] for line in row.__doc__.splitlines() if ": " in line]
        assert set(row.__dataclass_fields__) <= set(described)


# --- what changes a board ---------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path):
    """A board of its own with two runs."""
    for seed in (1, 2):
        Store.open(tmp_path / "home").import_run(write_run(tmp_path / "home", seed=seed))
    return open_board(tmp_path / "home")


def test_runs_are_taken_back_and_the_log_knows(other):
    run_id = other.runs()[0].run_id
    entry = changes.retract(other, run_id[:6], "a mistake")
    assert entry.run == run_id
    assert [run.run_id for run in other.runs()] != [run_id]
    assert changes.entry_document(entry) == {"id": entry.id, **entry.document}
    done = upkeep.rebuild(other)
    assert done.retracted == (run_id,)
    changes.retract(other, run_id, "no mistake", undo=True)
    upkeep.rebuild(other)
    assert len(other.runs()) == 2
    document = changes.history_document(changes.history(other))
    assert [one["action"] for one in document["entries"]] == ["retract", "restore"]
    assert document["missing"] == []


def test_bundles_carry_runs_to_another_board(other, tmp_path):
    bundle = exchange.export_runs(other, tmp_path / "b.zip")
    assert (len(bundle.runs), bundle.bytes) == (2, (tmp_path / "b.zip").stat().st_size)
    second = open_board(tmp_path / "second")
    (merged,) = exchange.import_bundles(second, [tmp_path / "b.zip"])
    assert sorted(merged.new) == sorted(bundle.runs)
    (again,) = exchange.import_bundles(second, [tmp_path / "b.zip"])
    assert (list(again.new), sorted(again.same)) == ([], sorted(bundle.runs))
    assert [run.run_id for run in second.runs()] == [run.run_id for run in other.runs()]


def test_no_bundle_is_merged_while_another_is_damaged(other, tmp_path):
    exchange.export_runs(other, tmp_path / "b.zip")
    (tmp_path / "damaged.zip").write_bytes(b"x" * 100)
    second = open_board(tmp_path / "second")
    with pytest.raises(StoreError):
        exchange.import_bundles(second, [tmp_path / "b.zip", tmp_path / "damaged.zip"])
    assert second.runs() == []


def test_a_snapshot_is_made_and_checked(other, tmp_path):
    made = pages.make_snapshot(other, tmp_path / "snapshot")
    checked = pages.verify_snapshot(tmp_path / "snapshot")
    assert checked == made
    assert made.to_json()["runs"] == list(made.runs)
    assert pages.write_page(other, tmp_path / "page", "best-test").is_file()


def test_the_board_opens_from_the_package_without_torch(home):
    code = (
        "import sys, bench\n"
        f"board = bench.open_board({str(home)!r})\n"
        "assert len(board.runs()) == 7 and board.table('table1').rows and board.compare('ast/patchmix-cl', 'ast/ce')\n"
        "assert not {'torch', 'optuna', 'timm'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert bench.open_board is boards.open_board
