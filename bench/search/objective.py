"""What a trial does: its runs, one after the other, and the mean of their Scores.

Epochs of the first run are reported to Optuna, and median and Hyperband may prune by them; with Wilcoxon the Scores of
whole runs are reported instead, and the trial may be pruned between two of them. What an error means for the trial and
for the worker stands in :mod:`bench.search.failures`.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import TrialState

from bench.core.errors import InterruptedRunError, PrunedRunError, forget
from bench.data.bank import Progress
from bench.engine.data import RunData, open_run_data
from bench.engine.hooks import Hooks
from bench.experiment.spec import RunSpec
from bench.launch.once import Launched, launch
from bench.search.claims import Claim
from bench.search.failures import cause_of, is_lost, is_own_fault, shared_fault
from bench.search.request import base_spec, trial_specs
from bench.search.study import Search, cards_of
from leaderboard.results.run_folder import RunFolder

TAKEN = "another worker has taken this trial over"


class LastData:
    """Opens the data of a spec and keeps them, so that a worker reads them once and not for every run."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._data: RunData | None = None

    def __call__(self, spec: RunSpec, on_progress: Progress | None = None) -> RunData:
        """As :func:`bench.engine.data.open_run_data`."""
        names = (
            "data",
            "cache",
            "data_fingerprint",
            "partial",
            "frontend",
            "frontend_version",
            "split",
            "val_fraction",
        )
        key = (*(getattr(spec, name) for name in names), repr(spec.frontend_options))
        # A batch that is larger than the data must be refused whatever was read before.
        if key != self._key or self._data is None or len(self._data.train) < spec.batch:
            self._data = open_run_data(spec, on_progress)
            self._key = key
        return self._data


@dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes:
        state: COMPLETE, PRUNED or FAIL.
        value: Its Score, percent; None unless it is complete.
        reason: Why it failed or was pruned.
    """

    state: TrialState
    value: float | None = None
    reason: str | None = None


@dataclass
class _Told:
    """What a trial says of its runs."""

    run_ids: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, spec: RunSpec, document: Mapping[str, Any]) -> None:
        self.run_ids.append(spec.run_id)
        self.seeds.append(spec.seed)
        self.folds.append(spec.fold[0] if spec.fold else 0)
        self.seconds += document["seconds"] or 0.0


class TrialRunner:
    """Carries out the trials of a study in this process.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of the runs.
        stopped: Whether this process was asked to stop.
    """

    def __init__(
        self,
        search: Search,
        home: Path,
        execution: Mapping[str, Any],
        stopped: Callable[[], bool] = bool,
    ) -> None:
        self.search, self.home, self.stopped = search, home, stopped
        self.base = base_spec(search.request, execution)
        self.cards = cards_of(search.request)
        self._data = LastData()

    def carry_out(self, claim: Claim) -> Ended | None:
        """Do a trial's runs and tell the study how it ended.

        Returns:
            How it ended; None where somebody else had taken it over.

        Raises:
            BenchError: What is no fault of the trial's parameters, InterruptedRunError included; the trial then waits.
            AttemptLostError: If this process should not go on; the attempt is counted.
        """
        told = _Told()
        with claim.beating():
            try:
                ended = self._ended(claim, told)
            except BaseException as error:  # noqa: BLE001 - a trial's border: whatever it is, the study must hear of it
                ended = self._failed(claim, error)
        if ended.state is not TrialState.COMPLETE:
            _tidy()
        where = {"device": self.base.device, "processes": self.base.processes}
        reason = {TrialState.FAIL: "error", TrialState.PRUNED: "pruned"}.get(ended.state)
        attributes = {**vars(told), **where, **({reason: ended.reason} if reason else {})}
        return ended if claim.end(ended.state, ended.value, attributes) else None

    def _ended(self, claim: Claim, told: _Told) -> Ended:
        role = {"name": self.search.name, "objective": self.search.request.objective, "role": "trial"}
        study = {**role, "trial": claim.number}
        specs = trial_specs(self.search.request, self.base, claim.params, self.cards, study)
        for index, spec in enumerate(specs):
            self._run(claim, told, index, spec)
            if self._is_worse(claim, told, index, len(specs)):
                reason = f"after run {index + 1} of {len(specs)}: worse than the best trial (Wilcoxon)"
                return Ended(TrialState.PRUNED, None, reason)
        return Ended(TrialState.COMPLETE, fmean(told.scores))

    def _failed(self, claim: Claim, error: BaseException) -> Ended:
        """What an error makes of the trial; raises what ends the worker."""
        reason = cause_of(error)
        if isinstance(error, PrunedRunError):
            forget(error)
            return Ended(TrialState.PRUNED, None, reason)
        if isinstance(error, Exception) and self.stopped() and not isinstance(error, InterruptedRunError):
            # Processes of a run that a signal reached before they listened for it have failed for that reason.
            claim.give_back()
            raise InterruptedRunError("Stopped while a run began.") from error
        if is_own_fault(error):
            forget(error)
            return Ended(TrialState.FAIL, None, reason)
        if is_lost(error):
            raise claim.lose(self.search.place.masked(reason)) from error
        claim.give_back()
        raise shared_fault(error)

    def _run(self, claim: Claim, told: _Told, index: int, spec: RunSpec) -> None:
        """Do one run; raises what it failed with."""
        by_epochs = index == 0 and self.search.request.pruner != "wilcoxon"
        watch = self._watch(claim) if by_epochs else self._watch_epochs(claim, index * spec.epochs)
        hooks = Hooks(watch, self._data, self.stopped)
        launched = launch(spec, self.home, rerun=False, hooks=hooks)
        told.add(spec, launched.document)
        if launched.error is not None:
            if not is_lost(launched.error):
                shutil.rmtree(RunFolder.of_run(self.home, spec.run_id).checkpoint, ignore_errors=True)
            raise launched.error
        if by_epochs:
            claim.report(_epoch_scores(launched))
        if index > 0 or not by_epochs:
            claim.note_epochs((index + 1) * spec.epochs)
        told.scores.append(float(launched.document["metrics"]["last"]["4class"]["score"]))
        _tidy(freeze=True)

    def _watch(self, claim: Claim) -> Callable[[Mapping[int, float]], str | None]:
        """Report epochs to the study and ask its pruner."""

        def watch(scores: Mapping[int, float]) -> str | None:
            if not claim.report(scores):
                return TAKEN
            return f"by the pruner {self.search.request.pruner}" if claim.trial.should_prune() else None

        return watch

    @staticmethod
    def _watch_epochs(claim: Claim, before: int) -> Callable[[Mapping[int, float]], str | None]:
        """Remember how far the trial got, where its epochs are not what is reported."""

        def watch(scores: Mapping[int, float]) -> str | None:
            return None if claim.note_epochs(before + max(scores, default=0)) else TAKEN

        return watch

    def _is_worse(self, claim: Claim, told: _Told, index: int, runs: int) -> bool:
        """Whether Wilcoxon's pruner gives the trial up between two runs."""
        if self.search.request.pruner != "wilcoxon":
            return False
        claim.report({index: told.scores[-1]})
        return index + 1 < runs and claim.trial.should_prune()


def _epoch_scores(launched: Launched) -> dict[int, float]:
    """The 4-class Score of each judged epoch, percent; of a run that was finished before, too."""
    entries = launched.document["epochs"]
    return {entry["epoch"]: entry["test"]["4class"]["score"] for entry in entries if entry["test"] is not None}


def _tidy(*, freeze: bool = False) -> None:
    """Give a run's memory back before the next one.

    Args:
        freeze: Whether nothing of a run can be alive any more, so that what is was imported and stays.
    """
    import torch

    gc.collect()
    if freeze and gc.get_freeze_count() == 0:
        # To look through what was imported after each run takes a third of a second.
        gc.freeze()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
