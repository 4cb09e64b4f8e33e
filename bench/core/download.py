"""Downloads a large file so that a dropped connection or a stopped process costs only what was not yet on disk.

ICBHI's archive of 2 GB on a slow server needs HTTP ranges (RFC 9110, section 14) with a validator, so that two
versions of a file are never glued together. A download has a bound, whatever the server announces.
"""

from __future__ import annotations

import contextlib
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
from urllib.parse import urlsplit

from bench.core.addresses import address_fault, split_credentials
from bench.core.errors import DataError
from bench.core.files import advice
from bench.core.room import check_room
from bench.core.secrets import masked, public_url
from bench.core.text import echoed, plain, whole_number
from bench.core.version import __version__

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there and the bytes in all (None where the server does not say)."""

BLOCK = 1 << 18
_NOTE_BYTES = 1 << 16


class NotOnServerError(DataError):
    """The server answers, but has no such file."""


class UnreachableError(DataError):
    """The server cannot be reached at all, or not trusted."""


class TooLargeError(DataError):
    """The server sends more than the file can be."""


class _DroppedError(Exception):
    """A transfer that may go on at the next attempt."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long a download is tried.

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
def _disk_errors(path: Path) -> Iterator[None]:
    """Tell a full or read-only disk from a dropped connection: both come as the same kind of error."""
    try:
        yield
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.", advice(error)) from error


