"""Only the official cycles with the official labels make an official row, whatever a run says of itself."""

from __future__ import annotations

import json

import pytest
from board_runs import cycle_set, write_run
from official_sets import NOT_OFFICIAL, OFFICIAL, moved_labels

from bench.core.errors import ResultError
from leaderboard.results.bundle_merging import import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.predictions import write_cycles
from leaderboard.results.run_folder import RunFolder
from leaderboard.site.data import read_site_data
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table

PARTIAL = "partial (198 of 920)"


def board(home, *runs):
    store = Store.open(home)
    for fields in runs:
        store.import_run(write_run(home, **fields))
    return store


def sections(store):
    return {section.title: section for section in leaderboard_table(store).sections}


def test_a_run_with_forged_labels_never_stands_with_official_ones(tmp_path):
    cycles = cycle_set()
    forged = moved_labels(cycles)
    assert forged != cycles
    assert sorted(zip(cycles.patients, cycles.labels, strict=True)) == sorted(
        zip(forged.patients, forged.labels, strict=True)
    )
    there = board(tmp_path / "there", {"cycles": forged, "skill": 3.0, "lr": 1e-4})
    bundle = export_bundle(there, tmp_path / "b.zip").path
    home = tmp_path / "home"
    store = board(home, {"cycles": cycles})
    merged = import_bundle(bundle, home, store)
    assert merged.not_official == merged.new
    for built in (None, rebuild(home)):
        if built is not None:
            assert built.not_official == merged.new
        found = sections(store)
        assert [row["rank"] for row in found[OFFICIAL].rows] == [1]
        (other,) = [section for title, section in found.items() if title != OFFICIAL]
        assert other.title == f"{NOT_OFFICIAL} ({forged.hash[:8]})"
        assert not other.ranked
        assert [row["rank"] for row in other.rows] == [None]
        assert other.rows[0]["judged_set"] == other.judged_set == forged.hash


def test_a_run_of_fewer_cycles_that_says_it_is_official_is_not(tmp_path):
    store = board(tmp_path, {}, {"cycles": cycle_set(36), "skill": 3.0, "lr": 1e-4})
    found = sections(store)
    assert len(found) == 2
    assert len(found[OFFICIAL].rows) == 1


def test_one_spec_on_two_sets_makes_two_rows_in_tables_and_on_the_page(tmp_path):
    store = board(tmp_path, {"seed": 1}, {"seed": 2, "cycles": moved_labels(cycle_set())})
    found = sections(store)
    assert {len(section.rows) for section in found.values()} == {1}
    systems = read_site_data(store).systems
    assert len({system.id for system in systems}) == len(systems) == 2
    assert {system.section for system in systems} == set(found)


def test_two_partial_sets_of_the_same_size_share_no_section(tmp_path):
    sets = cycle_set(48), cycle_set(36)
    store = board(tmp_path, *({"partial": PARTIAL, "cycles": cycles, "lr": n} for n, cycles in enumerate(sets)))
    found = sections(store)
    assert set(found) == {f"{PARTIAL} ({cycles.hash[:8]})" for cycles in sets}
    assert set(read_site_data(store).sections) == set(found)
    assert not any(section.ranked for section in found.values())
    assert [len(section.rows) for section in found.values()] == [1, 1]


def test_a_partial_run_does_not_rank_although_its_test_part_is_whole(tmp_path):
    store = board(tmp_path, {"partial": PARTIAL})
    (run,) = store.runs()
    assert run.judged_task.is_official(run.judged_set)
    assert [(title, section.ranked) for title, section in sections(store).items()] == [(PARTIAL, False)]


def test_the_hash_stands_with_every_result_and_is_checked(tmp_path):
    cycles = cycle_set()
    folder = write_run(tmp_path, result={"judged_set": cycles.hash})
    store = Store.open(tmp_path)
    store.import_run(folder)
    (run,) = store.runs()
    assert run.judged_set == store.run(run.run_id)["judged_set"] == cycles.hash
    older = json.loads((folder / "result.json").read_text())
    write_cycles(folder / "test-cycles.csv", cycles_with_one_device_less(cycles))
    with pytest.raises(ResultError, match="judged_set is"):
        RunFolder(folder).read()
    del older["judged_set"]
    (folder / "result.json").write_text(json.dumps(older))
    assert store.import_run(folder) == "changed"
    assert store.runs()[0].judged_set != cycles.hash


def cycles_with_one_device_less(cycles):
    return type(cycles)(cycles.keys, cycles.labels, cycles.patients, ("Litt3200", *cycles.devices[1:]))
