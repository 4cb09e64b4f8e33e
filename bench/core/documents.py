"""Documents from outside: files are read within bounds, and JSON is strict.

Results, manifests, specs and predictions come from other machines and other people. A file is read only if it is a
regular one and not larger than it can honestly be; a JSON document has no number that is not finite or needs more
than 64 bits, no name twice in one object, no half of a surrogate pair and no NUL character (a database takes neither),
and is nested no deeper than a person would.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import ResultError
from bench.core.text import LARGEST_WHOLE, echoed

LARGEST_DOCUMENT = 64 * 2**20
"""Bytes of a document: a result of 20,000 epochs has half of that."""

MOST_VALUES = 4_000_000
"""Values of a document, each of which takes up to 100 bytes of memory when it is read."""

DEEPEST = 32
LONGEST_TEXT = 2**20

SpecJudge = Callable[[Mapping[str, Any]], None]
"""Raises a ``BenchError`` for the identity fields of a spec that no run can have had."""

spec_judges: list[SpecJudge] = []
"""Who is asked about the spec of every result that is read; one that is lent several times is asked once."""


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause garbage collection within the block.

    Of the many small values of a large board none is garbage, and looking for it takes as long as reading them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def specs_judged_by(judge: SpecJudge) -> Iterator[None]:
    """Have the spec in every result that is read within the block judged by somebody who knows what runs can be.

    Args:
        judge: Called with the identity fields of the spec of a run; submissions have no such spec.
    """
    spec_judges.append(judge)
    try:
        yield
    finally:
        spec_judges.remove(judge)


def read_bytes(path: Path, limit: int = LARGEST_DOCUMENT, what: str = "such a file") -> bytes:
    """The content of a regular file of bounded size.

    Args:
        path: The file; a link to one will do.
        limit: Bytes that it may have.
        what: What it should be, for the message.

    Raises:
        ResultError: If it cannot be read, is something else (a folder, a pipe, a device) or larger.
    """
    try:
        # Opening a pipe would wait for a writer, and opening some devices does something.
        check_regular(path, path.stat())
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            found = os.fstat(stream.fileno())
            check_regular(path, found)
            content = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise ResultError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
    if len(content) > limit:
        size = max(found.st_size, len(content)) / 2**20
        raise ResultError(f"{path} has {size:,.0f} MiB, which {what} never has.", "Name another file.")
    return content


def check_regular(path: Path, found: os.stat_result) -> None:
    """Refuse anything but a regular file.

    Args:
        path: Path of the file, for the message.
        found: Status of the file as the system gives it.

    Raises:
        ResultError: If it is a folder, a pipe or a device.
    """
    if stat.S_ISREG(found.st_mode):
        return
    kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
    raise ResultError(f"Cannot read {path}: it is {kind}, no file.")


def read_document(path: Path, limit: int = LARGEST_DOCUMENT) -> Any:
    """Read a JSON document from a file.

    Raises:
        ResultError: If the file cannot be read, is no regular one or too large, is no JSON, or holds what no document
            holds.
    """
    return parse_document(read_bytes(path, limit), str(path))


def parse_document(content: bytes, where: str) -> Any:
    """Read a JSON document.

    Args:
        content: Bytes of the document, UTF-8.
        where: Name of the document's file, for messages.

    Raises:
        ResultError: If it is no JSON, or holds what no document holds.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ResultError(f"{where} holds more than {MOST_VALUES:,} values, which no document does.")
    try:
        document = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object_of_pairs)
    except RecursionError:
        raise ResultError(f"{where} is not a JSON document that can be read: it is nested too deeply.") from None
    except ValueError as error:
        raise ResultError(f"{where} is not a JSON document: {echoed(error, 200)}.") from error
    check_values(document, where)
    return document


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object names '{echoed(twice)}' twice")
    return found


def check_values(document: Any, where: str) -> None:
    """Check that every value of a document can be stored and shown.

    Args:
        document: Dictionaries, lists and plain values.
        where: What it is, for messages.

    Raises:
        ResultError: At a value that cannot; the field that it stands in is named.
    """
    left: list[tuple[str, Any, int]] = [("the document", document, 0)]
    while left:
        name, value, depth = left.pop()
        if depth > DEEPEST:
            raise ResultError(f"{where}: {echoed(name)} is nested too deeply, more than {DEEPEST} levels.")
        fault = _value_fault(value)
        if fault:
            raise ResultError(f"{where}: {echoed(name)} {fault}.")
        if value and not isinstance(value, (str, int, float)):
            left.extend((key, inner, depth + 1) for key, inner in _inner_values(name, value))


def is_number(value: Any) -> bool:
    """Whether a value of a document is a finite number within 64 bits; true and false are none."""
    if type(value) is int:
        return -LARGEST_WHOLE - 1 <= value <= LARGEST_WHOLE
    return type(value) is float and math.isfinite(value)


def _inner_values(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values inside a value, each with the name of its field."""
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield name, inner
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), inner


def _value_fault(value: Any) -> str | None:
    """What is wrong with one value; what it holds inside is looked at on its own."""
    if value is None or isinstance(value, (bool, list, tuple)):
        return None
    if isinstance(value, Mapping):
        return next((fault for key in value if (fault := _key_fault(key))), None)
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, int):
        return None if -LARGEST_WHOLE - 1 <= value <= LARGEST_WHOLE else "is a number beyond 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}, but must be a finite number"
    return f"is of the type {type(value).__name__}, which JSON does not know"


def _key_fault(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"has a name that is no text, {echoed(key)}"
    fault = _text_fault(key)
    return f"has a name that {fault}" if fault else None


def _text_fault(text: str) -> str | None:
    if len(text) > LONGEST_TEXT:
        return f"has {len(text):,} characters, more than {LONGEST_TEXT:,}"
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no character"
    return None
