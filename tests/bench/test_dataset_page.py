"""The data set of docs/datasets.md, three recordings made on the spot, on its way through every command."""

from __future__ import annotations

import csv
import json
import re
import signal

import pytest
from plugin_files import fresh_registries
from wheeze_set import FILE, PAGE, PLUGIN, enter_folder_of_page

from bench import plugins
from bench.core.errors import InterruptedRunError
from bench.engine.data import open_run_data
from bench.engine.trainer import Trainer
from bench.experiment.recipes import Request, choose_source, resolve
from bench.launch.confirmation import compared
from bench.launch.once import launch
from leaderboard.results.run_folder import RunFolder

TINY = ["--model", "ast", "--method", "ce", "--pretrain", "none", "--epochs", "1"]
TINY += [word for name in ("model.embed_dim=32", "model.depth=1", "model.heads=2") for word in ("--set", name)]


@pytest.fixture(autouse=True)
def _forget():
    with fresh_registries():
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's plug-in and its data, and a home of its own."""
    return enter_folder_of_page(tmp_path, monkeypatch)


@pytest.fixture
def words():
    """The commands of the page by their first two words, without ``bench``."""
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1]
    lines = [line.partition("#")[0].split()[1:] for line in block.splitlines()]
    return {" ".join(line[:2]): line for line in lines}


def test_the_plug_in_of_the_page_takes_under_fifty_lines():
    assert len(PLUGIN.splitlines()) < 50
    imported = re.search(r"from bench\.plugins import (.*)\n", PLUGIN)[1].split(", ")
    assert set(imported) <= set(plugins.__all__)


def test_the_set_is_shown_and_described(folder, bench, words):
    shown = bench(*words["data show"]).out
    for text in ("Wheezes", "CC0", "wheeze-2", "wheezes.py", "frontend.seconds=2.0"):
        assert text in shown, text
    described = json.loads(bench(*words["data info"], "--format", "json").out)
    assert (described["name"], described["recordings"]) == ("wheezes", {"present": 3, "expected": 3})


def rates(confusion):
    """Sp, Se and Score of two classes, by themselves."""
    (right, _), (_, found) = confusion
    sp, se = 100 * right / sum(confusion[0]), 100 * found / sum(confusion[1])
    return {"sp": sp, "se": se, "score": (sp + se) / 2}


def test_a_run_goes_to_the_board_to_a_submission_and_to_the_page(folder, bench, words):
    runs = json.loads(bench("run", *words["run --plugin"][1:5], *TINY, "--seeds", "1-2", "--format", "json").out)
    for run in runs:
        assert (run["spec"]["dataset"], run["spec"]["task"], run["task"]["classes"]) == (
            "wheezes",
            "wheeze-2",
            ["normal", "wheeze"],
        )
        (judged,) = run["metrics"]["last"].values()
        assert {name: judged[name] for name in ("sp", "se", "score")} == pytest.approx(rates(judged["confusion"]))
        assert (judged["n"], len(judged["confusion"])) == (8, 2)

    predictions = RunFolder.of_run(folder / "home", runs[0]["run_id"]).predictions("last")
    with predictions.open(newline="") as stream:
        assert next(csv.reader(stream)) == ["recording", "cycle", "normal", "wheeze"]
    (folder / "answers.csv").write_bytes(predictions.read_bytes())
    submitted = json.loads(bench(*words["board submit"], "--format", "json").out)
    mine, theirs = submitted["metrics"]["official"]["2class"], runs[0]["metrics"]["last"]["2class"]
    assert mine["confusion"] == theirs["confusion"]

    # The board is readable where nobody has the plug-in.
    with fresh_registries():
        board = json.loads(bench("report", "--format", "json").out)
        (section,) = board["sections"]
        assert section["title"] == "Wheezes, wheezes in segments of sound"
        assert not section["ranked"]
        assert {row["name"] for row in section["rows"]} == {None, "Mine"}
        assert sorted(section["rows"][0]["classes"]) == ["normal", "wheeze"]
        bench("report", "--format", "html", "--out", folder / "site")
        assert "Wheezes, wheezes in segments of sound" in (folder / "site" / "index.html").read_text()
        (ranked,) = json.loads(bench("report", "--plugin", FILE, "--format", "json").out)["sections"]
        assert ranked["ranked"]


def test_a_search_follows_the_score_of_the_task(folder, bench, words):
    given = ["ast" if word == "cnn6" else word for word in words["search --plugin"]]
    document = json.loads(bench(*given, *TINY[4:], "--final-seeds", "1", "--format", "json").out)
    scores = [trial["value"] for trial in document["trials"]]
    assert len(scores) == 2
    runs = [RunFolder.of_run(folder / "home", trial["run_ids"][0]).read_document() for trial in document["trials"]]
    assert scores == [run["metrics"]["last"]["2class"]["score"] for run in runs]


def stop_in_the_second_epoch(spec, folder):
    """Train until a signal, as Ctrl-C sends it, comes in the middle of the second epoch."""
    trainer, steps = Trainer(spec, open_run_data(spec), folder), []

    def stop_in_time(*_):
        steps.append(1)
        if len(steps) == 6:
            signal.raise_signal(signal.SIGTERM)

    trainer.method.register_forward_pre_hook(stop_in_time)
    with pytest.raises(InterruptedRunError):
        trainer.fit()


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(folder):
    asked = {"epochs": 2, "model.embed_dim": 32, "model.depth": 1, "model.heads": 2}
    request = Request(
        model="ast", method="ce", pretrain="none", cache=folder / "cache", data="folder", plugins=[FILE], fields=asked
    )
    (spec,) = resolve(request, choose_source(request), [1])
    whole = launch(spec, folder / "whole", rerun=False).document
    stop_in_the_second_epoch(spec, RunFolder.of_run(folder / "stopped", spec.run_id).path)
    resumed = launch(spec, folder / "stopped", rerun=False).document
    assert resumed["metrics"] == whole["metrics"]
    assert [epoch["loss"] for epoch in resumed["epochs"]] == [epoch["loss"] for epoch in whole["epochs"]]
    assert compared(whole, resumed, 0.0).equal