class _PartialFile:
    """The piece of a file that is on disk already, and a note on which version of which file it belongs to."""

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        # The note on disk holds no secret. Another token may mean another file: then it begins anew, by its validator.
        self.url = public_url(url)
        self.answered = False
        self.validator, self.total = self._recall()
        if self.validator is None:
            self.clear()

    def _recall(self) -> tuple[str | None, int | None]:
        try:
            with self.note.open("rb") as stream:
                note = json.loads(stream.read(_NOTE_BYTES))
            url, validator, total = note["url"], note["validator"], note["total"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None, None
        sound = url == self.url and _is_header(validator) and (total is None or (type(total) is int and total >= 0))
        return (validator, total) if sound else (None, None)

    @property
    def size(self) -> int:
        """Number of bytes that are on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def complete(self) -> bool:
        """Tell whether every byte that the server announced is on disk."""
        # Where the query was hidden in the note, the part may be of another file: the server is asked then.
        return self.total is not None and self.total == self.size and "?" not in self.url

    def start(self, validator: str | None, total: int | None) -> None:
        """Begin anew with what the server says of the file."""
        self.clear()
        self.validator, self.total = validator, total
        note = {"url": self.url, "validator": validator, "total": total}
        with _disk_errors(self.note):
            self.note.write_text(json.dumps(note), encoding="utf-8")

    def clear(self) -> None:
        """Delete the part and its note, so that the next attempt begins anew."""
        with _disk_errors(self.path):
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
        self.validator = self.total = None


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _validator(headers: Any) -> str | None:
    """What tells this version of a file from another; a weak tag does not (RFC 9110, section 13.1.5)."""
    tag = headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    changed = headers.get("Last-Modified")
    return str(changed) if changed else None


def _announced_length(headers: Any) -> int | None:
    try:
        return max(whole_number(headers.get("Content-Length", "")), 0)
    except ValueError:
        return None


def _range_fits(headers: Any, part: _PartialFile) -> bool:
    """Whether the answer goes on exactly where the part on disk ends, in the same version of the file."""
    expected = f"bytes {part.size}-"
    given = headers.get("Content-Range", "")
    total = given.rpartition("/")[2]
    same_length = part.total is None or total in ("*", str(part.total))
    # A server that knows ranges but not If-Range would send the end of another version.
    return given.startswith(expected) and same_length and _validator(headers) in (None, part.validator)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address of the web: never from an encrypted one to an open one, nor to a file."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows.

        Raises:
            UnreachableError: If the new address is none to follow.
        """
        fault = address_fault(newurl)
        if fault is None and req.type == "https" and not newurl.lower().startswith("https:"):
            fault = "it is not encrypted"
        if fault is not None:
            raise UnreachableError(
                f"{public_url(req.full_url)} sends on to {echoed(public_url(newurl))}, which is not followed: {fault}."
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        # A password is for the host that it was given for.
        if following is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            following.remove_header("Authorization")
        return following


def _url_opener(insecure: bool) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())


def _request(url: str, part: _PartialFile) -> urllib.request.Request:
    address, authorization = split_credentials(url)
    request = urllib.request.Request(address, headers={"User-Agent": f"lungbench/{__version__}"})
    if authorization:
        request.add_header("Authorization", authorization)
    if part.size and part.validator:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", part.validator)
    return request


@contextlib.contextmanager
def _open_response(url: str, part: _PartialFile, patience: Patience) -> Iterator[http.client.HTTPResponse]:
    """The server's answer; failures are sorted into those that may pass and those that will not."""
    shown = public_url(url)
    secrets = (url, *urllib.request.getproxies().values())
    try:
        with _send_request(_request(url, part), patience, shown) as response:
            yield response
    except urllib.error.HTTPError as error:
        error.close()
        _sort_status(url, error, part)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            reason = plain(error.reason.verify_message)
            raise UnreachableError(f"The certificate of {shown} cannot be verified: {reason}.") from error
        raise _DroppedError(_reason_text(error.reason, secrets)) from error
    except (http.client.HTTPException, OSError) as error:
        raise _DroppedError(_reason_text(error, secrets)) from error


def _send_request(request: urllib.request.Request, patience: Patience, shown: str) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = _url_opener(patience.insecure).open(request, timeout=patience.timeout)
    except ValueError as error:
        # Of an address that a proxy or the server named; its words may repeat the address.
        raise UnreachableError(f"{shown} answers with, or is reached over, an address that is none.") from error
    return response


def _reason_text(reason: object, secrets: tuple[str, ...]) -> str:
    return echoed(masked(reason, *secrets) or type(reason).__name__, 200)


def _sort_status(url: str, error: urllib.error.HTTPError, part: _PartialFile) -> None:
    shown = public_url(url)
    if error.code in (404, 410):
        raise NotOnServerError(f"There is no {shown} (status {error.code}).") from error
    if error.code == 416:
        part.clear()
    if error.code in (408, 416, 429) or error.code >= 500:
        raise _DroppedError(f"status {error.code}") from error
    reason = echoed(masked(error.reason, url))
    raise UnreachableError(f"The server refuses {shown} (status {error.code} {reason}).") from error


def _write_blocks(
    part: _PartialFile, response: http.client.HTTPResponse, limit: int, report: Callable[[int, int | None], None]
) -> None:
    size = part.size
    with _disk_errors(part.path):
        stream = part.path.open("ab")
    with stream:
        while block := response.read(BLOCK):
            size += len(block)
            _check_size(part, size, limit)
            with _disk_errors(part.path):
                stream.write(block)
                stream.flush()
            report(size, part.total)
        with _disk_errors(part.path):
            os.fsync(stream.fileno())


def _check_size(part: _PartialFile, size: int, limit: int) -> None:
    """Refuse a file that is larger than it can be, before it is on disk; counted, since a server may announce less."""
    if size > limit:
        url = part.url
        part.clear()
        raise TooLargeError(
            f"{url} is larger than the {limit:,} bytes that it can be; it is not kept.", "Check the address."
        )
    if part.total is not None and size > part.total:
        part.clear()
        raise _DroppedError("more bytes came than were announced")


def _transfer(
    url: str, part: _PartialFile, patience: Patience, limit: int, report: Callable[[int, int | None], None]
) -> None:
    """One attempt: go on where the part ends, or begin anew where the server cannot or the file has changed."""
    with _open_response(url, part, patience) as response:
        part.answered = True
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            # Not asked for; its bytes are not the file's, so that no hash and no range would fit.
            raise UnreachableError(f"The server sends {part.url} encoded ({echoed(encoding)}), not as it is.")
        if response.status == 206:
            if not _range_fits(response.headers, part):
                part.clear()
                raise _DroppedError("the server sent another range than was asked for")
        else:
            part.start(_validator(response.headers), _announced_length(response.headers))
        _check_size(part, part.total or 0, limit)
        check_room((part.total or 0) - part.size, part.path.parent, part.url)
        _write_blocks(part, response, limit, report)
    if part.total is not None and part.size != part.total:
        raise _DroppedError(f"{part.size:,} of {part.total:,} bytes came")


def download(url: str, target: Path, *, patience: Patience, limit: int, on_progress: Progress | None = None) -> None:
    """Download a file; it has its name when it is complete, and ends in ``.part`` until then.

    Args:
        url: Where from; :func:`bench.core.addresses.address_fault` finds nothing wrong with it. A user and a password
            in it are sent to that host alone and shown nowhere.
        target: Path of the finished file, in a folder that exists.
        patience: How often and how long to try.
        limit: Largest size that the file can have, bytes.
        on_progress: Called after each block.

    Raises:
        NotOnServerError: If the server has no such file.
        UnreachableError: If the first attempt does not reach the server, its certificate cannot be verified, or it
            sends on to an address that is not followed.
        TooLargeError: If the file is larger than the limit; nothing of it is kept.
        DataError: If the connection keeps dropping, or the disk has no room; what came stays for the next time.
    """
    part = _PartialFile(target, url)
    report = _reporter(target.name, on_progress)
    best, fruitless = part.size, 0
    while not part.complete:
        try:
            _transfer(url, part, patience, limit, report)
            break
        except _DroppedError as error:
            if not part.answered:
                raise UnreachableError(f"Cannot reach {part.url}: {error}.") from error
            fruitless = 0 if part.size > best else fruitless + 1
            best = max(best, part.size)
            if fruitless >= patience.attempts:
                kept = f"{part.size:,} bytes of {target.name} are kept; run the command again to go on."
                raise DataError(f"The connection to {part.url} keeps dropping: {error}.", kept) from error
            time.sleep(min(patience.pause * 2**fruitless, 30.0))
    with _disk_errors(target):
        part.path.replace(target)
        part.note.unlink(missing_ok=True)


def _reporter(name: str, on_progress: Progress | None) -> Callable[[int, int | None], None]:
    if on_progress is None:
        return lambda done, total: None
    return lambda done, total: on_progress(name, done, total)
