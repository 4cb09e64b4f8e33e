"""Studies as values: their best, their trials, their frames and figures; opened, listed and deleted."""

from __future__ import annotations

import csv
import io
import json
from statistics import fmean

import pandas
import polars
import pytest
from kept_studies import keep_study

from bench.api import figures, searches
from bench.core.errors import ResultError, SpecError, StoreError

SCORES = {0.02: [50.0, 52.0], 0.06: [60.0, 61.0], 0.2: [], 0.5: [60.0, 61.0]}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A results folder with two studies; do not change it."""
    folder = tmp_path_factory.mktemp("studies")
    keep_study(folder, "tau", SCORES)
    keep_study(folder, "alpha", {1.0: [40.0, 41.0]}, param="alpha")
    return folder


@pytest.fixture
def study(home):
    return searches.open_study("tau", home=home)


@pytest.fixture
def own(tmp_path):
    """A results folder that a test may change."""
    keep_study(tmp_path, "tau", SCORES)
    keep_study(tmp_path, "alpha", {1.0: [40.0, 41.0]}, param="alpha")
    return tmp_path


def names(home):
    return [row["study"] for row in searches.list_studies(home=home)[0]]


# --- a study ------------------------------------------------------------------------------------------------------


def test_trials_have_the_mean_of_their_runs(study):
    assert [trial["number"] for trial in study.trials] == [0, 1, 2, 3]
    for trial, (value, scores) in zip(study.trials, SCORES.items(), strict=True):
        assert trial["params"] == {"tau": value}
        assert trial["value"] == (fmean(scores) if scores else None)
        assert len(trial["run_ids"]) == len(scores)
    assert [trial["state"] for trial in study.trials].count("FAIL") == 1


def test_the_first_of_equals_is_the_best(study):
    assert (study.best["number"], study.best["value"]) == (1, 60.5)


def test_a_study_in_which_all_failed_has_no_best(tmp_path):
    keep_study(tmp_path, "failed", {0.1: [], 0.2: []})
    study = searches.open_study("failed", home=tmp_path)
    assert study.best is None
    assert repr(study) == "<Study failed: 2 trials, best None>"
    assert study.budget["complete"] == 0


def test_its_cost_is_counted_by_state(study):
    budget = study.budget
    assert (budget["complete"], budget["fail"], budget["trials"]) == (3, 1, 4)
    assert budget["cpu_hours"] == pytest.approx(4 * 2.5 / 3600)
    assert budget["gpu_hours"] == 0


def test_it_says_what_it_is(study):
    assert (study.name, study.well) == ("tau", None)
    assert repr(study) == "<Study tau: 4 trials, best 60.5>"
    document = study.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["best"] == study.best


def test_what_is_given_out_may_be_changed_and_changes_nothing(study):
    before = json.dumps(study.to_json())
    study.trials.clear()
    study.budget.clear()
    study.to_json().clear()
    assert json.dumps(study.to_json()) == before


@pytest.mark.parametrize(("library", "kind"), [("pandas", pandas.DataFrame), ("polars", polars.DataFrame)])
def test_its_trials_are_a_frame_of_either_library(study, monkeypatch, library, kind):
    monkeypatch.setattr("bench.api.frames.LIBRARIES", (library,))
    frame = study.to_dataframe()
    assert isinstance(frame, kind)
    assert list(frame.columns) == ["number", "state", "value", "seconds", "run_id", "tau"]
    assert list(frame["tau"]) == list(SCORES)
    values = [None if pandas.isna(value) else value for value in frame["value"]]
    assert values == [trial["value"] for trial in study.trials]


# --- opened, listed, deleted --------------------------------------------------------------------------------------


def test_studies_are_listed_by_name(home):
    rows, damaged = searches.list_studies(home=home)
    assert (names(home), list(damaged)) == (["alpha", "tau"], [])
    assert json.loads(json.dumps(rows)) == rows


def test_an_empty_folder_has_no_studies_and_is_not_made(tmp_path):
    assert searches.list_studies(home=tmp_path / "none") == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_one_damaged_study_hides_no_other(own):
    (own / "studies" / "tau.journal").write_text("{no journal\n{neither\n")
    rows, damaged = searches.list_studies(home=own)
    assert len(rows) == 1
    assert len(damaged) == 1
    assert "tau.journal" in damaged[0].message
    with pytest.raises(StoreError, match=r"tau\.journal"):
        searches.open_study("tau", home=own)


def test_a_study_is_opened_from_a_named_file(home):
    path = str(home / "studies" / "tau.journal")
    assert searches.open_study("tau", path).best["value"] == 60.5
    rows, _ = searches.list_studies(path)
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tua", "There is no study 'tua' in .*did you mean 'tau'"),
        ("nothing", "There is no study 'nothing'"),
        ("../tau", r"'\.\./tau' cannot name a study"),
        ("", "'' cannot name a study"),
        ("x" * 101, "cannot name a study"),
        ("a/b", "cannot name a study"),
    ],
)
def test_a_study_that_there_is_not_is_refused(home, name, said):
    before = sorted(home.rglob("*"))
    for call in (
        lambda: searches.open_study(name, home=home),
        lambda: searches.resume_search(name, lambda *words: False, home=home),
        lambda: figures.draw_studies([name], home=home),
    ):
        with pytest.raises(SpecError, match=said):
            call()
    assert sorted(home.rglob("*")) == before


def test_a_deleted_study_is_gone_and_its_neighbour_stays(own, caplog):
    with caplog.at_level("INFO", "bench"):
        searches.delete_study(searches.open_study("tau", home=own))
    assert caplog.messages == ["deleted the study tau; its runs stay"]
    assert names(own) == ["alpha"]
    with pytest.raises(SpecError, match="There is no study 'tau'"):
        searches.open_study("tau", home=own)
    assert keep_study(own, "tau", {0.3: [1.0, 2.0]}).trials[0].value == 1.5


def test_a_study_that_never_began_is_not_gone_on_with(home):
    with pytest.raises(SpecError, match="The study 'tau' was made, but never began") as caught:
        searches.resume_search("tau", lambda *words: False, home=home)
    assert "`bench search`" in caught.value.hint


# --- figures ------------------------------------------------------------------------------------------------------


def test_a_figure_holds_every_trial_with_its_numbers(home):
    rows = list(csv.DictReader(io.StringIO(figures.draw_studies(["tau"], "csv", home=home).decode())))
    assert {float(row["param.tau"]): json.loads(row["scores"]) for row in rows} == SCORES
    means = [float(row["score"]) if row["score"] else None for row in rows]
    assert means == [51.0, 60.5, None, 60.5]
    assert [row["error"] for row in rows] == ["", "", "The loss is nan.", ""]
    assert {row["data"] for row in rows} == {"simulated"}


@pytest.mark.parametrize("form", ["json", "csv", "html", "table"])
def test_a_figure_is_the_same_for_the_same_studies(home, form):
    first = figures.draw_studies(["tau", "alpha"], form, home=home)
    assert first == figures.draw_studies(["tau", "alpha"], form, home=home)
    assert b"tau" in first
    assert b"alpha" in first


@pytest.mark.parametrize("form", ["gif", "", "SVG", "latex"])
def test_a_format_that_there_is_not_is_refused_before_a_study_is_read(tmp_path, form):
    with pytest.raises(ResultError, match="format"):
        figures.draw_studies(["tau"], form, home=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        (["figure2-tau", "figure2-alpha", "mine"], ["figure2-alpha", "figure2-tau"]),
        (["figure2-tau", "figure2-tau-test"], ["figure2-tau"]),
        (["figure2-tau-test", "mine"], ["figure2-tau-test"]),
        (["figure2"], ["figure2"]),
        (["mine"], ["mine"]),
        (["figure2x"], ["figure2x"]),
    ],
)
def test_the_papers_studies_are_meant_where_none_is_named(known, chosen):
    assert figures.default_studies(known) == chosen
    assert figures.default_studies(list(reversed(known))) == chosen


def test_without_a_study_the_commands_that_make_one_are_named(tmp_path):
    with pytest.raises(SpecError, match="There is no study yet") as caught:
        figures.draw_studies(home=tmp_path)
    assert "`bench search`" in caught.value.hint


@pytest.mark.parametrize("number", [2, figures.MOST_NAMED, figures.MOST_NAMED + 1])
def test_where_several_could_be_meant_a_bounded_number_is_named(number):
    known = [f"s{place:02d}" for place in range(number)]
    with pytest.raises(SpecError, match=f"None of {number} studies is meant by itself") as caught:
        figures.default_studies(known)
    shown = min(number, figures.MOST_NAMED)
    assert caught.value.hint.count(",") == shown - (number <= figures.MOST_NAMED)
    assert ("…" in caught.value.hint) is (number > figures.MOST_NAMED)


def test_a_damaged_study_is_left_out_of_the_figure_and_said(own, caplog):
    (own / "studies" / "alpha.journal").write_text("{no journal\n{neither\n")
    with caplog.at_level("WARNING", "bench"):
        assert b"tau" in figures.draw_studies(form="csv", home=own)
    assert any(message.startswith("left out: ") and "alpha.journal" in message for message in caplog.messages)
