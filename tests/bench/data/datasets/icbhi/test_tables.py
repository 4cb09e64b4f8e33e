"""The companion files and split files as copies of the wild have them."""

from __future__ import annotations

import pytest

from bench.data.datasets.icbhi.tables import parse_demographics, parse_diagnoses, parse_split

PAIR = {"101_1b1_Al_sc": "test", "103_2b2_Ar_mc": "train"}
FIRST, SECOND = "101_1b1_Al_sc_Meditron", "103_2b2_Ar_mc_LittC2SE"


@pytest.mark.parametrize("gap", ["\t", " " * 8, "  \t "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_split_file_is_read_whatever_its_gaps_and_line_ends(gap, end):
    split = parse_split(f"{FIRST}{gap}test{end}{SECOND}{gap}train{end}".encode())
    assert (split.sides, split.problems) == (PAIR, ())
    assert split.sha256 == parse_split(f"{SECOND}\ttrain\n{FIRST}\ttest".encode()).sha256


def test_both_names_of_a_recording_are_noted_once_and_count_once():
    names = ("226_1b1_Pl_sc_Meditron", "226_1b1_Pl_sc_LittC2SE")
    split = parse_split("".join(f"{name}\ttrain\n" for name in names).encode())
    assert (split.sides, split.problems) == ({"226_1b1_Pl_sc": "train"}, ())
    assert [note.count(name) for note in split.notes for name in names] == [1, 1]


def test_marks_of_a_merge_are_named_with_their_lines_and_what_to_do():
    lines = ("<<<<<<< HEAD", f"{FIRST}\ttest", "=======", f"{SECOND}\ttrain", ">>>>>>> other")
    split = parse_split("\n".join(lines).encode())
    (problem,) = split.problems
    assert problem.line == 1
    assert "lines 1 ('<<<<<<<'), 3 ('======='), 5 ('>>>>>>>')" in problem.message
    assert "delete them" in problem.message
    assert split.sides == PAIR


@pytest.mark.parametrize(
    "text",
    ["Patient_ID Diagnosis\n142 COPD\n", "\nPatient,Diagnosis\r\n142.0,COPD\r\n", "142.0 COPD", "142, COPD\n"],
)
def test_diagnoses_with_headers_decimal_numbers_and_any_separator(text):
    assert parse_diagnoses(text.encode()) == ({"142": "COPD"}, [])


@pytest.mark.parametrize("text", ["nobody COPD\n", "142.5 COPD\n", "1420 COPD\n"])
def test_a_broken_first_line_is_no_header(text):
    found, problems = parse_diagnoses(text.encode())
    assert (found, [problem.line for problem in problems]) == ({}, [1])


@pytest.mark.parametrize(
    "text",
    ["\n142 3 F NA 19 99\n", "Patient Age Sex BMI Weight Height\n142.0 3.0 F NA 19 99", "142,3,F,,19,99\n"],
)
def test_demographics_with_empty_lines_headers_and_empty_fields(text):
    found, problems = parse_demographics(text.encode())
    assert problems == []
    person = found["142"]
    assert (person.age, person.sex, person.adult_bmi, person.child_weight, person.child_height) == (
        3,
        "F",
        None,
        19,
        99,
    )
