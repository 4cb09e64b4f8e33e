"""Going on with a study on this or another machine: what stays as it was, what is looked for anew, what is checked."""

import dataclasses
from pathlib import Path

import pytest
from logs import logged
from small_data import write_small_data
from small_studies import base_spec, request_of, study_of

from baselines.weights import LocatedWeights
from bench.core.errors import DataError, SpecError
from bench.search import claims, resumption, session
from bench.search.resumption import execution_here, go_on, settings_now
from bench.search.session import SearchSession
from bench.search.study import Settings

COMPLETE, FAIL = claims.TrialState.COMPLETE, claims.TrialState.FAIL


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def search(base, tmp_path):
    return study_of(base, request_of(base, sampler="random"), tmp_path, 2)


# --- how it ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("final_seeds", "give_up_after", "expected"),
    [
        (None, None, Settings((3,), 7)),
        ("none", None, Settings((), 7)),
        ("1-2", None, Settings((1, 2), 7)),
        (None, 0, Settings((3,), 0)),
        ("5", 9, Settings((5,), 9)),
    ],
)
def test_a_study_ends_as_before_but_for_what_is_said_anew(search, final_seeds, give_up_after, expected):
    search.running_on(search.execution, 2, Settings((3,), 7))
    assert settings_now(search, final_seeds, give_up_after) == expected
    # It is kept when the search goes on, not before.
    assert search.settings == Settings((3,), 7)


@pytest.mark.parametrize(
    ("final_seeds", "give_up_after", "said"),
    [("5-1", None, "--final-seeds is '5-1'"), (None, -1, "--give-up-after is -1"), (None, 10**9, "must be 0")],
)
def test_what_cannot_be_said_anew_is_refused(search, final_seeds, give_up_after, said):
    with pytest.raises(SpecError, match=said):
        settings_now(search, final_seeds, give_up_after)


# --- where its runs are done ------------------------------------------------------------------------------------


def here(search, **changes):
    words = {"data": None, "cache": None, "processes": None, "device": "cpu", "plugins": (), **changes}
    return execution_here(search, **words)


def made_with(search, **identity):
    """The study as it would be with other identity fields."""
    request = dataclasses.replace(search.request, identity={**search.request.identity, **identity})
    return dataclasses.replace(search, request=request)


def moved(search, **changes):
    """Let the study have run elsewhere the last time."""
    search.running_on({**search.execution, **changes}, None)
    return search


def test_on_the_same_machine_everything_is_as_the_last_time(search):
    assert here(search) == search.execution


@pytest.mark.parametrize(("given", "used"), [(None, 4), (1, 1), (2, 2)])
def test_processes_are_as_many_as_the_last_time_unless_others_are_given(search, given, used):
    assert here(moved(search, processes=4), processes=given)["processes"] == used


