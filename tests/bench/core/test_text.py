"""Text from outside: shown on one line, cut, read as numbers."""

import re
import sys
import unicodedata
from pathlib import Path

import pytest

from bench.core.text import (
    LARGEST_WHOLE,
    counted_noun,
    decimal_number,
    echoed,
    folded,
    plain,
    plain_lines,
    whole_number,
)


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


def test_no_character_at_all_can_steer_a_terminal():
    joiners = "\u200c\u200d"
    for number in range(sys.maxunicode + 1):
        shown = plain(chr(number))
        assert len(shown) == 1
        assert shown.isprintable() or shown in joiners
        if unicodedata.category(chr(number)) in ("Cc", "Cs", "Zl", "Zp"):
            assert shown == "?"


def test_what_is_plain_stays_plain():
    for text in ("a\x1b[2Jb", "two\nlines", "a\xa0b", "half \ud800", "Röntgen 肺"):
        assert plain(plain(text)) == plain(text)
        assert len(plain(text)) == len(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\ntwo", "one\ntwo"),
        ("one\r\ntwo\r", "one\ntwo?"),
        ("a\tb\nab\tc", "a       b\nab      c"),
        ("\n\n", "\n\n"),
        ("\x0bone\x0ctwo\x85three\u2028four", "?one?two?three?four"),
        (7.5, "7.5"),
        ("", ""),
    ],
)
def test_lines_stay_apart(text, shown):
    assert plain_lines(text) == shown


@pytest.mark.parametrize("limit", [1, 2, 40, 200])
def test_an_echo_has_the_length_that_is_asked_for(limit):
    assert echoed("x" * limit, limit) == "x" * limit
    assert echoed("x" * (limit + 1), limit) == "x" * (limit - 1) + "…"
    assert echoed("") == ""
    assert echoed(None) == "None"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My System", "my  system"),
        ("MY\xa0SYSTEM", " my system\n"),
        ("STRASSE", "straße"),
        ("Données", unicodedata.normalize("NFD", "données")),
        ("ﬁt", "FIT"),
        ("Ａ１", "a1"),
    ],
)
def test_names_that_read_alike_are_one(one, other):
    assert one != other
    assert folded(one) == folded(other)
    assert folded(folded(one)) == folded(one)


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("a-b", "a b"), ("é", "e"), ("1", "l"), ("O", "0")])
def test_names_that_read_otherwise_are_two(one, other):
    assert folded(one) != folded(other)


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, ("file",), "1 file"),
        (0, ("test cycle",), "0 test cycles"),
        (1204, ("entry",), "1,204 entries"),
        (2, ("day",), "2 days"),
        (2, ("process",), "2 processes"),
        (3, ("batch",), "3 batches"),
        (3, ("epoch",), "3 epochs"),
        (1, ("fault is", "faults are"), "1 fault is"),
        (2, ("fault is", "faults are"), "2 faults are"),
    ],
)
def test_a_noun_agrees_with_its_number(number, noun, words):
    assert counted_noun(number, *noun) == words


def test_no_message_leaves_the_number_of_a_noun_to_its_reader():
    root = Path(__file__).resolve().parents[3]
    sources = [
        path
        for package in ("bench", "leaderboard", "methods", "baselines", "benchmarks")
        for path in (root / package).rglob("*.py")
    ]
    assert len(sources) > 500
    # A formula has p(s); a message would have `part(s)`, or a plural put together by hand.
    found = re.compile(r"[a-z]{2}\((?:s|es|ies)\)|['\"]e?s['\"] (?:if|\*) |else ['\"]e?s['\"]")
    assert [(path.name, hit[0]) for path in sources if (hit := found.search(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize("number", [0, 1, -1, 10**18, LARGEST_WHOLE, -LARGEST_WHOLE, -LARGEST_WHOLE - 1])
def test_every_whole_number_of_64_bits_comes_back(number):
    assert whole_number(str(number)) == number
    assert whole_number(f"\t{'-' if number < 0 else '+'}000{abs(number)}\r\n") == number


@pytest.mark.parametrize("number", [LARGEST_WHOLE + 1, -LARGEST_WHOLE - 2, 9_999_999_999_999_999_999])
def test_a_whole_number_beyond_64_bits_says_so(number):
    with pytest.raises(ValueError, match=f"'{number}' is beyond 64 bits"):
        whole_number(str(number))


@pytest.mark.parametrize("number", [0.1, -2.5e-300, 5e-324, 1.7976931348623157e308, 123456789.123, -0.0])
def test_every_finite_number_comes_back(number):
    assert repr(decimal_number(repr(number))) == repr(number)
    assert decimal_number(f"{number:e}") == pytest.approx(number, rel=1e-6)


@pytest.mark.parametrize("text", ["1e309", "-1e999", "9" * 400])
def test_a_number_that_would_be_infinite_says_so(text):
    with pytest.raises(ValueError, match="is too large") as caught:
        decimal_number(text)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("read", [whole_number, decimal_number])
def test_a_refused_word_is_shown_plain(read):
    with pytest.raises(ValueError, match=r"'\?\[2J\?' is no"):
        read("\x1b[2J\ud800")
