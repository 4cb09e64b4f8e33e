"""``bench systems`` and ``bench frontends``, and ``--system`` of the commands that take a model and a method."""

from __future__ import annotations

import json

import pytest
from plugin_files import fresh_registries, write_plugin
from small_runs import SETTINGS

import bench as library
from bench.api import completion
from bench.api.systems import COLUMNS
from bench.data.frontends import FRONTENDS
from bench.experiment.registries import SYSTEMS
from leaderboard.published import printed_table

COMPOSITE = """
from bench.plugins import CompositeCard, PartCard, Registration, SystemCard

parts = {
    "mixed": PartCard(model="ast", method="patchmix-cl", pretrain="imagenet"),
    "plain": PartCard(model="ast", method="ce", recipes={"demo": {"epochs": 1}}),
}
graph = CompositeCard(id="two", title="Two ASTs", summary="Two ASTs.", combine="product", parts=parts)
two = Registration(SystemCard(id="two", title="Two ASTs", summary="Two ASTs.", composite=graph))
"""


@pytest.fixture
def plugin(tmp_path):
    with fresh_registries():
        yield write_plugin(tmp_path / "two.py", COMPOSITE)


@pytest.fixture
def place(small_data, small_cache, tmp_path):
    return ["--data", small_data, "--cache", small_cache, "--home", tmp_path / "home"]


def dry(bench, *words):
    return json.loads(bench("run", *words, "--dry-run", "--format", "json").out)


FAULTY = """
from bench.plugins import Registration, SystemCard

mine = Registration(SystemCard(id="mine", title="Mine", summary="Mine.", model="no-such-model", method="ce"))
"""


# --- cards --------------------------------------------------------------------------------------------------------


def test_the_list_has_every_system_those_of_table_3_first(bench):
    rows = json.loads(bench("systems", "list", "--format", "json").out)
    assert {row["id"] for row in rows} == {entry.id for entry in SYSTEMS}
    assert all(set(COLUMNS) <= set(row) for row in rows)
    order = [f"table3/{row.id}" for row in printed_table("table3").rows]
    firsts = [min(order.index(name) for name in found) for row in rows if (found := set(row["rows"]) & set(order))]
    assert firsts == sorted(firsts)
    assert [bool(set(row["rows"]) & set(order)) for row in rows][: len(firsts)] == [True] * len(firsts)
    text = bench("systems", "list").out
    # Also where the terminal is narrow: what is typed is whole.
    assert all(word in text for row in rows for word in (row["id"], *row["rows"], row["fidelity"]))


@pytest.mark.parametrize("name", [entry.id for entry in SYSTEMS])
def test_a_card_says_all_that_is_known_of_a_system(bench, name):
    card = json.loads(bench("systems", "show", name, "--format", "json").out)
    text = bench("systems", "show", name).out
    for value in (card["title"], card["source"], card["fidelity"], card["citation"], card["gaps"]):
        assert value in text
    for row in card["rows"]:
        assert f"{row['table']}/{row['row']}: Sp {row['sp']:.2f}" in text
    for quirk in card["quirks"]:
        assert quirk["code"] in text
        assert quirk["switch"] in text
        # A switch that changes nothing must not be offered as one.
        assert not quirk["on_by_default"] or quirk["here"].startswith("The same")
    assert f"{card['selection']['published']}: {card['selection']['words']}." in text
    assert card["selection"]["here"] in text
    assert (card["composite"] is None) == (card["model"] is not None)


def test_a_printed_row_that_does_not_add_up_is_told(bench):
    assert (
        "table1/ast: Sp 72.61, Se 30.58, Score 49.60 (the printed Score is not" in bench("systems", "show", "ast").out
    )


def test_a_list_with_a_faulty_card_of_a_named_file_is_refused(bench, tmp_path):
    with fresh_registries():
        file = write_plugin(tmp_path / "mine.py", FAULTY)
        refused = bench("systems", "list", "--plugin", file, code=2)
        assert "no-such-model" in refused.err
        assert refused.out == ""
        # Of a package that is only installed, the others are listed.
        left = bench("systems", "list")
        assert "no-such-model" in left.err
        assert "patchmix-cl" in left.out
        assert "mine" not in left.out


def test_parts_and_recipes_of_a_composite_are_shown(bench, plugin):
    text = bench("systems", "show", "two", "--plugin", plugin).out
    for words in ("parts, combined by product", "mixed: model ast, method patchmix-cl, pretrain imagenet", "epochs=1"):
        assert words in text
    row = next(row for row in json.loads(bench("systems", "list", "--format", "json").out) if row["id"] == "two")
    assert (row["model"], row["method"], row["combine"]) == ("ast", "patchmix-cl + ce", "product")


def test_an_unknown_system_is_refused_with_the_nearest(bench):
    assert "Unknown system 'patchmix-c': did you mean" in bench("systems", "show", "patchmix-c", code=2).err


def test_front_ends_are_listed_and_shown(bench):
    rows = json.loads(bench("frontends", "list", "--format", "json").out)
    assert [row["id"] for row in rows] == [entry.id for entry in FRONTENDS]
    card = json.loads(bench("frontends", "show", "scl", "--format", "json").out)
    assert (card["feature_version"], card["version"]) == (1, None)
    text = bench("frontends", "show", "scl").out
    for words in ("SCL log-mel spectrogram", "cycle, batch", "feature version"):
        assert words in text


def test_systems_are_completed():
    assert set(completion.published_systems()) == {entry.id for entry in SYSTEMS}


# --- runs ---------------------------------------------------------------------------------------------------------


