"""Which data sets there are, as the cards say, and whether their files are here."""

from __future__ import annotations

import json

import pytest
from children_sets import write_children
from plugin_files import fresh_registries
from wheeze_set import write_plugin_of_page, write_wheezes

from bench.api import dataset_cards, features
from bench.api.datasets import describe_data, fetch_data, verify_data
from bench.core.datasets import DATASETS
from bench.core.errors import RegistryError, SpecError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory without any data, where no variable names some."""
    for entry in DATASETS:
        if entry.card.environment:
            monkeypatch.delenv(entry.card.environment, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_id(rows):
    return {row["id"]: row for row in rows}


def test_every_data_set_is_listed_with_its_tasks(here):
    rows = by_id(dataset_cards.list_datasets())
    assert list(rows) == [entry.id for entry in DATASETS]
    assert json.loads(json.dumps(rows)) == rows
    for entry in DATASETS:
        row = rows[entry.id]
        assert row["tasks"] == [task.id for task in entry.card.tasks]
        assert (row["title"], row["licence"], row["version"]) == (entry.card.title, entry.card.licence, None)
        assert row["found"] is entry.card.simulated


def test_files_are_found_in_the_usual_folder_and_in_that_of_the_variable(here, monkeypatch):
    write_children(here / "data" / "sprsound")
    assert by_id(dataset_cards.list_datasets())["sprsound"]["found"] is True
    write_children(here / "elsewhere")
    monkeypatch.setenv("BENCH_DATA_SPRSOUND", str(here / "elsewhere"))
    found = dataset_cards.show_dataset("sprsound")
    assert (found["folder"], found["found"]) == (str(here / "elsewhere"), True)
    monkeypatch.setenv("BENCH_DATA_SPRSOUND", str(here / "nowhere"))
    assert dataset_cards.show_dataset("sprsound")["found"] is False


@pytest.mark.parametrize("name", [entry.id for entry in DATASETS])
def test_a_card_is_shown_as_plain_data(here, name):
    card, document = DATASETS.card(name), dataset_cards.show_dataset(name)
    assert json.loads(json.dumps(document)) == document
    assert (document["id"], document["citation"], document["obtain"]) == (name, card.citation, card.obtain)
    for task, shown in zip(card.tasks, document["tasks"], strict=True):
        assert tuple(shown["classes"]) == task.classes
        assert [part["id"] for part in shown["parts"]] == [part.id for part in task.parts]
        assert shown["counts"] == {part: list(counts) for part, counts in task.counts.items()}


def test_what_can_be_done_with_a_set_is_what_its_reader_can(here):
    can = {entry.id: dataset_cards.show_dataset(entry.id)["can"] for entry in DATASETS}
    assert can["sprsound"] == {"fetch": True, "verify": True}
    assert can["demo"] == {"fetch": False, "verify": True}


def test_an_unknown_set_is_refused_with_the_nearest(here):
    with pytest.raises(RegistryError, match="did you mean 'sprsound'"):
        dataset_cards.show_dataset("sprsond")


# --- a plug-in's set ----------------------------------------------------------------------------------------------


@pytest.fixture
def plugin(here):
    with fresh_registries():
        yield write_plugin_of_page(here / "wheezes.py")


def test_a_set_of_a_plug_in_is_listed_and_shown(here, plugin):
    write_wheezes(here / "data" / "wheezes")
    row = by_id(dataset_cards.list_datasets([plugin]))["wheezes"]
    assert (row["tasks"], row["recordings"], row["found"]) == (["wheeze-2"], 3, True)
    assert row["version"].startswith("sha256:")
    shown = dataset_cards.show_dataset("wheezes", [plugin])
    assert shown["can"] == {"fetch": False, "verify": False}
    assert shown["recipes"]["paper"]["batch"] == 4


def test_a_set_of_a_plug_in_is_described_and_prepared(here, plugin):
    data = str(write_wheezes(here / "wheezes"))
    found = describe_data(data, cache=here / "cache", plugins=[plugin])
    assert found.to_json()["counts"]["train"]["classes"] == {"normal": 8, "wheeze": 8}
    assert (found.to_json()["task"], found.dataset.name) == ("wheeze-2", "wheezes")
    assert found.lines[f"{found.dataset.task.unit.split()[-1]}s"] == "24 (12 s)"
    done = features.prepare_features(
        options={"seconds": 1.0}, data=data, cache=here / "cache", plugins=[plugin], workers=1
    )
    assert done.sizes.cycles == 24
    one = features.write_recording_features(
        "w01", here / "f.npz", options={"seconds": 1.0}, data=data, cache=here / "cache", plugins=[plugin]
    )
    assert one.sizes.cycles == 8


def test_a_reader_that_neither_checks_nor_fetches_says_so(here, plugin):
    data = write_wheezes(here / "wheezes")
    with pytest.raises(SpecError, match="nothing to be checked against") as caught:
        verify_data(str(data), cache=here / "cache", plugins=[plugin])
    assert "bench data info --dataset wheezes" in caught.value.hint
    with pytest.raises(SpecError, match="cannot be fetched") as caught:
        fetch_data(data, "wheezes")
    assert caught.value.hint == "Make it yourself."
