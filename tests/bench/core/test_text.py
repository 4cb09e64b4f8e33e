"""Text from outside: shown on one line, cut, read as numbers."""

import pytest

from bench.core.text import LARGEST_WHOLE, decimal_number, echoed, plain, whole_number


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a?[2Jb"),
        ("a\x9b2Jb", "a?2Jb"),
        ("two\nlines\r\tand", "two?lines??and"),
        ("a\xa0b\u3000c", "a b c"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("right\u202eleft\u2066x\u200f", "right?left?x?"),
        ("half \ud800", "half ?"),
        ("\u2028line\u2029", "?line?"),
        ("Röntgen é ω 肺", "Röntgen é ω 肺"),
    ],
)
def test_no_control_character_is_left(text, shown):
    assert plain(text) == shown


def test_an_echo_is_cut():
    assert echoed("x" * 80) == "x" * 80
    assert echoed("x" * 81) == "x" * 79 + "…"
    assert echoed("\x1b" + "y" * 10**6) == "?" + "y" * 78 + "…"


@pytest.mark.parametrize(("text", "number"), [("7", 7), (" -12 ", -12), ("+3", 3), ("0" * 40 + "5", 5)])
def test_whole_numbers(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["1_0", "٣", "1.0", "", "-", "0x10", "1e3", "१२", "９", str(LARGEST_WHOLE + 1), "9" * 10**6, "1 2", "\x0b1"]
)
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError, match=r"whole number|64 bits") as raised:
        whole_number(text)
    assert len(str(raised.value)) < 130


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1.0), ("-.5", -0.5), ("1.", 1.0), ("1e-5", 1e-5), (" 2E+3\n", 2000.0)]
)
def test_decimal_numbers(text, number):
    assert decimal_number(text) == number


@pytest.mark.parametrize(
    "text", ["1_0.5", "٣.٥", "nan", "inf", "-Infinity", "1e999", "", ".", "1e", "1,5", "0x1p3", "1..2"]
)
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match=r"is no number|too large"):
        decimal_number(text)
