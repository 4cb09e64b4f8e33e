"""``bench.search`` and ``bench.reproduce``: studies and tables as values."""

import json

import pytest
from matrix_runs import made_up_runs
from small_runs import SETTINGS

import bench as library
from bench.api.searches import _named_spaces
from bench.core.errors import InterruptedRunError, SpecError
from bench.search import workers

ROW = {**SETTINGS, "specaug_time_width": 20}


@pytest.fixture
def place(small_data, small_cache, tmp_path):
    return {"data": small_data, "cache": small_cache, "home": tmp_path / "home", "device": "cpu", "settings": ROW}


@pytest.mark.parametrize(
    ("params", "names", "spaces"),
    [
        ("alpha,tau", ["alpha,tau"], []),
        (["alpha", "tau"], ["alpha", "tau"], []),
        (
            {"lr": "1e-5..1e-3:log", "batch": [8, 16], "alpha": None},
            ["lr", "batch", "alpha"],
            ["lr=1e-5..1e-3:log", "batch=8,16"],
        ),
    ],
)
def test_spaces_are_written_as_names_or_a_mapping(params, names, spaces):
    assert _named_spaces(params) == (names, spaces)


@pytest.mark.slow
def test_a_search_gives_its_study(bench, place):
    options = {"params": {"alpha": [0.5, 1.0]}, "sampler": "grid", "epochs": 1, "final_seeds": (), "study": "s"}
    study = library.search("ast", "patchmix-cl", **options, **place)
    assert (study.name, study.well) == ("s", True)
    assert [trial["params"]["alpha"] for trial in study.trials] == [0.5, 1.0]
    assert study.best["value"] == max(trial["value"] for trial in study.trials)
    assert study.budget["complete"] == 2
    assert "2 trials" in repr(study)
    shown = bench("search", "show", "s", "--home", place["home"], "--format", "json").out
    assert study.to_json() == json.loads(shown)
    again = library.search("ast", "patchmix-cl", **options, **place)
    assert again.to_json() == study.to_json()


def test_a_study_is_a_data_frame_where_a_library_is_there(monkeypatch):
    trial = {"number": 0, "state": "COMPLETE", "value": 1.0, "seconds": 2.0, "run_id": "x", "params": {"lr": 0.1}}
    study = library.Study(None)
    study._document = {"trials": [trial], "request": {"params": ["lr"]}}
    monkeypatch.setattr("bench.api.study.data_frame", dict)
    assert study.to_dataframe() == {name: [trial[name]] for name in trial if name != "params"} | {"lr": [0.1]}


def test_an_interrupted_search_goes_on_with_the_same_call(place, monkeypatch):
    def stopped(self):
        raise InterruptedRunError("The search was stopped.")

    monkeypatch.setattr(workers.Crew, "run", stopped)
    with pytest.raises(InterruptedRunError) as caught:
        library.search("ast", "patchmix-cl", params="alpha", trials=2, epochs=1, **place)
    assert caught.value.hint.startswith("Go on with: bench.search('ast', 'patchmix-cl', params='alpha', trials=2,")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"params": [], "trials": 1}, "Nothing to search"),
        ({"params": "alhpa", "trials": 1}, "did you mean 'alpha'"),
        ({"params": {"alpha": "2..1"}, "trials": 1}, "is reversed"),
        ({"params": "alpha"}, "--trials is missing"),
        ({"params": "alpha", "trials": 1, "workers": 0}, "--workers is 0"),
    ],
)
def test_what_cannot_be_searched_is_refused(place, options, said):
    with pytest.raises(SpecError, match=said):
        library.search("ast", "patchmix-cl", **options, **place)
    assert not place["home"].exists()


# --- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_table_is_the_document_of_the_command(bench, place):
    document = library.reproduce("table2", only="cl-patch", epochs=1, seeds=[1], **place)
    assert (document["table"], document["protocol"], document["profile"]) == ("table2", "best-test", "demo")
    (run,) = document["runs"]
    assert (run["rows"], run["status"], run["error"]) == (["cl-patch"], "finished", None)
    words = [word for name, value in ROW.items() for word in ("--set", f"{name}={value}")]
    words += ["--only", "cl-patch", "--epochs", 1, "--seeds", 1, "--device", "cpu", "--format", "json"]
    where = ["--data", place["data"], "--cache", place["cache"], "--home", place["home"]]
    again = json.loads(bench("reproduce", "table2", *words, *where).out)
    assert again["rows"] == document["rows"]
    assert [one["status"] for one in again["runs"]] == ["done before"]


def test_a_failing_row_is_told_and_raises_nothing(place, monkeypatch):
    made_up_runs(monkeypatch, lambda seed, rerun: SpecError("no"))
    document = library.reproduce("table2", only="cl-p*", epochs=1, seeds="1", **place)
    assert {(run["status"], run["error"]) for run in document["runs"]} == {("failed", "no")}


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("tabel2", {}, "did you mean 'table2'"),
        ("table2", {"only": "zz"}, "matches no row"),
        ("table2", {"seeds": "five"}, "must look like 1-5"),
        ("figure2", {"only": "tao"}, "did you mean 'tau'"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(place, table, options, said):
    with pytest.raises(SpecError, match=said):
        library.reproduce(table, **options, **place)


def test_the_searches_of_figure2_are_given_as_studies(place, monkeypatch):
    monkeypatch.setattr(workers.Crew, "run", lambda self: None)
    document = library.reproduce("figure2", only="a*", epochs=1, **place)
    assert document["figure"] == "figure2"
    assert [study["study"] for study in document["studies"]] == ["figure2-alpha"]
    assert len(document["studies"][0]["request"]["space"]["alpha"]["values"]) == document["studies"][0]["target"]
