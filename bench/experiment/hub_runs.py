"""Runs on the Hugging Face Hub: fetched into the cache and checked, they are run folders like any other."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import ResultError
from bench.core.hub import HubError, fetch, hub_place
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_manifest import MANIFEST, PATTERNS, check_given_run


def fetched_run(text: str, cache: Path) -> RunFolder:
    """Fetch a run that `bench push` wrote, once, and check the hash of every file.

    Args:
        text: ``hf:OWNER/NAME`` or ``hf:OWNER/NAME@REVISION``.
        cache: The cache folder.

    Raises:
        SpecError: If it names no repository.
        HubError: If it cannot be fetched, is no run, or a file is not the one that its manifest names.
    """
    place = hub_place(text, "model")
    found = fetch(place, cache, PATTERNS)
    if not (found.folder / MANIFEST).is_file():
        raise HubError(
            f"{place} is no run that `bench push` wrote: it has no {MANIFEST}.",
            "Weights of other kinds are named by their file: --pretrain hf:OWNER/NAME/FILE.",
        )
    try:
        check_given_run(found.folder)
    except ResultError as error:
        raise HubError(
            f"What was fetched of {place} is not whole: {error.message.rstrip('.')} (in {found.folder}).",
            "Delete that folder and fetch it again; if it stays so, its owner has to push it again.",
        ) from None
    return RunFolder(found.folder)
