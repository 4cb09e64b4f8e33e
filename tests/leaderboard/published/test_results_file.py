"""Printed results from a file: what is read, and which rows add up."""

from __future__ import annotations

import json

import pytest

from leaderboard.published.results_file import PrintedResult, printed_results

ROW = {
    "system": "S",
    "architecture": "A",
    "venue": "V",
    "year": 2022,
    "task": "t",
    "part": None,
    "sp": None,
    "se": None,
    "as": None,
    "hs": None,
    "score": None,
    "source": "where",
    "doubts": "",
}


def read(tmp_path, **numbers) -> PrintedResult:
    path = tmp_path / "published.json"
    path.write_text(json.dumps([{**ROW, **numbers}]))
    return printed_results(path)[0]


def test_fields_are_read(tmp_path):
    found = read(tmp_path, **{"as": 70.0, "hs": 60.0, "part": "inter"})
    assert (found.average, found.harmonic, found.part, found.score) == (70.0, 60.0, "inter", None)


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ({"score": 74.5}, None),
        ({"sp": 80.0, "se": 60.0}, None),
        ({"sp": 80.25, "se": 60.25, "as": 70.25}, True),
        ({"sp": 80.25, "se": 60.25, "as": 70.27}, False),
        ({"sp": 80.25, "se": 60.25, "hs": 68.83}, True),
        ({"sp": 80.25, "se": 60.25, "hs": 70.25}, False),
        ({"sp": 80.25, "se": 60.25, "score": 69.54}, True),
        ({"sp": 80.25, "se": 60.25, "score": 70.25}, False),
        ({"as": 70.25, "hs": 68.83, "score": 69.54}, True),
        ({"as": 70.25, "hs": 68.83, "score": 70.54}, False),
        ({"sp": 0.0, "se": 0.0, "hs": 0.0}, True),
    ],
)
def test_rows_add_up_or_do_not(tmp_path, numbers, wanted):
    assert read(tmp_path, **numbers).consistent is wanted


def test_a_row_with_another_field_is_refused(tmp_path):
    with pytest.raises(TypeError, match="accuracy"):
        read(tmp_path, accuracy=1.0)
