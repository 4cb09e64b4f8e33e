from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
from board_runs import cycle_set, write_run

from bench.core.errors import ResultError, StoreError
from leaderboard.history.keys import make_key
from leaderboard.metrics import CLASSES
from leaderboard.results import run_folder
from leaderboard.results.official_part import OfficialPart, part_metrics
from leaderboard.results.predictions import CycleSet
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.submission_checks import RefusedError, check_predictions, refusal_document
from leaderboard.results.submissions import Statement, check_statement, submit
from leaderboard.results.submitted_predictions import read_submitted
from leaderboard.results.validation import validate
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table

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


def enter(tmp_path, path, part, statement=STATED, home=None, key=None):
    home = home or tmp_path / "home"
    return submit(path, part, statement, home, Store.open(home), {"version": "0.1.0"}, key)


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


def test_the_stored_predictions_of_a_submission_are_read_once(tmp_path, part, monkeypatch):
    read = []
    parse = run_folder.parse_predictions
    monkeypatch.setattr(
        run_folder,
        "parse_predictions",
        lambda content, where, *classes: read.append(where) or parse(content, where, *classes),
    )
    enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    assert len(read) == 1


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
    assert part_metrics(part, np.eye(4)[[0] * 60])["patient-disjoint"] is None


def lines_of(part):
    return [
        "recording,cycle,predicted",
        *(f"{name},{cycle},{i % 4}" for i, (name, cycle) in enumerate(part.cycles.keys)),
    ]


def numbered(name):
    return lambda lines: [f"{name},{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]


AS_PROGRAMS_WRITE_IT = {
    "blank last line": lambda lines: [*lines, ""],
    "blank last lines": lambda lines: [*lines, "", "", ""],
    "spaces in the last line": lambda lines: [*lines, "   "],
    "a no-break space in the last line": lambda lines: [*lines, "\u00a0"],
    "a tab in the last line": lambda lines: [*lines, "\t"],
    "empty cells in the last lines": lambda lines: [*lines, ",,", ",,"],
    "blank lines within": lambda lines: [lines[0], "", *lines[1:5], "", *lines[5:]],
    "index without a name": numbered(""),
    "index of a second reading": numbered("Unnamed: 0"),
    "index that was reset": numbered("index"),
    "two of them": lambda lines: [*numbered("")(lines), ""],
    "quoted": lambda lines: [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines],
    "CRLF": lambda lines: [f"{line}\r" for line in lines],
    "mark of the byte order": lambda lines: ["\ufeff" + lines[0], *lines[1:]],
    "spaces around": lambda lines: [", ".join(f"{cell} " for cell in line.split(",")) for line in lines],
    "no-break spaces around": lambda lines: [lines[0], *("\u00a0" + line for line in lines[1:])],
    "decimals": lambda lines: [lines[0], *(f"{line}.0" for line in lines[1:])],
    "longer decimals": lambda lines: [lines[0], *(f"{line}.000" for line in lines[1:])],
    "names of classes in capitals": lambda lines: [
        lines[0],
        *(f"{line[:-1]}{CLASSES[int(line[-1])].upper()}" for line in lines[1:]),
    ],
}


@pytest.mark.parametrize("how", AS_PROGRAMS_WRITE_IT)
def test_files_as_programs_write_them_are_read(tmp_path, part, how):
    plain, odd = tmp_path / "plain.csv", tmp_path / "odd.csv"
    plain.write_text("\n".join(lines_of(part)))
    odd.write_bytes("\n".join(AS_PROGRAMS_WRITE_IT[how](lines_of(part))).encode())
    assert [enter(tmp_path, path, part).state for path in (plain, odd)] == ["new", "same"]


def renamed(old, new):
    return lambda lines: [lines[0].replace(old, new), *lines[1:]]


def in_line(number, old, new):
    return lambda lines: [*lines[:number], lines[number].replace(old, new), *lines[number + 1 :]]


NOT_READ = {
    "underscore in a class": (in_line(2, ",1", ",1_0"), "'1_0' for"),
    "class in other digits": (in_line(2, ",1", ",\u0661"), "names classes other than"),
    "half a class": (in_line(2, ",1", ",1.5"), "'1.5' for"),
    "cycle in other digits": (in_line(1, ",0,", ",\u0660,"), ":2: cycle is"),
    "cycle with an underscore": (in_line(1, ",0,", ",0_0,"), ":2: cycle is '0_0'"),
    "column twice": (lambda lines: [f"{line},{line.split(',')[2]}" for line in lines], "predicted stands twice"),
    "other column": (lambda lines: [f"{line},x" for line in lines], "'x' is no column"),
    "column without a name": (lambda lines: [f"{line}," for line in lines], "column 4 has no name"),
    "two columns of row numbers": (lambda lines: numbered("")(numbered("")(lines)), "column 1 has no name"),
    "half a line": (lambda lines: [*lines[:-1], lines[-1][:5]], "1 column instead of 3"),
    "escape sequence": (in_line(1, "_1b0", "_\x1b[2J"), "control character"),
    "NUL": (in_line(1, "_1b0", "_\0"), "control character"),
    "long cell": (in_line(1, ",0,", f",{'9' * 5000},"), ":2: cycle is '999"),
    "header in UTF-16": (lambda lines: [lines[0].encode("utf-16").decode("latin-1"), *lines[1:]], "the header is"),
}


@pytest.mark.parametrize("how", NOT_READ)
def test_what_cannot_be_read_is_a_short_sentence(tmp_path, part, how):
    change, word = NOT_READ[how]
    (tmp_path / "p.csv").write_bytes("\n".join(change(lines_of(part))).encode())
    with pytest.raises(ResultError) as caught:
        enter(tmp_path, tmp_path / "p.csv", part)
    assert word in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("text", "word"), [("1_0", "'1_0'"), ("\u0661", "must be a number"), ("", "''"), ("0x1", "'0x1'")]
)
def test_scores_are_numbers_in_ascii_digits(tmp_path, part, text, word):
    rows = random_rows(part)
    rows[3][2] = text
    with pytest.raises(ResultError, match=":5: normal is") as caught:
        enter(tmp_path, write_csv(tmp_path / "p.csv", rows), part)
    assert word in caught.value.message


