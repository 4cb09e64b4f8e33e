"""Model cards: what they say of a run, in the Hub's form and in words, and what they refuse."""

from __future__ import annotations

import re

import pytest
from board_runs import spec, write_run
from huggingface_hub import ModelCard
from official_sets import OFFICIAL
from task_runs import write_task_run

from bench.api.boards import open_board
from bench.api.card_markdown import code, inline, table
from bench.api.ensembles import ensemble
from bench.api.model_cards import model_card
from bench.core.errors import ResultError, SpecError
from leaderboard.store.store import Store


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path)


def metadata(text):
    """The metadata as the Hub's own reader takes it, which refuses what it cannot read."""
    return ModelCard(text).data


def section(text, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)


def test_the_hub_reads_the_metadata(folder):
    data = metadata(model_card(folder))
    assert data.library_name == "lungbench"
    assert data.pipeline_tag == "audio-classification"
    assert data.datasets == ["icbhi"]
    assert data.base_model == "MIT/ast-finetuned-audioset-10-10-0.4593"
    assert {"ast", "patchmix-cl", "lung-sounds"} <= set(data.tags)
    assert {result.dataset_name for result in data.eval_results} == {OFFICIAL}
    assert {(result.task_type, result.dataset_type, result.dataset_split) for result in data.eval_results} == {
        ("audio-classification", "icbhi", "test")
    }


def test_the_metadata_hold_every_rate_of_every_rule(folder, tmp_path):
    board = open_board(tmp_path)
    Store.open(tmp_path).import_run(folder)
    stored = board.run(folder.name).metrics
    told = {
        (result.metric_config, result.metric_type): result.metric_value
        for result in metadata(model_card(folder)).eval_results
    }
    names = {"sp": "specificity", "se": "sensitivity", "score": "score"}
    assert told == {
        (f"{judged} {rule}", kind): round(stored[rule][judged][name], 4)
        for rule in ("last", "best-test")
        for judged in ("4class", "2class")
        for name, kind in names.items()
    }


def test_the_interval_is_that_of_the_board(folder, tmp_path):
    Store.open(tmp_path).import_run(folder)
    (row,) = open_board(tmp_path).systems("last")
    low, high = row.ci95
    line = next(line for line in model_card(folder).splitlines() if line.startswith("| last") and "4class" in line)
    assert f"{row.score:.2f} \\[{low:.2f}, {high:.2f}\\]" in line
    assert "spread of the paper's own rows" in model_card(folder)


def test_each_rule_says_how_its_epoch_was_chosen(folder):
    text = section(model_card(folder), "Scores")
    assert "last: the last epoch." in text
    assert re.search(r"best-test: .* on the test part; chosen on the test part", text)
    assert "Optimism" in text


@pytest.mark.parametrize(
    ("fields", "words", "tag"),
    [
        ({}, "complete official test part", None),
        ({"partial": "partial (198 of 920)"}, "not complete (partial (198 of 920))", "partial-data"),
        ({"dataset": "demo"}, "simulated by a program", "simulated-data"),
    ],
)
def test_the_state_of_the_data_is_said_plainly(tmp_path, fields, words, tag):
    text = model_card(write_run(tmp_path, **fields))
    for title in ("Data and protocol", "Scores"):
        assert words in section(text, title), title
    assert words in text.partition("## The model")[0]
    states = {"partial-data", "simulated-data"} & set(metadata(text).tags)
    assert states == ({tag} if tag else set())
    assert (metadata(text).datasets is None) == (tag == "simulated-data")


def test_patients_on_both_sides_are_named(tmp_path):
    text = model_card(write_run(tmp_path, result={"patients_on_both_sides": ["104"]}))
    assert "Patients in training and test**: 1 (104)" in text
    assert "without patients of the training part" in section(text, "Parts of the test")
    assert "1 of the tested patients were trained on too" in section(text, "Intended use and limits")


def test_the_card_is_no_medical_device_and_says_where_the_data_are_from(folder):
    text = section(model_card(folder), "Intended use and limits")
    assert "Not a medical device and not for diagnosis" in text
    assert "Meditron" in text
    assert "Greece" in text


def test_licences_of_data_and_weights(folder, tmp_path):
    text = section(model_card(folder), "Licences")
    assert "no licence is stated" in text
    assert "BSD-3-Clause" in text
    other = write_run(tmp_path, pretrain="https://me:secret@host.org/w.pth", seed=2)
    assert "secret" not in model_card(other)
    text = model_card(write_run(tmp_path, pretrain="/home/me/private/w.pth", seed=3))
    assert "private" not in text
    assert "not stated here; see w.pth" in text


def test_a_task_of_several_parts(tmp_path):
    text = model_card(write_task_run(tmp_path))
    scores = section(text, "Scores")
    assert "known patients (patients seen in training)" in scores
    assert "| AS | HS | Score |" in scores
    assert {result.dataset_split for result in metadata(text).eval_results} == {"inter", "intra"}


def test_names_from_outside_are_text(tmp_path):
    text = model_card(write_run(tmp_path, model="<b>*x*|y`z", method="a\x1b[31m"))
    words = text.partition("```json")[0].partition("---\n\n")[2]
    assert "**Model**: `<b>*x*|yz`, of a plug-in" in words
    assert words.count("<b>") == 1
    assert "\x1b" not in text
    assert metadata(text).eval_results


def test_pieces_of_markdown():
    assert inline("a`b") == "`ab`"
    assert next(iter(code("x\n```\ny"))) == "````"
    assert list(table(["a"], [["x|y"], [None]]))[2:] == ["| x&#124;y |", "| – |"]


@pytest.mark.parametrize(
    ("result", "words"),
    [({"failed": "it broke"}, "has failed"), ({}, "Cannot read")],
)
def test_what_has_no_card(tmp_path, result, words):
    folder = write_run(tmp_path, **result) if result else tmp_path / "nothing"
    with pytest.raises((SpecError, ResultError), match=words):
        model_card(folder)


def test_what_is_combined_has_no_card(tmp_path):
    runs = [write_run(tmp_path, seed=seed) for seed in (1, 2)]
    made = ensemble([str(run) for run in runs], home=tmp_path)
    with pytest.raises(SpecError, match="of several runs"):
        model_card(made.folder)


def test_a_model_that_is_not_what_its_card_describes_says_so(tmp_path):
    small = write_run(tmp_path, model_options={"embed_dim": 64, "patch_size": 16}, method_options={"tau": 0.2})
    _, model, method, *_ = section(model_card(small), "The model").splitlines()
    assert model.endswith(" Here with `embed_dim=64`.")
    assert method.endswith(" Here with `tau=0.2`.")


def test_the_spec_is_complete(folder):
    assert f'"seed": {spec()["seed"]}' in model_card(folder)
