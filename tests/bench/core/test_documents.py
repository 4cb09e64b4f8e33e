"""Documents from outside: files within bounds, strict JSON, and who judges the specs in results."""

from __future__ import annotations

import gc
import json
import os

import pytest

from bench.core import documents
from bench.core.documents import (
    DEEPEST,
    LONGEST_TEXT,
    check_values,
    collector_paused,
    parse_document,
    read_bytes,
    read_document,
    specs_judged_by,
)
from bench.core.errors import ResultError, SpecError
from bench.core.text import LARGEST_WHOLE


def test_a_document_comes_back(tmp_path):
    document = {"a": [1, 2.5, None, True, "Ünïcode 👩‍🔬"], "b": {"c": -(2**63)}}
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "d.json").write_text(json.dumps(document, ensure_ascii=False), encoding=encoding)
        assert read_document(tmp_path / "d.json") == document


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is not a JSON document"),
        (b"{", "is not a JSON document"),
        (b'{"a": NaN}', "here: a is nan"),
        (b'{"a": [1, -Infinity]}', "here: a is -inf"),
        (b'{"a": 1e400}', "here: a is inf"),
        (b'{"a": 9223372036854775808}', "here: a is a number beyond 64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not a JSON document"),
        (b'{"a": "\\ud800"}', "here: a holds half a surrogate pair"),
        (b'{"\\udfff": 1}', "has a name that holds half a surrogate pair"),
        (b'{"a": "\\u0000"}', "here: a holds a NUL character"),
        (b'{"a": {"b": 1, "b": 2}}', "an object names 'b' twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 40 + b"]" * 40, "nested too deeply, more than 32"),
        (b'{"a": "\xff"}', "is not a JSON document"),
        ("{}".encode("utf-16"), "is not a JSON document"),
        (b"1_0", "is not a JSON document"),
    ],
)
def test_what_no_document_holds_is_refused_in_a_short_sentence(content, word):
    with pytest.raises(ResultError) as caught:
        parse_document(content, "here")
    assert word in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


def test_a_document_of_very_many_values_is_not_built(monkeypatch):
    monkeypatch.setattr(documents, "MOST_VALUES", 1000)
    assert len(parse_document(json.dumps([0] * 900).encode(), "here")) == 900
    with pytest.raises(ResultError, match="more than 1,000 values"):
        parse_document(b"[" + b"[]," * 1000 + b"[]]", "here")


def test_values_that_json_does_not_know_are_named():
    with pytest.raises(ResultError, match="a is of the type set"):
        check_values({"a": {1}}, "here")
    with pytest.raises(ResultError, match="has a name that is no text, 5"):
        check_values({5: 1}, "here")


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    path = tmp_path / "d.json"
    os.mkfifo(path)
    link, loop = tmp_path / "link", tmp_path / "loop"
    link.symlink_to("/dev/zero")
    loop.symlink_to(loop)
    for odd in (path, link, loop, tmp_path, tmp_path / "absent", tmp_path / "a\0b"):
        with pytest.raises(ResultError, match="Cannot read"):
            read_bytes(odd)
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 3 * 2**30)
    with pytest.raises(ResultError, match="has 3,072 MiB, which such a file never has"):
        read_bytes(large, 1000)
    os.truncate(large, 1000)
    assert len(read_bytes(large, 1000)) == 1000


def nested(levels, innermost=1):
    value = innermost
    for level in range(levels):
        value = [value] if level % 2 else {"inner": value}
    return value


@pytest.mark.parametrize("innermost", [1, "text", None, [], {}])
def test_the_deepest_document_is_read_and_a_deeper_one_is_not(innermost):
    content = json.dumps(nested(DEEPEST, innermost)).encode()
    assert parse_document(content, "here") == nested(DEEPEST, innermost)
    with pytest.raises(ResultError, match=f"nested too deeply, more than {DEEPEST} levels"):
        check_values(nested(DEEPEST + 1, innermost), "here")


@pytest.mark.parametrize("number", [LARGEST_WHOLE, -LARGEST_WHOLE - 1, 0, 5e-324, -1.7976931348623157e308])
def test_numbers_of_64_bits_come_back(number):
    assert parse_document(json.dumps([number]).encode(), "here") == [number]


@pytest.mark.parametrize("number", [LARGEST_WHOLE + 1, -LARGEST_WHOLE - 2])
def test_the_field_of_a_number_beyond_is_named(number):
    document = {"outer": {"fine": 1, "large": [0, number]}}
    with pytest.raises(ResultError, match=r"^here: large is a number beyond 64 bits\.$"):
        check_values(document, "here")


def test_a_text_has_a_bound_as_a_value_and_as_a_name():
    check_values({"x" * LONGEST_TEXT: "y" * LONGEST_TEXT}, "here")
    words = f"has {LONGEST_TEXT + 1:,} characters, more than {LONGEST_TEXT:,}"
    with pytest.raises(ResultError, match=f"^here: a {words}") as of_value:
        check_values({"a": "y" * (LONGEST_TEXT + 1)}, "here")
    with pytest.raises(ResultError, match=f"has a name that {words}") as of_name:
        check_values({"x" * (LONGEST_TEXT + 1): 1}, "here")
    assert max(len(caught.value.message) for caught in (of_value, of_name)) < 200


@pytest.mark.parametrize("twice", ["a", "", "ä", "x" * 1000])
def test_a_name_that_comes_twice_is_named_wherever_it_is(twice):
    name = json.dumps(twice)
    content = f'{{"list": [{{"before": 0, {name}: 1, "between": 2, {name}: 1}}]}}'
    with pytest.raises(ResultError, match="an object names") as caught:
        parse_document(content.encode(), "here")
    assert f"'{twice[:70]}" in caught.value.message
    assert len(caught.value.message) < 300


def test_the_same_name_in_two_objects_is_no_fault():
    assert parse_document(b'{"a": {"a": [{"a": 1}, {"a": 2}]}}', "here") == {"a": {"a": [{"a": 1}, {"a": 2}]}}


@pytest.mark.parametrize(("size", "fits"), [(0, True), (99, True), (100, True), (101, False), (5000, False)])
def test_a_file_is_read_up_to_its_limit(tmp_path, size, fits):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    if fits:
        assert read_bytes(path, 100) == b"x" * size
        return
    with pytest.raises(ResultError, match=r"which a picture never has") as caught:
        read_bytes(path, 100, "a picture")
    assert caught.value.hint == "Name another file."


def test_a_file_that_grows_while_it_is_read_is_bounded_too(tmp_path):
    """The system says nothing of the size of some files: these are empty until they are read."""
    path = tmp_path / "file"
    path.symlink_to("/proc/self/status")
    assert path.stat().st_size == 0
    with pytest.raises(ResultError, match="which such a file never has"):
        read_bytes(path, 10)


def fail_while_paused():
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise KeyError


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_as_it_was_whatever_happens(before):
    was = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        with pytest.raises(KeyError):
            fail_while_paused()
        assert gc.isenabled() == before
    finally:
        (gc.enable if was else gc.disable)()


def test_judges_are_asked_within_their_block_alone():
    def one(_identity):
        raise SpecError("No.")

    def other(_identity):
        raise SpecError("Never.")

    before = list(documents.spec_judges)
    with specs_judged_by(one):
        with specs_judged_by(other):
            assert documents.spec_judges == [*before, one, other]
        assert documents.spec_judges == [*before, one]
    assert documents.spec_judges == before
