"""The printed tables, against the lines of the paper."""

from __future__ import annotations

import re

import pytest

from leaderboard.published import PROTOCOLS, TABLES, printed_table

LINES = {
    "table1": """
        EfficientNet† - 70.92±3.61 28.93±3.05 49.93±0.59
        ResNet18† - 70.68±3.28 30.14±3.98 50.41±0.60
        bi-ResNet [13] - 69.20 31.12 50.16
        ResNet-NL [6] - 63.20 41.32 52.26
        ResNet-Att [27] - 71.44 36.36 53.90
        bi-ResNet-Att [31] - 67.13 46.38 56.76
        CNN6 [15] - 76.72 31.12 53.92
        EfficientNet† IN 80.07±4.74 33.05±4.14 56.56±0.79
        ResNet18† IN 76.63±1.87 31.06±2.45 53.84±1.26
        ResNeSt [14] IN 67.80 37.10 52.20
        ResNet34 [8] IN 71.40 39.00 55.20
        ResNet50 [9] IN 76.33 37.37 56.85
        CNN6 [15] AS 70.09 40.39 55.24
        AST† - 72.61±14.90 30.58±7.97 49.60±1.75
        AST† IN 78.69±0.60 38.78±0.65 58.73±0.22
        AST† IN + AS 77.14±3.35 41.97±2.21 59.55±0.88""",
    "table2": """
        CE - - - 77.14±3.35 41.97±2.21 59.55±0.88
        CE Patch - - 76.87±5.05 42.04±3.98 59.46±0.78
        CE T-Patch - - 79.04±4.88 40.55±5.14 59.79±1.20
        MixCL Patch ALL stop(z) 81.66±3.83 43.07±2.80 62.37±0.61
        MixCL T-Patch ALL stop(z) 78.22±7.96 44.79±6.17 61.51±1.15
        MixCL Patch Diff. y stop(z) 80.24±4.60 40.93±4.44 60.59±0.50
        MixCL Patch ALL stop(h(z)) 78.07±2.41 43.54±1.75 60.81±0.41
        MixCL Patch ALL z 82.17±5.52 40.87±4.02 61.52±1.37
        MixCL Patch ALL h(z) 79.89±4.08 42.06±4.75 60.97±0.55""",
    "table3": """
        LungBRN [13] bi-ResNet - BioCAS'19 69.20 31.12 50.16
        SE+SA [7] ResNet18 - INTERSPEECH'20 81.25 17.84 49.55
        LungRN+NL [6] ResNet-NL - INTERSPEECH'20 63.20 41.32 52.26
        CNN-MoE [32] C-DNN - JBHI'21 72.40 21.50 47.00
        LungAttn [27] ResNet-Att - IPEM'21 71.44 36.36 53.90
        ARSC-Net [31] bi-ResNet-Att - BIBM'21 67.13 46.38 56.76
        RespireNet [8] ResNet34 IN EMBC'21 71.40 39.00 55.20
        RespireNet [8] (CBA+BRC+FT) ResNet34 IN EMBC'21 72.30 40.10 56.20
        Ren et al. [33] CNN8-Pt - ICASSP'22 72.96 27.78 50.37
        Chang et al. [34] CNN8-dilated - INTERSPEECH'22 69.92 35.85 52.89
        Chang et al. [34] ResNet-dilated - INTERSPEECH'22 50.22 51.83 51.02
        Wang et al. [14] (Splice) ResNeSt IN ICASSP'22 70.40 40.20 55.30
        Late-Fusion [35] Inc-03 + VGG14 IN EMBC'22 85.60 30.00 57.30
        Nguyen et al. [9] (StochNorm) ResNet50 IN TBME'22 78.86 36.40 57.63
        Nguyen et al. [9] (CoTuning) ResNet50 IN TBME'22 79.34 37.24 58.29*
        Moummad et al. [15] CNN6 AS arXiv'22 70.09 40.39 55.24
        Moummad et al. [15] (SCL) CNN6 AS arXiv'22 75.95 39.15 57.55
        Fine-tuning [ours] AST IN + AS INTERSPEECH'23 77.14±3.35 41.97±2.21 59.55±0.88
        Patch-Mix CL [ours] AST IN + AS INTERSPEECH'23 81.66±3.83 43.07±2.80 62.37±0.61
        CNN-MoE [32] C-DNN - JBHI'21 72.40 37.50 54.10
        Nguyen et al. [9] (StochNorm) ResNet50 IN TBME'22 78.86 49.79 64.32
        Nguyen et al. [9] (CoTuning) ResNet50 IN TBME'22 79.34 50.14 64.74*
        Fine-tuning [ours] AST IN + AS INTERSPEECH'23 77.14±3.35 56.40±1.73 66.77±1.15
        Patch-Mix CL [ours] AST IN + AS INTERSPEECH'23 81.66±3.83 55.77±2.83 68.71±0.59""",
}


def printed_number(row, name):
    value, spread = getattr(row, name), getattr(row, f"{name}_std")
    return f"{value:.2f}" + (f"±{spread:.2f}" if spread is not None else "")


def line_of(table, row):
    """A row as the paper prints it."""
    words = []
    for field in table.columns.values():
        words.append(row.options[field.partition(".")[2]] if "." in field else getattr(row, field))
    if row.ref:
        words[0] = re.sub(r"^([^(]*?)( \(.*)?$", rf"\1 {row.ref}\2", words[0])
    if table.name != "table2":
        words[0] += {"table1": "†", "table3": " [ours]"}[table.name] if row.authors_run else ""
    numbers = [printed_number(row, name) for name in ("sp", "se", "score")]
    return " ".join([*words, *numbers]) + ("*" if row.previous_best else "")


@pytest.mark.parametrize(("name", "count"), [("table1", 16), ("table2", 9), ("table3", 24)])
def test_every_printed_line_is_there_in_the_papers_order(name, count):
    table = printed_table(name)
    lines = [line.strip() for line in LINES[name].strip().splitlines()]
    assert len(table.rows) == len(lines) == count
    assert [line_of(table, row) for row in table.rows] == lines


def test_just_the_rows_that_do_not_add_up_are_inconsistent():
    found = {name: [row.id for row in printed_table(name).rows if not row.consistent] for name in TABLES}
    assert found == {
        "table1": ["resnest-in", "ast"],
        "table2": [],
        "table3": ["cnn-moe", "late-fusion", "cnn-moe-2class"],
    }


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_an_id_and_a_rule_of_its_own(name):
    rows = printed_table(name).rows
    assert len({row.id for row in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch(r"[a-z0-9-]{2,25}", row.id)
        assert row.protocol in PROTOCOLS
        assert row.judged == row.section.replace("-class eval.", "class")
