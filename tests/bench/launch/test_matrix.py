"""``bench reproduce``: what is planned, what goes on after a failure or a kill, what is printed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from cli_runs import EVERY_EPOCH, SMALL_AST, bench_json, environment, start

from bench.core.errors import WeightsError
from bench.experiment.paper_rows import row_systems, systems_of
from bench.experiment.recipes import Request, choose_source, resolve
from bench.experiment.spec import with_defaults
from leaderboard.published import printed_table
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.paper_tables import NO_SYSTEM
from leaderboard.tables.row_systems import ALONE

SMALL = SMALL_AST[4:]


@pytest.fixture
def place(tmp_path, small_data, small_cache):
    """Folders of a command, as words."""
    return ["--data", small_data, "--home", tmp_path, "--cache", small_cache, "--device", "cpu"]


def planned(bench, *words):
    """The runs that a dry run lists."""
    return json.loads(bench("reproduce", *words, "--dry-run", "--format", "json").out)


# --- what is planned ----------------------------------------------------------------------------------------------


def test_a_dry_run_lists_every_row_and_starts_none(bench, place, tmp_path):
    plan = planned(bench, "table2", *SMALL, *place)
    assert (plan["table"], plan["profile"]) == ("table2", "demo")
    assert [run["rows"] for run in plan["runs"]] == [[row.id] for row in printed_table("table2").rows]
    assert {(run["model"], run["pretrain"], run["seed"], run["status"]) for run in plan["runs"]} == {
        ("ast", "none", 1, "missing")
    }
    assert len({run["run_id"] for run in plan["runs"]}) == 9
    assert plan["runs"][4]["options"] == {"mix": "t-patch", "negatives": "all", "target": "stop-z"}
    assert not list(tmp_path.iterdir())


def test_a_dry_run_is_a_table_too(bench, place, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    captured = bench("reproduce", "table2", "--only", "cl-*", "--dry-run", *SMALL, *place)
    assert captured.out.count("missing") == 6
    for word in ("cl-diff-y", "different-label", "profile demo"):
        assert word in captured.out
    assert max(map(len, captured.out.splitlines())) <= 100
    assert "the demo profile trains from scratch" in captured.err


def test_the_paper_profile_runs_five_seeds_from_the_rows_pretraining(bench, place):
    words = ["table1", "--only", "ast", "--profile", "paper", *place]
    assert [run["seed"] for run in planned(bench, *words)["runs"]] == [1, 2, 3, 4, 5]
    assert [run["seed"] for run in planned(bench, *words, "--seeds", "2,7")["runs"]] == [2, 7]


def test_rows_that_share_a_system_share_its_run(bench, place):
    plan = planned(bench, "table3", *place)
    rows = {row.id: row for row in printed_table("table3").rows}
    assert plan["not_runnable"] == {name: NO_SYSTEM for name in rows if not systems_of("table3", name)}
    runs = [run["rows"] for run in plan["runs"]]
    assert ["patchmix-cl", "patchmix-cl-2class"] in runs
    assert ["fine-tuning", "fine-tuning-2class"] in runs
    assert {name for run in runs for name in run} | set(plan["cannot_start"]) | set(plan["not_runnable"]) == set(rows)


def test_a_row_whose_weights_cannot_be_had_does_not_stop_the_others(bench, place, monkeypatch):
    def locate(model, pretrain, cache):
        if pretrain != "none":
            raise WeightsError(f"Cannot fetch {pretrain}.")

    monkeypatch.setattr("baselines.weights.locate", locate)
    plan = planned(bench, "table1", "--only", "ast*", "--profile", "paper", "--seeds", "1", *place)
    assert [run["rows"] for run in plan["runs"]] == [["ast"]]
    assert plan["cannot_start"] == {
        "ast-in": "Cannot fetch imagenet.",
        "ast-in-as": "Cannot fetch imagenet+audioset.",
    }
    captured = bench("reproduce", "table1", "--only", "ast-in", "--profile", "paper", *place, code=1)
    assert "not started: ast-in: Cannot fetch imagenet." in captured.err
    assert "Table 1." in captured.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tabel2"], "did you mean 'table2'?"),
        (["figure2", "--only", "tao"], "matches no parameter of figure2: did you mean 'tau'?"),
        (["figure2", "--rerun"], "figure2 has no use for --rerun. hint: `bench search delete"),
        (["figure2", "--timeout", "2h"], "figure2 has no use for --timeout."),
        (["figure2", "--retries", "5"], "figure2 has no use for --retries."),
        (["table2", "--workers", "4"], "table2 has no use for --workers. hint: --jobs says"),
        (["table2", "--objective", "test"], "table2 has no use for --objective."),
        (["table2", "--partition", "gpu"], "The launcher local has no use for the options of Slurm jobs"),
        (["table2", "--devices", "0", "--launcher", "slurm"], "The launcher slurm has no use for --devices"),
        (["table2", "--slurm", "memory"], "--slurm takes KEY=VALUE, not 'memory'"),
        (["table2", "--timeout", "soon"], "--timeout is 'soon', but must be like 2h, 90m or 3600"),
        (["table2", "--jobs", "0"], "jobs is 0, but must be a whole number from 1"),
        (["table2", "--retries", "-1"], "retries is -1, but must be a whole number from 0"),
        (["table2", "--launcher", "slrum"], "did you mean 'slurm'?"),
        (["table2", "--only", "cl-pach"], "matches no row of table2: did you mean 'cl-patch'?"),
        (["table2", "--seeds", "five"], "must look like 1-5"),
        (["table2", "--profile", "papr"], "did you mean 'paper'?"),
        (["table2", "--set", "epoch=3"], "did you mean 'epochs'?"),
        (["table2", "--set", "tau=0.1"], "Unknown setting 'tau' for method ce"),
        (
            ["table2", "--only", "cl-*", "--set", "mix=t-patch"],
            "contradicts the system 'patchmix-cl', whose mix is",
        ),
        (["table2", "--format", "latex"], "Unknown format 'latex'"),
    ],
)
def test_wrong_words_are_refused_before_anything_starts(bench, place, tmp_path, words, said):
    assert said in " ".join(bench("reproduce", *words, *place, code=2).err.split())
    assert not list(tmp_path.iterdir())


def test_no_data_where_a_folder_is_named(bench, place, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "No ICBHI data" in bench("reproduce", "table2", *place, "--data", tmp_path / "empty", code=3).err


def test_what_a_system_is_expected_to_be_is_its_resolved_spec(small_data, small_cache):
    systems = row_systems(printed_table("table2"))
    expected = {row: found[0].runs[ALONE] for row, found in systems.items()}
    assert expected["ce"].recipes["icbhi"]["epochs"] == 50
    assert expected["cl-z"].settings["method_options.target"] == "z"
    request = Request(
        model="ast",
        method="patchmix-cl",
        cache=small_cache,
        data=str(small_data),
        fields={"method.mix": "t-patch"},
        device="cpu",
    )
    (spec,) = resolve(request, choose_source(request), [1])
    here = flattened(with_defaults(spec.identity()))
    wanted = expected["cl-tpatch"]
    for name, value in {**wanted.recipes["demo"], **wanted.settings}.items():
        assert here[name] == value, name


# --- what is run --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_row_fails_the_others_go_on_and_only_the_missing_one_is_run_again(bench, place, tmp_path):
    words = ["reproduce", "table2", "--only", "ce*", "--epochs", "2", *SMALL, *place, "--format", "json"]
    ids = [run["run_id"] for run in json.loads(bench(*words, "--dry-run").out)["runs"]]
    (tmp_path / "runs").mkdir()
    in_the_way = tmp_path / "runs" / ids[1]
    in_the_way.write_text("not a folder")

    captured = bench(*words, code=1)
    first = json.loads(captured.out)
    assert [run["status"] for run in first["runs"]] == ["finished", "failed", "finished"]
    assert "Cannot write" in first["runs"][1]["error"]
    assert f"run {ids[1]} failed: Cannot write" in captured.err
    in_the_way.unlink()
    moments = {run: (tmp_path / "runs" / run / "result.json").stat().st_mtime_ns for run in (ids[0], ids[2])}

    second = json.loads(bench(*words).out)
    assert [run["status"] for run in second["runs"]] == ["done before", "finished", "done before"]
    assert {run: (tmp_path / "runs" / run / "result.json").stat().st_mtime_ns for run in moments} == moments
    rows = {row["id"]: row for row in second["rows"]}
    for name, run_id in zip(("ce", "ce-patch", "ce-tpatch"), ids, strict=True):
        assert (rows[name]["data"], rows[name]["delta"]) == ("simulated", None)
        assert rows[name]["reproduced"]["run_ids"] == [run_id]
        assert rows[name]["differs"]["epochs"] == {"here": 2, "recipe": 14}
    assert rows["cl-patch"]["reproduced"] is None


@pytest.mark.slow
def test_a_run_that_diverges_is_stored_as_failed(bench, place, tmp_path):
    words = ["reproduce", "table2", "--only", "ce", "--epochs", "1", "--set", "lr=1e30", *SMALL, *place]
    captured = bench(*words, code=1)
    assert "0 finished, 1 failed" in captured.err
    assert "Table 2." in captured.out
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["status"] == "failed"


EPOCHS = 40


def wait_for_state(process, home: Path, epoch: int) -> None:
    """Wait until the state of some epoch, or of a later one, has been saved."""
    deadline = time.monotonic() + 200
    while True:
        found = list(home.glob("runs/*/checkpoint/current.json"))
        text = found[0].read_text() if found else ""
        if any(f"epoch{number:04d}" in text for number in range(epoch, EPOCHS + 1)):
            return
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no state was saved"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_stop_and_a_kill_lose_nothing(small_data, small_cache, tmp_path):
    """Ctrl-C, then kill -9 of the parent alone; the same command ends the run."""
    env = environment(tmp_path, small_cache)
    words = ["reproduce", "table2", "--only", "ce", "--epochs", str(EPOCHS), *SMALL, *EVERY_EPOCH]
    words += ["--data", str(small_data), "--device", "cpu"]
    with start(*words, env=env) as process:
        wait_for_state(process, tmp_path, 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Stopped: 0 of 1 are done." in err
    assert "Go on with: " in err
    assert "bench reproduce table2 --only ce" in err
    assert "Traceback" not in err

    saved = next(tmp_path.glob("runs/*/checkpoint/current.json")).read_text()
    reached = next(number for number in range(EPOCHS + 1) if f"epoch{number:04d}" in saved)
    with start(*words, env=env) as process:
        wait_for_state(process, tmp_path, reached + 2)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)  # ends only when the run under way has died too
    (document,) = bench_json(*words, env=env)["runs"]
    assert document["status"] == "finished"
    result = json.loads(next(tmp_path.glob("runs/*/result.json")).read_text())
    assert [entry["epoch"] for entry in result["epochs"]] == list(range(1, EPOCHS + 1))
