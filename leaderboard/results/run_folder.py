"""The folder of a run: the names of its files, and how its result is read and written.

A run folder alone is enough to make its rows of the board anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.documents import check_values, parse_document, read_bytes
from bench.core.errors import ResultError
from bench.core.files import write_json
from leaderboard.results.predictions import CycleSet, align, parse_cycles, parse_predictions
from leaderboard.results.run_result import RunResult, check_against_predictions
from leaderboard.results.schema import ResultDocument, task_of
from leaderboard.results.validation import judge_spec, validate

RUNS_FOLDER = "runs"
"""Where, below the results folder, the folders of runs are."""

SUBMISSIONS_FOLDER = "submissions"
"""Where, below the results folder, the folders of submissions are; they have the form of those of runs."""

SPEC_FILE = "spec.json"
RESULT_FILE = "result.json"
CYCLES_FILE = "test-cycles.csv"
FRONTEND_FILE = "frontend.safetensors"
WEIGHTS_FOLDER = "weights"

ReadFile = Callable[[str], bytes]
"""Gives the content of a file of a run by its name; raises ResultError."""


_OF_METHOD = ".method.safetensors"


def stage_name(number: int) -> str:
    """Name of the weights at the end of a stage, whose number is counted from 1: ``stage-1``."""
    return f"stage-{number}"


def predictions_file(rule: str) -> str:
    """Name of the file of predictions of the epoch that a selection rule chose."""
    return f"predictions-{rule}.csv"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run or submission; nothing else knows the names in it.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @classmethod
    def of_run(cls, home: Path, run_id: str) -> RunFolder:
        """The folder of a run in a results folder: ``<home>/runs/<run id>``."""
        return cls(home / RUNS_FOLDER / run_id)

    @classmethod
    def of_submission(cls, home: Path, run_id: str) -> RunFolder:
        """The folder of a submission in a results folder: ``<home>/submissions/<run id>``."""
        return cls(home / SUBMISSIONS_FOLDER / run_id)

    @property
    def spec(self) -> Path:
        """The file ``spec.json``: what the run was asked to be, from which it can be replayed."""
        return self.path / SPEC_FILE

    @property
    def result(self) -> Path:
        """The file ``result.json``, the run's last act: a run is done if and only if it says ``finished``."""
        return self.path / RESULT_FILE

    @property
    def cycles(self) -> Path:
        """The file ``test-cycles.csv``: the judged cycles with class, patient and device."""
        return self.path / CYCLES_FILE

    @property
    def lock(self) -> Path:
        """The file that is locked by the process that is at this run."""
        return self.path / "lock"

    @property
    def checkpoint(self) -> Path:
        """The folder of the states that a stopped run goes on from; a finished run has none."""
        return self.path / "checkpoint"

    @property
    def weights(self) -> Path:
        """The folder of the models of the epochs that the selection rules chose."""
        return self.path / WEIGHTS_FOLDER

    @property
    def frontend(self) -> Path:
        """The file ``frontend.safetensors``: what the front-end learnt from the training rows, where it learns."""
        return self.path / FRONTEND_FILE

    def predictions(self, rule: str) -> Path:
        """The file of predictions of the epoch that a selection rule chose."""
        return self.path / predictions_file(rule)

    def weights_of(self, which: str) -> Path:
        """The model of the epoch that a selection rule chose, or of a stage's end, as a safetensors file.

        Args:
            which: The selection rule, or :func:`stage_name`.
        """
        return self.weights / f"{which}.safetensors"

    def method_weights_of(self, which: str) -> Path:
        """What the method had learnt by then; arguments as for :meth:`weights_of`.

        There is no such file where the method keeps nothing in its state.
        """
        return self.weights / f"{which}{_OF_METHOD}"

    def kept_weights(self) -> list[str]:
        """The selection rules and stages that the folder holds the model of."""
        files = self.weights.glob("*.safetensors")
        return sorted(file.stem for file in files if not file.name.endswith(_OF_METHOD))

    @property
    def log(self) -> Path:
        """The file that keeps what the process of the run wrote on stderr, where it had one of its own."""
        return self.path / "run.log"

    @property
    def progress(self) -> Path:
        """The file ``progress.json``: how far the run is, while it is under way."""
        return self.path / "progress.json"

    @property
    def tracking(self) -> Path:
        """The folder of what trackers keep of the run: which run of theirs it is, and what they write on this disk."""
        return self.path / "tracking"

    def log_of(self, rank: int) -> Path:
        """The file that keeps what a process of a group wrote on stderr."""
        return self.path / f"rank-{rank}.log"

    def has_result(self) -> bool:
        """Whether the run came to an end, finished or failed."""
        return self.result.is_file()

    def read_document(self) -> ResultDocument:
        """Read ``result.json`` alone and check its form; no number is compared with the predictions.

        Raises:
            ResultError: If it is missing or broken, or the folder is that of another run.
        """
        document = _read_document(read_bytes(self.result), str(self.result))
        self._check_name(document["run_id"])
        return document

    def read(self) -> RunResult:
        """Read the result and its predictions, and recompute its metrics from them.

        Raises:
            ResultError: If a file is missing or broken, the folder is that of another run, or a stored metric differs
                from the predictions by more than 1e-9; the field and both numbers are named.
        """
        result = load_result(self._read_file, str(self.result))
        self._check_name(result.document["run_id"])
        return result

    def write(self, document: ResultDocument | Mapping[str, Any]) -> RunResult:
        """Check a document against the predictions, which must be there, and write it atomically as ``result.json``.

        Args:
            document: The document.

        Returns:
            The result as :meth:`read` gives it.

        Raises:
            ResultError: If the document, or its predictions beside it, would be refused by :meth:`read`.
            StoreError: If it cannot be written.
        """
        result = _with_predictions(self._checked(document), self._read_file, str(self.result))
        write_json(self.result, document)
        return result

    def write_unread(self, document: ResultDocument) -> None:
        """Check the form of a document and write it atomically; who takes the result up reads the predictions.

        Args:
            document: The document of a run whose predictions have just been written here.

        Raises:
            ResultError: If its form is wrong.
            StoreError: If it cannot be written.
        """
        write_json(self.result, self._checked(document))

    def _checked(self, document: ResultDocument | Mapping[str, Any]) -> ResultDocument:
        check_values(document, str(self.result))
        return validate(document, str(self.result))

    def _read_file(self, name: str) -> bytes:
        return read_bytes(self.path / name)

    def _check_name(self, run_id: str) -> None:
        if re.fullmatch(r"[0-9a-f]{16}", self.path.name) and self.path.name != run_id:
            raise ResultError(
                f"{self.result} is the result of the run {run_id}.", "Move it into a folder of that name."
            )


