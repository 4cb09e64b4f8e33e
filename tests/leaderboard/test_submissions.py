from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
from board_runs import cycle_set, write_run

from leaderboard.errors import ResultError, StoreError
from leaderboard.metrics import CLASSES
from leaderboard.predictions import CycleSet
from leaderboard.rebuilding import rebuild
from leaderboard.results import read_result, validate
from leaderboard.store import Store
from leaderboard.submissions import (
    OfficialPart,
    RefusedError,
    Statement,
    check,
    check_statement,
    judge,
    read_answers,
    refusal,
    submit,
)
from leaderboard.tables import leaderboard_table, runs_table

STATED = Statement(system="a CRNN", selection="last")
TRAINING = [("205_1b1_Al_sc_Meditron", index) for index in range(30)]


@pytest.fixture
def part():
    """Test cycles of patients 101 to 104, of whom 103 has training recordings too, as 205 has."""
    return OfficialPart("icbhi", None, cycle_set(), frozenset({"103", "205"}), "the test")


def random_rows(part, seed=0):
    scores = np.random.default_rng(seed).dirichlet(np.ones(4), len(part.cycles))
    return [[*key, *map(repr, row)] for key, row in zip(part.cycles.keys, scores.tolist(), strict=True)]


def write_csv(path, rows, header=("recording", "cycle", *CLASSES)):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_parquet(path, rows, header=("recording", "cycle", *CLASSES)):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [list(column) for column in zip(*rows, strict=True)]
    columns[2:] = [[float(value) for value in column] for column in columns[2:]]
    parquet.write_table(pyarrow.table(dict(zip(header, columns, strict=True))), path)
    return path


def enter(tmp_path, path, part, statement=STATED, home=None):
    home = home or tmp_path / "home"
    return submit(path, part, statement, home, Store.open(home), {"version": "0.1.0"})


def by_hand(labels, predicted):
    """Sp, Se (4-class, 2-class) in percent, by counting one cycle after another."""
    normal = [guess for label, guess in zip(labels, predicted, strict=True) if label == 0]
    abnormal = [(label, guess) for label, guess in zip(labels, predicted, strict=True) if label != 0]
    sp = 100 * sum(guess == 0 for guess in normal) / len(normal)
    strict = 100 * sum(label == guess for label, guess in abnormal) / len(abnormal)
    binary = 100 * sum(guess != 0 for _, guess in abnormal) / len(abnormal)
    return sp, strict, binary


# --- accepted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_random_predictions_give_the_numbers_of_an_independent_computation(tmp_path, part, seed):
    rows = random_rows(part, seed)
    done = enter(tmp_path, write_csv(tmp_path / "p.csv", rows[::-1]), part)
    predicted = [max(range(4), key=lambda c, row=row: float(row[2 + c])) for row in rows]
    for name, kept in (("official", "101 102 103 104"), ("patient-disjoint", "101 102 104")):
        chosen = [i for i, patient in enumerate(part.cycles.patients) if patient in kept.split()]
        sp, strict, binary = by_hand([part.cycles.labels[i] for i in chosen], [predicted[i] for i in chosen])
        for judged, se in (("4class", strict), ("2class", binary)):
            found = done.metrics[name][judged]
            expected = {"sp": sp, "se": se, "score": (sp + se) / 2}
            assert {rate: found[rate] for rate in expected} == pytest.approx(expected, abs=1e-9)
            assert found["n"] == len(chosen)
            assert found["epoch"] is None


def test_a_submission_is_a_result_under_the_rule_it_states_alone(tmp_path, part):
    statement = Statement(system="a CRNN", selection="best-test", seed=7, epoch=12, model="CRNN", paper="A, 2026")
    done = enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part, statement)
    store = Store.open(tmp_path / "home")
    (run,) = store.runs()
    assert (run.kind, run.profile, run.seconds, run.run_id) == ("submission", "submission", None, done.folder.name)
    assert {rule: m["4class"]["epoch"] for rule, m in run.metrics.items()} == {"best-test": 12}
    assert run.spec["system"] == "a CRNN"
    assert (run.spec["model"], run.spec["method"], run.spec["seed"]) == ("CRNN", "unstated", 7)
    assert run.extra["submission"]["paper"] == "A, 2026"
    assert store.run(run.run_id) == json.loads((done.folder / "result.json").read_text())
    (section,) = leaderboard_table(store, "best-test").sections
    assert [(row["rank"], row["name"], row["kind"]) for row in section.rows] == [(1, "a CRNN", "submission")]
    assert leaderboard_table(store, "last").sections == []
    assert runs_table(store).sections[0].rows[0]["name"] == "a CRNN"


