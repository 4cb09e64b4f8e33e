"""Options beside their owner: how text and values are read, what is refused and in which words, and later options."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from bench.core.errors import SpecError
from bench.core.options import (
    TEXT_LIMIT,
    build_options,
    check_given,
    check_options,
    check_text,
    check_value,
    is_plain,
    later_defaults,
    option,
    since_metadata,
    without_later_defaults,
)
from bench.core.text import LARGEST_WHOLE


@dataclass(frozen=True, kw_only=True)
class Options:
    rate: float = option(0.5, "a rate", low=0.0, high=1.0)
    layers: int = option(12, "a number of layers", low=1, high=64, run_low=2)
    mix: str = option("patch", "what is mixed", choices=("patch", "time"))
    causal: bool = option(False, "whether it is causal")
    name: str = option("x", "any text")
    later: int = option(3, "a later one", low=0, high=9, since=2)


READ = [
    ("1", int, 1),
    (" -7\n", int, -7),
    (2.0, int, 2),
    (-0.0, int, 0),
    ("2", float, 2.0),
    (3, float, 3.0),
    ("1e-5", float, 1e-5),
    (".5", float, 0.5),
    ("yes", bool, True),
    (" TRUE ", bool, True),
    ("1", bool, True),
    ("No", bool, False),
    ("0", bool, False),
    (False, bool, False),
    ("1", str, "1"),
    (1.5, str, "1.5"),
    (" padded ", str, " padded "),
]


@pytest.mark.parametrize(("given", "kind", "value"), READ)
def test_a_value_is_read_in_the_type_of_its_option(given, kind, value):
    read = check_value(given, kind, "it", {})
    assert read == value
    assert type(read) is kind
    assert check_value(read, kind, "it", {}) == read
    check_given(read, kind, "it", {})


UNREADABLE = [
    ("1.5", int, "it is '1.5', but must be a whole number"),
    (1.5, int, "it is 1.5, but must be a whole number"),
    (True, int, "it is True, but must be a whole number"),
    (None, int, "it is None, but must be a whole number"),
    ("1_000", int, "it is '1_000', but must be a number"),
    (str(2**63), int, "must be a whole number of at most 64 bits"),
    (2**63, int, "must be a whole number of at most 64 bits"),
    (-(2**63) - 1, int, "must be a whole number of at most 64 bits"),
    (float("inf"), int, "it is inf, but must be a whole number"),
    ("one", float, "it is 'one', but must be a number"),
    (True, float, "it is True, but must be a number"),
    ("nan", float, "it is nan, but must be a finite number"),
    ("-Infinity", float, "it is -Infinity, but must be a finite number"),
    (float("nan"), float, "it is nan, but must be a finite number"),
    ("1e999", float, "must be a number that 64 bits hold"),
    ("", float, "it is '', but must be a number"),
    ("maybe", bool, "it is 'maybe', but must be true or false"),
    (2, bool, "it is 2, but must be true or false"),
    (1, bool, "it is 1, but must be true or false"),
    (1.0, bool, "it is 1.0, but must be true or false"),
    ("a\nb", str, "control characters"),
    ("\ud800", str, "not UTF-8"),
]


@pytest.mark.parametrize(("given", "kind", "words"), UNREADABLE)
def test_a_value_that_cannot_be_read_is_named_with_what_is_meant(given, kind, words):
    with pytest.raises(SpecError) as caught:
        check_value(given, kind, "it", {})
    assert words in caught.value.message
    assert caught.value.message.isprintable()


def test_an_odd_value_is_named_in_a_short_sentence():
    for given, kind in [("x" * 10**6, float), (10**2000, int), ("9" * 10**6, int), ("z" * 10**6, bool)]:
        with pytest.raises(SpecError) as caught:
            check_value(given, kind, "it", {})
        assert len(caught.value.message) < 200


LIMITS = {"low": -1, "high": 8}


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize(("given", "fits"), [(-2, False), (-1, True), (0, True), (8, True), (9, False)])
def test_both_limits_belong_to_the_range(kind, given, fits):
    for value in (given, str(given), kind(given)):
        if fits:
            assert check_value(value, kind, "it", LIMITS) == given
            continue
        word, limit = ("at least", -1) if given < 0 else ("at most", 8)
        with pytest.raises(SpecError, match=rf"^it is {kind(given)}, but must be {word} {limit}\.$"):
            check_value(value, kind, "it", LIMITS)


def test_the_largest_whole_numbers_are_taken():
    for number in (LARGEST_WHOLE, -LARGEST_WHOLE - 1):
        assert check_value(number, int, "it", {}) == check_value(str(number), int, "it", {}) == number
        check_given(number, int, "it", {})


def test_a_word_must_be_one_of_the_choices_as_they_are_written():
    for word in ("Patch", "patch ", "patches", ""):
        with pytest.raises(SpecError, match=r"must be one of patch, time\.$"):
            check_value(word, str, "mix", {"choices": ("patch", "time")})


@pytest.mark.parametrize(
    ("given", "kind", "taken"),
    [
        (1, int, True),
        (1.0, int, False),
        ("1", int, False),
        (True, int, False),
        (1, float, True),
        (1.5, float, True),
        (True, float, False),
        ("1.5", float, False),
        (True, bool, True),
        (1, bool, False),
        ("true", bool, False),
        ("text", str, True),
        (1, str, False),
        (None, str, False),
        ([1], float, False),
        ({}, str, False),
    ],
)
def test_a_document_must_hold_the_type_itself(given, kind, taken):
    if taken:
        check_given(given, kind, "it", {})
        return
    with pytest.raises(SpecError, match=r"^it is .*, but must be "):
        check_given(given, kind, "it", {})


@pytest.mark.parametrize("length", [0, 1, TEXT_LIMIT])
def test_a_text_may_be_as_long_as_a_path(length):
    check_text("é" * length, "it")
    with pytest.raises(SpecError, match=f"it has {TEXT_LIMIT + 1} characters, but must have at most {TEXT_LIMIT}"):
        check_text("é" * (TEXT_LIMIT + 1), "it")
    with pytest.raises(SpecError, match="it has 9 characters, but must have at most 8"):
        check_text("x" * 9, "it", 8)


@pytest.mark.parametrize(("text", "plain"), [("Röntgen 肺 \u200d", True), ("a b", True), (" ", True)])
def test_text_of_any_script_is_plain(text, plain):
    assert is_plain(text) is plain


@pytest.mark.parametrize("character", ["\0", "\n", "\t", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
def test_what_would_break_a_line_or_a_file_is_not_plain(character):
    assert not is_plain(f"a{character}b")
    with pytest.raises(SpecError, match="cannot be stored") as caught:
        check_text(f"a{character}b", "it")
    assert caught.value.message.isprintable()


def test_options_are_built_from_texts_and_from_values_alike():
    texts = {"rate": "0.25", "layers": "2", "mix": "time", "causal": "yes"}
    values = {"rate": 0.25, "layers": 2, "mix": "time", "causal": True}
    built = build_options(Options, texts, "model x")
    assert built == build_options(Options, values, "model x") == Options(**values)
    assert build_options(Options, {}, "model x") == Options()
    assert build_options(Options, dataclasses.asdict(built), "model x") == built


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rat": 1}, "Unknown option 'rat' for model x: did you mean 'rate'?"),
        ({"zzz": 1}, "Unknown option 'zzz' for model x: there are 6, such as "),
        ({"rate": 2}, "model x: rate is 2.0, but must be at most 1.0."),
        ({"layers": "0"}, "model x: layers is 0, but must be at least 1."),
        ({"mix": "all"}, "model x: mix is 'all', but must be one of patch, time."),
        ({"name": "a\x1bb"}, "model x: name is 'a?b', which holds control characters"),
    ],
)
def test_a_wrong_option_is_named_with_its_owner(values, words):
    with pytest.raises(SpecError) as caught:
        build_options(Options, values, "model x")
    assert caught.value.message.startswith(words)


def test_a_finished_run_may_have_what_a_new_one_may_not():
    check_options(Options, {"layers": 1}, "model x", new=False)
    check_options(Options, {"layers": 2}, "model x", new=True)
    with pytest.raises(SpecError, match=r"^model x: layers is 1, but must be at least 2\.$"):
        check_options(Options, {"layers": 1}, "model x", new=True)
    with pytest.raises(SpecError, match=r"^model x: layers is 0, but must be at least 1\.$"):
        check_options(Options, {"layers": 0}, "model x", new=False)


def test_a_document_of_a_newer_version_says_how_to_get_one():
    with pytest.raises(SpecError, match="Unknown option 'layer' for model x: did you mean 'layers'") as caught:
        check_options(Options, {"layer": 1}, "model x", new=False)
    assert "pip install --upgrade lungbench" in caught.value.hint
    with pytest.raises(SpecError, match="layers is '2', but must be a whole number"):
        check_options(Options, {"layers": "2"}, "model x", new=False)


def test_a_later_option_is_left_out_while_it_has_its_default():
    values = {"rate": 0.5, "later": 3, "unknown": 3}
    assert without_later_defaults(values, Options) == {"rate": 0.5, "unknown": 3}
    assert without_later_defaults({"later": 4}, Options) == {"later": 4}
    assert later_defaults(Options) == {"later": 3}
    assert values["later"] == 3


def test_a_later_default_may_be_made_anew_but_must_be_there():
    @dataclass
    class Listed:
        parts: list = dataclasses.field(default_factory=list, metadata=since_metadata(2))

    @dataclass
    class Bare:
        part: int = dataclasses.field(metadata=since_metadata(4))

    assert later_defaults(Listed) == {"parts": []}
    with pytest.raises(ValueError, match="part came in version 4, and so must have a default"):
        later_defaults(Bare)


@pytest.mark.parametrize("since", [1, 0, -1, 2.0, "2", True])
def test_the_version_of_a_later_option_is_a_whole_number_of_2_or_more(since):
    with pytest.raises(ValueError, match=r"must be a whole number of 2 or more"):
        option(1, "an option", since=since)
    assert since_metadata(None) == {}
