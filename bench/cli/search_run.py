"""How a search is run by a command: its study, its workers, its final runs, and how all of that ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.output import print_json
from bench.cli.search_output import objective_words, print_study
from bench.core.errors import InterruptedRunError, RunError, SpecError

if TYPE_CHECKING:
    from bench.experiment.spec import RunSpec
    from bench.search.finals import Final
    from bench.search.request import StudyRequest
    from bench.search.storage import Place
    from bench.search.study import Search, Settings

logger = logging.getLogger(__name__)

NO_FINALS = "none"
MOST_WORKERS = 1024


@dataclass(frozen=True, kw_only=True)
class SearchRun:
    """How a search is run this time."""

    home: Path
    storage: str | None
    name: str
    workers: int
    settings: Settings
    output: str

    @property
    def place(self) -> Place:
        """Where its study is kept."""
        from bench.search.storage import Place

        return Place.of(self.storage, self.home, self.name)

    def check(self, request: StudyRequest, execution: Mapping[str, Any]) -> None:
        """Refuse what could not be run, before anything is made.

        Args:
            request: What the study is.
            execution: Execution fields of its runs.

        Raises:
            BenchError: The first thing that stands in the way.
        """
        from bench.experiment.devices import device_shares_for
        from bench.search.request import base_spec, check_data
        from bench.search.study import check_study

        self.check_words(request)
        _check_runnable(base_spec(request, execution))
        device_shares_for(execution, self.workers)
        check_data(request, execution)
        check_study(self.place, self.name, request)

    def check_words(self, request: StudyRequest) -> None:
        """Refuse what is wrong by itself, wherever it shall run; raises SpecError."""
        from bench.search.optuna_parts import check_installed
        from bench.search.storage import check_name

        check_name(self.name)
        check_installed(request)
        if not 1 <= self.workers <= MOST_WORKERS:
            raise SpecError(f"--workers is {self.workers}, but must be 1 to {MOST_WORKERS}.")
        if self.workers > 1 and self.place.one_writer:
            raise SpecError(
                f"SQLite takes one worker at a time, but --workers is {self.workers}.",
                "Leave --storage out (a journal file serves many workers), or use PostgreSQL.",
            )

    def start(self, request: StudyRequest, execution: Mapping[str, Any], target: int) -> Done:
        """Make or open the study, and work on it."""
        from bench.search.study import make_study

        with self.place.only_user():
            study = make_study(self.place, self.name, request, execution, target, self.settings)
            return self.go_on(study, execution)

    def go_on(self, study: Search, execution: Mapping[str, Any]) -> Done:
        """Do the trials that are missing, then the final runs."""
        from bench.search.study import counted
        from bench.search.workers import Crew

        logger.info(
            f"study {study.name}: {study.target} trials in all, {counted(study.trials)} done; "
            f"objective: {objective_words(study.request.objective)}; {study.place}"
        )
        try:
            if not _is_over(study):
                Crew(study, self.home, execution, self.workers, self.settings.give_up_after).run()
            finals = self._finals(study, execution)
        except InterruptedRunError as error:
            raise InterruptedRunError(error.message, f"Go on with: {self._resume_command()}") from error
        return Done(study, well=self._is_well(study, finals))

    @staticmethod
    def _is_well(study: Search, finals: Sequence[Final]) -> bool:
        return not any(final.error for final in finals) and (study.best is not None or not _is_over(study))

    def _finals(self, study: Search, execution: Mapping[str, Any]) -> list[Final]:
        from bench.search.finals import train_best
        from bench.search.study import cards_of

        if not self.settings.final_seeds:
            return []
        if not _is_over(study):
            logger.info(
                f"other workers are at trials of this study; when they are done: bench search resume {study.name}"
            )
            return []
        if study.best is None:
            logger.info("no trial was completed, so that there is nothing to train in the end")
            return []
        return train_best(study, self.home, execution, cards_of(study.request), self.settings.final_seeds)

    def _resume_command(self) -> str:
        """The command that goes on; how the search ends is kept with the study, a storage's password nowhere."""
        import os
        import shlex

        words = ["bench", "search", "resume", self.name, "--workers", str(self.workers), "--home", str(self.home)]
        if self.storage is not None and "BENCH_STUDIES" not in os.environ:
            words += ["--storage", str(self.place)]
        return shlex.join(words)


@dataclass(frozen=True)
class Done:
    """A study when its workers have gone, and whether all is well: something was completed, no final run failed."""

    study: Search
    well: bool


def finish(done: Sequence[Done], output: str) -> None:
    """Print studies; the exit code says whether all is well."""
    if output == "json":
        from bench.search.study import describe

        documents = [describe(item.study) for item in done]
        print_json(documents if len(documents) > 1 else documents[0])
    else:
        for item in done:
            print_study(item.study, output)
    if not all(item.well for item in done):
        raise typer.Exit(RunError.exit_code)


def _is_over(study: Search) -> bool:
    from bench.search.finals import is_over

    return is_over(study)


def _check_runnable(spec: RunSpec) -> None:
    from baselines.weights import weights_of_run
    from bench.engine.preflight import check_model
    from bench.experiment.plugins import load_plugins_of
    from bench.experiment.recipes import check_spec

    load_plugins_of(spec)
    check_spec(spec)
    check_model(spec)
    weights_of_run(spec.pretrain, spec.weights, spec.weights_sha256)
