"""What a search on other machines needs of its storage: that all of them see it, and that its password stays secret."""

from __future__ import annotations

import logging
from pathlib import Path

from bench.core.errors import SpecError
from bench.core.mounts import mount_of
from bench.launch.jobs import LaunchOptions
from bench.search.storage import Place

logger = logging.getLogger(__name__)


def check_options(options: LaunchOptions) -> None:
    """Refuse options of runs that mean nothing for the workers of a search; raises SpecError."""
    if options.timeout is not None:
        raise SpecError(
            "--timeout is not for a search: a worker goes on for as long as there are trials.",
            "Leave it out; --give-up-after and pruners end what leads nowhere.",
        )
    if options.jobs is not None:
        raise SpecError("--jobs is not for a search.", "--workers says how many trials run at a time.")
    if options.devices is not None:
        raise SpecError("--devices is not for a search.", "CUDA_VISIBLE_DEVICES names the GPUs that its workers share.")


def check_far(place: Place, options: LaunchOptions) -> None:
    """Refuse what cannot serve workers on other machines.

    Args:
        place: Where the study is kept.
        options: How the workers are launched.

    Raises:
        SpecError: The first thing that stands in the way.
    """
    if place.one_writer:
        raise SpecError(
            f"Workers of --launcher {options.launcher} cannot share a study in SQLite.",
            "Use PostgreSQL (--storage postgresql://user@host/name), or a journal file on a disk that all machines "
            "share (leave --storage out).",
        )
    if place.has_password:
        raise SpecError(
            "The URL of --storage holds a password, which would lie in the files of the workers' jobs.",
            "Leave it out of the URL and write it into ~/.pgpass, which PostgreSQL's library reads on every machine.",
        )


def warn_of_own_disks(home: Path, place: Place) -> None:
    """Warn where results or study lie on a disk that other machines do not see, as far as this one can tell.

    Args:
        home: The results folder.
        place: Where the study is kept.
    """
    paths = {"results folder": home, **({} if place.journal is None else {"study": place.journal})}
    for name, path in paths.items():
        mount = mount_of(path)
        if mount is not None and not mount.is_network:
            logger.warning(
                f"the {name} {path} is on {mount.kind}, a disk of this machine: workers on another one do not see it"
            )
            return
