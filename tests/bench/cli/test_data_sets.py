"""Data sets and tasks on the command line: listed, shown, asked for, refused, and printed in results."""

from __future__ import annotations

import json

import pytest
from children_sets import write_children
from plugin_files import fresh_registries
from wheeze_set import write_plugin_of_page, write_wheezes

from bench.api import completion
from bench.cli import main
from bench.cli.run_results import print_results
from bench.core.datasets import DATASETS


@pytest.fixture
def bench(capsys, tmp_path, monkeypatch):
    """Runs the command line in a folder without data; returns exit code, stdout and stderr."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("BENCH_DATA", "BENCH_DATA_SPRSOUND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def children(tmp_path):
    return write_children(tmp_path / "children")


# --- list, show, info, verify -------------------------------------------------------------------------------------


def test_list_names_every_set_and_what_is_found(bench):
    code, out, _ = bench("data", "list")
    assert code == 0
    for entry in DATASETS:
        assert entry.id in out
    rows = json.loads(bench("data", "list", "--format", "json")[1])
    assert [row["id"] for row in rows] == [entry.id for entry in DATASETS]


def test_show_tells_tasks_parts_counts_and_the_law_of_the_score(bench):
    code, out, _ = bench("data", "show", "sprsound")
    card = DATASETS.card("sprsound")
    assert code == 0
    for words in (card.licence, card.obtain, card.recipe_note, card.citation):
        assert words in out
    lines = out.splitlines()
    for task in card.tasks:
        assert f"task {task.id}: {task.title}; a label for each {task.unit}" in lines
        for part, counts in task.counts.items():
            assert f"  {part}: {sum(counts):,} ({'/'.join(map(str, counts))})" in lines
    assert "  part intra: intra-patient test, patients seen in training" in lines
    assert "  neither: poor-quality" in lines


def test_show_of_an_unknown_set_suggests_one(bench):
    code, out, err = bench("data", "show", "sprsond")
    assert (code, out) == (2, "")
    assert "did you mean 'sprsound'?" in err


def test_a_plug_in_s_set_is_listed_shown_and_described(bench, tmp_path):
    plugin = write_plugin_of_page(tmp_path / "wheezes.py")
    data = write_wheezes(tmp_path / "data" / "wheezes")
    with fresh_registries():
        assert "in data/wheezes" in bench("data", "list", "--plugin", plugin)[1]
        assert "Make it yourself." in bench("data", "show", "wheezes", "--plugin", plugin)[1]
        code, out, err = bench("data", "info", "--data", data, "--plugin", plugin)
        assert (code, err) == (0, "")
        assert "wheezes, complete" in out
        code, _, err = bench("data", "verify", "--dataset", "wheezes", "--plugin", plugin)
        assert code == 2
        assert "nothing to be checked against" in err


def test_info_and_verify_follow_the_folder(bench, children):
    code, out, _ = bench("data", "info", "--data", children, "--task", "record-3")
    assert code == 0
    assert "recordings · normal/adventitious/poor-quality" in out
    assert "sprsound, partial (9 of 2683)" in out
    assert "task: record-3," in out
    code, out, _ = bench("data", "verify", "--data", children)
    assert code == 3
    assert "samples: not compared, as recordings are missing" in out
    assert "the set is partial (9 of 2683): runs need --allow-partial" in out
    document = json.loads(bench("data", "info", "--data", children, "--format", "json")[1])
    assert (document["task"], list(document["counts"])[:3]) == ("event-7", ["train", "inter", "intra"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("fetch", "--dataset", "demo"), 2, "cannot be fetched by a program"),
        (("info", "--dataset", "sprsound"), 3, "bench data fetch --dataset sprsound"),
        (("info", "--data", "demo", "--dataset", "sprsound"), 2, "Leave one of them out."),
        (("info", "--data", "CHILDREN", "--task", "event-3"), 2, "Unknown task 'event-3' of the data set sprsound"),
        (("info", "--data", "CHILDREN", "--dataset", "icbhi"), 3, "--dataset sprsound"),
    ],
)
def test_what_cannot_be_is_a_sentence_that_names_the_option(bench, children, words, code, said):
    found, out, err = bench("data", *(children if word == "CHILDREN" else word for word in words))
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


# --- what a run is judged on --------------------------------------------------------------------------------------


def test_a_dry_run_takes_data_set_task_and_their_recipes(bench, children):
    words = ("run", "--model", "cnn6", "--method", "ce", "--data", children, "--allow-partial", "--dry-run")
    code, out, err = bench(*words, "--dataset", "sprsound", "--task", "event-2", "--set", "batch=2", "--format", "json")
    assert code == 0, err
    identity = json.loads(out)["identity"]
    assert (identity["dataset"], identity["task"]) == ("sprsound", "event-2")
    assert identity["frontend_options"]["seconds"] == 3.0
    assert "SPRSound 2022, partial (9 of 2683) · event-2 · seed 1" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--dataset", "sprsound"), 3, "bench data fetch --dataset sprsound"),
        (("--dataset", "icbhi", "--data", "CHILDREN"), 3, "The folder holds SPRSound 2022: use --dataset sprsound"),
        (("--data", "CHILDREN", "--task", "event"), 2, "Unknown task 'event' of the data set sprsound"),
        (("--dataset", "sprsuond"), 2, "did you mean 'sprsound'?"),
        (("--dataset", "sprsound", "--spec", "spec.json"), 2, "--spec replays a run as it was"),
    ],
)
def test_a_run_refuses_what_cannot_be(bench, children, words, code, said):
    named = [] if "--spec" in words else ["--model", "cnn6", "--method", "ce"]
    found, out, err = bench("run", *named, *(children if word == "CHILDREN" else word for word in words))
    assert (found, out) == (code, "")
    assert said in err


def test_settings_begin_with_what_the_data_set_changes(bench):
    words = ("settings", "frontend", "--model", "cnn6", "--method", "ce", "--format", "json")
    seconds = {}
    for named in ((), ("--dataset", "sprsound"), ("--dataset", "sprsound", "--task", "record-5")):
        rows = json.loads(bench(*words, *named)[1])
        seconds[named[1:]] = next(row["value"] for row in rows if row["name"] == "frontend.seconds")
    assert list(seconds.values()) == [8.0, 3.0, 15.0]
    code, _, err = bench("settings", "--dataset", "sprsound")
    assert code == 2
    assert "no model, method or front-end is named" in err


# --- results ------------------------------------------------------------------------------------------------------

TOLD = {
    "id": "two",
    "title": "normal or not",
    "dataset": "Somebody's",
    "simulated": False,
    "unit": "event",
    "classes": ["normal", "other"],
    "shared": ["normal", "abnormal"],
    "score": "challenge",
    "ranking": "score",
    "parts": [
        {"id": "new", "title": "new patients", "patients_seen": False},
        {"id": "old", "title": "known patients", "patients_seen": True},
    ],
}


def numbers(sp, se):
    both = {"as": (sp + se) / 2, "hs": 2 * sp * se / (sp + se)}
    return {"2class": {"sp": sp, "se": se, **both, "score": sum(both.values()) / 2}}


def result(seed, sp, **changes):
    last = {"2class": {**numbers(sp, 60.0)["2class"], "epoch": 3}}
    return {
        "run_id": f"run{seed}",
        "status": "finished",
        "spec": {"model": "m", "method": "ce", "dataset": "unknown-here", "task": "two", "seed": seed},
        "partial": None,
        "metrics": {"last": last, "best-val": None},
        "task": TOLD,
        "other_parts": {"old": {"last": numbers(sp + 10, 60.0), "best-val": None}},
        **changes,
    }


def table_of(capsys, *documents):
    print_results(documents, "table")
    lines = capsys.readouterr().out.splitlines()
    return lines[0].strip(), [line.split() for line in lines[1:] if line.strip(" ─")]


def test_results_show_as_hs_and_every_part(capsys):
    title, rows = table_of(capsys, result(1, 80.0))
    assert title == "m · ce · Somebody's · normal or not"
    assert rows[0] == ["seed", "run", "rule", "part", "epoch", "Sp", "Se", "AS", "HS", "Score"]
    assert rows[1] == ["1", "run1", "last", "new", "3", "80.00", "60.00", "70.00", "68.57", "69.29"]
    assert rows[2] == ["1", "run1", "last", "old*", "3", "90.00", "60.00", "75.00", "72.00", "73.50"]
    assert " ".join(rows[-1]) == "* known patients: patients seen in training."


def test_seeds_are_summed_up_part_by_part(capsys):
    _, rows = table_of(capsys, result(1, 80.0), result(2, 70.0))
    means = [row for row in rows if row[:3] == ["all", "2", "seeds"]]
    assert [(row[4], row[5:8]) for row in means] == [("new", ["75.00", "±", "7.07"]), ("old*", ["85.00", "±", "7.07"])]


def test_a_failed_run_of_a_set_that_is_not_here_is_a_row(capsys):
    failed = {name: value for name, value in result(1, 80.0).items() if name not in ("task", "other_parts")}
    _, rows = table_of(capsys, {**failed, "status": "failed", "metrics": {}})
    assert rows[1] == ["1", "run1", "failed"]


# --- reports ------------------------------------------------------------------------------------------------------


def test_a_data_set_is_a_report(bench):
    code, out, err = bench("report", "sprsound", "--format", "markdown")
    assert code == 0, err
    assert "event-2" in out or "2 classes of events" in out
    code, of_task, _ = bench("report", "sprsound", "--task", "event-2", "--format", "markdown")
    assert code == 0
    assert 0 < len(of_task) < len(out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("leaderboard", "--dataset", "sprsuond"), "did you mean 'sprsound'?"),
        (("leaderboard", "--dataset", "sprsound", "--task", "event-1"), "Unknown task 'event-1'"),
        (("table1", "--task", "event-2"), "--task chooses sections"),
        (("figure2", "--dataset", "icbhi"), "not of figure2"),
        (("leaderboard", "--task", "event-2", "--format", "html", "--out", "site"), "not of the page"),
        (("sprsuond",), "did you mean 'sprsound'?"),
    ],
)
def test_sections_that_are_not_there_are_refused(bench, words, said):
    code, out, err = bench("report", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_tasks_are_completed_by_their_data_set():
    assert list(completion.tasks("sprsound")) == [task.id for task in DATASETS.card("sprsound").tasks]
    assert {"cycle-4", "event-7"} <= set(completion.tasks())
    assert list(completion.datasets()) == [entry.id for entry in DATASETS]
    assert {"leaderboard", "table3", "sprsound"} <= set(completion.reports())
