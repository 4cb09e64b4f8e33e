"""Standard streams that never spoil a command: closed, full, broken, or of an encoding that lacks a character.

Every process prepares its own once, at its start.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from bench.core.errors import StoreError
from bench.core.files import advice
from bench.core.messages import traceback_text

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TRANSLITERATED = "bench.transliterated"
"""Error handler of encodings: a character that cannot be written becomes one that can."""

_SPELT = {
    **dict.fromkeys("‐‑‒–—―−─━═╌┄", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("▏▎▍▌▋▊▉█", "#"),
    "…": "...",
    "±": "+-",
    "·": ".",
    "×": "x",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "†": "+",
    "§": "par. ",
    "α": "alpha",
    "β": "beta",
    "λ": "lambda",
    "μ": "mu",
    "µ": "u",
    "π": "pi",
    "τ": "tau",
    "Δ": "Delta",
    "Φ": "Phi",
    "“": '"',
    "”": '"',
    "’": "'",
    "‘": "'",
    "°": " deg",
    "ß": "ss",
    "æ": "ae",
    "ø": "o",
    "ł": "l",
}


def transliterated(text: str) -> str:
    """Text in ASCII: signs of this program spelt out, letters without accents, a question mark for the rest."""
    return "".join(_in_ascii(character) for character in text)


def _in_ascii(character: str) -> str:
    if character.isascii():
        return character
    if character in _SPELT:
        return _SPELT[character]
    if "\u2500" <= character <= "\u257f":
        return "+"  # the rest of the box-drawing characters: corners and crossings
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or "?"


def _replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return transliterated(error.object[error.start : error.end]), error.end


codecs.register_error(TRANSLITERATED, _replace_unencodable)


class _Descriptor(io.FileIO):
    """The file under a standard stream.

    Whoever read it may have gone (``| head``): what follows is left out, and the command goes on to its end and its
    exit code. Anything else, such as a full disk, is told once.

    Args:
        descriptor: 1 or 2.
        told: Whether to tell of a failure; there is nowhere to tell of one on stderr.
    """

    def __init__(self, descriptor: int, *, told: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._reports_failure, self._lost = told, False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, or leave them out where that is no longer possible."""
        size = memoryview(data).nbytes
        if self._lost:
            return size
        try:
            return super().write(data)
        except OSError as error:
            self._lost = True
            if self._reports_failure and not isinstance(error, BrokenPipeError):
                reason = error.strerror or error
                raise StoreError(f"Cannot write to the standard output: {reason}.", advice(error)) from error
            return size


def write_as_utf_8(stream: TextIO, text: str) -> None:
    """Write a document that programs read: in UTF-8, whatever the encoding of the terminal is.

    Args:
        stream: The stream; one without bytes below it, as of a notebook, takes the text.
        text: The document; halves of surrogate pairs become question marks.
    """
    binary = getattr(stream, "buffer", None)
    if binary is None:
        stream.write(text)
        return
    stream.flush()
    binary.write(text.encode("utf-8", TRANSLITERATED))
    binary.flush()


def prepare_streams() -> None:
    """Prepare the streams of a command."""
    _open_closed_descriptors()
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open to the end of the process
    sys.stdout = _prepared_stream(sys.stdout, sys.__stdout__, 1, told=True)
    sys.stderr = _prepared_stream(sys.stderr, sys.__stderr__, 2, told=False)


def prepare_helper_streams() -> None:
    """Prepare those of a process that a command starts: its stdout is its line to the command, and stays as it is."""
    _open_closed_descriptors()
    sys.stderr = _prepared_stream(sys.stderr, sys.__stderr__, 2, told=False)
    sys.excepthook = lambda _kind, error, _trace: print_traceback(error)


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an error that nobody expected on stderr."""
    sys.stderr.write(traceback_text(error) + "\n")


def _open_closed_descriptors() -> None:
    """Have something open at descriptors 0 to 2.

    Where one is closed (``>&-``) the next file that is opened, the board for one, would get its number, and be printed
    into.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _prepared_stream(stream: TextIO | None, first: TextIO | None, descriptor: int, *, told: bool) -> TextIO:
    """A stream that takes every character; one that Python opened itself is opened anew over :class:`_Descriptor`."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open to the end of the process
    if stream is not first or not isinstance(stream, io.TextIOWrapper) or isinstance(_raw_file(stream), _Descriptor):
        # Somebody's own stream, of a test or a notebook.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=TRANSLITERATED)
        return stream
    stream.flush()
    raw = _Descriptor(descriptor, told=told)
    return io.TextIOWrapper(
        cast(BinaryIO, raw) if stream.write_through else io.BufferedWriter(raw),  # python -u: nothing is held back
        encoding=stream.encoding,
        errors=TRANSLITERATED,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _raw_file(stream: io.TextIOWrapper) -> object:
    return getattr(stream.buffer, "raw", None)
