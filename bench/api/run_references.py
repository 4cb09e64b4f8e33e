"""The run that a user names, as every command that uses its weights finds it: here alone a reference is understood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.experiment.initial_runs import find_run_folder, split_reference

if TYPE_CHECKING:
    from bench.api.composites import CombinedRun
    from bench.api.run_result import Run
    from leaderboard.results.run_folder import RunFolder


def referred_run(
    reference: str | Path | Run | CombinedRun, home: Path, cache: Path | None = None
) -> tuple[RunFolder, str]:
    """Find the folder of a run that a user names, and which of its weights are wanted.

    Args:
        reference: A run id, the beginning of one, a run's folder, wherever it lies, or ``hf:OWNER/NAME`` for one on the
            Hub; after a colon ``last`` (the default), ``best-test``, ``best-val`` or ``stage-N``. Also a run as
            :func:`bench.run` returns it.
        home: The results folder.
        cache: The cache folder, for runs on the Hub; the user's by default.

    Returns:
        The folder, and the selection rule or stage. Whether the run is finished and keeps these weights is not looked
        at.

    Raises:
        SpecError: If there is no such run, or several.
        HubError: If it is on the Hub and cannot be fetched, or is not whole.
    """
    name, which = split_reference(str(getattr(reference, "folder", reference)))
    return find_run_folder(name, home, cache), which
