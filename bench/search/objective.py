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

from bench.core.datasets import DATASETS
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

TAKEN_OVER = "another worker has taken this trial over"
"""Why a run is ended whose trial belongs to somebody else by now."""


class LastRunData:
    """Opens the data of a spec and keeps them until another spec needs others: a worker's runs mostly share theirs."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._data: RunData | None = None

    def __call__(self, spec: RunSpec, on_progress: Progress | None = None) -> RunData:
        """Open the data of a spec as :func:`bench.engine.data.open_run_data` does, or give those that are open."""
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
        # The waveforms of a run are opened only where it augments them.
        chosen = (spec.sampling.train_device, spec.augment.changes_waveforms, repr(spec.frontend_options))
        key = (*(getattr(spec, name) for name in names), *chosen)
        # A batch that is larger than the data must be refused whatever was read before.
        if key != self._key or self._data is None or len(self._data.train) < spec.sampling.batch:
            self._data = open_run_data(spec, on_progress)
            self._key = key
        return self._data


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended.

    Attributes:
        state: COMPLETE, PRUNED or FAIL.
        value: Mean Score of the trial's runs, percent; None unless the trial is complete.
        reason: Why the trial failed or was pruned, on one line.
    """

    state: TrialState
    value: float | None = None
    reason: str | None = None


@dataclass
class _TrialRecord:
    """What a trial stores of its runs, one entry for each run, and their seconds together.

    The names of these fields are those of the trial's attributes in the study's storage.

    Attributes:
        epochs: Epochs of all runs so far; not stored.
    """

    run_ids: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    seconds: float = 0.0
    epochs: int = 0

    def attributes(self) -> dict[str, Any]:
        """What the study's storage keeps."""
        return {name: value for name, value in vars(self).items() if name != "epochs"}

    def add(self, spec: RunSpec, document: Mapping[str, Any]) -> None:
        self.run_ids.append(spec.run_id)
        self.seeds.append(spec.seed)
        self.folds.append(spec.fold[0] if spec.fold else 0)
        self.seconds += document["seconds"] or 0.0
        self.epochs += len(document["epochs"])


