"""Sections by data set, task and tested part: their titles and order, ranks, columns, comparisons, printed results."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from official_sets import OFFICIAL
from plugin_files import fresh_registries
from task_boards import PAIR, make_task_board, many_cycles, registered_noises
from task_runs import FIVE, write_task_run

from bench.core.datasets import DATASETS
from bench.core.errors import ResultError, SpecError
from leaderboard.render.formats import FORMATS, render
from leaderboard.render.run import run_report
from leaderboard.render.terminal import write
from leaderboard.statistics.breakdown import read_system_counts
from leaderboard.statistics.comparison import compare
from leaderboard.statistics.intervals import paired_difference, system_estimate
from leaderboard.statistics.tested_parts import on_each_part
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table
from leaderboard.tables.comparison_table import comparison_table
from leaderboard.tables.dataset_table import INCONSISTENT, dataset_table
from leaderboard.tables.run_parts import parts_table
from leaderboard.tables.sections import is_official, is_ranked, section_title

NEW, KNOWN = (
    "Noises, 5 classes of noises, new patients",
    "Noises, 5 classes of noises, known patients (patients seen in training)",
)
OF_PAIR = ["Noises, normal or not, new patients", "Noises, normal or not, known patients (patients seen in training)"]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    with registered_noises(tmp_path_factory.mktemp("printed")) as found:
        yield found


@pytest.fixture(scope="module")
def store(card, tmp_path_factory):
    return make_task_board(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def table(store):
    return leaderboard_table(store)


@pytest.fixture(scope="module")
def sections(table):
    return {section.title: section for section in table.sections}


def runs_of_task(store, task, model):
    return [run for run in store.runs() if run.judged_task.task.id == task.id and run.spec["model"] == model]


def test_every_data_set_task_and_part_has_a_section_in_the_order_of_the_card(table):
    rest = ["partial (198 of 920)", "simulated", "failed runs"]
    assert [section.title for section in table.sections] == [OFFICIAL, NEW, KNOWN, *OF_PAIR, *rest]
    assert [section.ranked for section in table.sections] == [True] * 5 + [False] * 3


def test_nothing_is_pooled_across_sections(store, sections):
    for title, part in ((NEW, "inter"), (KNOWN, "intra")):
        for row in sections[title].rows:
            runs = [run for run in store.runs() if run.run_id in row["run_ids"]]
            scores = [run.metrics_of(part)["last"]["5class"]["score"] for run in runs]
            assert row["scores"] == scores
            assert row["score"] == pytest.approx(sum(scores) / len(scores))
            assert row["cycles"] == 150
            seen = next(run for run in on_each_part(runs) if run.part == part)
            found = read_system_counts(store, [seen, *(r for r in on_each_part(runs[1:]) if r.part == part)], "last")
            alone = system_estimate(found.by_patient, judged="5class", task=FIVE).score
            assert alone.value == pytest.approx(row["score"])
            assert len(found.patients) == (31 if part == "inter" else 25)
            if len(runs) > 1:
                assert row["ci95"] == pytest.approx([alone.lo, alone.hi])
    assert [row["place"] for row in sections[NEW].rows] == [1, 2, 3]


def test_ranks_of_other_sections_do_not_depend_on_the_tasks(sections, store):
    alone = {one.title: one for one in leaderboard_table(store, dataset="icbhi").sections}
    assert alone[OFFICIAL].rows == sections[OFFICIAL].rows
    assert alone[OFFICIAL].floor == sections[OFFICIAL].floor


def test_the_documents_of_sections_name_data_set_task_and_part(table):
    found = {one["title"]: one for one in table.to_json()["sections"]}
    assert {name: found[KNOWN][name] for name in ("dataset", "task", "part", "patients_seen")} == {
        "dataset": "noises",
        "task": "noise-5",
        "part": "intra",
        "patients_seen": True,
    }
    row = found[NEW]["rows"][0]
    assert row["part"] == "inter"
    assert row["score"] == pytest.approx((row["as"] + row["hs"]) / 2)
    assert found[OF_PAIR[0]]["rows"][0]["two_class"] is None
    first = found[OFFICIAL]
    assert not {"dataset", "task", "part", "patients_seen"} & first.keys()
    assert not {"part", "as", "hs"} & first["rows"][0].keys()


def test_columns_follow_the_task(table):
    text = render(table, "markdown")
    heads = {}
    for block in text.split("## ")[1:]:
        lines = block.splitlines()
        heads[lines[0].partition(" (five seeds")[0]] = next(line for line in lines if line.startswith("|"))
    assert "| Sp | Se | Score | disjoint | 2-class |" in heads[OFFICIAL]
    assert "| Sp | Se | AS | HS | Score | disjoint | 2-class |" in heads[NEW]
    assert "| Sp | Se | AS | HS | Score | disjoint | optimism |" in heads[OF_PAIR[0]]
    assert "Score = (AS + HS)/2" in text
    row = next(section for section in table.sections if section.title == NEW).rows[0]
    assert f"| {row['as']:.2f} ± {row['as_std']:.2f} | {row['hs']:.2f} ± {row['hs_std']:.2f} |" in text
    assert "| every cycle called normal |  | 100.00 | 0.00 | 50.00 | 0.00 | 25.00 |" in text


def test_a_part_whose_patients_are_trained_on_has_no_disjoint_score(sections):
    for title in (KNOWN, OF_PAIR[1]):
        assert {row["patient_disjoint"] for row in sections[title].rows} == {None}
        assert sections[title].reference["patient_disjoint"] is None


def test_the_board_of_one_data_set_or_task_alone(store):
    mine = leaderboard_table(store, dataset="noises")
    assert [section.title for section in mine.sections] == [NEW, KNOWN, *OF_PAIR]
    assert mine.notes[0].startswith("Intervals (95 %) cover other test patients than these 31")
    assert [s.title for s in leaderboard_table(store, task=PAIR.id).sections] == OF_PAIR
    assert leaderboard_table(store, dataset="icbhi").sections[0].title == OFFICIAL


def test_other_sections_say_their_test_patients(table):
    (note,) = [note for note in table.notes if note.startswith("Test patients of other sections")]
    assert f"{NEW}: 31; {KNOWN}: 25" in note


@pytest.mark.parametrize("part", [None, "inter", "intra"])
def test_systems_are_compared_on_one_part(store, part):
    sides = [runs_of_task(store, FIVE, model) for model in ("ast", "cnn6")]
    found = compare(store, *sides, "last", part)
    seen = [[run for run in on_each_part(side) if run.part == (part or "inter")] for side in sides]
    counts = [read_system_counts(store, side, "last").by_patient for side in seen]
    wanted = paired_difference(*counts, judged="5class", task=FIVE).score
    assert found.differences["official"]["5class"]["score"]["ci95"] == pytest.approx([wanted.lo, wanted.hi])
    assert found.to_json()["task"] == "noise-5"
    assert found.to_json()["part"] == (part or "inter")
    text = render(comparison_table(found), width=140)
    assert "Se, 2-class" in text
    assert ("have recordings in training" in text) == (part == "intra")


def test_systems_of_two_tasks_or_no_part_cannot_be_compared(store):
    five, pair = (runs_of_task(store, task, "ast") for task in (FIVE, PAIR))
    with pytest.raises(ResultError, match="their Scores cannot be compared"):
        compare(store, five, pair, "last")
    with pytest.raises(SpecError, match="Unknown part 'outer'"):
        compare(store, five, runs_of_task(store, FIVE, "cnn6"), "last", "outer")


def test_printed_results_stand_beside_the_board_but_never_in_one_row(card, store):
    found = dataset_table(card, leaderboard_table(store, dataset=card.id))
    titles = [section.title for section in found.sections]
    assert titles == [NEW, KNOWN, "Noises, 5 classes of noises, part not stated", *OF_PAIR]
    rows = found.sections[0].rows
    assert [(row.get("system") or row["model"], row["printed"]) for row in rows] == [
        ("ast", False),
        ("Winner", True),
        ("Poster", True),
        ("cnn6", False),
        ("resnet18", False),
    ]
    assert [row["state"] for row in rows] == ["recomputed", "claimed", "claimed", "recomputed", "recomputed"]
    assert rows[1]["doubts"] == []
    assert rows[2]["doubts"] == [INCONSISTENT]
    text = render(found, "markdown")
    assert "| Winner; a CNN | claimed | – | 80.00 | 60.00 | 70.00 | 68.57 | 69.29 |" in text
    assert "| Abstract; a CNN | claimed | – | – | – | – | 89.00 | – |" in text
    assert not any(section.ranked for section in found.sections)
    for format in FORMATS:  # noqa: A001
        assert render(found, format)


def test_a_score_above_print_of_its_part_is_marked(card, tmp_path):
    store = Store.open(tmp_path)
    pinned = many_cycles(FIVE)
    (tmp_path / "printed").mkdir()
    with registered_noises(tmp_path / "printed") as noises:
        task = replace(FIVE, judged_sets=frozenset({pinned.hash}))
        object.__setattr__(noises, "tasks", (task, PAIR))
        store.import_run(write_task_run(tmp_path, cycles=pinned, skill=2.6, model="ast"))
        store.import_run(write_task_run(tmp_path, cycles=many_cycles(FIVE, 240), skill=2.6, model="cnn6"))
        sections = {section.title: section for section in leaderboard_table(store).sections}
        (first,) = sections[NEW].rows
        assert first["score"] > 69.29 + 5
        assert [mark["mark"] for mark in first["marks"]] == ["beyond print"]
        assert "the highest in print is 69.29" in first["marks"][0]["sentence"]
        # Nothing is in print of the other part, and other cycles are not those that print is of.
        assert sections[KNOWN].rows[0]["marks"] == []
        (wrong,) = [one for title, one in sections.items() if "not the official test cycles, new" in title]
        assert (wrong.ranked, wrong.rows[0]["marks"]) == (False, [])
        assert wrong.title.endswith(f"({many_cycles(FIVE, 240).hash[:8]})")


def test_what_a_set_that_is_not_registered_says_of_itself_is_shown_but_not_ranked(tmp_path):
    store = Store.open(tmp_path)
    with fresh_registries():
        assert "noises" not in DATASETS
        store.import_run(write_task_run(tmp_path))
        table = leaderboard_table(store)
        assert [(section.title, section.ranked) for section in table.sections] == [(NEW, False), (KNOWN, False)]
        (run,) = store.runs()
        assert not is_ranked(run)
        assert not is_official(run)
        assert "noises, noise-5" in render(runs_table(store), width=140)


def test_a_simulated_set_of_another_name_is_named(tmp_path):
    with registered_noises(tmp_path, simulated=True):
        store = Store.open(tmp_path)
        store.import_run(write_task_run(tmp_path, task=PAIR))
        table = leaderboard_table(store)
    assert [section.title for section in table.sections] == [f"simulated: {title}" for title in OF_PAIR]
    assert not any(section.ranked for section in table.sections)
    assert "Simulated data prove the pipeline, never a method." in table.notes


def test_a_run_shows_every_part_with_the_classes_of_its_task(store):
    run = runs_of_task(store, FIVE, "ast")[0]
    document = store.run(run.run_id)
    text = write(run_report(document), width=140)
    for title in ("metrics, percent, new patients", "metrics, percent, known patients (patients seen in training)"):
        assert title in text
    assert "as Poor Quality" in text
    assert "noises, noise-5" in text
    parts = parts_table(store, document)
    known = document["other_parts"]["intra"]["last"]["5class"]
    assert [section.title for section in parts.sections][::2] == [
        f"{title}: parts of the test cycles, last epoch, percent" for title in ("new patients", "known patients")
    ]
    assert parts.sections[2].rows[0]["score"] == pytest.approx(known["score"])
    assert [row["part"] for row in parts.sections[1].rows] == list(FIVE.classes)


def test_titles_of_runs_follow_how_much_was_judged(store):
    five = runs_of_task(store, FIVE, "ast")[0]
    assert section_title(five) == NEW
    assert section_title(replace(five, part="intra", partial="partial (3 of 9)")) == f"{KNOWN}, partial (3 of 9)"
    told = {**five.extra["task"], "parts": five.extra["task"]["parts"][:1]}
    random = replace(five, spec={**five.spec, "split": "random"}, extra={**five.extra, "task": told})
    assert section_title(random) == "Noises, 5 classes of noises, split random"
    assert not is_ranked(replace(five, partial="partial (3 of 9)"))


def test_documents_of_tables_are_json(table):
    assert json.loads(render(table, "json"))["sections"][1]["task"] == "noise-5"


def test_the_law_of_the_score_below_a_table_is_that_of_its_sections(store, table):
    mean, challenge = "Score = (Sp + Se)/2;", "Score = (AS + HS)/2;"
    text = render(table, "markdown")
    assert (mean in text, challenge in text) == (True, True)
    text = render(leaderboard_table(store, dataset="noises"), "markdown")
    assert (mean in text, challenge in text) == (False, True)


def test_a_section_without_runs_does_not_call_the_board_empty(store):
    assert "The board holds no run of noises, nothing." in render(
        leaderboard_table(store, dataset="noises", task="nothing"), "table", width=100
    )


def test_the_rules_of_every_part_stand_in_one_order(store):
    for run in runs_of_task(store, FIVE, "cnn6"):
        document = store.run(run.run_id)
        order = [rule for rule, metrics in document["metrics"].items() if metrics]
        assert len(order) > 1
        assert [list(by_rule) for by_rule in document["other_parts"].values()] == [order]
