"""The paper's tables by the API: what is planned, how each run stands, what is said at the end; nothing trains."""

from __future__ import annotations

import json

import pytest
from matrix_runs import made_up_runs
from small_runs import SETTINGS

import bench
from bench.api import reproductions
from bench.api.boards import open_board
from bench.core.errors import InterruptedRunError, RunError, SpecError, WeightsError
from leaderboard.published import TABLES, printed_table

ROW = {**SETTINGS, "specaug_time_width": 20}


@pytest.fixture
def request_of_rows(small_data, small_cache):
    return reproductions.rows_request(data=small_data, cache=small_cache, device="cpu", fields=ROW)


@pytest.fixture
def plan(request_of_rows, tmp_path):
    """Plans the rows of a table."""

    def planned(name="table2", only="cl-p*", seeds="1,2"):
        return reproductions.plan_table(name, request_of_rows, only=only, seeds=seeds, home=tmp_path / "home")

    return planned


@pytest.fixture
def plan_of_table3(small_data, small_cache, tmp_path, monkeypatch):
    """The whole of table 3, whose models are not built."""
    monkeypatch.setattr("bench.engine.preflight.check_model", lambda spec: None)
    asked = reproductions.rows_request(data=small_data, cache=small_cache, device="cpu")
    return lambda: reproductions.plan_table("table3", asked, only=None, seeds="1", home=tmp_path).to_json()


@pytest.fixture
def trained(monkeypatch):
    """The runs that were started; seed 2 fails."""
    started = []

    def outcome(seed, rerun):
        started.append((seed, rerun))
        return RunError("The loss is nan.", "Lower it.") if seed == 2 else None

    made_up_runs(monkeypatch, outcome)
    return started


# --- planning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "table2-cl-p_-seeds-1,2"),
        ({"seeds": None}, "table2-cl-p_"),
        ({"only": "cl-patch", "seeds": "1"}, "table2-cl-patch-seeds-1"),
    ],
)
def test_parts_of_a_table_are_matrices_of_their_own(plan, asked, name):
    """So that two processes may be at parts of one table, each with a GPU of its own."""
    assert plan(**asked).plan.matrix.name == name


def test_a_plan_has_a_run_for_each_row_and_seed(plan):
    document = plan().to_json()
    assert (document["table"], document["profile"]) == ("table2", "demo")
    assert [(run["rows"], run["seed"]) for run in document["runs"]] == [(["cl-patch"], 1), (["cl-patch"], 2)]
    assert {run["status"] for run in document["runs"]} == {"missing"}
    assert len({run["run_id"] for run in document["runs"]}) == 2
    assert json.loads(json.dumps(document)) == document


def test_one_seed_is_enough_for_simulated_data(plan, caplog):
    with caplog.at_level("INFO", "bench"):
        assert [run["seed"] for run in plan(seeds=None).to_json()["runs"]] == [1]
    assert any("the demo profile trains from scratch" in message for message in caplog.messages)


def test_every_row_is_planned_or_says_why_not(plan_of_table3):
    document = plan_of_table3()
    rows = {row.id for row in printed_table("table3").rows}
    planned = {row for run in document["runs"] for row in run["rows"]}
    assert planned | set(document["not_runnable"]) | set(document["cannot_start"]) == rows
    assert all(document["not_runnable"].values())


def test_what_is_left_out_is_said_in_the_log(plan_of_table3, caplog):
    with caplog.at_level("WARNING", "bench"):
        document = plan_of_table3()
    for row, reason in document["not_runnable"].items():
        assert f"{row}: not run. {reason}" in caplog.messages


def test_planning_starts_and_makes_nothing(plan, tmp_path, trained):
    plan()
    assert list(tmp_path.iterdir()) == []
    assert trained == []


def test_rows_whose_weights_cannot_be_had_are_named_with_the_reason(plan, monkeypatch, caplog):
    def refuse(spec):
        raise WeightsError("Cannot fetch it.", "Try later.")

    monkeypatch.setattr("bench.engine.preflight.check_model", refuse)
    with caplog.at_level("WARNING", "bench"):
        planned = plan()
    assert planned.to_json()["cannot_start"] == {"cl-patch": "Cannot fetch it."}
    assert "cl-patch: cannot start. Cannot fetch it. Try later." in caplog.messages
    assert planned.plan.runs == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "table4"}, "Unknown table 'table4': did you mean"),
        ({"name": "figure2"}, "Unknown table 'figure2'"),
        ({"name": ""}, "Unknown table ''"),
        ({"only": "cl-pathc"}, "'cl-pathc' matches no row of table2: did you mean 'cl-patch'"),
        ({"seeds": "1-"}, "must look like 1-5"),
        ({"seeds": "3-1"}, "no range"),
    ],
)
def test_what_there_is_not_is_refused(plan, words, said):
    with pytest.raises(SpecError, match=said):
        plan(**words)


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_are_those_that_are_printed(table):
    assert printed_table(table).rows


# --- carrying out -------------------------------------------------------------------------------------------------