class TrialRunner:
    """Carries out the trials of a study in this process.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of the runs.
        stopped: Tells whether this process was asked to stop.
        stored: Whether results go to the board here.
    """

    def __init__(
        self,
        search: Search,
        home: Path,
        execution: Mapping[str, Any],
        stopped: Callable[[], bool] = bool,
        *,
        stored: bool = True,
    ) -> None:
        self.search, self.home, self.stopped, self.stored = search, home, stopped, stored
        self.base = base_spec(search.request, execution)
        self.cards = cards_of(search.request)
        self.strict = DATASETS.card(self.base.dataset).task(self.base.task).strict
        self._data = LastRunData()

    def carry_out(self, claim: Claim) -> TrialOutcome | None:
        """Do a trial's runs and tell the study how the trial ended.

        Returns:
            How the trial ended; None where somebody else had taken it over.

        Raises:
            BenchError: What is no fault of the trial's parameters, InterruptedRunError included; the trial then waits.
            AttemptLostError: If this process should not go on; the attempt is counted.
        """
        record = _TrialRecord()
        with claim.beating():
            try:
                outcome = self._run_all(claim, record)
            except BaseException as error:  # noqa: BLE001 - a trial's border: whatever it is, the study must hear of it
                outcome = self._outcome_of_error(claim, error)
        if outcome.state is not TrialState.COMPLETE:
            _free_memory()
        where = {"device": self.base.distribution.device, "processes": self.base.distribution.processes}
        reason = {TrialState.FAIL: "error", TrialState.PRUNED: "pruned"}.get(outcome.state)
        attributes = {**record.attributes(), **where, **({reason: outcome.reason} if reason else {})}
        return outcome if claim.end(outcome.state, outcome.value, attributes) else None

    def _run_all(self, claim: Claim, record: _TrialRecord) -> TrialOutcome:
        role = {"name": self.search.name, "objective": self.search.request.objective, "role": "trial"}
        study = {**role, "trial": claim.number}
        specs = trial_specs(self.search.request, self.base, claim.params, self.cards, study)
        for index, spec in enumerate(specs):
            self._carry_out_run(claim, record, index, spec)
            if self._is_given_up(claim, record, index, len(specs)):
                reason = f"after run {index + 1} of {len(specs)}: worse than the best trial (Wilcoxon)"
                return TrialOutcome(TrialState.PRUNED, None, reason)
        return TrialOutcome(TrialState.COMPLETE, fmean(record.scores))

    def _outcome_of_error(self, claim: Claim, error: BaseException) -> TrialOutcome:
        """Decide what an error makes of the trial; an error that is not the trial's fault is raised."""
        reason = cause_of(error)
        if isinstance(error, PrunedRunError):
            forget(error)
            return TrialOutcome(TrialState.PRUNED, None, reason)
        if isinstance(error, Exception) and self.stopped() and not isinstance(error, InterruptedRunError):
            # Processes of a run that a signal reached before they listened for it have failed for that reason.
            claim.give_back()
            raise InterruptedRunError("Stopped while a run began.") from error
        if is_own_fault(error):
            forget(error)
            return TrialOutcome(TrialState.FAIL, None, reason)
        if is_lost(error):
            raise claim.lose(self.search.place.masked(reason)) from error
        claim.give_back()
        raise shared_fault(error)

    def _carry_out_run(self, claim: Claim, record: _TrialRecord, index: int, spec: RunSpec) -> None:
        """Do one run of the trial and put it on record; raises the error that the run failed with."""
        by_epochs = index == 0 and self.search.request.pruner != "wilcoxon"
        watch = self._report_epochs(claim) if by_epochs else self._note_epochs(claim, record.epochs)
        hooks = Hooks(watch, self._data)
        launched = launch(spec, self.home, rerun=False, hooks=hooks, stored=self.stored)
        record.add(spec, launched.document)
        if launched.error is not None:
            # A lost attempt goes on from the run's last saved state; nobody will go on with any other failure.
            if not is_lost(launched.error):
                shutil.rmtree(RunFolder.of_run(self.home, spec.run_id).checkpoint, ignore_errors=True)
            raise launched.error
        if by_epochs:
            claim.report(_epoch_scores(launched, self.strict))
        if index > 0 or not by_epochs:
            claim.note_epochs(record.epochs)
        record.scores.append(float(launched.document["metrics"]["last"][self.strict]["score"]))
        _free_memory(freeze=True)

    def _report_epochs(self, claim: Claim) -> Callable[[Mapping[int, float]], str | None]:
        """Give the function that reports a run's epochs to the study and says why the run must end, if it must."""

        def watch(scores: Mapping[int, float]) -> str | None:
            if not claim.report(scores):
                return TAKEN_OVER
            return f"by the pruner {self.search.request.pruner}" if claim.trial.should_prune() else None

        return watch

    @staticmethod
    def _note_epochs(claim: Claim, before: int) -> Callable[[Mapping[int, float]], str | None]:
        """Give the function that stores how far the trial got, for runs whose epochs are not reported to the pruner."""

        def watch(scores: Mapping[int, float]) -> str | None:
            return None if claim.note_epochs(before + max(scores, default=0)) else TAKEN_OVER

        return watch

    def _is_given_up(self, claim: Claim, record: _TrialRecord, index: int, runs: int) -> bool:
        """Whether Wilcoxon's pruner gives the trial up between two runs."""
        if self.search.request.pruner != "wilcoxon":
            return False
        claim.report({index: record.scores[-1]})
        return index + 1 < runs and claim.trial.should_prune()


def _epoch_scores(launched: Launched, strict: str) -> dict[int, float]:
    """The Score of each judged epoch, percent, from the result: a run finished before has reported none."""
    entries = launched.document["epochs"]
    return {entry["epoch"]: entry["test"][strict]["score"] for entry in entries if entry["test"] is not None}


def _free_memory(*, freeze: bool = False) -> None:
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
