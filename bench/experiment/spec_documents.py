"""Specs as documents from outside: what a spec may be made of, before ``bench.experiment.spec`` says what it means.

How files and JSON are read at all is in :mod:`bench.core.documents`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.documents import parse_document, read_bytes
from bench.core.errors import ResultError, SpecError
from bench.core.options import check_given, check_text
from bench.core.text import echoed

DOCUMENT_LIMIT = 2**22
"""Bytes of a document, at most: a spec has some thousand, a page's document of a long run with its epochs a million."""

NAME_LIMIT = 100
TREE_TEXT_LIMIT = 50_000
ENTRIES_LIMIT = 1000
DEPTH_LIMIT = 8


def read_json(path: Path, what: str, hint: str) -> Any:
    """Read a small JSON document strictly, as :func:`bench.core.documents.parse_document` does.

    Args:
        path: The file.
        what: What it is, for messages ("the spec /x/spec.json").
        hint: What to do instead.

    Raises:
        SpecError: If the file cannot be read, or holds something else.
    """
    try:
        return parse_document(read_bytes(path, DOCUMENT_LIMIT), what)
    except ResultError as error:
        said = error.message.replace(f"Cannot read {path}:", f"Cannot read {what}:")
        raise SpecError(said[0].upper() + said[1:], hint) from None


def check_texts(value: Any, name: str) -> None:
    """Check a list of texts; raises SpecError."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise SpecError(f"{name} is {echoed(repr(value))}, but must be a list of texts.")
    _check_size(value, name)
    for item in value:
        check_text(item, name)


def check_flat(value: Any, name: str, *, text_only: bool = False) -> None:
    """Check an object of single values by name; raises SpecError."""
    for key, item in _checked_names(value, name):
        if type(item) not in ((str,) if text_only else (bool, int, float, str)):
            wanted = "a text" if text_only else "a number, a text, true or false"
            raise SpecError(f"{name}: {key} is {echoed(repr(item))}, but must be {wanted}.")
        check_given(item, type(item), f"{name}: {key}", {})


def check_tree(value: Any, name: str, depth: int = DEPTH_LIMIT) -> None:
    """Check an object that may hold lists and objects, of bounded depth and size; raises SpecError."""
    if depth == 0:
        raise SpecError(f"{name} is nested more than {DEPTH_LIMIT} levels deep.")
    for key, item in _checked_names(value, name):
        _check_branch(item, f"{name}: {key}", depth)


def _check_branch(item: Any, name: str, depth: int) -> None:
    if isinstance(item, Mapping):
        check_tree(item, name, depth - 1)
    elif isinstance(item, list | tuple):
        _check_size(item, name)
        if depth == 1:
            raise SpecError(f"{name} is nested more than {DEPTH_LIMIT} levels deep.")
        for part in item:
            _check_branch(part, name, depth - 1)
    elif item is not None:
        kind = type(item)
        if kind is str:
            check_text(item, name, TREE_TEXT_LIMIT)
            return
        if kind not in (bool, int, float, str):
            raise SpecError(f"{name} is of the type {kind.__name__}, which no document holds.")
        check_given(item, kind, name, {})


def _checked_names(value: Any, name: str) -> list[tuple[str, Any]]:
    """The entries of an object with sound names."""
    if not isinstance(value, Mapping):
        raise SpecError(f"{name} is {echoed(repr(value))}, but must be an object.")
    _check_size(value, name)
    for key in value:
        if not isinstance(key, str):
            raise SpecError(f"{name} has a name that is no text: {echoed(repr(key))}.")
        check_text(key, f"A name in {name}", NAME_LIMIT)
    return list(value.items())


def _check_size(value: Sequence[Any] | Mapping[Any, Any], name: str) -> None:
    if len(value) > ENTRIES_LIMIT:
        raise SpecError(f"{name} has {len(value)} entries, but must have at most {ENTRIES_LIMIT}.")
