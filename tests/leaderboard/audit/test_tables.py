"""Faults of tables of results, each in a made-up one, and honest tables that have none."""

import json

import pytest

from bench.core.errors import ResultError
from leaderboard.audit import audit_file, official
from leaderboard.audit.printed import Printed, printed_cell, printed_number, some_count_gives


def never():
    raise AssertionError("a table of results asks for no test cycles")


def audit_text(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return audit_file(path, never, {})


def audit_rows(tmp_path, *rows):
    return audit_text(tmp_path, json.dumps(list(rows)), "t.json")


def kinds(audit):
    return [finding.kind for finding in audit.findings]


ROW = {"system": "A", "sp": 80.05, "se": 42.06, "score": 61.06}


def test_the_official_counts_are_those_of_the_paper():
    """Bae et al. 2023, section 3.1: 4,142 and 2,756 cycles; by class as the annotation files have them."""
    split = official.registered_split()
    assert split.train == (2063, 1215, 501, 363)
    assert split.test == (1579, 649, 385, 143)
    assert split.disjoint == (1560, 617, 373, 86)
    assert (sum(split.train), split.tests, split.cycles, split.ratio) == (4142, {"test": 2756}, 6898, "60-40")
    assert split.divisors(split.test) == (1579, 1177)


# --- printed numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("81.66", (Printed(81.66, 2), None)),
        ("81.66 ± 3.83", (Printed(81.66, 2), Printed(3.83, 2))),
        ("**81.66±3.8**", (Printed(81.66, 2), Printed(3.8, 1))),
        ("$81.66_{\\pm 3.83}$", (Printed(81.66, 2), Printed(3.83, 2))),
        ("\\textbf{81.7}%", (Printed(81.7, 1), None)),
        ("81,66", (Printed(81.66, 2), None)),
        ("62.37 ± 0.61 (57.0–66.9)", (Printed(62.37, 2), Printed(0.61, 2))),
        ("58.29*", (Printed(58.29, 2), None)),
        ("–", (None, None)),
        ("n/a", (None, None)),
        ("", (None, None)),
    ],
)
def test_a_cell_is_read_as_it_is_printed(text, expected):
    assert printed_cell(text) == expected


def test_a_number_of_a_document_has_the_decimals_that_it_has_there():
    assert printed_number(81.6) == Printed(81.6, 1)
    assert printed_number(81.66244458518049).digits == 6


@pytest.mark.parametrize("hits", [0, 1, 777, 1263, 1579])
@pytest.mark.parametrize("digits", [2, 3, 4])
def test_every_number_of_hits_is_found_again_rounded_or_cut_off(hits, digits):
    exact = 100 * hits / 1579
    assert some_count_gives(Printed(round(exact, digits), digits), 1579)
    assert some_count_gives(Printed(int(exact * 10**digits) / 10**digits, digits), 1579)
    assert not some_count_gives(Printed(round(exact + 0.03, digits), digits), 1579)


# --- one row ----------------------------------------------------------------------------------------------------


