"""Transfers: a trained run judged on another task or data set, and the small table of what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call
from bench.api.requests import FilePath, plugin_files
from bench.api.tables import ReportTable
from bench.api.words import selection_rule
from bench.core.datasets import DATASETS
from bench.core.errors import SpecError
from bench.core.paths import cache_folder, home_folder
from bench.core.provenance import code_version, package_versions

if TYPE_CHECKING:
    from bench.api.run_result import Run
    from bench.data.dataset import Dataset
    from bench.experiment.consent import Allow
    from bench.experiment.initial_runs import InitialRun
    from bench.experiment.spec import RunSpec
    from leaderboard.results.transfer import Transfer, TransferDocument
    from leaderboard.tasks import JudgedTask


@dataclass(frozen=True, eq=False)
class JudgedThere:
    """A run that was judged on another task or data set than its own, as :func:`transfer` returns it.

    Attributes:
        folder: Folder with the document, the tested cycles and their probabilities.
        transfer: What was read from there.
        new: Whether it was made now; otherwise it was there already.
    """

    folder: Path
    transfer: Transfer
    new: bool

    def __repr__(self) -> str:
        there = self.transfer.document["judged_on"]
        return (
            f"<{type(self).__name__} {self.id}: run {self.transfer.document['run_id']} on {there['task']['dataset']}>"
        )

    @property
    def id(self) -> str:
        """Its id, 16 hexadecimal characters: the same for the same weights on the same data and task."""
        return self.transfer.id

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics by tested part: ``sp``, ``se``, ``score``, ``confusion`` (normal, abnormal), ``n``; percent."""
        return dict(self.transfer.document["metrics"])

    @property
    def table(self) -> ReportTable:
        """Its numbers as a row for each tested part."""
        from leaderboard.tables.transfer_table import transfer_table

        return ReportTable(transfer_table([self.transfer], self.transfer.document["rule"]))

    def to_json(self) -> dict[str, Any]:
        """What ``bench evaluate --format json`` prints."""
        return {**self.transfer.document, "left_out": self.transfer.left_out, "folder": str(self.folder)}


@api_call
def transfer(
    run: str | Path | Run,
    *,
    dataset: str | None = None,
    task: str | None = None,
    data: FilePath | None = None,
    rule: str = "last",
    device: str = "auto",
    allow_partial: bool = False,
    rerun: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    allow: Allow | None = None,
) -> JudgedThere:
    """Judge a trained run on the tested parts of another task: train here, judge there.

    Both tasks say of their classes whether they are normal or abnormal, and over these two the run is judged: its
    probability of abnormal is the sum over its abnormal classes. A class that is neither counts on no side: cycles of
    it are left out, and a model's probability of it is left out before the others are divided by their sum. Nothing is
    trained: front-end, length of clips and normalisation are the run's. The result is kept in the results folder by
    itself, and is never ranked with results of systems.

    Args:
        run: Id of a finished run, the beginning of it, its folder, ``hf:OWNER/NAME`` for one on the Hub, or a run as
            :func:`bench.run` returns it.
        dataset: Id of the data set to judge on (default: that of the run).
        task: Id of the task to judge on (default: the first of the data set).
        data: Folder of that data set (default: its usual one).
        rule: Selection rule whose weights are judged: ``last``, ``best-test`` or ``best-val``.
        device: ``auto``, ``cpu`` or ``cuda``.
        allow_partial: Judge although recordings are missing; marked as partial.
        rerun: Judge again although it was done.
        home: Results folder, where the run is found and the transfer is kept.
        cache: Cache folder.
        plugins: Files of data sets, models, methods or front-ends of your own.
        allow: Asked whether a plug-in may be run that the run's spec alone names; without it none is.

    Returns:
        The transfer.

    Raises:
        SpecError: If there is no such run or task, the run keeps no such weights, or the task is the run's own.
        RegistryError: If there is no such data set.
        DataError: If the data are missing or broken.
        ResultError: If a tested part has no normal or no abnormal cycle, or a transfer that is there is damaged.
    """
    from bench.data.location import locate_data
    from bench.data.sources import load_dataset
    from bench.engine.trained import spec_here
    from bench.experiment.initial_runs import find_initial_run
    from bench.experiment.plugins import load_plugins
    from leaderboard.results.transfer import TransferFolder, transfer_id

    place = home_folder(home)
    files = plugin_files(plugins)
    load_plugins(files)
    named = f"{getattr(run, 'folder', run)}:{selection_rule(rule, 'rule')}"
    found = find_initial_run(named, place, cache_folder(cache))
    spec = spec_here(found, device, cache_folder(cache), files, allow)
    judged = DATASETS.card(dataset or spec.dataset).task(task)
    _check_is_another(spec, dataset or spec.dataset, judged.id)
    folder, card = locate_data(data, dataset or spec.dataset, Path(spec.cache))
    loaded = load_dataset(folder, card.id, judged.id, allow_partial=allow_partial, cache=Path(spec.cache))
    name = transfer_id(found.run_id, found.which, card.id, judged.id, loaded.fingerprint)
    kept = TransferFolder.of(place, name)
    if kept.document.is_file() and not rerun:
        return JudgedThere(kept.path, kept.read(), new=False)
    made = _judged(name, found, spec, loaded)
    kept.write(made)
    return JudgedThere(kept.path, made, new=True)