def test_a_failed_run_stops_no_other_and_is_said(plan, trained, caplog):
    done = reproductions.reproduce_table(plan(seeds="1-3"), rerun=True)
    assert trained == [(1, True), (2, True), (3, True)]
    assert done.well is False
    document = done.to_json()
    assert [(run["seed"], run["status"], run["error"]) for run in document["runs"]] == [
        (1, "finished", None),
        (2, "failed", "The loss is nan."),
        (3, "finished", None),
    ]
    with caplog.at_level("INFO", "bench"):
        reproductions.say_how_it_ended(done)
    assert "3 runs: 2 finished, 1 failed; this table again: bench report table2" in caplog.messages
    (failed,) = [message for message in caplog.messages if message.startswith("failed: ")]
    assert "cl-patch" in failed
    assert failed.endswith("seed 2: The loss is nan.")


def test_all_is_well_where_nothing_failed(plan, trained, caplog):
    done = reproductions.reproduce_table(plan(seeds="1"))
    assert done.well is True
    with caplog.at_level("INFO", "bench"):
        reproductions.say_how_it_ended(done)
    assert caplog.messages[-1].startswith("1 run: 1 finished, 0 failed")


def test_rows_that_cannot_start_are_not_well(plan, trained, monkeypatch, caplog):
    def refuse(spec):
        raise WeightsError("Cannot fetch it.")

    with monkeypatch.context() as patch:
        patch.setattr("bench.engine.preflight.check_model", refuse)
        planned = plan()
    done = reproductions.reproduce_table(planned)
    assert (list(done.ended), done.well) == ([], False)
    with caplog.at_level("WARNING", "bench"):
        reproductions.say_how_it_ended(done)
    assert "not started: cl-patch: Cannot fetch it." in caplog.messages


def test_the_printed_numbers_stand_beside_what_was_run(plan, trained):
    document = reproductions.reproduce_table(plan(seeds="1")).to_json()
    printed = {row.id: row for row in printed_table("table2").rows}
    assert (document["table"], document["protocol"]) == ("table2", "best-test")
    assert len(document["rows"]) == len(printed)
    for row in document["rows"]:
        assert row["published"]["score"] == printed[row["id"]].score
        assert row["reproduced"] is None


def test_an_interruption_ends_the_table(plan, monkeypatch):
    started = []

    def stop(seed, rerun):
        started.append(seed)
        raise InterruptedRunError("Stopped in epoch 1.")

    made_up_runs(monkeypatch, stop)
    with pytest.raises(InterruptedRunError, match="epoch 1"):
        reproductions.reproduce_table(plan(seeds="1-3"))
    assert started == [1]


def test_the_call_says_how_it_goes_on(small_data, small_cache, tmp_path, monkeypatch):
    def stop(seed, rerun):
        raise InterruptedRunError("Stopped in epoch 1.")

    made_up_runs(monkeypatch, stop)
    place = {"data": small_data, "cache": small_cache, "home": tmp_path, "settings": ROW}
    with pytest.raises(InterruptedRunError) as caught:
        bench.reproduce("table2", only="cl-patch", seeds=[1, 3], rerun=True, **place)
    assert caught.value.hint.startswith("Go on with: bench.reproduce('table2', only='cl-patch', seeds=[1, 3], data=")
    assert "rerun" not in caught.value.hint


def test_a_broken_result_is_neither_done_nor_missing(plan):
    planned = plan(seeds="1")
    run_id = planned.plan.runs[0].spec.run_id
    folder = planned.home / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{")
    assert [run["status"] for run in planned.to_json()["runs"]] == ["broken"]


def test_tables_are_reported_without_a_run(tmp_path):
    for table in TABLES:
        found = open_board(tmp_path).table(table)
        assert [row["id"] for row in found.rows] == [row.id for row in printed_table(table).rows]
        assert not found.holds_runs


# --- the figure ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only", "names"), [("alpha", ["figure2-alpha"]), ("*", ["figure2-alpha", "figure2-beta", "figure2-tau"])]
)
def test_the_figure_is_a_search_for_each_parameter(request_of_rows, tmp_path, only, names):
    options = {"only": only, "seeds": "1", "workers": 1, "home": tmp_path}
    planned = reproductions.plan_figure2(request_of_rows, objective="held-out", **options)
    documents = [one.to_json() for one in planned]
    assert sorted(document["study"] for document in documents) == names
    for document in documents:
        (space,) = document["request"]["space"].values()
        assert len(space["values"]) == document["trials"]
    tested = reproductions.plan_figure2(request_of_rows, objective="test", **options)
    assert [one.to_json()["study"] for one in tested] == [f"{document['study']}-test" for document in documents]
    assert list(tmp_path.iterdir()) == []


def test_searches_of_the_figure_are_begun_one_after_the_other(monkeypatch):
    begun = []
    monkeypatch.setattr(reproductions, "start_search", lambda one: begun.append(one) or f"study {one}")
    assert reproductions.start_figure2(["a", "b"]) == ["study a", "study b"]
    assert begun == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"only": "tao"}, "did you mean 'tau'"),
        ({"objective": "hold-out"}, "held-out"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_a_figure_that_cannot_be_is_refused(request_of_rows, tmp_path, words, said):
    options = {"only": None, "seeds": "1", "objective": "held-out", "workers": 1, "home": tmp_path, **words}
    with pytest.raises(SpecError, match=said):
        reproductions.plan_figure2(request_of_rows, **options)
    assert list(tmp_path.iterdir()) == []