def test_an_honest_row_has_no_fault(tmp_path):
    sp, se = 100 * 1264 / 1579, 100 * 495 / 1177
    row = {"system": "A", "seed": 1, "sp": sp, "se": se, "score": (sp + se) / 2, "split": "official 60-40"}
    assert kinds(audit_rows(tmp_path, row)) == []
    rounded = {**row, "sp": round(sp, 2), "se": round(se, 2), "score": round((sp + se) / 2, 2)}
    assert kinds(audit_rows(tmp_path, rounded, {**rounded, "seed": None, "seeds": 5})) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"score": 61.5}, "does-not-add-up"),
        ({"score": 85.0}, "score-outside"),
        ({"sp": 101.0, "score": 71.53}, "no-percentage"),
        ({"binary_se": 40.0}, "strict-above-binary"),
        ({"binary_se": 42.06}, "binary-hits"),
        ({"accuracy": 70.0}, "accuracy-contradicts"),
        ({"seeds": 5, "score_std": 0.0}, "deviation-of-zero"),
        ({"seeds": 1, "score_std": 0.5}, "deviation-of-one"),
        ({"seeds": 5, "sp_std": 3.0, "se_std": 3.0, "score_std": 3.5}, "deviation-outside"),
        ({"seeds": 5, "sp_std": 3.0, "se_std": 1.0, "score_std": 0.2}, "deviation-outside"),
        ({"split": "80-20"}, "split"),
        ({"split": "random 60/40"}, "split"),
        ({"split": "5-fold cross-validation"}, "split"),
        ({"train": 5518, "test": 1380}, "split"),
        ({"test": 2685}, "split"),
        ({"test": 2636}, "split"),
        ({"selection": "best-test"}, "chosen-on-test"),
        ({"selection": "best epoch on the test set"}, "chosen-on-test"),
    ],
)
def test_a_fault_of_one_row_is_found_alone(tmp_path, change, kind):
    found = audit_rows(tmp_path, {**ROW, **change})
    assert kinds(found) == [kind]
    assert "row 1 (A)" in found.findings[0].sentence
    assert found.findings[0].sentence.endswith(".")


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": 63.83},
        {"split": "official"},
        {"train": 4142, "test": 2756},
        {"seeds": 5, "sp_std": 3.0, "se_std": 3.0, "score_std": 1.0},
        {"selection": "last"},
        {"selection": "best-val"},
        {"selection": "held-out patients, tested once"},
        {"binary_se": 55.0},
    ],
)
def test_what_is_sound_is_no_fault(tmp_path, change):
    assert kinds(audit_rows(tmp_path, {**ROW, **change})) == []


def test_what_the_score_is_instead_is_said(tmp_path):
    found = audit_rows(tmp_path, {"sp": 80.0, "se": 40.0, "score": 53.33})
    assert "it is the harmonic mean of Sp and Se." in found.findings[0].sentence
    found = audit_rows(tmp_path, {"sp": 80.05, "se": 42.06, "score": 63.83, "accuracy": 63.83})
    assert kinds(found) == ["does-not-add-up", "accuracy"]


def test_the_split_is_named_by_its_counts(tmp_path):
    sentences = [
        audit_rows(tmp_path, {**ROW, "train": train, "test": test}).findings[0].sentence
        for train, test in [(5518, 1380), (4213, 2685), (None, 2636), (4836, 2062)]
    ]
    for words, sentence in zip(("80-20", "about 60-40", "156 and 218", "70-30"), sentences, strict=True):
        assert words in sentence


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        (5, 5),
        ("5", 5),
        ([1, 2, 3], 3),
        ("[1, 2, 3]", 3),
        ("1-3, 5", 4),
        ("1, 2", 2),
        ("[7]", 1),
        ("five", None),
        (0, None),
    ],
)
def test_the_number_of_runs_is_read_as_it_is_written(tmp_path, said, runs):
    found = audit_rows(tmp_path, {**ROW, "seeds": said, "sp": 80.0311, "score": 61.0456})
    assert [finding.numbers["runs"] for finding in found.findings] == ([] if runs is None else [runs])


# --- numbers of cycles ------------------------------------------------------------------------------------------


def test_rates_that_no_number_of_cycles_gives(tmp_path):
    found = audit_rows(tmp_path, {**ROW, "seed": 1, "sp": 80.03, "score": 61.05})
    assert kinds(found) == ["no-such-count"]
    assert "1,579 normal cycles" in found.findings[0].sentence


@pytest.mark.parametrize(
    "change",
    [
        {},  # Not one run, as far as is said.
        {"seeds": 5},
        {"seed": "mean"},
        {"seed": 1, "split": "patient-disjoint"},
        {"seed": 1, "sp": 80.0, "se": 42.1, "score": 61.1},  # One decimal: some number of cycles always fits.
    ],
)
def test_numbers_of_cycles_are_asked_for_of_official_single_runs_alone(tmp_path, change):
    assert "no-such-count" not in kinds(audit_rows(tmp_path, {**ROW, "sp": 80.03, "score": 61.05, **change}))


# --- confusion matrices -----------------------------------------------------------------------------------------

CONFUSION = [[1264, 150, 100, 65], [200, 330, 80, 39], [150, 70, 120, 45], [30, 40, 28, 45]]


def of_confusion(**rates):
    return {"system": "A", "confusion": CONFUSION, "split": "official", **rates}


