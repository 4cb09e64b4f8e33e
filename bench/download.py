"""Downloads a large file so that a dropped connection or a stopped process costs only what was not yet on disk.

pooch, which the project uses for hashes, starts again from nothing; ICBHI's archive of 2 GB on a slow server needs
HTTP ranges (RFC 9110, section 14) with a validator, so that two versions of a file are never glued together.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.version import __version__

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there and the bytes in all (None where the server does not say)."""

BLOCK = 1 << 18


class NotOnServerError(DataError):
    """The server answers, but has no such file."""


class UnreachableError(DataError):
    """The server cannot be reached at all, or not trusted."""


class _DroppedError(Exception):
    """A transfer that may go on at the next attempt."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: Attempts in a row that bring nothing new, before giving up.
        pause: Seconds before the second attempt; doubled each time, 30 at most.
        timeout: Seconds without a byte after which a connection counts as dropped.
        insecure: Accept a certificate that cannot be verified.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: float = 30.0
    insecure: bool = False


@contextlib.contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """Tell a full or read-only disk from a dropped connection: both come as the same kind of error."""
    try:
        yield
    except OSError as error:
        hint = "Free space there, or choose a folder that can be written."
        raise DataError(f"Cannot write {path}: {error.strerror or error}.", hint) from error


class _Part:
    """The piece of a file that is on disk already, and what it is a piece of."""

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.url = url
        self.answered = False
        self.validator, self.total = self._recall()
        if self.validator is None:
            self.clear()

    def _recall(self) -> tuple[str | None, int | None]:
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            same = note["url"] == self.url
            return (note["validator"], note["total"]) if same else (None, None)
        except (OSError, ValueError, KeyError, TypeError):
            return None, None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def complete(self) -> bool:
        """Whether every byte that the server announced is on disk."""
        return self.total is not None and self.total == self.size

    def start(self, validator: str | None, total: int | None) -> None:
        """Begin anew with what the server says of the file."""
        self.clear()
        self.validator, self.total = validator, total
        note = {"url": self.url, "validator": validator, "total": total}
        with _on_disk(self.note):
            self.note.write_text(json.dumps(note), encoding="utf-8")

    def clear(self) -> None:
        """Forget everything."""
        with _on_disk(self.path):
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
        self.validator = self.total = None


def _validator(headers: Any) -> str | None:
    """What tells this version of a file from another; a weak tag does not (RFC 9110, section 13.1.5)."""
    tag = headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    changed = headers.get("Last-Modified")
    return str(changed) if changed else None


def _length(headers: Any) -> int | None:
    value = headers.get("Content-Length", "")
    return int(value) if value.isdigit() else None


def _range_fits(headers: Any, part: _Part) -> bool:
    """Whether the answer goes on exactly where the part on disk ends, in a file of the same length."""
    expected = f"bytes {part.size}-"
    given = headers.get("Content-Range", "")
    total = given.rpartition("/")[2]
    return given.startswith(expected) and (part.total is None or total in ("*", str(part.total)))


@contextlib.contextmanager
def _opened(url: str, part: _Part, patience: Patience) -> Iterator[http.client.HTTPResponse]:
    """The server's answer; failures are sorted into those that may pass and those that will not."""
    request = urllib.request.Request(url, headers={"User-Agent": f"lungbench/{__version__}"})
    if part.size and part.validator:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", part.validator)
    try:
        with urllib.request.urlopen(request, timeout=patience.timeout, context=_context(patience.insecure)) as response:
            yield response
    except urllib.error.HTTPError as error:
        _sort_status(url, error, part)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            reason = error.reason.verify_message
            raise UnreachableError(f"The certificate of {url} cannot be verified: {reason}.") from error
        raise _DroppedError(str(error.reason)) from error
    except (http.client.HTTPException, OSError) as error:
        raise _DroppedError(str(error) or type(error).__name__) from error


@functools.cache
def _context(insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _sort_status(url: str, error: urllib.error.HTTPError, part: _Part) -> None:
    if error.code in (404, 410):
        raise NotOnServerError(f"There is no {url} (status {error.code}).") from error
    if error.code == 416:
        part.clear()
    if error.code in (408, 416, 429) or error.code >= 500:
        raise _DroppedError(f"status {error.code}") from error
    raise UnreachableError(f"The server refuses {url} (status {error.code} {error.reason}).") from error


def _write(part: _Part, response: http.client.HTTPResponse, report: Callable[[int, int | None], None]) -> None:
    size = part.size
    with _on_disk(part.path):
        stream = part.path.open("ab")
    with stream:
        while block := response.read(BLOCK):
            with _on_disk(part.path):
                stream.write(block)
                stream.flush()
            size += len(block)
            report(size, part.total)
        os.fsync(stream.fileno())


def _transfer(url: str, part: _Part, patience: Patience, report: Callable[[int, int | None], None]) -> None:
    """One attempt: go on where the part ends, or begin anew where the server cannot or the file has changed."""
    with _opened(url, part, patience) as response:
        part.answered = True
        if response.status == 206:
            if not _range_fits(response.headers, part):
                part.clear()
                raise _DroppedError("the server sent another range than was asked for")
        else:
            part.start(_validator(response.headers), _length(response.headers))
        _write(part, response, report)
    if part.total is not None and part.size != part.total:
        raise _DroppedError(f"{part.size:,} of {part.total:,} bytes came")


def download(url: str, target: Path, *, patience: Patience, on_progress: Progress | None = None) -> None:
    """Download a file; it has its name when it is complete, and ends in ``.part`` until then.

    Args:
        url: Where from.
        target: Where to, in a folder that exists.
        patience: How long to try.
        on_progress: Called after each block.

    Raises:
        NotOnServerError: If the server has no such file.
        UnreachableError: If the first attempt does not reach the server, or its certificate cannot be verified.
        DataError: If the connection keeps dropping, or the disk is full; what came stays for the next time.
    """
    part = _Part(target, url)
    report = _reporter(target.name, on_progress)
    best, fruitless = part.size, 0
    while not part.complete:
        try:
            _transfer(url, part, patience, report)
            break
        except _DroppedError as error:
            if not part.answered:
                raise UnreachableError(f"Cannot reach {url}: {error}.") from error
            fruitless = 0 if part.size > best else fruitless + 1
            best = max(best, part.size)
            if fruitless >= patience.attempts:
                kept = f"{part.size:,} bytes of {target.name} are kept; run the command again to go on."
                raise DataError(f"The connection to {url} keeps dropping: {error}.", kept) from error
            time.sleep(min(patience.pause * 2**fruitless, 30.0))
    part.path.replace(target)
    part.note.unlink(missing_ok=True)


def _reporter(name: str, on_progress: Progress | None) -> Callable[[int, int | None], None]:
    if on_progress is None:
        return lambda done, total: None
    return lambda done, total: on_progress(name, done, total)