@pytest.mark.parametrize(
    "values", [["-1e300", "0", "1e300", "5"], ["-3.5", "-2", "-1", "-7"], ["1e-320", "0", "0", "0"]]
)
def test_scores_of_any_finite_size_come_back(tmp_path, part, values, recwarn):
    rows = [[*row[:2], *values] for row in random_rows(part)]
    done = enter(tmp_path, write_csv(tmp_path / "p.csv", rows), part)
    scores = Store.open(tmp_path / "home").predictions(done.document["run_id"], "last")[1]
    assert scores[0].tolist() == [float(value) for value in values]
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_parquet_as_pandas_writes_it_is_read(tmp_path, part):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names, cycles = zip(*part.cycles.keys, strict=True)
    columns = {"recording": names, "cycle": cycles, "predicted": [float(i % 4) for i in range(len(names))]}
    parquet.write_table(pyarrow.table({**columns, "__index_level_0__": range(len(names))}), tmp_path / "p.parquet")
    (tmp_path / "p.csv").write_text("\n".join(lines_of(part)))
    assert [enter(tmp_path, tmp_path / name, part).state for name in ("p.csv", "p.parquet")] == ["new", "same"]


@pytest.mark.parametrize("keep", [4, 12, 100, -1, -8, -100])
def test_a_cut_parquet_file_is_named(tmp_path, part, keep):
    path = write_parquet(tmp_path / "p.parquet", random_rows(part))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResultError, match="is no Parquet file that can be read"):
        enter(tmp_path, path, part)