def test_rates_that_are_those_of_the_confusion_matrix(tmp_path):
    assert kinds(audit_rows(tmp_path, of_confusion(sp=80.05, se=42.06, score=61.05))) == []


@pytest.mark.parametrize(
    ("rates", "kind"),
    [
        ({"sp": 80.05, "se": 67.71, "score": 73.88}, "binary-hits"),
        ({"sp": 80.05, "se": 37.83}, "class-mean"),
        ({"sp": 42.06, "se": 80.05}, "swapped"),
        ({"sp": 80.05, "se": 50.00, "score": 65.03}, "unexplained-claim"),
    ],
)
def test_rates_that_disagree_with_the_confusion_matrix(tmp_path, rates, kind):
    assert set(kinds(audit_rows(tmp_path, of_confusion(**rates)))) == {kind}


def test_a_confusion_matrix_of_other_cycles(tmp_path):
    changed = [[1200, 150, 100, 65], *CONFUSION[1:]]
    found = audit_rows(tmp_path, {"sp": 79.21, "se": 42.06, "score": 60.63, "confusion": changed})
    assert kinds(found) == ["class-counts"]
    assert "1,515 normal" in found.findings[0].sentence


def test_a_binary_confusion_matrix_bounds_a_strict_sensitivity(tmp_path):
    row = {"sp": 80.05, "confusion": [[1264, 315], [477, 700]]}
    assert kinds(audit_rows(tmp_path, {**row, "se": 59.95})) == ["strict-above-binary"]
    assert kinds(audit_rows(tmp_path, {**row, "se": 59.45})) == []
    assert kinds(audit_rows(tmp_path, {**row, "se": 55.95, "judged": "2class"})) == ["unexplained-claim"]


# --- seeds and epochs -------------------------------------------------------------------------------------------


def test_a_seed_that_stands_twice_and_one_that_is_another(tmp_path):
    rows = [
        {"system": "A", "seed": 1, "sp": 80.05, "se": 42.06, "score": 61.06},
        {"system": "A", "seed": 2, "sp": 80.05, "se": 42.06, "score": 61.06},
        {"system": "A", "seed": 1, "sp": 80.56, "se": 41.46, "score": 61.01},
    ]
    found = audit_rows(tmp_path, *rows)
    assert kinds(found) == ["repeated-run", "repeated-seed"]
    assert kinds(audit_rows(tmp_path, rows[0], {**rows[1], "system": "B"})) == []


def course(seed, scores, chosen, **more):
    return {"system": "A", "seed": seed, "epoch": chosen, "test_scores": scores, "score": scores[chosen - 1], **more}


RISING, PEAKED = [50.0, 55.0, 58.0, 60.0], [50.0, 61.0, 58.0, 57.0]


def test_an_epoch_that_the_test_part_chose(tmp_path):
    rows = [course(seed, [score + seed for score in PEAKED], 2, selection="best-val") for seed in range(1, 6)]
    found = audit_rows(tmp_path, *rows)
    assert kinds(found) == ["chosen-on-test"]
    assert "In 5 of 5 trainings of A" in found.findings[0].sentence
    assert "said to be 'best-val'" in found.findings[0].sentence
    nearly = [*rows[:4], course(5, [score + 5 for score in PEAKED], 3, selection="best-val")]
    assert kinds(audit_rows(tmp_path, *nearly)) == ["chosen-on-test"]


@pytest.mark.parametrize(
    "rows",
    [
        [course(seed, [score + seed for score in RISING], 4) for seed in range(1, 6)],  # The last ones.
        [course(1, PEAKED, 2), course(2, PEAKED[::-1], 1)],
        [course(1, PEAKED, 3)],
    ],
)
def test_an_epoch_that_the_test_part_did_not_choose(tmp_path, rows):
    assert kinds(audit_rows(tmp_path, *rows)) == []


def test_an_epoch_against_the_rule_that_is_stated(tmp_path):
    assert kinds(audit_rows(tmp_path, course(1, RISING, 3, selection="last"))) == ["rule-contradicted"]
    val = [40.0, 41.0, 42.0, 45.0]
    assert kinds(audit_rows(tmp_path, course(1, PEAKED, 3, selection="best-val", val_scores=val))) == [
        "rule-contradicted"
    ]
    assert kinds(audit_rows(tmp_path, course(1, PEAKED, 4, selection="best-val", val_scores=val))) == []


