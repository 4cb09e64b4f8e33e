"""The Hugging Face Hub: what ``hf:OWNER/NAME`` means, what is there, and one download into the cache.

Tokens are the Hub library's business (``HF_TOKEN``, ``hf auth login``): none is taken on a command line, and none is in
any message. What the library says is told in words of our own, with what to do.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BenchError, DataError, SpecError
from bench.core.hub_sizes import bounded_snapshot
from bench.core.log import is_quiet
from bench.core.progress import waiting
from bench.core.secrets import MASK, masked
from bench.core.terminal import PlainConsole, shows_bars
from bench.core.text import echoed

logger = logging.getLogger(__name__)

PREFIX = "hf:"
MAIN = "main"
"""The branch that is meant where none is named."""

Kind = Literal["model", "dataset"]

_PLACE = re.compile(r"hf:([^/@\s]+/[^/@\s]+)(?:@([^\s@]+))?")
_FORM = "Write hf:OWNER/NAME, and @REVISION behind it for a branch, a tag or a commit."
_COPY = "Fetch it once where the Hub is reached, and copy the cache folder here (BENCH_CACHE)."
_COMMIT = re.compile(r"[0-9a-f]{40}")
ODD_ANSWERS = (LookupError, TypeError, AttributeError, AssertionError)
"""What the Hub's library raises on an answer that is JSON and of another form than it expects."""


class HubError(DataError):
    """The Hub cannot be reached, refuses, or has no such repository, revision or file."""


class HubChangedError(HubError):
    """Somebody else changed the repository after it was read."""


@dataclass(frozen=True)
class HubPlace:
    """A repository on the Hub.

    Attributes:
        kind: ``model`` or ``dataset``.
        name: ``OWNER/NAME``.
        revision: Branch, tag or commit; None for the main branch.
    """

    kind: Kind
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}{f'@{self.revision}' if self.revision else ''}"


@dataclass(frozen=True)
class HubState:
    """What is at a place of the Hub now.

    Attributes:
        commit: The commit, 40 hexadecimal digits.
        private: Whether the repository is shown to its owners alone.
        files: Names of its files.
    """

    commit: str
    private: bool
    files: frozenset[str]

    @classmethod
    def of(cls, info: Any) -> HubState:
        """What the Hub's library says of a repository; raises ValueError where its commit is none."""
        if not _COMMIT.fullmatch(str(info.sha)):
            raise ValueError(f"its commit is '{echoed(info.sha)}'")
        return cls(str(info.sha), bool(info.private), frozenset(file.rfilename for file in info.siblings or ()))


@dataclass(frozen=True)
class Fetched:
    """Files of a repository on this machine.

    Attributes:
        folder: The folder that holds them by their names.
        revision: The commit that they are of.
    """

    folder: Path
    revision: str


def is_on_hub(text: str) -> bool:
    """Whether a word names a place on the Hub rather than a file, a folder or an id."""
    return text.startswith(PREFIX)


def is_repository_name(name: str) -> bool:
    """Whether the Hub takes a word for the name of a repository; nobody is asked."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # offered, not listed

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def hub_place(text: str, kind: Kind) -> HubPlace:
    """Read the name of a repository.

    Args:
        text: ``hf:OWNER/NAME`` or ``hf:OWNER/NAME@REVISION``.
        kind: ``model`` or ``dataset``.

    Raises:
        SpecError: If it is none; nobody is asked.
    """
    found = _PLACE.fullmatch(text)
    revision = found[2] if found else None
    if found is None or (revision and (revision.startswith("-") or ".." in revision or not revision.isprintable())):
        raise SpecError(f"'{echoed(text)}' names no repository on the Hub.", _FORM)
    if not is_repository_name(found[1]):
        raise SpecError(f"'{echoed(text)}' names no repository on the Hub.", _FORM)
    return HubPlace(kind, found[1], revision)


def state_of(place: HubPlace) -> HubState | None:
    """What is at a place now; None where there is no such repository, or none that is shown to this user.

    Raises:
        HubError: If the Hub cannot be asked, or the repository has no such revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    with told_plainly(place, "read"):
        try:
            return HubState.of(HfApi().repo_info(place.name, repo_type=place.kind, revision=place.revision))
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None


def fetch(place: HubPlace, cache: Path, patterns: Sequence[str]) -> Fetched:
    """Fetch files of a repository once; what is in the cache whole is not fetched again.

    Where the Hub is not reached, what the cache holds of the revision is taken, and the log says so.

    Args:
        place: The repository.
        cache: The cache folder.
        patterns: Names of the wanted files, with ``*``.

    Raises:
        HubError: If the Hub refuses, has no such repository or revision, or is not reached and the cache holds nothing.
        DataError: If the files are larger than what is fetched, or than the disk has room for.
    """
    with told_plainly(place, "read"):
        unreachable = None if _COMMIT.fullmatch(place.revision or "") else _why_unreachable(place)
        try:
            folder = bounded_snapshot(
                place.name,
                cache / "hub",
                str(place),
                repo_type=place.kind,
                revision=place.revision,
                allow_patterns=list(patterns),
                local_files_only=unreachable is not None,
            )
        except FileNotFoundError:
            if unreachable is None:
                raise
            raise HubError(
                f"{place} is not in the cache {cache / 'hub'}, and {unreachable}.",
                _COPY,
            ) from None
    found = Fetched(folder, folder.name)
    if unreachable is not None:
        logger.warning(f"{unreachable}: {place} is taken from the cache, revision {found.revision[:12]}")
    return found


