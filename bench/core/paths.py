"""Where things are: results, data and cache, each from a flag, an environment variable or a default."""

from __future__ import annotations

import errno
import os
import unicodedata
from pathlib import Path

from bench.core.errors import SpecError, StoreError
from bench.core.text import plain


def expanded(path: Path | str) -> Path:
    """A path that the user wrote: with the home folder for ``~``, and names spelled as the disk spells them.

    Every option and variable that takes a path goes through here.

    Args:
        path: Path as the user wrote it.

    Raises:
        SpecError: If a home folder is not known, a name is no UTF-8 (documents of runs hold their paths, and documents
            are UTF-8), links on the way lead in a circle, or several names on the disk are meant by one.
    """
    try:
        whole = Path(path).expanduser()
    except RuntimeError:
        raise SpecError(
            f"The home folder in {plain(path)} is not known on this machine.", "Write the whole path without ~."
        ) from None
    _check_utf8(whole)
    _check_links(whole)
    return _as_spelled(whole)


def check_current_folder() -> None:
    """Make sure that there is a current folder: libraries of torch end the process where it was removed.

    Raises:
        SpecError: If it was removed.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise SpecError(f"The current folder is gone: {error.strerror or error}.", "Change to another.") from error


def _check_utf8(path: Path) -> None:
    if not path.is_absolute():
        check_current_folder()
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise SpecError(
            f"The path {plain(path.absolute())} is not UTF-8.",
            "Rename it, or use another folder.",
        ) from None


def _check_links(path: Path) -> None:
    try:
        path.stat()
    except ValueError:  # a NUL character: its reader or writer says so
        return
    except OSError as error:  # what else is wrong with a path, its reader or writer says
        if error.errno == errno.ELOOP:
            raise SpecError(f"The links at {plain(path)} lead in a circle.", "Name another path.") from error


def _as_spelled(path: Path) -> Path:
    """The path with accents as the disk has them: in one character, or in two as in archives made on macOS."""
    if path == path.parent or os.path.lexists(path):
        return path
    folder = _as_spelled(path.parent)
    if path.name.isascii():
        return folder / path.name
    alike = _names_alike(folder, path.name)
    if len(alike) > 1:
        raise SpecError(
            f"{folder} holds {len(alike)} names that all read {path.name}.",
            "Rename all but one, or write one as it is.",
        )
    return folder / (alike[0] if alike else path.name)


def _names_alike(folder: Path, name: str) -> list[str]:
    """Names in a folder that differ from this one in how accents are encoded alone."""
    wanted = unicodedata.normalize("NFC", name)
    try:
        return [other.name for other in folder.iterdir() if unicodedata.normalize("NFC", other.name) == wanted]
    except OSError:
        return []


def _folder_from(flag: Path | str | None, variable: str) -> Path | None:
    if flag is not None:
        return expanded(flag)
    written = os.environ.get(variable)
    return expanded(written) if written else None


def home_folder(flag: Path | str | None = None) -> Path:
    """Give the results folder, which holds the board, ``runs/<id>/`` and ``studies/``; it need not be there yet.

    Args:
        flag: Folder that the user named; otherwise ``BENCH_HOME`` or ``./results`` is taken.

    Raises:
        StoreError: If what is there is no folder, or cannot be read.
    """
    return readable(named_home(flag), "The results folder")


def named_home(flag: Path | str | None = None) -> Path:
    """Give the results folder whatever is there, for those who say what is wrong with it.

    Args:
        flag: As for :func:`home_folder`.
    """
    return _folder_from(flag, "BENCH_HOME") or expanded("results")


_HINT = "Name another results folder with --home or BENCH_HOME, or mend this one; `bench doctor` looks at it."
_CACHE_HINT = "Name another with --cache or BENCH_CACHE, or mend this one; `bench doctor` looks at it."


def readable(folder: Path, words: str = "The folder", hint: str = _HINT) -> Path:
    """A folder of ours, if it can be read or is not there yet: what is not there reads as empty, and is made.

    Args:
        folder: The folder.
        words: What it is, at the beginning of a sentence.
        hint: What to do where it cannot be read.

    Raises:
        StoreError: If it, or a part of its path, is no folder, or this user may not look into it.
    """
    try:
        with os.scandir(folder):
            return folder
    except FileNotFoundError:
        return folder
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{words} {plain(folder)} cannot be read: {reason}.", hint) from error


def listed(folder: Path, pattern: str) -> list[Path]:
    """What a folder of the results holds by a pattern, in the order of names; nothing where it is not there.

    Args:
        folder: The folder.
        pattern: As :meth:`pathlib.Path.glob` takes it, which says nothing of folders that cannot be read.

    Raises:
        StoreError: As :func:`readable`.
    """
    return sorted(readable(folder).glob(pattern))


NO_BOARD = "none"
"""What ``BENCH_STORE`` says where a process has no board: its results lie in run folders, for another one to import."""


def has_board() -> bool:
    """Whether this process has a board; :func:`board_location` finds it."""
    return os.environ.get("BENCH_STORE") != NO_BOARD


def board_location(home: Path) -> Path | str:
    """Find the board: the database whose URL ``BENCH_STORE`` holds, otherwise the one in the results folder.

    There is no flag for it, because a command line shows a password to everybody on the machine.

    Raises:
        StoreError: If ``BENCH_STORE`` says that there is none (:func:`has_board`), or holds no URL; that is not
            repeated, since it may hold a password.
    """
    if not has_board():
        raise StoreError(
            "There is no board here: BENCH_STORE is 'none'.",
            "Unset it where this process may write the board of the results folder; `bench board import HOME` then "
            "brings the results of run folders there.",
        )
    url = os.environ.get("BENCH_STORE")
    if url and "://" not in url:
        raise StoreError(
            "BENCH_STORE holds no URL.",
            "Write it as postgresql://user@host/name, sqlite:///folder/leaderboard.sqlite, or none for no board; a "
            "folder is named with BENCH_HOME or --home.",
        )
    return url or home


def cache_folder(flag: Path | str | None = None) -> Path:
    """Give the cache folder, which holds features, weights and the simulated set.

    Args:
        flag: Folder that the user named; otherwise ``BENCH_CACHE`` or ``lungbench`` in the user's cache is taken.

    Raises:
        SpecError: If the path cannot be expanded, or none is named and the user has no home folder.
        StoreError: If what is there is no folder, or cannot be read.
    """
    return readable(named_cache(flag), "The cache folder", _CACHE_HINT)


def named_cache(flag: Path | str | None = None) -> Path:
    """Give the cache folder whatever is there, for those who say what is wrong with it.

    Args:
        flag: As for :func:`cache_folder`.
    """
    return _folder_from(flag, "BENCH_CACHE") or _user_cache() / "lungbench"


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return expanded(base)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise SpecError(
            f"There is no place for the cache: HOME is not set, and user {os.getuid()} has no home folder.",
            "Name a folder with --cache or BENCH_CACHE.",
        ) from None
