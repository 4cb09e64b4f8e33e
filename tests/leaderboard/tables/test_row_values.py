"""Parts of the tables by themselves: titles of sections, what tells rows apart, notes, words of marks, copies."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from board_runs import cycle_set, write_run
from official_sets import NOT_OFFICIAL, OFFICIAL, many_patients

from leaderboard.published.systems import published_systems
from leaderboard.results.predictions import CycleSet
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.board_notes import board_notes
from leaderboard.tables.board_tables import (
    Section,
    Table,
    failed_rows,
    flattened,
    leaderboard_table,
    name_differences,
    system_sections,
)
from leaderboard.tables.copies import CORRELATED, RunPredictions, find_copies
from leaderboard.tables.marks import MARKS, mark_notes, mark_words
from leaderboard.tables.published_table import doubts, published_table
from leaderboard.tables.run_parts import parts_table
from leaderboard.tables.sections import SIMULATED, claims_official_set_wrongly, section_title, section_titles

OFFICIAL_SET, OTHER_SET = many_patients().hash, "f" * 64


def run(seed=1, score=60.0, judged_set=OFFICIAL_SET, rules=("last",), system="s", **changes):
    """A run on the board as tables see it."""
    spec = {"model": "ast", "method": "ce", "pretrain": "none", "dataset": "icbhi", "split": "official", "seed": seed}
    rates = {"sp": 80.0, "se": 2 * score - 80.0, "score": score, "n": 600, "epoch": 2}
    metrics = {rule: {"4class": dict(rates), "2class": dict(rates)} for rule in rules}
    spec.update(changes.pop("spec", {}))
    told = {"run_id": f"{system}{seed}".ljust(16, "0"), "status": "finished", "error": None, "profile": "paper"}
    rest = {"created": "2026-01-01", "partial": None, "seconds": 1.0, "cycles_per_second": None}
    return BoardRun(
        **{**told, **rest, "system": system, "spec": spec, "judged_set": judged_set, "metrics": metrics, **changes}
    )


# --- sections ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, OFFICIAL),
        ({"judged_set": OTHER_SET}, NOT_OFFICIAL),
        ({"judged_set": None}, NOT_OFFICIAL),
        ({"partial": "partial (198 of 920)"}, "partial (198 of 920)"),
        ({"spec": {"split": "random"}}, "ICBHI 2017, split random"),
        ({"spec": {"dataset": "demo"}}, SIMULATED),
        ({"spec": {"dataset": "demo"}, "partial": "half"}, f"{SIMULATED}, half"),
        ({"spec": {"dataset": "sprsound"}}, "sprsound"),
    ],
)
def test_a_section_says_what_was_judged(changes, title):
    one = run(**changes)
    assert section_title(one) == title
    assert claims_official_set_wrongly(one) is (title == NOT_OFFICIAL)


def test_a_run_without_numbers_claims_nothing():
    assert not claims_official_set_wrongly(run(judged_set=None, rules=()))


def test_two_sets_of_one_title_are_told_apart_by_their_hash():
    runs = [run(spec={"dataset": "sprsound"}, judged_set=letter * 64, system=letter) for letter in "ab"]
    titles = section_titles(runs)
    assert sorted(titles.values()) == [f"sprsound ({letter * 8})" for letter in "ab"]
    assert section_titles(runs[:1]) == {("sprsound", "a" * 64): "sprsound"}
    (unofficial,) = section_titles([run(judged_set="a" * 64)]).values()
    assert unofficial == f"{NOT_OFFICIAL} ({'a' * 8})"


def test_trials_make_no_title():
    assert section_titles([run(kind="trial")]) == {}
    assert system_sections([run(kind="trial")], "last") == []


def test_ranked_sections_come_first_and_simulated_ones_last():
    sets = ({"spec": {"dataset": "demo"}}, {"partial": "zebra"}, {}, {"spec": {"split": "random"}}, {"partial": "ant"})
    runs = [run(system=str(number), **changes) for number, changes in enumerate(sets)]
    titles = [OFFICIAL, "ICBHI 2017, split random", "ant", "zebra", SIMULATED]
    for order in itertools.permutations(runs):
        assert [section.title for section in system_sections(order, "last")] == titles


def test_runs_without_numbers_under_the_rule_make_no_row():
    runs = [run(1, rules=("last",)), run(2, rules=("last", "best-test"))]
    assert [len(section.rows[0]["seeds"]) for section in system_sections(runs, "best-test")] == [1]
    assert system_sections(runs, "best-val") == []


def test_a_row_does_not_depend_on_the_order_of_its_runs():
    runs = [run(seed, 60.0 + seed) for seed in (3, 1, 2)]
    rows = [system_sections(order, "last")[0].rows for order in itertools.permutations(runs)]
    assert all(found == rows[0] for found in rows)
    assert (rows[0][0]["seeds"], rows[0][0]["scores"]) == ([1, 2, 3], [61.0, 62.0, 63.0])
    assert rows[0][0]["score"] == 62.0
    assert rows[0][0]["score_std"] == pytest.approx(1.0)


def test_rows_of_equal_score_stand_in_the_order_of_their_names():
    runs = [run(system=name, spec={"method": name}) for name in ("b", "a", "c")]
    (section,) = system_sections(runs, "last")
    assert [(row["method"], row["place"]) for row in section.rows] == [("a", 1), ("b", 1), ("c", 1)]


def test_the_document_of_a_table_has_every_section_and_note():
    table = Table("t", "last", [Section("x", "systems", [{"a": 1}], True, {"b": 2}, 1.5, "h")], ["one"], ["mark"])
    (section,) = table.to_json()["sections"]
    assert section == {
        "title": "x",
        "ranked": True,
        "rows": [{"a": 1}],
        "reference": {"b": 2},
        "resolution_floor": 1.5,
        "judged_set": "h",
    }
    assert table.to_json()["notes"] == ["one"]
    assert table.below == ["one", "mark"]


# --- what tells rows apart --------------------------------------------------------------------------------------


def test_options_are_flattened_under_dotted_names():
    spec = {"a": 1, "b": {"c": 2, "d": {"e": [3]}}, "f": {}}
    assert flattened(spec) == {"a": 1, "b.c": 2, "b.d.e": [3]}


def row(model="ast", method="ce", pretrain="none", name=None, **spec):
    return {
        "name": name,
        "model": model,
        "method": method,
        "pretrain": pretrain,
        "spec": {"pretrain": pretrain, **spec},
    }


@pytest.mark.parametrize(
    ("rows", "differs"),
    [
        ([row()], [{}]),
        ([row(epochs=2), row(epochs=3)], [{"epochs": 2}, {"epochs": 3}]),
        ([row(epochs=2), row(method="cl", epochs=3)], [{}, {}]),
        ([row(pretrain="a"), row(pretrain="b")], [{"pretrain": "a"}, {"pretrain": "b"}]),
        ([row(pretrain="a", epochs=2), row(pretrain="b", epochs=3)], [{"pretrain": "a"}, {"pretrain": "b"}]),
        (
            [row(pretrain="a", epochs=2), row(pretrain="a", epochs=3), row(pretrain="b", epochs=2)],
            [{"pretrain": "a", "epochs": 2}, {"pretrain": "a", "epochs": 3}, {"pretrain": "b"}],
        ),
        ([row(o={"x": 1, "y": 2}), row(o={"x": 1, "y": 3})], [{"o.y": 2}, {"o.y": 3}]),
        ([row(o={"x": 1}), row(o={"x": 1, "y": 3})], [{"o.y": None}, {"o.y": 3}]),
        ([row(a=1), row(a=True)], [{"a": 1}, {"a": True}]),
        ([row(name="one", epochs=2), row(name="two", epochs=3)], [{}, {}]),
    ],
)
def test_rows_of_one_name_are_told_apart_by_what_differs_alone(rows, differs):
    name_differences(rows)
    assert [one["differs"] for one in rows] == differs


# --- notes ------------------------------------------------------------------------------------------------------


def test_runs_without_numbers_are_counted_with_what_gives_some():
    notes = board_notes([run(1), run(2), run(3, rules=("last", "best-val"))], "best-val")
    assert notes == ["Finished runs without numbers under best-val (no held-out patients: --val-fraction): 2."]
    assert board_notes([run(1)], "best-test") == ["Finished runs without numbers under best-test: 1."]
    assert board_notes([run(1)], "last") == []


def test_an_epoch_below_the_least_sensitivity_is_named_under_its_rule_alone():
    low = run(1, rules=("last", "best-test"), extra={"best_above_min_se": {"last": False, "best-test": False}})
    assert board_notes([low], "last") == []
    (note,) = board_notes([low], "best-test")
    assert note.endswith(f"shown with their best Score: {low.run_id}.")


def test_simulated_runs_bring_their_warning_but_trials_do_not():
    simulated = run(spec={"dataset": "demo"})
    assert board_notes([simulated], "last") == ["Simulated data prove the pipeline, never a method."]
    trial = replace(simulated, kind="trial", extra={"study": {"name": "s"}})
    assert board_notes([trial], "last") == ["Runs of search trials, never ranked: 1 (s); see `bench search show NAME`."]


def test_failed_runs_that_are_no_trials_have_a_row():
    failed = run(1, rules=(), status="failed", error="no memory")
    rows = failed_rows([run(2), failed, replace(failed, kind="trial")])
    assert [(one["run_ids"], one["error"], one["rank"]) for one in rows] == [([failed.run_id], "no memory", None)]


# --- marks ------------------------------------------------------------------------------------------------------


def mark(word, sentence="Seen.", review=None):
    return {"mark": word, "sentence": sentence, "run_ids": [], "review": review}


REVIEW = {"verdict": "rejected", "reason": "a twin of ours"}


def test_the_words_of_a_row_say_what_a_review_found():
    assert mark_words({"marks": [mark("copy", review=REVIEW), mark("ties")]}) == ["copy (rejected)", "ties"]
    assert mark_words({"marks": []}) == mark_words({"marks": None}) == mark_words({}) == []


def test_notes_explain_each_mark_once_and_tell_what_was_seen():
    rows = [
        {"name": "ours", "model": "m", "method": "e", "marks": [mark("copy", review=REVIEW), mark("unsigned")]},
        {"name": None, "model": "m", "method": "e", "marks": [mark("copy", "Also seen.")]},
    ]
    assert mark_notes(rows) == [
        f"Mark copy: {MARKS['copy']}.",
        f"Mark unsigned: {MARKS['unsigned']}.",
        "ours: Seen. Review: rejected, a twin of ours.",
        "m + e: Also seen.",
    ]


def test_marks_that_explain_themselves_are_told_once_reviewed():
    rows = [{"name": "ours", "marks": [mark("undeclared"), mark("unsigned", review=REVIEW)]}]
    assert mark_notes(rows)[2:] == ["ours: Seen. Review: rejected, a twin of ours."]


@pytest.mark.parametrize(("rows", "most", "listed", "more"), [(3, 3, 3, 0), (4, 3, 3, 1), (9, 3, 3, 6)])
def test_many_marks_are_cut_and_counted(rows, most, listed, more):
    found = mark_notes([{"name": str(n), "marks": [mark("ties")]} for n in range(rows)], most)
    assert sum("Seen." in note for note in found) == listed
    assert (found[-1] == f"{more} more mark{'s' * (more > 1)}: `bench board review`.") is (more > 0)


def test_rows_without_marks_have_no_notes():
    assert mark_notes([{"name": "ours", "marks": []}, {"name": "theirs"}]) == []


# --- copies -----------------------------------------------------------------------------------------------------

CYCLES = many_patients()


def answers(seed, *, cycles=CYCLES, change=None, scored=True, run_id=None):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((len(cycles), 4)) + np.eye(4)[list(cycles.labels)]
    return RunPredictions(run_id or f"run-{seed}", cycles, scores if change is None else change(scores), scored)


def pairs(*given):
    return [(pair.earlier, pair.later) for pair in find_copies(given)]


def flipped(count):
    """A change of the class of some cycles, which leaves the order of scores far apart."""

    def change(scores):
        changed = np.random.default_rng(9).standard_normal(scores.shape)
        chosen = scores.argmax(axis=1)
        changed[np.arange(len(scores)), chosen] = 9.0
        changed[:count] = np.roll(changed[:count], 1, axis=1)
        return changed

    return change


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_same_classes_but_for_a_handful_are_a_copy_that_says_how_many(count):
    (found,) = find_copies([answers(1), answers(1, change=flipped(count), run_id="copy")])
    of = "all 600 cycles" if count == 0 else f"all but {count} of 600 cycles"
    assert (found.earlier, found.later, found.likeness) == ("run-1", "copy", f"It has the same classes in {of}")


def test_one_cycle_more_is_no_copy():
    assert pairs(answers(1), answers(1, change=flipped(4), run_id="copy")) == []


MONOTONE = {
    "shifted": lambda scores: scores + 3.0,
    "stretched": lambda scores: 4.0 * scores,
    "biased so that classes change": lambda scores: scores + np.array([2.0, 0.0, -1.0, 0.5]),
}


@pytest.mark.parametrize("change", MONOTONE.values(), ids=MONOTONE.keys())
def test_a_monotone_change_of_scores_is_a_copy(change):
    assert pairs(answers(1), answers(2), answers(1, change=change, run_id="copy")) == [("run-1", "copy")]


def test_noise_hides_a_copy_only_where_ranks_fall_below_the_bound():
    noise = np.random.default_rng(3).standard_normal((len(CYCLES), 4))
    nearly, far = (
        answers(1, change=lambda s, n=n: 5 * (s + n * noise) - 40 * np.eye(4)[0], run_id="copy") for n in (0.001, 0.5)
    )
    assert pairs(answers(1), nearly) == [("run-1", "copy")]
    assert pairs(answers(1), far) == []
    assert 0.99 < CORRELATED < 1.0


def test_each_copy_names_the_first_that_it_copies():
    assert pairs(answers(1), answers(2), *(answers(1, run_id=f"copy-{n}") for n in range(3))) == [
        ("run-1", f"copy-{n}") for n in range(3)
    ]


def test_runs_of_other_cycles_are_left_out():
    other = CycleSet(CYCLES.keys[::-1], CYCLES.labels, CYCLES.patients, CYCLES.devices)
    assert pairs(answers(1), answers(1, cycles=other, run_id="copy")) == []
    assert pairs() == pairs(answers(1)) == []


def test_one_class_for_all_cycles_is_like_nobody():
    flat = lambda scores: np.tile([1.0, 0.0, 0.0, 0.0], (len(scores), 1))  # noqa: E731
    assert pairs(answers(1, change=flat), answers(2, change=flat, run_id="copy")) == []


def test_too_few_cycles_have_no_ranks_to_compare():
    few = cycle_set(12)
    biased = answers(1, cycles=few, change=lambda s: s + np.array([9.0, 0, 0, 0]), run_id="copy")
    assert pairs(answers(1, cycles=few), biased) == []


def test_classes_without_scores_are_compared_as_classes_alone():
    one_hot = lambda scores: np.eye(4)[scores.argmax(axis=1)]  # noqa: E731
    assert pairs(answers(1), answers(1, change=one_hot, scored=False, run_id="copy")) == [("run-1", "copy")]
    assert pairs(answers(1), answers(2, change=one_hot, scored=False, run_id="copy")) == []


# --- published results ------------------------------------------------------------------------------------------


def test_every_published_system_stands_in_the_table_once():
    table = published_table()
    ids = [one["id"] for section in table.sections for one in section.rows]
    assert sorted(ids) == sorted(system.id for system in published_systems())
    for section in table.sections:
        scores = [one["score"] for one in section.rows]
        assert scores == sorted(scores, reverse=True)
        assert [one["rank"] for one in section.rows] == (
            list(range(1, len(scores) + 1)) if section.ranked else [None] * len(scores)
        )
        assert all(one["verified"] for one in section.rows) or not section.ranked


def test_a_verified_number_whose_sum_is_right_is_doubted_for_its_sources_at_most():
    sound = [system for system in published_systems() if system.verified and system.consistent is not False]
    told = {tuple(doubts(system)) for system in sound}
    assert told <= {(), ("some numbers from others' tables",)}
    assert () in told


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"split": "other"}, "not the official split"),
        ({"split": "unknown"}, "split not known"),
        ({"sensitivity": "macro"}, "Se is a mean over classes"),
        ({"protocol": "unknown"}, "epoch chosen by a rule not known"),
        ({"evidence": "second-hand"}, "numbers from others' tables"),
    ],
)
def test_each_doubt_has_its_words(changes, doubt):
    sound = next(system for system in published_systems() if system.verified and not doubts(system))
    assert doubts(replace(sound, **changes)) == [doubt]


# --- parts of a run ---------------------------------------------------------------------------------------------


def test_the_parts_of_a_run_are_its_views_devices_and_classes(tmp_path):
    folder = write_run(tmp_path, cycles=many_patients())
    store = Store.open(tmp_path)
    store.import_run(folder)
    document = store.run(folder.name)
    parts, recalls = parts_table(store, document).sections
    assert [one["part"] for one in parts.rows] == ["official", "patient-disjoint", "Meditron"]
    assert parts.rows[0]["score"] == pytest.approx(document["metrics"]["last"]["4class"]["score"])
    assert sum(one["cycles"] for one in recalls.rows) == parts.rows[0]["cycles"] == 600


def test_a_run_without_a_last_epoch_has_no_parts(tmp_path):
    folder = write_run(tmp_path, failed="no memory")
    store = Store.open(tmp_path)
    store.import_run(folder)
    assert list(parts_table(store, store.run(folder.name)).sections) == []


def test_a_board_gives_the_same_table_twice(tmp_path):
    store = Store.open(tmp_path)
    for seed in (1, 2):
        store.import_run(write_run(tmp_path, seed=seed, cycles=many_patients()))
    assert leaderboard_table(store).to_json() == leaderboard_table(store).to_json()
