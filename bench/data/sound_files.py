"""Sound files that a user names: by themselves, by their folder, by a pattern, or as a stream on the standard input."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import DataError, SpecError
from bench.core.paths import expanded
from bench.core.text import echoed, plain
from bench.data.files import walk
from bench.data.sounds import ENDINGS

STREAM = "-"
"""What stands for a sound on the standard input."""

STREAM_NAME = "stdin"
"""What that sound is called in results."""

_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class SoundFile:
    """A file that is to be heard.

    Attributes:
        shown: How it is called in results: the path as it was named, or found.
        path: Where it is; None for what comes through the standard input.
    """

    shown: str
    path: Path | None


@dataclass(frozen=True)
class NotFound:
    """Words that name no sound file.

    Attributes:
        shown: The words.
        error: What is wrong with them.
    """

    shown: str
    error: DataError


def find_sound_files(words: Iterable[str | Path], annotations: Collection[str] = ()) -> Iterator[SoundFile | NotFound]:
    """Find the files that some words name, each once, in the order of the words.

    Args:
        words: Files, folders (looked through to their depth, by name), patterns as ``*.wav`` or ``**/*.wav``, or ``-``.
        annotations: Endings of annotations: a file with one, beside the sound file that it is of, is read with that
            one. A shell that expands ``ward/*`` names it too.

    Yields:
        A file, or words that name none, with the reason.
    """
    seen: set[str] = set()
    for word in words:
        for found in _named(str(word), annotations):
            key = str(found.path.absolute()) if isinstance(found, SoundFile) and found.path else found.shown
            if key not in seen:
                seen.add(key)
                yield found


def _named(word: str, annotations: Collection[str]) -> Iterator[SoundFile | NotFound]:
    try:
        if not _is_annotation(word, annotations):
            yield from _found(word)
    except SpecError as error:
        # What no path can be is one bad file among others.
        yield NotFound(plain(word), DataError(error.message, error.hint))


def _is_annotation(word: str, endings: Collection[str]) -> bool:
    """Whether a word names the annotation of a sound file that lies beside it."""
    path = expanded(word)
    if path.suffix.lower() not in endings:
        return False
    try:
        beside = [other for other in path.parent.iterdir() if other.stem == path.stem]
    except OSError:
        return False
    return any(other.suffix.lower() in ENDINGS for other in beside)


def _found(word: str) -> Iterator[SoundFile | NotFound]:
    if word == STREAM:
        yield SoundFile(STREAM_NAME, None)
        return
    if not word:
        yield _missing(word, "One of the words is empty, and names no file.")
        return
    path = expanded(word)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):
        is_folder = is_there = False
    if is_folder:
        yield from _in_folder(path)
    elif is_there:
        yield _sound_file(path)
    elif _PATTERN & set(word):
        yield from _matching(word)
    else:
        yield _missing(word, f"There is no file {echoed(word, 300)}.")


def _in_folder(folder: Path) -> Iterator[SoundFile | NotFound]:
    try:
        # By folder and name, whatever the order on the disk: the same words give the same rows everywhere.
        paths = sorted(path for path in walk(folder) if path.suffix.lower() in ENDINGS)
    except DataError as error:
        yield NotFound(str(folder), error)
        return
    if not paths:
        yield _missing(str(folder), f"The folder {echoed(folder, 300)} holds no sound file.")
    yield from map(_sound_file, paths)


def _matching(pattern: str) -> Iterator[SoundFile | NotFound]:
    parts = expanded(pattern).parts
    first = next(place for place, part in enumerate(parts) if _PATTERN & set(part))
    try:
        matches = sorted(Path(*parts[:first]).glob("/".join(parts[first:])))
    except (OSError, ValueError, NotImplementedError):
        matches = []
    paths = [path for path in matches if path.suffix.lower() in ENDINGS and path.is_file()]
    if not paths:
        yield _missing(pattern, f"No sound file matches {echoed(pattern, 300)}.")
    yield from map(_sound_file, paths)


def _sound_file(path: Path) -> SoundFile | NotFound:
    """A file that is there; one whose name no page, table file or document can hold is named without it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = plain(path)
        return NotFound(shown, DataError(f"The name of {echoed(shown, 300)} is not UTF-8.", "Rename it."))
    return SoundFile(str(path), path)


def _missing(shown: str, message: str) -> NotFound:
    return NotFound(shown, DataError(message, "Name sound files, folders that hold some, or a pattern in quotes."))