def test_a_submission_ranks_with_runs_and_does_not_touch_their_names(tmp_path, part):
    home = tmp_path / "home"
    store = Store.open(home)
    for seed in (1, 2):
        store.import_run(write_run(home, seed=seed))
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    same_words = Statement(
        system="ours", selection="last", model="ast", method="patchmix-cl", pretrain="imagenet+audioset"
    )
    enter(tmp_path, path, part, same_words, home)
    (section,) = leaderboard_table(store).sections
    assert section.ranked
    assert {row["name"]: row["seeds"] for row in section.rows} == {None: [1, 2], "ours": [1]}
    assert all(row["differs"] == {} for row in section.rows)


def test_a_submission_never_counts_as_reproduced_here(tmp_path, part):
    home = tmp_path / "home"
    stated = Statement(
        system="ours", selection="best-test", model="ast", method="patchmix-cl", pretrain="imagenet+audioset"
    )
    enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part, stated, home)
    store, pairs = Store.open(home), {("ast", "patchmix-cl")}
    assert store.systems(pairs, "best-test") == []
    store.import_run(write_run(home))
    assert [system.runs for system in store.systems(pairs, "best-test")] == [1]


def test_seeds_of_one_system_make_one_row(tmp_path, part):
    for seed in (1, 2, 3):
        path = write_csv(tmp_path / "p.csv", random_rows(part, seed))
        enter(tmp_path, path, part, dataclasses.replace(STATED, seed=seed))
    (section,) = leaderboard_table(Store.open(tmp_path / "home")).sections
    assert [row["seeds"] for row in section.rows] == [[1, 2, 3]]
    assert section.rows[0]["score_std"] > 0


@pytest.mark.parametrize(("dataset", "partial"), [("demo", None), ("icbhi", "partial (198 of 920)")])
def test_simulated_and_partial_submissions_never_rank(tmp_path, part, dataset, partial):
    part = dataclasses.replace(part, dataset=dataset, partial=partial)
    enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    (section,) = leaderboard_table(Store.open(tmp_path / "home")).sections
    assert not section.ranked
    assert section.title == (partial or "simulated")


@pytest.mark.parametrize("words", [["normal", "crackle", "wheeze", "both"], ["0", "1", "2", "3"]])
def test_classes_without_scores_are_judged(tmp_path, part, words):
    rows = [[*key, words[i % 4]] for i, key in enumerate(part.cycles.keys)]
    done = enter(tmp_path, write_csv(tmp_path / "p.csv", rows, ("recording", "cycle", "predicted")), part)
    sp, strict, binary = by_hand(part.cycles.labels, [i % 4 for i in range(len(rows))])
    found = {judged: (m["sp"], m["se"]) for judged, m in done.metrics["official"].items()}
    assert found == {"4class": pytest.approx((sp, strict)), "2class": pytest.approx((sp, binary))}
    assert done.document["submission"]["scores"] is False


def test_parquet_gives_what_csv_gives(tmp_path, part):
    rows = random_rows(part)
    first = enter(tmp_path, write_csv(tmp_path / "p.csv", rows), part)
    second = enter(tmp_path, write_parquet(tmp_path / "p.data", rows[::-1]), part)
    assert (first.state, second.state) == ("new", "same")
    assert second.document == first.document
    third = enter(tmp_path, tmp_path / "p.data", part, home=tmp_path / "other")
    assert third.metrics == first.metrics
    assert (third.folder / "submitted.parquet").read_bytes() == (tmp_path / "p.data").read_bytes()


