from __future__ import annotations

import json
import os

import pytest

from bench.core import documents
from bench.core.documents import check_values, parse_document, read_bytes, read_document
from bench.core.errors import ResultError


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
