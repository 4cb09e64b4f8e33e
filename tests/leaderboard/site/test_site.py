from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from board_runs import write_run
from official_sets import OFFICIAL
from site_boards import NASTY, PARTIAL, make_board

from bench.core.errors import StoreError
from bench.core.files import temporary_name
from leaderboard.render.pages import resource
from leaderboard.results.schema import RULES
from leaderboard.site import data, write_site
from leaderboard.site.data import read_site_data
from leaderboard.site.downloads import TABLES, command, data_files, run_file
from leaderboard.site.pages import OWN_SCRIPTS, PACKAGE, VENDOR_SCRIPTS, site_page
from leaderboard.site.system_predictions import MOST_MISSED
from leaderboard.site.systems import Lens
from leaderboard.site.values import inline_json, page_values, system_labels
from leaderboard.statistics.breakdown import read_system_counts
from leaderboard.statistics.intervals import estimate_from_hits
from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.rank_intervals import rank_intervals
from leaderboard.statistics.row_statistics import BOARD_SPREAD
from leaderboard.statistics.seed_spread import PAPER_SPREAD, pooled_seed_spread
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import FAILED, leaderboard_table
from leaderboard.tables.sections import SIMULATED


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_board(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def board(store):
    return read_site_data(store)


@pytest.fixture(scope="module")
def site(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "page"
    write_site(store, folder, "1.2.3")
    return folder


def lensed(board, section, lens):
    """The systems of a section under a lens, the best first."""
    found = [system for system in board.systems if system.section == section and lens in system.lenses]
    return sorted(found, key=lambda system: -system.lenses[lens]["score"])


# --- one truth --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_the_page_says_what_the_other_reports_say(store, board, rule):
    table = leaderboard_table(store, rule)
    assert [s.title for s in table.sections if s.title != FAILED] == [t for t in board.sections if t in _titles(table)]
    by_run = {system.rules[rule]["run_ids"][0]: system for system in board.systems if rule in system.rules}
    rows = [row for section in table.sections if section.title != FAILED for row in section.rows]
    assert len(rows) == len(by_run)
    for row in rows:
        system = by_run[row["run_ids"][0]]
        official = system.lenses[Lens(rule, "official", "4class")]
        for name in ("sp", "sp_std", "se", "se_std", "score", "score_std", "ci95", "cycles"):
            assert official[name] == pytest.approx(row[name], abs=1e-9), name
        for name in ("rank", "ranks", "place", "covers_seeds"):
            assert official[name] == row[name]
        binary = system.lenses[Lens(rule, "official", "2class")]
        assert binary["score"] == pytest.approx(row["two_class"]["score"], abs=1e-9)
        disjoint = system.lenses.get(Lens(rule, "patient-disjoint", "4class"))
        assert (disjoint is None) == (row["patient_disjoint"] is None)
        if disjoint:
            assert disjoint["score"] == pytest.approx(row["patient_disjoint"]["score"], abs=1e-9)
        assert system.rules[rule]["optimism"] == row["optimism"]
        assert system.rules[rule]["seeds"] == row["seeds"]
        assert official["devices"].keys() == row["devices"].keys()
        assert official["classes"] == row["classes"]
    assert board.notes[rule] == list(table.notes)


def _titles(table):
    return {section.title for section in table.sections}


@pytest.mark.parametrize("part", data.TEST_PARTS)
@pytest.mark.parametrize("judged", ["4class", "2class"])
def test_intervals_and_ranks_of_every_lens_are_those_of_its_cycles(store, board, part, judged):
    runs = {run.run_id: run for run in store.runs()}
    systems = lensed(board, OFFICIAL, Lens("last", part, judged))
    assert len(systems) == 6
    counts = []
    for system in systems:
        found = read_system_counts(store, [runs[run_id] for run_id in system.rules["last"]["run_ids"]], "last")
        counts.append((found.without({"156", "218"}) if part != "official" else found).by_patient)
    judgements = [PatientHits.of(of_system, judged) for of_system in counts]
    pooled = pooled_seed_spread([one.by_seed for one in judgements], BOARD_SPREAD)
    assert pooled != PAPER_SPREAD, "the board has systems of several seeds"
    ranks = rank_intervals(judgements, pooled)
    for number, system in enumerate(systems):
        values = system.lenses[Lens("last", part, judged)]
        score = estimate_from_hits(judgements[number], pooled).score
        assert values["score"] == pytest.approx(score.value, abs=1e-9)
        assert values["ci95"] == pytest.approx([score.lo, score.hi], abs=1e-9)
        assert values["place"] == number + 1
        assert values["ranks"] == list(ranks[number])
        assert values["rank"] == ranks[number][0]
        assert sum(rates["score"] for rates in values["by_seed"]) / len(values["by_seed"]) == pytest.approx(score.value)


def test_sections_are_never_ranked_together(board):
    assert board.sections == {OFFICIAL: True, PARTIAL: False, SIMULATED: False}
    for system in board.systems:
        for values in system.lenses.values():
            assert (values["rank"] is not None) == (system.section == OFFICIAL)
    assert [row["seeds"] for row in board.failed] == [[9]]


def test_a_rule_without_numbers_has_no_lens_and_a_submission_only_its_own(board):
    by_model = {(s.row["model"], s.section): s for s in board.systems}
    assert set(by_model["cnn6", OFFICIAL].rules) == {"last", "best-test"}
    (submitted,) = (s for s in board.systems if s.row["kind"] == "submission")
    assert set(submitted.rules) == {"last"}
    assert submitted.rules["last"]["optimism"] is None


def test_systems_that_differ_in_one_option_say_so(board):
    told = [s.row["differs"] for s in board.systems if (s.row["method"], s.section) == ("patchmix-cl", OFFICIAL)]
    assert sorted(differs["lr"] for differs in told) == [5e-5, 1e-4]


def test_beyond_the_limits_stored_numbers_stay_and_a_note_says_so(store, monkeypatch):
    monkeypatch.setattr(data, "MOST_SYSTEMS", 2)
    board = read_site_data(store)
    first, *_, last = lensed(board, OFFICIAL, Lens("last", "official", "4class"))
    lens = Lens("last", "official", "4class")
    assert first.lenses[lens]["ci95"] is not None
    assert (last.lenses[lens]["ci95"], last.lenses[lens]["confusion"]) == (None, None)
    assert Lens("last", "patient-disjoint", "4class") not in last.lenses
    assert "of the first 2 of 8 systems" in board.notes["last"][-1]
    assert page_values(board)["lenses"]["last/official/4class"]["score"].count(None) == 0


# --- the document in the page -----------------------------------------------------------------------------------


def test_numbers_in_the_page_are_those_in_print(board):
    values = page_values(board)
    for lens in board.lenses:
        columns = values["lenses"][str(lens)]
        for place, system in enumerate(board.systems):
            found = system.lenses.get(lens)
            for name in ("sp", "se_std", "score"):
                shown = columns[name][place]
                expected = None if found is None or found[name] is None else f"{found[name]:.2f}"
                assert (None if shown is None else f"{shown:.2f}") == expected


def test_text_in_the_document_cannot_end_its_element(board):
    text = inline_json(page_values(board))
    assert not set("<>&") & set(text)
    assert text.isascii()
    titles = [system["title"] for system in json.loads(text)["systems"]]
    assert f"{NASTY} (submitted)" in titles


def with_parts(board):
    """The board with a run whose method names a loss, which was not finite in the second epoch."""
    run_id = board.systems[0].rules["last"]["run_ids"][0]
    record = board.records[run_id]
    values = [1.23456, None, *[0.5] * len(record.epochs)]
    epochs = [{**row, "losses": {"ce": value}} for row, value in zip(record.epochs, values, strict=False)]
    records = {**board.records, run_id: dataclasses.replace(record, epochs=epochs)}
    return run_id, dataclasses.replace(board, records=records)


def test_losses_that_a_method_names_are_curves_of_their_own(board):
    run_id, named = with_parts(board)
    curves = {run["id"]: run["curve"] for run in page_values(named)["runs"]}
    assert curves[run_id]["loss/ce"][:2] == [1.235, None]
    plain = {run["id"]: run["curve"] for run in page_values(board)["runs"]}
    assert not [name for curve in plain.values() for name in curve if name.startswith("loss/")]
    assert {name: curve for name, curve in curves.items() if name != run_id} == {
        name: curve for name, curve in plain.items() if name != run_id
    }


def test_the_table_of_curves_has_a_column_for_each_named_loss(board):
    run_id, named = with_parts(board)
    rows = list(csv.DictReader(io.StringIO(dict(data_files(named))["data/curves.csv"])))
    assert [row["loss_ce"] for row in rows if row["run_id"] == run_id][:2] == ["1.23456", ""]
    assert {row["loss_ce"] for row in rows if row["run_id"] != run_id} == {""}
    assert not [
        name
        for name in dict(data_files(board))["data/curves.csv"].split("\n")[0].split(",")
        if name.startswith("loss_")
    ]


def test_correct_cycles_of_patients_add_up_to_the_rates(board):
    values = page_values(board)
    for rule in RULES:
        for place, found in enumerate(values["hits"][rule]):
            if found is None:
                continue
            system, patients = board.systems[place], values["sets"][found["set"]]
            for number, part in enumerate(data.TEST_PARTS):
                kept = [p for p in range(len(patients["patients"])) if not number or p not in patients["shared"]]
                cycles = [sum(patients[kind][p] for p in kept) for kind in ("normal", "abnormal")]
                for which, judged in enumerate(("4class", "2class"), start=1):
                    lens = Lens(rule, part, judged)
                    by_seed = system.lenses[lens]["by_seed"] if lens in system.lenses else []
                    for totals, rates in zip(found["seeds"][number][: len(by_seed)], by_seed, strict=True):
                        assert 100 * totals[0] / cycles[0] == pytest.approx(rates["sp"])
                        assert 100 * totals[which] / cycles[1] == pytest.approx(rates["se"])
            assert [sum(one) for one in found["of"]] == [sum(totals) for totals in zip(*found["seeds"][0], strict=True)]


def test_labels_tell_rows_of_a_section_apart(board):
    labels = [
        (system.section, label) for system, label in zip(board.systems, system_labels(board.systems), strict=True)
    ]
    assert len(set(labels)) == len(labels)
    mine = [label for section, label in labels if section == OFFICIAL and label.startswith("ast + patchmix-cl")]
    assert sorted(mine) == ["ast + patchmix-cl, lr 0.0001", "ast + patchmix-cl, lr 5e-05"]


def _like(system, **changes):
    return dataclasses.replace(system, id=changes.pop("id", system.id), row={**system.row, **changes})


def test_pretraining_is_in_the_label_where_it_is_what_differs(board):
    first = next(system for system in board.systems if system.row["model"] == "resnet18")
    others = [_like(first, id="b" * 12, pretrain="none"), _like(first, id="c" * 12)]
    assert system_labels([first]) == ["resnet18 + ce"]
    assert system_labels([first, others[0]]) == ["resnet18 + ce, from imagenet+audioset", "resnet18 + ce, from scratch"]
    assert system_labels([first, others[1]]) == [f"resnet18 + ce, {first.id[:6]}", "resnet18 + ce, cccccc"]


def test_marks_inputs_and_state_of_a_row_are_shown_where_it_has_them(board):
    system = board.systems[0]
    mark = {"mark": "copy", "sentence": "Of x.", "review": {"verdict": "rejected", "reason": "own runs"}}
    facts = {"last": {"state": "rerun", "marks": [mark]}, "best-test": {"state": None, "marks": []}}
    rules = {rule: {**system.rules[rule], **facts[rule]} for rule in facts}
    inputs = {
        "metadata": True,
        "ensemble": 3,
        "tta": False,
        "thresholds": "none",
        "pretrained_on_icbhi": "undeclared",
    }
    changed = dataclasses.replace(system, row={**system.row, "inputs": inputs}, rules=rules)
    silent = dataclasses.replace(board.systems[1], row={**board.systems[1].row, "inputs": {}})
    values = page_values(dataclasses.replace(board, systems=[changed, silent, *board.systems[2:]]))
    told = [system["inputs"] for system in values["systems"][:2]]
    assert told == ["metadata; ensemble: 3; undeclared: pretrained on icbhi", ""]
    found = [values["byRule"][rule][0] for rule in facts]
    assert (found[0]["state"], found[0]["marks"]) == ("rerun", [["copy", "Of x. Review: rejected, own runs."]])
    assert not {"state", "marks"} & set(found[1])


def test_missed_cycles_are_those_of_a_count_by_hand(store, board):
    systems = [system for system in board.systems if system.section == OFFICIAL]
    missed, cycles = {}, None
    for system in systems:
        run_ids = system.rules["last"]["run_ids"]
        for run_id, (cycles, chosen) in store.predicted_classes(run_ids, "last").items():
            assert run_id in run_ids
            for key, label, said in zip(cycles.keys, cycles.labels, chosen.tolist(), strict=True):
                missed[key] = missed.get(key, 0.0) + (said != label) / len(run_ids)
    found = [cycle for cycle in board.missed["last"][OFFICIAL] if cycle.judged == "4class"]
    assert len(found) >= MOST_MISSED
    for cycle in found:
        assert cycle.share == pytest.approx(100 * missed[cycle.key] / len(systems))
        assert (cycle.systems, cycle.label) == (
            len(systems),
            dict(zip(cycles.keys, cycles.labels, strict=True))[cycle.key],
        )
    assert [cycle.share for cycle in found] == sorted((cycle.share for cycle in found), reverse=True)
    assert found[0].share == pytest.approx(100 * max(missed.values()) / len(systems))
    assert sum(not cycle.shared for cycle in found) >= MOST_MISSED


def test_printed_systems_have_a_place_and_a_citation(board):
    printed = page_values(board)["printed"]
    assert len(printed) > 20
    assert all(system["sp"] is not None and system["se"] is not None for system in printed)
    assert all(system["sources"] and system["bibtex"].startswith("@misc{") for system in printed)


# --- files ------------------------------------------------------------------------------------------------------


def test_the_folder_holds_the_page_its_data_and_the_licences(site, board):
    names = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    runs = {run_file(run_id) for run_id, run in board.runs.items() if run.kind == "run"}
    licences = {"licences/d3.txt", "licences/plot.txt"}
    assert names == {"index.html", "site.json", *(f"data/{name}" for name in TABLES), *runs, *licences}
    assert all("Permission to use" in (site / name).read_text() for name in licences)


def test_the_page_fetches_nothing_and_names_its_scripts_hashes(site):
    text = (site / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src &#39;none&#39;")
    assert policy.count("sha256-") == len(VENDOR_SCRIPTS) + 1
    own = text[: text.index("<script>")]
    assert not re.findall(r'(?:src|href)="(?!#|data|licences)', own)
    assert "1.2.3" in text


@pytest.mark.parametrize(
    "name", [*(("vendor", name) for name in VENDOR_SCRIPTS), *(("static", name) for name in OWN_SCRIPTS)]
)
def test_no_script_ends_its_own_element(name):
    text = resource(PACKAGE, *name)
    assert "</script" not in text.lower()
    assert "\r" not in text


def test_board_csv_has_full_precision(site, board):
    rows = list(csv.DictReader(io.StringIO((site / "data/board.csv").read_text())))
    assert len(rows) == sum(len(system.lenses) for system in board.systems)
    systems = {system.id: system for system in board.systems}
    for row in rows:
        found = systems[row["system"]].lenses[Lens(row["rule"], row["part"], row["judged"])]
        assert float(row["score"]) == found["score"]
        assert row["score_ci95_lo"] == repr(found["ci95"][0])
        assert row["rank"] == ("" if found["rank"] is None else str(found["rank"]))


@pytest.mark.parametrize("name", ["seeds.csv", "confusion.csv", "classes.csv", "devices.csv", "curves.csv"])
def test_every_figure_has_its_data(site, board, name):
    rows = list(csv.DictReader(io.StringIO((site / "data" / name).read_text())))
    lenses = [(system, lens, values) for system in board.systems for lens, values in system.lenses.items()]
    strict = [item for item in lenses if item[1].judged == "4class"]
    assert (
        len(rows)
        == {
            "seeds.csv": sum(len(values["by_seed"]) for _, _, values in lenses),
            "confusion.csv": 16 * len(strict),
            "classes.csv": 4 * len(strict),
            "devices.csv": 3 * len(lenses),
            "curves.csv": sum(len(record.epochs) for record in board.records.values()),
        }[name]
    )


def test_a_run_file_is_a_spec_with_provenance(site, board, store):
    run_id = next(run_id for run_id, run in board.runs.items() if run.kind == "run")
    document = json.loads((site / run_file(run_id)).read_text())
    stored = store.run(run_id)
    assert (document["identity"], document["execution"]) == (stored["spec"], stored["execution"])
    assert document["provenance"] == stored["provenance"]
    assert command(run_id) == f"bench run --spec data/runs/{run_id}.json"


def test_a_site_is_written_again_and_files_of_others_stay(store, tmp_path):
    folder = tmp_path / "page"
    write_site(store, folder, "1")
    (folder / "CNAME").write_text("example.org")
    manifest = json.loads((folder / "site.json").read_text())
    (folder / "data" / "old.csv").write_text("x")
    manifest["files"] += ["data/old.csv", "../outside", "/etc/hostname"]
    (folder / "site.json").write_text(json.dumps(manifest))
    (tmp_path / "outside").write_text("x")
    before = (folder / "index.html").stat().st_ino
    write_site(store, folder, "2")
    assert "lungbench 2 " in (folder / "index.html").read_text()
    assert (folder / "index.html").stat().st_ino != before  # moved into place, not written over
    assert (folder / "CNAME").read_text() == "example.org"
    assert not (folder / "data" / "old.csv").exists()
    assert (tmp_path / "outside").exists()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_writers_side_by_side_and_killed_ones_leave_one_whole_page(tmp_path):
    store, folder = Store.open(tmp_path / "none"), tmp_path / "page"
    # As a first writer leaves it that was killed: of a process that cannot be, since no such number is given.
    left = folder / temporary_name(folder / "writing").name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    left.mkdir(parents=True)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda version: write_site(store, folder, version), "123"))
    listed = json.loads((folder / "site.json").read_text())["files"]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*listed, "site.json"}
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "content", [{"notes.txt": "mine"}, {"site.json": "{}"}, {"site.json": "[1]"}, {"site.json": "x"}]
)
def test_a_folder_of_something_else_is_refused(store, tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(StoreError, match="is no page of this program") as caught:
        write_site(store, tmp_path, "1")
    assert "--out" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_file_in_the_folders_place_is_refused(store, tmp_path):
    (tmp_path / "page").write_text("mine")
    with pytest.raises(StoreError, match="is no page"):
        write_site(store, tmp_path / "page", "1")
    with pytest.raises(StoreError, match="Cannot write"):
        write_site(store, tmp_path / "page" / "below", "1")
    assert (tmp_path / "page").read_text() == "mine"


def test_what_fails_in_between_leaves_the_old_page(store, tmp_path, monkeypatch):
    folder = tmp_path / "page"
    write_site(store, folder, "1")
    monkeypatch.setattr("leaderboard.site.writing.site_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_site(store, folder, "2")
    assert "lungbench 1 " in (folder / "index.html").read_text()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_page_explains_ranks_where_there_are_any(board):
    assert "# holds the ranks" in site_page(board, "0", "now", "last")
    unranked = dataclasses.replace(board, sections=dict.fromkeys(board.sections, False))
    assert "# holds the ranks" not in site_page(unranked, "0", "now", "last")


def test_an_empty_board_has_a_page(tmp_path):
    path = write_site(Store.open(tmp_path / "none"), tmp_path / "page", "1")
    assert '"systems":[]' in path.read_text()
    assert (tmp_path / "page" / "data" / "board.csv").read_text() == "system\n"


def test_a_run_with_control_characters_in_its_names_is_shown_plain(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path, model="a\x1b[31m\u202eb"))
    system = page_values(read_site_data(store))["systems"][0]
    assert system["model"] == "a?[31m?b"