def test_a_row_for_each_epoch_with_the_chosen_one_marked(tmp_path):
    lines = ["system,seed,epoch,score,chosen"]
    for seed in (1, 2, 3):
        lines += [f"A,{seed},{epoch},{score + seed},{int(epoch == 2)}" for epoch, score in enumerate(PEAKED, start=1)]
    found = audit_text(tmp_path, "\n".join(lines))
    assert kinds(found) == ["chosen-on-test"]
    assert found.findings[0].numbers == {"best": 3, "trainings": 3}


def test_the_strict_sensitivity_is_held_against_the_binary_one_of_another_row(tmp_path):
    binary = {**ROW, "judged": "2class", "se": 60.06, "score": 70.06}
    assert kinds(audit_rows(tmp_path, ROW, binary)) == []
    assert kinds(audit_rows(tmp_path, {**ROW, "se": 60.06, "score": 70.06}, binary)) == ["binary-hits"]
    assert kinds(audit_rows(tmp_path, {**ROW, "se": 62.06, "score": 71.06}, binary)) == ["strict-above-binary"]
    assert kinds(audit_rows(tmp_path, {**ROW, "se": 62.06, "score": 71.06}, {**binary, "system": "B"})) == []


# --- forms of tables --------------------------------------------------------------------------------------------

FORMS = {
    "comma.csv": "Method,Specificity,Sensitivity,ICBHI Score\nA,80.00,40.00,61.00\n",
    "semicolon.csv": "Method;Sp;Se;Score\nA;80,00;40,00;61,00\n",
    "tab.tsv": "method\tS_p\tS_e\tscore\nA\t80.00\t40.00\t61.00\n",
    "markdown.md": "# Results\n\n| Method | Sp | Se | Score |\n|---|--:|--:|--:|\n| A | 80.00 | 40.00 | **61.00** |\n",
    "fractions.csv": "method,sp,se,score\nA,0.8000,0.4000,0.6100\n",
    "list.json": '[{"method": "A", "sp": 80.0, "se": 40.0, "score": 61.0}]',
    "object.json": '{"results": [{"method": "A", "sp": 80.0, "se": 40.0, "score": 61.0}]}',
    "sections.json": '{"sections": [{"title": "x", "rows": [{"system": "A", "sp": 80.0, "se": 40.0, "score": 61.0}]}]}',
    "one.json": '{"system": "A", "sp": 80.0, "se": 40.0, "score": 61.0}',
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_table_is_read(tmp_path, name):
    found = audit_text(tmp_path, FORMS[name], name)
    assert kinds(found) == ["does-not-add-up"]
    assert found.numbers["rows"][0]["score"] == pytest.approx(61.0)
    assert "(A)" in found.findings[0].sentence


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "sp,se,score\n", "[]", '{"a": 1}', "{broken", "[1, 2]", "| a |\n"])
def test_what_is_no_table_of_results_is_refused(tmp_path, text):
    with pytest.raises(ResultError):
        audit_text(tmp_path, text)


def test_what_cannot_be_checked_is_said(tmp_path):
    found = audit_rows(tmp_path, {"system": "A", "score": 61.0}, ROW)
    words = " ".join(found.unchecked)
    assert "one of the three is missing (1 of 2 rows)" in words
    assert "Which split it is" in words
    assert "How the epoch was chosen" in words


@pytest.mark.parametrize(
    "odd",
    [
        {"sp": True, "se": None, "score": "61.0", "confusion": [[1]], "test_scores": {"a": 1}, "epoch": "x"},
        {"sp": "9" * 400, "se": "1e999", "score": "61.0", "seeds": -1, "train": "many", "split": 7},
        {"sp": [80.0], "se": {"value": 40.0}, "score": 61.0, "confusion": "1 2 3", "seed": {"a": 1}, "epoch": 2.5},
        {"sp": 0, "se": 0, "score": 0, "confusion": [[1, 0, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4], "split": "other x"},
    ],
)
def test_odd_values_are_no_crash(tmp_path, odd):
    found = audit_rows(tmp_path, odd)
    assert len(found.numbers["rows"]) == 1
    json.dumps(found.to_json(), allow_nan=False)