def _why_unreachable(place: HubPlace) -> str | None:
    """Why the Hub cannot be asked, in words; None where it answers. Refusals are errors."""
    from huggingface_hub import HfApi, errors

    try:
        HubState.of(HfApi().repo_info(place.name, repo_type=place.kind, revision=place.revision))
    except errors.OfflineModeIsEnabled:
        return "the Hub is not asked (HF_HUB_OFFLINE is set)"
    except errors.HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return f"the Hub has trouble (status {error.response.status_code})"
    except (errors.HTTPError, ConnectionError) as error:  # type: ignore[attr-defined]  # of the client in use
        return f"the Hub is not reached ({first_line(error)})"
    return None


# --- words for what goes wrong ----------------------------------------------------------------------------------


@contextlib.contextmanager
def told_plainly(place: HubPlace, doing: Literal["read", "written"]) -> Iterator[None]:
    """Have the Hub library's errors, warnings and bars say within the block what is said everywhere else.

    Args:
        place: The repository that is asked for.
        doing: What is done with it.

    Raises:
        HubError: In the place of any error of the library or the network, without secrets.
    """
    from huggingface_hub import errors

    try:
        with _library_held_back(f"{_DOING[doing]} {place}"):
            yield
    except BenchError:
        raise
    except (OSError, ValueError, RuntimeError, *ODD_ANSWERS, errors.HTTPError) as error:  # type: ignore[attr-defined]
        # The library's own words hold signed addresses, and are no cause that anybody should be shown.
        raise _plain_error(error, place, doing) from None


_DOING = {"read": "reading", "written": "writing to"}


@contextlib.contextmanager
def _library_held_back(what: str) -> Iterator[None]:
    """Show the library's bars on terminals alone, its warnings as ours, and nothing else of it.

    Args:
        what: What is done, as a phrase, for those who see no bar.
    """
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # offered, not listed
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from huggingface_hub.utils import logging as library_log

    hide = not are_progress_bars_disabled() and (is_quiet() or not shows_bars(PlainConsole(sys.stderr)))
    level = library_log.get_verbosity()
    library_log.set_verbosity(logging.ERROR)
    if hide:
        disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as told, waiting(what) if hide else contextlib.nullcontext():
            warnings.simplefilter("always")
            yield
    finally:
        library_log.set_verbosity(level)
        if hide:
            enable_progress_bars()
    for warning in told:
        if warning.category is UserWarning:
            logger.warning(f"the Hub's library: {without_token(first_line_of(str(warning.message)))}")


def _plain_error(error: BaseException, place: HubPlace, doing: str) -> HubError:
    from huggingface_hub import errors, get_token

    status = getattr(getattr(error, "response", None), "status_code", None)
    log_in = "Log in with `hf auth login`, or set HF_TOKEN."
    if isinstance(error, errors.GatedRepoError):
        asked = "Ask for access on its page" + ("." if get_token() else f"; then: {log_in}")
        return HubError(f"{place} is gated: its owner has to let you in.", asked)
    if isinstance(error, errors.RepositoryNotFoundError):
        whom = "or none that your token may see" if get_token() else "or none for those who are not logged in"
        return HubError(
            f"The Hub has no {_KINDS[place.kind]} {PREFIX}{place.name}, {whom}.", f"Check its name. {log_in}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(
            f"{PREFIX}{place.name} has no revision '{place.revision}'.", "Name a branch, a tag or a commit."
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubError(f"{place} cannot be {doing}: the Hub is not asked (HF_HUB_OFFLINE is set).", "Unset it.")
    if isinstance(error, errors.LocalEntryNotFoundError):
        why = f" ({first_line(error.__cause__)})" if error.__cause__ else ""
        return HubError(f"{place} is not in the cache, and the Hub is not reached{why}.", _COPY)
    if status is not None:
        return _refusal(status, place, doing, log_in)
    if isinstance(error, errors.HTTPError):  # type: ignore[attr-defined]
        return HubError(f"The Hub is not reached for {place}: {first_line(error)}.", "Try again; what came is kept.")
    if isinstance(error, (json.JSONDecodeError, *ODD_ANSWERS)):
        said = f"{type(error).__name__}: {first_line(error)}"
        return HubError(
            f"{place} cannot be {doing}: what answers speaks otherwise than the Hub ({said}).",
            "Does HF_ENDPOINT name a Hub, and is no login page of the network in between?",
        )
    return HubError(f"{place} cannot be {doing}: {first_line(error)}.", "`--debug` shows where.")


_KINDS = {"model": "model repository", "dataset": "data set"}


def _refusal(status: int, place: HubPlace, doing: str, log_in: str) -> HubError:
    """The error for a status that the Hub refuses with."""
    if status == 401:
        return HubError(f"The Hub does not take your token (status 401); {place} was not {doing}.", log_in)
    if status == 403:
        return HubError(
            f"Your token may not do this (status 403); {place} was not {doing}.",
            "Use a token with the right to write to its owner's repositories.",
        )
    if status in (409, 412):
        return HubChangedError(
            f"{place} was changed by somebody else in the meantime; nothing was {doing}.", "Run the command again."
        )
    if status == 429:
        return HubError(f"The Hub takes no more requests for now (status 429); {place} was not {doing}.", "Wait.")
    return HubError(
        f"The Hub answers with status {status}; {place} was not {doing}.",
        "Run the command again; what was transferred already is not transferred twice.",
    )


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without secrets."""
    return without_token(first_line_of(str(error)) or type(error).__name__).rstrip(".")


def first_line_of(text: str) -> str:
    """The first line of a text that says something; empty where none does."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def without_token(text: str) -> str:
    """Text without the token in use, nor any other secret that is known by its form; at most 300 characters."""
    from huggingface_hub import get_token

    token: Any = get_token()
    shown = text.replace(token, MASK) if token else text
    return echoed(masked(shown, *urllib.request.getproxies().values()), 300)