def transfer_report(home: FilePath | None = None, protocol: str = "last") -> ReportTable:
    """The table of all transfers of a results folder, as ``bench report transfer`` prints it.

    Args:
        home: Results folder.
        protocol: Selection rule of the numbers: ``last``, ``best-test`` or ``best-val``.

    Raises:
        SpecError: If there is no such rule.
        ResultError: If a transfer is damaged.
    """
    from leaderboard.results.transfer import read_transfers
    from leaderboard.tables.transfer_table import transfer_table

    return ReportTable(transfer_table(read_transfers(home_folder(home)), selection_rule(protocol)))


def _check_is_another(spec: RunSpec, dataset: str, task: str) -> None:
    """Refuse the task that a run was trained on; raises SpecError."""
    if (dataset, task) == (spec.dataset, spec.task):
        raise SpecError(
            f"The run {spec.run_id} was trained and judged on {task} of {dataset}: its own result says how.",
            "Name another data set with --dataset, or another task with --task.",
        )


def _judged(name: str, run: InitialRun, spec: RunSpec, dataset: Dataset) -> Transfer:
    """Judge a run on a data set that is loaded."""
    from bench.data.feature_progress import features_counted
    from bench.engine.transfer import judge_there
    from leaderboard.results.schema import task_of
    from leaderboard.results.transfer import Transfer, transfer_metrics

    trained = task_of(run.folder.read_document())
    with features_counted(spec.frontend) as on_progress:
        cycles, probabilities = judge_there(run, spec, trained.task, dataset, on_progress)
    metrics = transfer_metrics(cycles, probabilities, dataset.task)
    return Transfer(_document(name, run, spec, trained, dataset, cycles.hash, metrics), cycles, probabilities)


def _document(
    name: str,
    run: InitialRun,
    spec: RunSpec,
    trained: JudgedTask,
    dataset: Dataset,
    judged_set: str,
    metrics: Any,
) -> TransferDocument:
    from bench.engine.hardware import hardware
    from bench.engine.trained import evaluation_precision
    from leaderboard.results.schema import SCHEMA
    from leaderboard.tasks import described_task

    there: Any = described_task(dataset.card.title, dataset.task, simulated=dataset.simulated)
    here: Any = described_task(trained.title, trained.task, simulated=trained.simulated)
    return {
        "schema": SCHEMA,
        "kind": "transfer",
        "transfer_id": name,
        "run_id": run.run_id,
        "rule": run.which,  # type: ignore[typeddict-item]
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": spec.identity(),  # type: ignore[typeddict-item]
        "trained_on": here,
        "judged_on": {
            "dataset": dataset.name,
            "task": there,
            "data_fingerprint": dataset.fingerprint,
            "partial": dataset.partial,
            "judged_set": judged_set,
        },
        "metrics": metrics,
        "provenance": {
            "code": code_version(),
            "packages": package_versions(),
            "hardware": hardware(),
            "device": spec.distribution.device,
            "precision": evaluation_precision(spec),
        },
    }