def test_the_device_is_that_of_this_machine(search, monkeypatch):
    moved(search, device="cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert here(search, device="auto")["device"] == "cpu"
    with pytest.raises(SpecError, match="torch sees no GPU"):
        here(search, device="cuda")
    with pytest.raises(SpecError, match="did you mean 'cuda'"):
        here(search, device="cude")


def test_plug_ins_are_those_that_are_named_now_and_never_those_of_the_study(search):
    moved(search, plugins=["/somewhere/mine.py"])
    assert here(search)["plugins"] == []
    assert here(search, plugins=("a.py", "b.py"))["plugins"] == ["a.py", "b.py"]


def test_the_cache_is_the_one_of_the_last_time_where_it_is_here(search, tmp_path, monkeypatch):
    known, usual, named = (tmp_path / name for name in ("known", "usual", "named"))
    monkeypatch.setenv("BENCH_CACHE", str(usual))
    moved(search, cache=str(known))
    assert here(search)["cache"] == str(usual)
    known.mkdir()
    assert here(search)["cache"] == str(known)
    assert here(search, cache=named)["cache"] == str(named)


def test_the_data_are_those_of_the_last_time_where_they_are_here(search, small_data, tmp_path, monkeypatch):
    other = write_small_data(tmp_path / "other")
    monkeypatch.setenv("BENCH_DATA", str(other))
    assert here(search)["data"] == str(small_data)
    search = moved(made_with(search, dataset="icbhi"), data="/gone")
    assert here(search)["data"] == str(other.resolve())
    assert here(search, data=str(small_data))["data"] == str(small_data.resolve())


@pytest.mark.parametrize("given", [None, "demo"])
def test_the_simulated_set_is_made_again_where_the_study_is_of_it(search, tmp_path, monkeypatch, given):
    made = []

    def demo_folder(cache, *, on_progress=None):
        made.append(cache)
        return tmp_path / "demo"

    monkeypatch.setattr("bench.data.datasets.simulated.demo.demo_folder", demo_folder)
    search = moved(made_with(search, dataset="demo"), data="/gone")
    assert here(search, data=given)["data"] == str(tmp_path / "demo")
    assert made == [Path(search.execution["cache"])]


def test_relative_folders_are_written_out(search, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_small_data(tmp_path / "data")
    found = here(search, data="data", cache=Path("cache"))
    assert (found["data"], found["cache"]) == (str(tmp_path / "data"), str(tmp_path / "cache"))


# --- pretrained weights -----------------------------------------------------------------------------------------


@pytest.fixture
def on_the_card(monkeypatch, tmp_path):
    """What the cards' weights are found as; None for weights that are nowhere."""
    asked = []

    def found(path):
        def locate(card, pretrain, cache):
            asked.append((card.id, pretrain, cache))
            return None if path is None else LocatedWeights(path, "0" * 64)

        monkeypatch.setattr(resumption, "locate", locate)
        return asked

    return found


def pretrained(search, name):
    return moved(made_with(search, pretrain=name), weights="/gone/weights.safetensors")


def test_a_study_without_pretrained_weights_looks_for_none(search, on_the_card):
    asked = on_the_card(None)
    assert here(search)["weights"] is None
    assert asked == []


def test_weights_that_are_where_they_were_are_taken_from_there(search, on_the_card, tmp_path):
    asked = on_the_card(None)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"x")
    assert here(moved(search, weights=str(path)))["weights"] == str(path)
    assert asked == []


def test_weights_of_a_card_are_fetched_into_the_cache_of_this_machine(search, on_the_card, tmp_path):
    asked = on_the_card(tmp_path / "w.safetensors")
    found = here(pretrained(search, "imagenet+audioset"), cache=tmp_path / "cache")
    assert found["weights"] == str(tmp_path / "w.safetensors")
    assert asked == [("ast", "imagenet+audioset", tmp_path / "cache")]


@pytest.mark.parametrize(("name", "looked_for"), [("imagenet+audioset", True), ("my-file", False)])
def test_weights_that_are_not_on_this_machine_are_named(search, on_the_card, name, looked_for):
    asked = on_the_card(None)
    with pytest.raises(SpecError, match=r"study 's' \(/gone/weights.safetensors\) are not on this machine") as caught:
        here(pretrained(search, name))
    assert caught.value.hint == "Put the same file there."
    assert bool(asked) == looked_for


# --- going on ---------------------------------------------------------------------------------------------------


@pytest.fixture
def crews(monkeypatch):
    """How many times workers would have begun; they do nothing."""
    found = []

    class Crew:
        def __init__(self, *words):
            found.append(words)

        def run(self):
            pass

    monkeypatch.setattr(session, "Crew", Crew)
    return found


def go(search, home, execution=None, target=2, *, retry=False, **changes):
    words = {"home": home, "storage": None, "name": "s", "workers": 1, "settings": Settings(()), **changes}
    return go_on(search, SearchSession(**words), execution or search.execution, target, retry=retry)


def test_a_study_remembers_what_was_said_when_it_went_on(search, tmp_path, crews):
    go(search, tmp_path, {**search.execution, "processes": 1}, 7, settings=Settings((), 3))
    assert (search.target, search.settings) == (7, Settings((), 3))
    assert len(crews) == 1


def test_failed_trials_are_done_again_where_that_is_asked_for(search, tmp_path, crews):
    for state in (FAIL, COMPLETE):
        claims.claim(search).end(state, 1.0 if state is COMPLETE else None, {})
    go(search, tmp_path)
    assert (len(search.trials), crews) == (2, [])
    with logged() as said:
        go(search, tmp_path, retry=True)
    assert said[0] == "1 failed trial will be done again"
    assert [trial.state.name for trial in search.trials] == ["FAIL", "COMPLETE", "WAITING"]
    assert len(crews) == 1
    with logged() as said:
        go(search, tmp_path, retry=True)
    assert said[0] == "0 failed trials will be done again"


def test_what_cannot_be_run_here_changes_nothing_in_the_study(search, tmp_path, crews):
    before = search.place.journal.read_bytes()
    with pytest.raises(DataError):
        go(search, tmp_path, {**search.execution, "data": str(tmp_path / "none")}, 9, retry=True)
    with pytest.raises(SpecError, match="--workers is 0"):
        go(search, tmp_path, workers=0)
    assert search.place.journal.read_bytes() == before
    assert crews == []
