"""How much a download from the Hub brings: what the Hub announces is looked at before the first byte comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.download import TooLargeError
from bench.core.room import check_room

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

MOST_BYTES = 32 << 30
"""Of one download: the largest published backbones have 8 GB, and a run of one has three selections of weights."""


def bounded_file(repository: str, name: str, folder: Path, what: str, **words: Any) -> Path:
    """Fetch a file of a repository, unless it is larger than anything that is meant here, or than the disk.

    Args:
        repository: ``OWNER/NAME``.
        name: The file.
        folder: The folder of the Hub's cache, or that of the file where ``words`` say ``local_dir``.
        what: What is fetched, to begin a sentence with.
        words: As ``hf_hub_download`` of the Hub's library takes them.

    Returns:
        Where it is.

    Raises:
        TooLargeError: If it is larger than :data:`MOST_BYTES`.
        DataError: If the disk has no room for it.
    """
    from huggingface_hub import hf_hub_download

    _check_announced([hf_hub_download(repository, name, dry_run=True, **words)], folder, what)
    return Path(hf_hub_download(repository, name, **words))


def bounded_snapshot(repository: str, folder: Path, what: str, **words: Any) -> Path:
    """Fetch some files of a repository, as :func:`bounded_file` does one.

    Args:
        repository: ``OWNER/NAME``.
        folder: The folder of the Hub's cache.
        what: What is fetched, to begin a sentence with.
        words: As ``snapshot_download`` of the Hub's library takes them.

    Returns:
        The folder that holds them.

    Raises:
        TooLargeError: If they are larger together than :data:`MOST_BYTES`.
        DataError: If the disk has no room for them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError

    # Where the Hub is not reached nothing comes from there: the cache has it all, or there is an error.
    with contextlib.suppress(DryRunError), _without_bars():
        _check_announced(snapshot_download(repository, cache_dir=folder, dry_run=True, **words), folder, what)
    return Path(snapshot_download(repository, cache_dir=folder, **words))


def _check_announced(files: Iterable[DryRunFileInfo], folder: Path, what: str) -> None:
    size = sum(file.file_size or 0 for file in files if file.will_download)
    if size > MOST_BYTES:
        raise TooLargeError(
            f"{what} has {size:,} bytes, more than the {MOST_BYTES:,} that are fetched at once.",
            "If that is meant, fetch it with `hf download`, and name the file or the folder.",
        )
    check_room(size, folder, what)


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Draw no bars within the block: of what is only asked for, they would stand beside those of the download."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # offered, not listed
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
