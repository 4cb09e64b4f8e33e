"""Brings the results of trials that other machines made to the board: this process alone writes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from bench.core.errors import ResultError
from bench.core.text import counted_noun
from bench.launch.board import results_board, store_result
from bench.search.trials import RETRY_OF
from leaderboard.results.run_folder import RunFolder

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 60.0
"""What a file that was written on another machine may take until it is seen here: NFS remembers for so long that there
was none."""

LOOK_SECONDS = 1.0


class TrialResults:
    """Results of trials, on their way from run folders to the board.

    Args:
        home: The results folder, on a disk that the machines share.

    Raises:
        StoreError: If the board cannot be written.
    """

    def __init__(self, home: Path) -> None:
        self._home, self._store = home, results_board(home)
        self._awaited: dict[str, None] = {}

    def catch_up(self, trials: Sequence[FrozenTrial]) -> None:
        """Bring what trials that have ended left while nobody watched.

        Args:
            trials: All trials of the study.

        Raises:
            StoreError: If the board cannot be used.
        """
        if self._store is not None:
            known = self._store.digests().keys()
            self.expect([trial for trial in trials if trial.state.is_finished() and not _is_stored(trial, known)])
            self.bring()

    def expect(self, trials: Sequence[FrozenTrial]) -> None:
        """Wait for the results of some trials."""
        for trial in trials:
            self._awaited.update(dict.fromkeys(trial.user_attrs.get("run_ids", ())))

    def bring(self) -> None:
        """Bring the results to the board that are there by now; a broken one is named.

        Raises:
            StoreError: If the board cannot be written.
        """
        for run_id in list(self._awaited):
            folder = RunFolder.of_run(self._home, run_id)
            if not folder.has_result():
                continue
            del self._awaited[run_id]
            try:
                store_result(self._store, folder.read())
            except ResultError as error:
                logger.warning(f"run {run_id} does not come onto the board: {error.message}")

    def settle(self) -> None:
        """Wait for what is missing, for :data:`SETTLE_SECONDS`, and name what does not come.

        Raises:
            StoreError: If the board cannot be written.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        self.bring()
        while self._awaited and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            self.bring()
        if self._awaited:
            logger.warning(
                f"{counted_noun(len(self._awaited), 'result of trials is', 'results of trials are')} not in "
                f"{self._home}: do the workers' machines share this "
                f"folder? `bench board import {self._home}` brings them to the board when they are there"
            )


def bring_results(trials: Sequence[FrozenTrial], home: Path) -> None:
    """Bring what the trials of a study that is over have left to the board, since nobody watched when they ended.

    Args:
        trials: All trials of the study.
        home: The results folder.

    Raises:
        StoreError: If the board cannot be used.
    """
    results = TrialResults(home)
    results.catch_up(trials)
    results.settle()


def _is_stored(trial: FrozenTrial, known: Collection[str]) -> bool:
    """Whether all of a trial is on the board; one that failed may have another result by now."""
    once = trial.state is TrialState.COMPLETE and RETRY_OF not in trial.user_attrs
    return once and all(run_id in known for run_id in trial.user_attrs.get("run_ids", ()))
