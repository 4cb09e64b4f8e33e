"""What every download of a data set begins with: an address that can be used, and a folder that is ours alone."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.core.addresses import address_fault
from bench.core.errors import DataError, SpecError
from bench.core.files import exclusive_lock, sweep
from bench.core.secrets import public_url
from bench.core.text import echoed

logger = logging.getLogger(__name__)


def checked_address(base_url: str) -> str:
    """The address that files are fetched below, with a slash at its end.

    Args:
        base_url: Address that a user or the data set names.

    Raises:
        SpecError: If it is none.
    """
    fault = address_fault(base_url)
    if fault is not None:
        raise SpecError(
            f"The address '{echoed(public_url(base_url))}' cannot be used: {fault}.",
            "Write it as in https://host/folder/.",
        )
    return base_url if base_url.endswith("/") else f"{base_url}/"


@contextlib.contextmanager
def fetching_into(folder: Path, unpacked: str) -> Iterator[None]:
    """Make a data folder, keep other fetches out of it, and remove what a killed one left there half-unpacked.

    Args:
        folder: The data folder.
        unpacked: Name of the folder in it that an archive is unpacked to.

    Raises:
        DataError: If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "Name another folder with --data."
        raise DataError(f"Cannot make the data folder {folder}: {error.strerror or error}.", hint) from error
    with exclusive_lock(folder / ".fetch.lock", lambda holder: logger.info(f"Waiting for another fetch ({holder}).")):
        # The lock makes sure that none is at work.
        for leftover in folder.glob(f".{unpacked}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        sweep(folder)
        yield
