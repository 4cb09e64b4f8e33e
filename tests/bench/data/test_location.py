"""Which folder and which data set a user's words mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from children_sets import write_children
from small_data import write_small_data

from bench.core.datasets import DATASETS
from bench.core.errors import DataError, RegistryError, SpecError
from bench.data.location import folder_here, held_set, locate_data


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("BENCH_DATA", "BENCH_DATA_SPRSOUND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(monkeypatch):
    """Where simulated sets were made, in the place of making them."""
    asked = []

    def demo_folder(cache, *, on_progress=None):
        asked.append(cache)
        return cache / "made"

    monkeypatch.setattr("bench.data.datasets.simulated.demo.demo_folder", demo_folder)
    return asked


def located(*words, cache=Path("cache")):
    folder, card = locate_data(*words, cache)
    return str(folder), card.id


def test_without_words_the_primary_set_in_its_usual_folder(here, monkeypatch):
    assert located(None, None) == ("data/icbhi", "icbhi")
    monkeypatch.setenv("BENCH_DATA", str(here / "mine"))
    assert located(None, None) == (str(here / "mine"), "icbhi")


def test_a_named_set_has_its_own_folder(here, monkeypatch):
    assert located(None, "sprsound") == ("data/sprsound", "sprsound")
    monkeypatch.setenv("BENCH_DATA", str(here / "other"))
    monkeypatch.setenv("BENCH_DATA_SPRSOUND", str(here / "mine"))
    assert located(None, "sprsound") == (str(here / "mine"), "sprsound")
    assert located(str(here / "named"), "sprsound") == (str(here / "named"), "sprsound")


def test_a_folder_says_by_its_files_which_set_it_holds(here):
    for name, folder in (("sprsound", write_children(here / "a")), ("demo", write_small_data(here / "b"))):
        assert located(str(folder), None) == (str(folder), name)
        assert held_set(folder).id == name
    assert held_set(here / "nowhere") is None


def test_a_folder_of_several_sets_is_not_taken_for_the_first(here, monkeypatch):
    cards = [DATASETS.get(name) for name in ("sprsound", "demo")]
    monkeypatch.setattr("bench.data.location.entries_in", lambda folder: cards)
    with pytest.raises(DataError, match="is a folder of 'sprsound' and 'demo'") as refused:
        held_set(here)
    assert "--dataset" in refused.value.hint
    monkeypatch.setattr("bench.data.location.entries_in", lambda folder: [*cards, DATASETS.get("icbhi")])
    assert held_set(here).id == "icbhi"


def test_a_set_that_is_made_on_the_spot_is_made_in_the_cache(here, made):
    assert located("demo", None) == ("cache/made", "demo")
    assert located(None, "demo") == ("cache/made", "demo")
    assert located("demo", "demo") == ("cache/made", "demo")
    assert made == [Path("cache")] * 3
    folder = write_small_data(here / "written")
    assert located(str(folder), "demo") == (str(folder), "demo")
    assert len(made) == 3


def test_words_that_contradict_each_other_or_name_nothing_are_refused(here, made):
    with pytest.raises(SpecError, match="--data demo makes the data set 'demo', but --dataset names 'sprsound'"):
        locate_data("demo", "sprsound", here)
    with pytest.raises(RegistryError, match="did you mean 'sprsound'"):
        locate_data(None, "sprsuond", here)
    assert made == []


def test_what_was_begun_elsewhere_finds_its_data_here(here, made):
    known = str(write_children(here / "known"))
    assert folder_here("sprsound", known, None, here) == known
    assert folder_here("sprsound", "/gone", None, here) == "data/sprsound"
    assert folder_here("sprsound", known, str(here / "named"), here) == str(here / "named")
    assert folder_here("demo", "/gone", None, here) == str(here / "made")
    # A folder that now holds another set is not the one of then.
    assert folder_here("icbhi", known, None, here) == "data/icbhi"