def test_a_spoilt_parquet_file_is_read_or_refused(tmp_path, part):
    path = write_parquet(tmp_path / "p.parquet", random_rows(part))
    content, refused = path.read_bytes(), 0
    for start in range(4, len(content) - 8, len(content) // 20):
        path.write_bytes(content[:start] + b"\xff" * 8 + content[start + 8 :])
        try:
            enter(tmp_path, path, part)
        except ResultError:
            refused += 1
    assert refused


def test_a_parquet_file_of_very_many_lines_is_not_unpacked(tmp_path, part):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    column = pyarrow.array(["a"] * 300_000)
    parquet.write_table(
        pyarrow.table({"recording": column, "cycle": column, "predicted": column}), tmp_path / "p.parquet"
    )
    with pytest.raises(ResultError, match="has 300,000 lines of 3 columns"):
        enter(tmp_path, tmp_path / "p.parquet", part)


def test_a_table_of_very_many_lines_is_not_read(tmp_path, part):
    (tmp_path / "p.csv").write_text("recording,cycle,predicted\n" + "a,0,0\n" * 200_001)
    with pytest.raises(ResultError, match="more than 200,000 lines"):
        enter(tmp_path, tmp_path / "p.csv", part)


@pytest.mark.parametrize("change", [{"seed": 2**63}, {"seed": -1}, {"epoch": 2**31}, {"epoch": 0}, {"system": "a\0b"}])
def test_what_no_board_holds_is_refused_before_anything_is_written(tmp_path, part, change):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    with pytest.raises(ResultError):
        enter(tmp_path, path, part, dataclasses.replace(STATED, **change))
    assert not (tmp_path / "home").exists()


def test_what_the_board_cannot_hold_leaves_no_folder(tmp_path, part, monkeypatch):
    def refuse(_store, _results):
        raise ResultError("The board cannot hold this.")

    monkeypatch.setattr(Store, "rehearse", refuse)
    with pytest.raises(ResultError):
        enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part)), part)
    assert not (tmp_path / "home" / "submissions").exists()


# --- twice, changed, rebuilt ------------------------------------------------------------------------------------


def test_submitting_twice_changes_nothing(tmp_path, part):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    first = enter(tmp_path, path, part)
    content = {file.name: file.read_bytes() for file in first.folder.iterdir()}
    second = enter(tmp_path, path, part)
    assert (first.state, second.state) == ("new", "same")
    assert {file.name: file.read_bytes() for file in first.folder.iterdir()} == content
    assert len(Store.open(tmp_path / "home").runs()) == 1


def test_another_statement_of_the_same_predictions_takes_the_place_of_the_first_with_its_key_alone(tmp_path, part):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    key = make_key(tmp_path / "key.pem")
    enter(tmp_path, path, part, key=key)
    second = enter(tmp_path, path, part, dataclasses.replace(STATED, notes="threshold 0.5"), key=key)
    assert second.state == "changed"
    assert [run.extra["submission"]["notes"] for run in Store.open(tmp_path / "home").runs()] == ["threshold 0.5"]


@pytest.mark.parametrize("change", [{"system": "another"}, {"selection": "best-val"}, {"seed": 2}])
def test_system_rule_and_seed_make_another_submission(tmp_path, part, change):
    path = write_csv(tmp_path / "p.csv", random_rows(part))
    first = enter(tmp_path, path, part)
    second = enter(tmp_path, path, part, dataclasses.replace(STATED, **change))
    assert second.state == "new"
    assert second.folder != first.folder


def test_other_predictions_of_the_same_training_are_refused(tmp_path, part):
    first = enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part, 1)), part)
    with pytest.raises(ResultError, match="other predictions of 'a CRNN' with seed 1 under last") as caught:
        enter(tmp_path, write_csv(tmp_path / "p.csv", random_rows(part, 2)), part)
    assert first.folder.name in caught.value.message
    assert "--seed" in caught.value.hint
    assert len(Store.open(tmp_path / "home").runs()) == 1


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
    document = refusal_document(caught.value)
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
    assert [entry[2] for entry in refusal_document(caught.value)["wrong_classes"]] == words


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
    found = check_predictions(read_submitted(path), part, path)
    assert np.array_equal(found.scores, np.array([row[2:] for row in rows], dtype=float))
    assert RunFolder(enter(tmp_path, path, part).folder).read().scores["last"].tolist() == found.scores.tolist()


def test_cycles_are_a_value():
    cycles = cycle_set()
    assert cycles.subset(range(len(cycles))) == cycles
    assert cycles.subset(cycles.order).keys == tuple(sorted(cycles.keys))
    assert isinstance(cycles.subset([3]), CycleSet)