def test_a_run_of_a_system_has_the_id_of_the_same_run_spelled_out(bench, place):
    by_name = dry(bench, "--system", "patchmix-cl", *place)
    spelled = dry(bench, "--model", "ast", "--method", "patchmix-cl", "--set", "mix=patch", *place)
    # What the program itself takes of memory is measured in this process.
    assert {**by_name, "memory": None} == {**spelled, "memory": None}
    changed = dry(bench, "--system", "patchmix-cl", "--epochs", "3", "--set", "mix=t-patch", *place)
    assert changed["run_id"] != by_name["run_id"]
    assert changed["identity"]["method_options"]["mix"] == "t-patch"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--system", "patchmix-cl", "--model", "cnn6"], "The model of the system 'patchmix-cl' is ast, not cnn6."),
        (["--system", "scl", "--method", "ce"], "The method of the system 'scl' is scl, not ce."),
        (["--system", "patchmx-cl"], "Unknown system 'patchmx-cl': did you mean 'patchmix-cl'?"),
        (["--system", "scl", "--spec", "spec.json"], "--system and --spec both name what is to be run."),
        (["--system", "scl", "--set", "alpha=1"], "Unknown setting 'alpha' for method scl"),
    ],
)
def test_what_contradicts_a_system_is_refused(bench, place, words, said):
    assert said in " ".join(bench("run", *words, *place, code=2).err.split())


def test_the_parts_of_a_composite_start_from_scratch_in_a_demo(bench, plugin, place):
    found = dry(bench, "--system", "two", "--plugin", plugin, *place)
    assert (found["kind"], found["name"], found["combine"]) == ("composite", "two", "product")
    assert {part["name"]: part["identity"]["pretrain"] for part in found["parts"]} == {"mixed": "none", "plain": "none"}
    assert {part["name"]: part["identity"]["epochs"] for part in found["parts"]}["plain"] == 1


def test_the_parts_of_a_composite_start_from_scratch_where_that_is_asked_for(bench, plugin, place):
    words = ("--system", "two", "--plugin", plugin, *place)
    found = dry(bench, *words, "--profile", "paper", "--pretrain", "none")
    assert {part["identity"]["pretrain"] for part in found["parts"]} == {"none"}
    refused = bench("run", *words, "--pretrain", "imagenet", code=2).err
    assert "--pretrain is given, but each part of a composite has its own." in refused
    assert "Give --pretrain none to train all parts from scratch" in " ".join(refused.split())


def test_settings_show_what_a_system_sets(bench):
    rows = json.loads(bench("settings", "method", "--system", "patchmix-cl-z", "--format", "json").out)
    assert {row["name"]: row["value"] for row in rows}["method.target"] == "z"
    text = bench("settings", "optim", "--system", "scl").out
    assert "the paper recipes of scl, pretrained weights: audioset" in text
    words = ("settings", "--system", "scl", "--model", "ast")
    assert "The model of the system 'scl' is cnn6, not ast." in bench(*words, code=2).err


def test_a_search_is_planned_for_a_system(bench, place, plugin):
    words = ("search", "--param", "alpha", "--trials", "2", *place, "--dry-run", "--format", "json")
    assert "alpha" in bench(*words, "--system", "patchmix-cl").out
    refused = bench(*words, "--system", "two", "--plugin", plugin, code=2)
    assert "The system 'two' is a composite of several runs." in refused.err


def test_features_of_a_system_are_prepared(bench, small_data, small_cache, plugin):
    words = ("data", "prepare", "--data", small_data, "--cache", small_cache, "--format", "json")
    (one,) = json.loads(bench(*words, "--system", "ast").out)
    assert (one["frontend"], one["frames"], one["mels"]) == ("ast", 398, 128)
    (paper,) = json.loads(bench(*words, "--system", "ast", "--profile", "paper").out)
    assert paper["frames"] == 798
    assert "Name the system: --system ID." in bench(*words, "--profile", "paper", code=2).err
    (noisy,) = json.loads(bench(*words, "--system", "ast", "--set", "noise_probability=0.5").out)
    assert "waveforms" in noisy["path"]
    assert len(json.loads(bench(*words, "--system", "two", "--plugin", plugin).out)) == 1
    refused = bench(*words, "--system", "ast", "--frontend", "scl", code=2)
    assert "--system and --frontend both say what is prepared." in refused.err


# --- Python -------------------------------------------------------------------------------------------------------


def test_the_library_resolves_a_system(small_data, small_cache):
    place = {"data": small_data, "cache": small_cache}
    by_name = library.resolve(system="patchmix-cl-z", **place)
    spelled = library.resolve("ast", "patchmix-cl", settings={"target": "z"}, **place)
    assert by_name.run_id == spelled.run_id
    with pytest.raises(library.BenchError, match="The model is None, but must be an id"):
        library.resolve(**place)
    with pytest.raises(library.BenchError, match="The system is 3, but must be an id"):
        library.resolve(system=3, **place)


def test_the_library_runs_a_system_and_a_composite(small_data, small_cache, tmp_path, plugin):
    place = {"data": small_data, "cache": small_cache, "home": tmp_path / "home", "device": "cpu", "epochs": 1}
    small = {**SETTINGS, "specaug_time_width": 20}
    done = library.run(system="ast", settings=small, **place)
    assert done.spec.run_id == library.run("ast", "ce", settings=small, **place).spec.run_id
    both = library.run(system="two", plugins=plugin, settings=small, **place)
    assert set(both.parts) == {"mixed", "plain"}
    # A run that was there already is used as it is.
    assert both.parts["plain"] == done.id
    with pytest.raises(library.BenchError, match="each part of a composite has its own"):
        library.run(model="ast", system="two", plugins=plugin, **place)