def test_the_ending_wav_is_left_out(tmp_path, part):
    rows = [[row[0] + (".wav", ".WAV", "")[i % 3], *row[1:]] for i, row in enumerate(random_rows(part))]
    plain = enter(tmp_path, write_csv(tmp_path / "plain.csv", random_rows(part)), part)
    ending = enter(tmp_path, write_csv(tmp_path / "p.csv", rows), part)
    assert (ending.state, ending.stripped, plain.stripped) == ("same", 40, 0)


def test_a_part_that_cannot_be_judged_is_none(part):
    part = dataclasses.replace(part, train_patients=frozenset({"101", "102", "103", "104"}))
    assert judge(part, np.eye(4)[[0] * 60])["patient-disjoint"] is None


# --- twice, changed, rebuilt ------------------------------------------------------------------------------------


def test_submitting_twice_changes_nothing(tmp_path, part):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    first = enter(tmp_path, path, part)
    content = {file.name: file.read_bytes() for file in first.folder.iterdir()}
    second = enter(tmp_path, path, part)
    assert (first.state, second.state, second.twins) == ("new", "same", ())
    assert {file.name: file.read_bytes() for file in first.folder.iterdir()} == content
    assert len(Store.open(tmp_path / "home").runs()) == 1


def test_another_statement_of_the_same_predictions_takes_the_place_of_the_first(tmp_path, part):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    enter(tmp_path, path, part)
    second = enter(tmp_path, path, part, dataclasses.replace(STATED, notes="threshold 0.5"))
    assert second.state == "changed"
    assert [run.extra["submission"]["notes"] for run in Store.open(tmp_path / "home").runs()] == ["threshold 0.5"]


@pytest.mark.parametrize("change", [{"system": "another"}, {"selection": "best-val"}, {"seed": 2}])
def test_system_rule_and_seed_make_another_submission(tmp_path, part, change):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    first = enter(tmp_path, path, part)
    second = enter(tmp_path, path, part, dataclasses.replace(STATED, **change))
    assert second.state == "new"
    assert second.folder != first.folder
    assert second.twins == ()


def test_other_predictions_of_the_same_training_are_named(tmp_path, part):
    first = enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part, 1)), part)
    second = enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part, 2)), part)
    assert second.twins == (first.folder.name,)


def test_a_rebuilt_board_holds_the_submissions(tmp_path, part):
    home = tmp_path / "home"
    store = Store.open(home)
    store.import_run(write_run(home))
    enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    before = store.runs()
    (home / "leaderboard.sqlite").unlink()
    done = rebuild(home)
    assert store.runs() == before
    assert (len(done.imported), done.broken, done.unfinished) == (2, {}, ())


def test_a_board_that_cannot_be_written_leaves_no_folder(tmp_path, part):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "leaderboard.sqlite").write_bytes(b"noise" * 999)
    with pytest.raises(StoreError, match="is damaged"):
        enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    assert not (tmp_path / "home" / "submissions").exists()


# --- refused ----------------------------------------------------------------------------------------------------


def drop(rows):
    return rows[4:]


def add(rows):
    return [*rows, ["999_1b1_Al_sc_Meditron", 3, 1, 0, 0, 0], ["101_1b0_Al_sc_Meditron", 99, 1, 0, 0, 0]]


def double(rows):
    return [*rows, rows[0], rows[7], rows[7]]


def spoil(rows):
    return [[*row[:3], ("nan", "inf", "-Infinity")[i], *row[4:]] if i < 3 else row for i, row in enumerate(rows)]


def shift(rows):
    return [[row[0], row[1] + 1, *row[2:]] for row in rows]


def mix(rows):
    return rows[20:] + [[*key, 1, 0, 0, 0] for key in TRAINING]


def everything(rows):
    return rows + [[*key, 1, 0, 0, 0] for key in TRAINING]


