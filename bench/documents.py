"""Files and documents from outside: read only as far as they may reach, and checked for what no document may hold.

Nothing here knows what a document means; ``bench.spec`` says that of specs.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.errors import SpecError
from bench.options import check_given, check_text
from leaderboard.text import echoed

FILE_LIMIT = 2**20
"""Bytes of a plug-in, at most; the largest ones known have some thousand."""

DOCUMENT_LIMIT = 2**22
"""Bytes of a document, at most: a spec has some thousand, a page's document of a long run with its epochs a million."""

NAME_LIMIT = 100
TREE_TEXT_LIMIT = 50_000
ENTRIES_LIMIT = 1000
DEPTH_LIMIT = 8


def content_of(path: Path, limit: int) -> bytes:
    """Read a small file that a user or a document names.

    Pipes and devices are not read: they may never end, or wait for ever.

    Args:
        path: The file.
        limit: Bytes at most.

    Raises:
        OSError: If it cannot be read, is no regular file, or is larger; :func:`reason_of` says why.
    """
    # Without O_NONBLOCK the opening of a pipe waits until somebody writes to it.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError("it is no regular file")
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"it has more than {limit:,} bytes")
    return content


def reason_of(error: OSError) -> str:
    """Why a file could not be read, as a clause."""
    return error.strerror or str(error)


def read_json(path: Path, what: str, hint: str) -> Any:
    """Read a small JSON document strictly: UTF-8, finite numbers, no name twice in an object.

    Args:
        path: The file.
        what: What it is, for messages ("the spec /x/spec.json").
        hint: What to do instead.

    Raises:
        SpecError: If the file cannot be read, or holds something else.
    """
    try:
        text = content_of(path, DOCUMENT_LIMIT).decode("utf-8")
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except OSError as error:
        reason = reason_of(error)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = echoed(error)
    raise SpecError(f"Cannot read {what}: {reason}.", hint)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}, which is no JSON number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names '{echoed(twice)}' twice")
    return found


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
