"""How a study is worked on this time: checked, made or opened, its trials, its final runs, and how that ended."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.weights import weights_of_run
from bench.core.errors import InterruptedRunError, SpecError
from bench.core.text import counted_noun
from bench.engine.preflight import check_model
from bench.experiment.devices import device_shares_for, runs_elsewhere
from bench.experiment.plugins import load_plugins_of
from bench.experiment.recipes import check_spec
from bench.experiment.spec import RunSpec
from bench.launch.executors import make_executor
from bench.launch.jobs import LaunchOptions
from bench.search.far_finals import train_best_far
from bench.search.far_storage import check_far, check_options, warn_of_own_disks
from bench.search.far_workers import FarCrew, jobs_folder, worker_job
from bench.search.finals import FinalRun, is_over, train_best
from bench.search.optuna_parts import check_installed
from bench.search.request import StudyRequest, base_spec, check_data, objective_words
from bench.search.storage import Place, check_name
from bench.search.study import Search, Settings, cards_of, check_study, make_study
from bench.search.study_values import counted
from bench.search.trial_results import bring_results
from bench.search.workers import Crew

logger = logging.getLogger(__name__)

MOST_WORKERS = 1024


@dataclass(frozen=True)
class WorkedOn:
    """A study when its workers have gone, and whether all is well: something was completed, no final run failed."""

    study: Search
    well: bool


@dataclass(frozen=True, kw_only=True)
class SearchSession:
    """How a study is worked on this time.

    Attributes:
        home: Results folder.
        storage: Where studies are kept; None for a file in the results folder.
        name: The study's name.
        workers: Processes that work on trials side by side.
        settings: How the search stops and ends.
        launch: Where its workers and final runs are carried out.
    """

    home: Path
    storage: str | None
    name: str
    workers: int
    settings: Settings
    launch: LaunchOptions = field(default_factory=LaunchOptions)

    @property
    def place(self) -> Place:
        """Where its study is kept."""
        return Place.of(self.storage, self.home, self.name)

    def check(self, request: StudyRequest, execution: Mapping[str, Any]) -> None:
        """Refuse what could not be run, before anything is made.

        Args:
            request: What the study is.
            execution: Execution fields of its runs.

        Raises:
            BenchError: The first thing that stands in the way.
        """
        self.check_words(request)
        _check_runnable(base_spec(request, execution))
        if not self.launch.elsewhere:
            device_shares_for(execution, self.workers, self.launch.devices)
        check_data(request, execution)
        check_study(self.place, self.name, request)

    def check_words(self, request: StudyRequest) -> None:
        """Refuse what is wrong by itself, wherever it shall run; raises SpecError."""
        check_name(self.name)
        check_installed(request)
        if not 1 <= self.workers <= MOST_WORKERS:
            raise SpecError(f"--workers is {self.workers}, but must be 1 to {MOST_WORKERS}.")
        if self.workers > 1 and self.place.one_writer:
            raise SpecError(
                f"SQLite takes one worker at a time, but --workers is {self.workers}.",
                "Leave --storage out (a journal file serves many workers), or use PostgreSQL.",
            )
        check_options(self.launch)
        if self.launch.elsewhere:
            check_far(self.place, self.launch)
            # Its options are read as it is made; whether it answers is seen when it is entered.
            make_executor(self.launch, jobs_folder(self.home, self.name))

    def script(self, execution: Mapping[str, Any], target: int) -> str | None:
        """The script that sbatch would be given for the workers; None for another launcher.

        Args:
            execution: Execution fields of the runs.
            target: Trials of the study in total: more workers than that are not started.

        Raises:
            SpecError: For jobs that no Slurm could carry out.
        """
        if self.launch.launcher != "slurm":
            return None
        from bench.launch.executors.slurm_script import sbatch_script

        numbers = range(1, min(self.workers, target) + 1)
        jobs = [worker_job(self.name, self.home, execution, number, {}) for number in numbers]
        return sbatch_script(self.launch, jobs, jobs_folder(self.home, self.name))

    def start(self, request: StudyRequest, execution: Mapping[str, Any], target: int) -> WorkedOn:
        """Make or open the study, and work on it.

        Args:
            request: What the study is.
            execution: Execution fields of its runs.
            target: Trials that it shall have in total.

        Raises:
            BenchError: As :meth:`go_on`, or if the study is another one.
        """
        with self.place.only_user():
            study = make_study(self.place, self.name, request, execution, target, self.settings)
            return self.go_on(study, execution)

    def go_on(self, study: Search, execution: Mapping[str, Any]) -> WorkedOn:
        """Do the trials that are missing, then the final runs.

        Raises:
            InterruptedRunError: After a signal; runs under way have saved their state.
            BenchError: What ended a worker and would end the others.
        """
        logger.info(
            f"study {study.name}: {counted_noun(study.target, 'trial')} in all, {counted(study.trials)} done; "
            f"objective: {objective_words(study.request.objective)}; {study.place}"
        )
        try:
            with runs_elsewhere(self.launch.elsewhere):
                return self._carry_out(study, execution)
        except InterruptedRunError as error:
            raise InterruptedRunError(error.message, f"Go on with: {self.resume_command()}") from error

    def _carry_out(self, study: Search, execution: Mapping[str, Any]) -> WorkedOn:
        if self.launch.elsewhere:
            warn_of_own_disks(self.home, self.place)
        if not is_over(study):
            self._crew(study, execution).run()
        elif self.launch.elsewhere:
            bring_results(study.trials, self.home)
        finals = self._finals(study, execution)
        return WorkedOn(study, well=_is_well(study, finals))

    def _crew(self, study: Search, execution: Mapping[str, Any]) -> Crew | FarCrew:
        give_up_after = self.settings.give_up_after
        if self.launch.elsewhere:
            return FarCrew(study, self.home, execution, self.workers, self.launch, give_up_after)
        return Crew(study, self.home, execution, self.workers, give_up_after, self.launch.devices)

    def _finals(self, study: Search, execution: Mapping[str, Any]) -> list[FinalRun]:
        if not self.settings.final_seeds:
            return []
        if not is_over(study):
            logger.info(
                f"other workers are at trials of this study; when they are done: bench search resume {study.name}"
            )
            return []
        if study.best is None:
            logger.info("no trial was completed, so that there is nothing to train in the end")
            return []
        cards, seeds = cards_of(study.request), self.settings.final_seeds
        if self.launch.elsewhere:
            return train_best_far(study, self.home, execution, cards, seeds, self.launch)
        return train_best(study, self.home, execution, cards, seeds)

    def resume_command(self) -> str:
        """The command that goes on; how the search ends is kept with the study, a storage's password nowhere."""
        words = ["bench", "search", "resume", self.name, "--workers", str(self.workers), "--home", str(self.home)]
        if self.storage is not None and "BENCH_STUDIES" not in os.environ:
            words += ["--storage", str(self.place)]
        if self.launch.elsewhere:
            words += ["--launcher", self.launch.launcher]
        if self.launch.scheduler is not None:
            words += ["--scheduler", self.launch.scheduler]
        for name, value in self.launch.slurm.items():
            words += ["--slurm", f"{name}={value}"]
        return shlex.join(words)


def _is_well(study: Search, finals: Sequence[FinalRun]) -> bool:
    return not any(final.error for final in finals) and (study.best is not None or not is_over(study))


def _check_runnable(spec: RunSpec) -> None:
    load_plugins_of(spec)
    check_spec(spec)
    check_model(spec)
    weights_of_run(spec.pretrain, spec.weights, spec.weights_sha256)