def load_result(read: ReadFile, where: str) -> RunResult:
    """Read the files of a run, wherever they are, and recompute its metrics.

    Args:
        read: Gives the content of one of them by its name in a run folder.
        where: What they are, for messages.

    Raises:
        ResultError: As :meth:`RunFolder.read`.
    """
    return _with_predictions(_read_document(read(RESULT_FILE), where), read, where)


def _read_document(content: bytes, where: str) -> ResultDocument:
    document = validate(parse_document(content, where), where)
    judge_spec(document, where)
    return document


def _with_predictions(document: ResultDocument, read: ReadFile, where: str) -> RunResult:
    """A result with its predictions, which are read and scored once."""
    rules = [rule for rule, metrics in document["metrics"].items() if metrics is not None]
    if not rules:
        return RunResult(document)
    classes = task_of(document).task.classes
    cycles = parse_cycles(read(CYCLES_FILE), f"{where}: {CYCLES_FILE}", classes)
    scores = {rule: _scores(document, rule, cycles, read, where) for rule in rules}
    result = RunResult(document, cycles, scores)
    check_against_predictions(result, where)
    return result


def _scores(document: ResultDocument, rule: str, cycles: CycleSet, read: ReadFile, where: str) -> Any:
    """Scores (n, classes) of the predictions of a rule, in the order of the cycles."""
    name = str(document["predictions"][rule])
    place = f"{where}: {name}"
    scores = align(parse_predictions(read(name), place, task_of(document).task.classes), cycles, place).scores
    if scores is None:
        raise ResultError(f"{place} holds chosen classes only, but a run stores scores.")
    return scores
