"""Rows of made tables: how they are read, what each check finds in them, and which honest rows it leaves alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.core.errors import ResultError
from leaderboard.audit import audit_file, row_checks, tables
from leaderboard.audit.epochs import TrainingCourse, check_epochs, check_stated, training_courses
from leaderboard.audit.findings import Audit, Finding
from leaderboard.audit.official import registered_split
from leaderboard.audit.printed import Printed, some_count_gives
from leaderboard.audit.result_rows import ResultRow, beside_binary, field_of, has_results
from leaderboard.audit.tables import rows_of_document, rows_of_text

SPLIT = registered_split()
TEST, DISJOINT_TEST = SPLIT.test, SPLIT.disjoint
NORMAL, ABNORMAL = SPLIT.divisors(TEST)


def check_row(row):
    return row_checks.check_row(row, SPLIT)


def claim_of(row):
    return row_checks.claim_of(row, SPLIT)


def is_official(row):
    return row_checks.is_official(row, SPLIT)


def numbers_of(row):
    return row_checks.numbers_of(row, SPLIT)


def unchecked_of(row):
    return row_checks.unchecked_of(row, SPLIT)


def number(value, digits=2):
    return Printed(float(value), digits)


def row(**fields):
    """A row whose plain numbers are printed with two decimals."""
    values = {name: number(value) if isinstance(value, float) else value for name, value in fields.items()}
    return ResultRow(where="row 1", **values)


def kinds(found):
    return [finding.kind for finding in found]


# --- names of columns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("Sp", "sp"),
        ("Specificity (%)", "sp"),
        ("Se", "se"),
        ("SENS.", "se"),
        ("ICBHI Score", "score"),
        ("avg_score", "score"),
        ("Se (2-class)", "se2class"),
        ("score std", "score_std"),
        ("# seeds", "seeds"),
        ("n_runs", "seeds"),
        ("Best Epoch", "epoch"),
        ("Train/Test split", "split"),
        ("Confusion Matrix", "confusion"),
        ("Parameters", None),
        ("", None),
        ("±", None),
    ],
)
def test_a_column_is_known_by_its_letters_and_digits(column, field):
    assert field_of(column) == ({"se2class": "binary_se"}.get(field, field))


@pytest.mark.parametrize(
    ("names", "are"), [(["System", "Sp"], True), (["ICBHI score"], True), (["system", "accuracy"], False), ([], False)]
)
def test_results_have_a_rate(names, are):
    assert has_results(names) is are


# --- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_file_of_every_program_is_read(delimiter, start, end):
    lines = [delimiter.join(line) for line in (["system", "sp", "se", "score"], ["A", "80.0", "40.0", "60.0"])]
    (found,) = rows_of_text(start + end.join([*lines, ""]), "t.csv")
    assert (found.system, found.sp, found.score) == ("A", Printed(80.0, 1), Printed(60.0, 1))
    assert found.where.endswith("(A)")


def test_a_quoted_cell_may_hold_the_delimiter_and_a_line_break():
    (found,) = rows_of_text('system,score\n"A, with\nmore",60.0\n', "t.csv")
    assert found.system == "A, with\nmore"
    assert "\n" not in found.where


def test_a_decimal_comma_is_read_where_another_delimiter_stands():
    (found,) = rows_of_text("system;sp;se;score\nA;80,05;42,06;61,06\n", "t.csv")
    assert (found.sp, found.se, found.score) == (number(80.05), number(42.06), number(61.06))


def test_tables_of_a_document_are_read_and_the_others_left_alone():
    text = """# Results

    | System | Sp | Se | Score |
    |:--|--:|--:|--:|
    | A | **80.0** | 40.0 | 60.0 |

    | Model | Parameters |
    |---|---|
    | A | 5 |

    | System | Score |
    | --- | --- |
    | B | 61.0 ± 0.5 |
    """
    rows = rows_of_text(text, "t.md")
    assert [(one.where, one.system) for one in rows] == [("line 5 (A)", "A"), ("line 13 (B)", "B")]
    assert rows[1].score_std == Printed(0.5, 1)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "sp,se,score\n", "| Model |\n|---|\n| A |\n", "just words\n"])
def test_text_without_results_is_refused_with_what_columns_are_called(text):
    with pytest.raises(ResultError, match=r"t\.csv is no table of results") as error:
        rows_of_text(text, "t.csv")
    assert "sp, se, score" in error.value.hint


def test_a_file_with_too_many_lines_is_refused_with_the_limit(monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    assert len(rows_of_text("score\n" + "60\n" * 3, "t.csv")) == 3
    with pytest.raises(ResultError, match=r"t\.csv has more than 3 lines"):
        rows_of_text("score\n" + "60\n" * 4, "t.csv")


def test_a_cell_too_large_for_the_reader_is_a_sentence():
    with pytest.raises(ResultError, match=r"t\.csv is no CSV file"):
        rows_of_text(f'score\n"{"6" * 200_000}"\n', "t.csv")


def test_a_row_shorter_or_longer_than_the_head_keeps_what_it_has():
    short, long = rows_of_text("system,sp,se,score\nA,80.0\nB,80.0,40.0,60.0,9,9\n", "t.csv")
    assert (short.sp, short.score, long.score) == (Printed(80.0, 1), None, Printed(60.0, 1))


# --- documents --------------------------------------------------------------------------------------------------

VALUES = {"sp": 80.0, "se": 40.0, "score": 60.0}


@pytest.mark.parametrize(
    "document",
    [
        VALUES,
        [VALUES],
        [[VALUES]],
        {"rows": [VALUES]},
        {"sections": [{"title": "x", "rows": [VALUES]}], "notes": []},
        {"systems": [VALUES], "rows": "no list"},
        {"results": [{"runs": [VALUES]}]},
        [VALUES, {"no": "result"}, 7, None],
    ],
)
def test_rows_are_found_wherever_a_document_holds_them(document):
    (found,) = rows_of_document(document, "t.json")
    assert (found.sp, found.se, found.score) == (Printed(80.0, 1), Printed(40.0, 1), Printed(60.0, 1))


@pytest.mark.parametrize("document", [None, 7, "sp", [], {}, {"rows": []}, {"rows": [{"a": 1}]}, [[[]]]])
def test_a_document_without_rows_is_refused(document):
    with pytest.raises(ResultError, match=r"t\.json is no table of results"):
        rows_of_document(document, "t.json")


def test_fractions_become_percentages_and_so_do_their_deviations():
    first, second = rows_of_document(
        [{"sp": 0.8005, "se": 0.4206, "score": 0.6106, "score_std": 0.012}, {"score": 1.0}], "t.json"
    )
    assert (first.sp.value, first.score_std.value) == (pytest.approx(80.05), pytest.approx(1.2))
    assert (first.sp.digits, second.score.value) == (2, 100.0)


def test_one_rate_above_one_says_that_all_are_percentages():
    first, second = rows_of_document([{"sp": 0.5, "se": 0.4, "score": 0.45}, {"score": 60.0}], "t.json")
    assert (first.sp.value, second.score.value) == (0.5, 60.0)


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("train", 4142, 4142),
        ("train", "4,142", 4142),
        ("train", "4\u202f142", 4142),
        ("train", "4142.0", None),
        ("train", True, None),
        ("train", -5, None),
        ("train", "many", None),
        ("train", 10**12, None),
        ("seed", 7, "7"),
        ("seed", "mean ± std", None),
        ("seed", "average", None),
        ("seed", True, None),
        ("chosen", "yes", True),
        ("chosen", "*", True),
        ("chosen", "no", False),
        ("chosen", 1, True),
        ("split", "  ", None),
        ("system", ["A"], ""),
        ("judged", "2-class", "2class"),
        ("judged", "normal/abnormal", "2class"),
        ("judged", "4 classes", "4class"),
        ("sp", True, None),
        ("sp", [80], None),
        ("sp", "–", None),
    ],
)
def test_a_value_is_read_as_what_its_column_holds(field, value, kept):
    (found,) = rows_of_document([{**VALUES, field: value}], "t.json")
    assert getattr(found, field) == kept


def test_the_first_of_two_columns_of_one_meaning_counts():
    (found,) = rows_of_document([{"sp": 80.0, "Specificity": 70.0, "score": 60.0}], "t.json")
    assert found.sp == Printed(80.0, 1)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        ("[[1, 2], [3, 4]]", ((1, 2), (3, 4))),
        ("1 2 / 3 4", ((1, 2), (3, 4))),
        ([[1, 2, 3], [3, 4, 5], [5, 6, 7]], None),
        ([[1, 2], [3]], None),
        ([[1, -2], [3, 4]], None),
        ([[1, 2.0], [3, 4]], None),
        ([[True, 2], [3, 4]], None),
        ([[1, 10**9], [3, 4]], None),
        ("1 2 3", None),
        ({}, None),
    ],
)
def test_a_confusion_matrix_is_square_and_of_whole_numbers(value, kept):
    (found,) = rows_of_document([{**VALUES, "confusion": value}], "t.json")
    assert found.confusion == kept


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([50.0, 55.0], ((1, 50.0), (2, 55.0))),
        ("50.0 55.0", ((1, 50.0), (2, 55.0))),
        ({"2": 55.0, "1": 50.0}, ((1, 50.0), (2, 55.0))),
        ([{"epoch": 5, "score": "55.0"}, {"epoch": 1, "test": 50.0}], ((1, 50.0), (5, 55.0))),
        ([50.0, None, "n/a", 55.0], ((1, 50.0), (4, 55.0))),
        ([{"epoch": "x", "score": 5}], ()),
        (7, ()),
    ],
)
def test_scores_of_epochs_are_read_in_every_form(value, kept):
    (found,) = rows_of_document([{**VALUES, "test_scores": value}], "t.json")
    assert found.test_scores == kept


def test_the_binary_sensitivity_of_the_same_predictions_is_put_beside_the_strict_one():
    strict, binary = (
        row(system="A", seed="1", sp=80.0, se=42.0),
        row(system="A", seed="1", sp=80.0, se=55.0, judged="2class"),
    )
    assert beside_binary([strict, binary])[0].binary_se == number(55.0)
    others = [
        row(system="B", seed="1", sp=80.0, se=55.0, judged="2class"),
        row(system="A", seed="2", sp=80.0, se=55.0, judged="2class"),
        row(system="A", seed="1", sp=81.0, se=55.0, judged="2class"),
        row(system="A", seed="1", se=55.0, judged="2class"),
    ]
    assert all(beside_binary([strict, other])[0].binary_se is None for other in others)


# --- checks of a row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_no_honest_row_is_at_fault(seed):
    """Rates, deviations and counts of made-up seeds on the official test part, printed with two decimals."""
    rng = np.random.default_rng(seed)
    rates = []
    for _ in range(5):
        sp, se = 100 * rng.integers(1000, 1500) / NORMAL, 100 * rng.integers(300, 800) / ABNORMAL
        rates.append((sp, se, (sp + se) / 2))
    mean, std = np.mean(rates, axis=0), np.std(rates, axis=0, ddof=1)
    names = ("sp", "se", "score")
    means = {name: number(round(value, 2)) for name, value in zip(names, mean, strict=True)}
    stds = {f"{name}_std": number(round(value, 2)) for name, value in zip(names, std, strict=True)}
    accuracy = number(round((mean[0] * NORMAL + mean[1] * ABNORMAL) / (NORMAL + ABNORMAL), 2))
    assert (
        kinds(check_row(row(**means, **stds, seeds=5, accuracy=accuracy, split="official", train=4142, test=2756)))
        == []
    )
    for place, one in enumerate(rates):
        single = {name: number(round(value, 2)) for name, value in zip(names, one, strict=True)}
        assert kinds(check_row(row(**single, seed=str(place)))) == []


@pytest.mark.parametrize(
    ("sp_std", "se_std", "score_std", "honest"),
    [
        (3.0, 1.0, 2.0, True),
        (3.0, 1.0, 1.0, True),
        (3.0, 1.0, 2.02, False),
        (3.0, 1.0, 0.98, False),
        (0.5, 0.5, 0.01, True),
    ],
)
def test_a_score_varies_between_half_the_difference_and_half_the_sum(sp_std, se_std, score_std, honest):
    found = kinds(check_row(row(seeds=5, sp_std=sp_std, se_std=se_std, score_std=score_std)))
    assert found == ([] if honest else ["deviation-outside"])


@pytest.mark.parametrize(("value", "at_fault"), [(100.0, False), (0.0, False), (100.01, True), (-0.01, True)])
def test_a_percentage_is_from_0_to_100(value, at_fault):
    assert ("no-percentage" in kinds(check_row(row(sp=value)))) is at_fault


def test_a_rate_of_the_part_without_shared_patients_is_told_as_that():
    """A rate that the official part cannot give but the smaller one can, which is found by trying all of its counts."""
    candidates = [number(round(100 * hits / DISJOINT_TEST[0], 2)) for hits in range(1000, 1300)]
    value = next(one for one in candidates if not some_count_gives(one, NORMAL))
    (found,) = check_row(row(sp=value.value, seed="1"))
    assert found.kind == "no-such-count"
    assert found.sentence.endswith("; of the 1,560 without patients 156 and 218 one does.")
    assert found.numbers == {"value": value.value, "cycles": NORMAL, "runs": 1}


@pytest.mark.parametrize("matrix", [((0, 0), (3, 4)), ((3, 4), (0, 0))])
def test_a_matrix_without_a_kind_of_cycles_is_told_once(matrix):
    assert kinds(check_row(row(sp=80.0, confusion=matrix))) == ["no-cycles"]


def test_class_counts_are_named_with_those_of_the_official_part():
    matrix = ((10, 0, 0, 0), (0, 10, 0, 0), (0, 0, 10, 0), (0, 0, 0, 10))
    (found,) = check_row(row(confusion=matrix))
    assert found.sentence == (
        "In row 1 the confusion matrix has 10 normal, 10 crackle, 10 wheeze, 10 both, but the official test part has "
        "1,579 normal, 649 crackle, 385 wheeze, 143 both."
    )


@pytest.mark.parametrize(
    ("fields", "official"),
    [
        ({}, True),
        ({"split": "official 60-40"}, True),
        ({"split": "80/20"}, False),
        ({"split": "Leave-one-out"}, False),
        ({"split": "patient-disjoint"}, False),
        ({"test": 2756}, True),
        ({"test": 2636}, False),
        ({"confusion": ((NORMAL - 1, 1), (0, ABNORMAL))}, True),
        ({"confusion": ((NORMAL, 1), (0, ABNORMAL))}, False),
    ],
)
def test_a_row_is_official_where_nothing_says_otherwise(fields, official):
    assert is_official(row(**fields)) is official


def test_what_could_not_be_checked_is_said_of_an_empty_row_and_of_a_whole_one_nothing():
    assert len(unchecked_of(row())) == 5
    matrix = tuple(tuple(count if i == j else 0 for j in range(4)) for i, count in enumerate(TEST))
    whole = row(sp=100.0, se=100.0, score=100.0, seed="1", split="official", confusion=matrix, selection="last")
    assert unchecked_of(whole) == []
    for left, told in (("seed", "column seeds"), ("selection", "How the epoch"), ("score", "one of the three")):
        fields = {
            name: getattr(whole, name) for name in ("sp", "se", "score", "seed", "split", "confusion", "selection")
        }
        (reason,) = unchecked_of(row(**{**fields, left: None}))
        assert told in reason


def test_the_numbers_of_a_row_are_those_it_prints():
    found = row(sp=80.0, score=60.0)
    assert claim_of(found) == {"sp": number(80.0), "score": number(60.0)}
    assert numbers_of(found) == {"where": "row 1", "sp": 80.0, "score": 60.0}


# --- epochs -----------------------------------------------------------------------------------------------------


def course(chosen, *scores, selection="", system="A", val=()):
    series = tuple(enumerate(scores, start=1))
    return TrainingCourse("row 1", system, selection, chosen, series, tuple(enumerate(val, start=1)))


def test_the_chance_of_hitting_the_best_epoch_each_time_is_said():
    courses = [course(2, 50.0, 60.0, 55.0, 40.0)] * 3
    (found,) = check_epochs(courses)
    assert found.kind == "chosen-on-test"
    assert "In 3 of 3 trainings of A" in found.sentence
    assert "once in 64 times" in found.sentence


@pytest.mark.parametrize(
    ("best", "trainings", "seen"), [(3, 3, True), (2, 3, False), (4, 5, True), (3, 5, False), (8, 10, True)]
)
def test_nearly_all_trainings_must_have_their_best_epoch(best, trainings, seen):
    courses = [course(2, 50.0, 60.0, 55.0)] * best + [course(1, 50.0, 60.0, 55.0)] * (trainings - best)
    assert kinds(check_epochs(courses)) == ["chosen-on-test"] * seen


def test_the_last_epoch_may_be_the_best_one():
    assert kinds(check_epochs([course(3, 50.0, 55.0, 60.0, selection="last")] * 5)) == []


@pytest.mark.parametrize(
    ("selection", "against"),
    [("best on the test part", False), ("", False), ("tested once", True), ("best-val", True), ("contest rule", True)],
)
def test_a_rule_that_the_epochs_belie_is_quoted(selection, against):
    (found,) = check_epochs([course(2, 50.0, 60.0, 55.0, selection=selection)] * 4)
    assert (f"although the rule is said to be '{selection}'" in found.sentence) is against


def test_systems_are_judged_apart():
    courses = [course(2, 50.0, 60.0, 55.0), course(1, 50.0, 60.0, 55.0, system="B")]
    (found,) = check_epochs(courses)
    assert "of A" in found.sentence


@pytest.mark.parametrize(
    ("chosen", "selection", "val", "told"),
    [
        (2, "the last epoch", (), "the epoch is 2 of 3"),
        (
            1,
            "best on validation patients",
            (50.0, 61.25, 55.0),
            "epoch 1 has a Score of 50.00 on held-out patients and epoch 2 has 61.25",
        ),
    ],
)
def test_an_epoch_that_is_not_that_of_the_rule_is_named_with_the_one_that_is(chosen, selection, val, told):
    found = list(check_epochs([course(chosen, 50.0, 55.0, 60.0, selection=selection, val=val)]))
    assert kinds(found) == ["rule-contradicted"]
    assert told in found[0].sentence


def test_a_chosen_epoch_that_has_no_score_says_nothing():
    assert list(check_epochs([course(9, 50.0, 60.0, 55.0)])) == []


def epoch_rows(chosen, *scores):
    return [
        row(system="A", seed="1", epoch=n, score=value, chosen=n in chosen) for n, value in enumerate(scores, start=1)
    ]


@pytest.mark.parametrize(
    ("chosen", "scores", "number"),
    [
        ((2,), (50.0, 60.0, 55.0), 1),
        ((1, 2), (50.0, 60.0, 55.0), 0),
        ((), (50.0, 60.0, 55.0), 0),
        ((1,), (50.0, 60.0), 0),
    ],
)
def test_a_training_of_rows_has_one_chosen_epoch_and_enough_of_them(chosen, scores, number):
    found = training_courses(epoch_rows(chosen, *scores))
    assert len(found) == number
    assert all(one.is_best_on_test and not one.is_last and one.chosen == 2 for one in found)


def test_rows_that_say_so_themselves_are_counted_by_their_words():
    rows = [row(selection="best-test"), row(selection="Best-Test"), row(selection="last"), row(selection="tested")]
    (found,) = check_stated(rows, [])
    assert found.sentence == "By its own words ('best-test') the test part chose the epoch in row 1 and 1 more."
    assert found.numbers == {"rows": 2}
    assert list(check_stated(rows, [course(1, 1.0, 2.0, 3.0)])) == []


# --- whole files ------------------------------------------------------------------------------------------------


def never():
    raise AssertionError("a table of results asks for no test cycles")


def test_a_table_that_is_given_a_claim_is_refused(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps([VALUES]))
    with pytest.raises(ResultError, match="holds neither predictions nor results of runs") as error:
        audit_file(path, never, {"sp": number(80.0)})
    assert "--claimed" in error.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc"])
def test_bytes_that_are_no_text_are_a_sentence(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ResultError, match="is neither Parquet nor text in UTF-8"):
        audit_file(path, never, {})


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(ResultError, match=str(tmp_path)):
            audit_file(path, never, {})


def test_the_same_file_audited_twice_gives_the_same_document(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("system,seed,sp,se,score\nA,1,80.0,40.0,61\nA,1,80.0,40.0,61\n")
    first, second = (audit_file(path, never, {}).to_json() for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first)) == first
    assert [one["kind"] for one in first["findings"]] == ["does-not-add-up"] * 2 + ["repeated-seed"]


def test_an_audit_is_sound_without_a_finding_alone():
    assert Audit("t.csv", "table").to_json()["sound"] is True
    assert Audit("t.csv", "table", [Finding("split", "row 1", "Said.")]).to_json()["sound"] is False