REFUSED = {
    "missing": (drop, "lacks 4 test cycles (101_1b0_Al_sc_Meditron cycle 0, ", "the 60 test cycles must each"),
    "extra": (add, "holds 2 other cycles (101_1b0_Al_sc_Meditron cycle 99, 999_1b1", "must each be answered once"),
    "twice": (double, "answers 2 cycles (101_1b0_Al_sc_Meditron cycle 0, ", "more than once"),
    "not_finite": (spoil, "has scores that are not finite for 3 cycles (", "must each be answered once"),
    "shifted": (shift, "counts the cycles of a recording from 1", "lacks 12 test cycles"),
    "random split": (mix, "30 of your 70 cycles belong to training patients: this looks like a random split", "lacks"),
    "whole set": (everything, "30 of your 90 cycles belong to training patients.", "holds 30 other cycles"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_exactly_the_test_cycles_is_refused_with_the_difference(tmp_path, part, kind):
    change, *sentences = REFUSED[kind]
    rows = random_rows(part)
    with pytest.raises(RefusedError) as caught:
        enter(tmp_path, write_csv(tmp_path / "p.csv", change(rows)), part)
    for sentence in sentences:
        assert sentence in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2
    assert not (tmp_path / "home").exists(), "a refused submission left something behind"


def test_the_hints_say_what_to_do(tmp_path, part):
    rows = random_rows(part)
    hints = {}
    for kind, (change, *_) in REFUSED.items():
        with pytest.raises(RefusedError) as caught:
            enter(tmp_path, write_csv(tmp_path / "p.csv", change(rows)), part)
        hints[kind] = caught.value.hint
    assert "subtract 1" in hints["shifted"]
    assert "official training part" in hints["random split"]
    assert "test part alone" in hints["whole set"]
    assert "file name without ending" in hints["missing"]


def test_every_fault_is_listed_at_once_and_in_full(tmp_path, part):
    rows = spoil(double(add(drop(random_rows(part)))))
    with pytest.raises(RefusedError) as caught:
        enter(tmp_path, write_csv(tmp_path / "p.csv", rows), part)
    document = refusal(caught.value)
    assert json.loads(json.dumps(document))["accepted"] is False
    counts = {name: len(document[name]) for name in ("missing", "extra", "twice", "not_finite", "wrong_classes")}
    assert counts == {"missing": 4, "extra": 2, "twice": 2, "not_finite": 3, "wrong_classes": 0}
    assert (document["training"], document["shifted"]) == (0, False)


def test_classes_that_do_not_exist_are_named(tmp_path, part):
    words = ["rhonchi", "4", "-1", ""]
    rows = [[*key, words[i] if i < 4 else "both"] for i, key in enumerate(part.cycles.keys)]
    path = write_csv(tmp_path / "p.csv", rows, ("recording", "cycle", "predicted"))
    with pytest.raises(
        RefusedError, match="normal, crackle, wheeze, both for 4 cycles \\('rhonchi' for 101_"
    ) as caught:
        enter(tmp_path, path, part)
    assert [entry[2] for entry in refusal(caught.value)["wrong_classes"]] == words


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["recording", "cycle", "Normal", "crackles", "wheeze", "both"], ["normal is missing", "'crackles' is no col"]),
        (["recording", "cycle", "normal", "crackle", "wheeze"], ["both is missing"]),
        (["file", "cycle", *CLASSES], ["recording is missing", "'file' is no column"]),
        (["recording", "cycle", *CLASSES, "label"], ["'label' is no column"]),
        (["recording", "cycle", "normal", "crackle", "wheeze", "wheeze"], ["wheeze stands twice"]),
        (["recording", "cycle", "predictions"], ["predicted is missing"]),
    ],
)
def test_other_columns_are_refused_by_name(tmp_path, part, header, words):
    rows = [[*key, *[0.25] * (len(header) - 2)] for key in part.cycles.keys]
    with pytest.raises(ResultError, match="the header is") as caught:
        enter(tmp_path, write_csv(tmp_path / "p.csv", rows, header), part)
    assert all(word in caught.value.message for word in words)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "the header is ''"),
        (b"recording,cycle,predicted\n", "holds a header but no cycle"),
        (b"recording,cycle,predicted\na,-1,0\n", "p.csv:2: cycle is '-1'"),
        (b"recording,cycle,predicted\na,1e3,0\n", "p.csv:2: cycle is '1e3'"),
        (b"recording,cycle,predicted\na," + b"9" * 40 + b",0\n", "p.csv:2: cycle is"),
        (b"recording,cycle,normal,crackle,wheeze,both\na,0,1,x,0,0\n", "p.csv:2: crackle is 'x'"),
        (b"recording;cycle;predicted\na;0;0\n", "the header is 'recording;cycle;predicted'"),
        (b"PAR1 and nothing that follows", "is no Parquet file that can be read"),
        (b"\xff\xfe\x00r", "is not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, part, content, word):
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(ResultError, match=word):
        enter(tmp_path, tmp_path / "p.csv", part)


def test_a_parquet_file_with_a_missing_value_names_its_row(tmp_path, part):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"recording": ["a", None], "cycle": [0, 1], "predicted": [0, 1]}), tmp_path / "p.parquet"
    )
    with pytest.raises(ResultError, match=r"p\.parquet:3: the recording is empty"):
        enter(tmp_path, tmp_path / "p.parquet", part)


def test_an_empty_parquet_file_is_refused(tmp_path, part):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    empty = pyarrow.table({"recording": pyarrow.array([], pyarrow.string()), "cycle": [], "predicted": []})
    parquet.write_table(empty, tmp_path / "p.parquet")
    with pytest.raises(ResultError, match="holds a header but no cycle"):
        enter(tmp_path, tmp_path / "p.parquet", part)


def test_without_a_parquet_reader_the_command_that_installs_one_is_named(tmp_path, part, monkeypatch):
    path = write_parquet(tmp_path / "p.parquet", random_rows(part))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ResultError, match="no reader is installed") as caught:
        enter(tmp_path, path, part)
    assert "pip install 'lungbench[parquet]'" in caught.value.hint


def test_a_file_far_too_large_is_not_read(tmp_path, part):
    with (tmp_path / "features.bin").open("wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(ResultError, match="has 100 MiB, which the file of predictions of a test part never has"):
        enter(tmp_path, tmp_path / "features.bin", part)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"system": ""}, "--system must be one line"),
        ({"system": "two\nlines"}, "--system must be one line"),
        ({"system": "x" * 201}, "--system must be one line"),
        ({"notes": "\x1b[31m"}, "--notes must be one line"),
        ({"selection": "best"}, "--selection is 'best'"),
        ({"url": "https://anna:secret@example.org/x"}, "--url holds a user name or password"),
    ],
)
def test_statements_that_cannot_be_shown_are_refused(change, word):
    with pytest.raises(ResultError, match=word) as caught:
        check_statement(dataclasses.replace(STATED, **change))
    assert "secret" not in caught.value.message


def test_predictions_that_were_edited_afterwards_are_refused_by_a_rebuild(tmp_path, part):
    done = enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    shutil.copy(
        write_csv(tmp_path / "q.csv", [[*row[:2], 0, 1, 0, 0] for row in random_rows(part)]),
        done.folder / "predictions-last.csv",
    )
    assert "but its predictions give" in rebuild(tmp_path / "home").broken[done.folder.name]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.update(kind="claim"), "kind is 'claim'"),
        (lambda d: d["submission"].pop("sha256"), "submission lacks 'sha256'"),
        (lambda d: d["spec"].pop("system"), "spec lacks 'system'"),
        (lambda d: d["submission"].update(selection="best-val"), "no metrics for best-val"),
        (lambda d: d.update(kind="run"), "seconds is None"),
    ],
)
def test_a_submission_s_document_is_checked(tmp_path, part, change, word):
    done = enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    document = json.loads((done.folder / "result.json").read_text())
    change(document)
    with pytest.raises(ResultError, match=word):
        validate(document, "here")


def test_checked_answers_stand_in_the_order_of_the_cycles(tmp_path, part):
    rows = random_rows(part)
    path = write_csv(tmp_path / "p.csv", rows[::-1])
    found = check(read_answers(path), part, path)
    assert np.array_equal(found.scores, np.array([row[2:] for row in rows], dtype=float))
    assert read_result(enter(tmp_path, path, part).folder).scores["last"].tolist() == found.scores.tolist()


def test_cycles_are_a_value():
    cycles = cycle_set()
    assert cycles.subset(range(len(cycles))) == cycles
    assert cycles.subset(cycles.order).keys == tuple(sorted(cycles.keys))
    assert isinstance(cycles.subset([3]), CycleSet)
