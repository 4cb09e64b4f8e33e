"""A trained model on the tested parts of another task: normal against abnormal, nothing trained or fitted anew.

Front-end, length of clips and normalisation are those of the run, and what a front-end learnt of its training rows is
read from the run's folder. Recordings of another rate are resampled by the front-end, as any recording is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import TRAIN, TaskCard
from bench.core.errors import DataError
from bench.core.progress import waiting
from bench.data.bank import FeatureBank, Progress, empty_bank, prepare_bank
from bench.data.dataset import Dataset
from bench.data.frontends import FrontEnd, LearningFrontEnd, WaveformFrontEnd
from bench.data.wave_bank import no_halves, prepare_wave_bank
from bench.engine.accelerator import build_accelerator
from bench.engine.data import RunData, built_front_end, extremes_of
from bench.engine.evaluate import class_probabilities, probabilities_of
from bench.engine.learnt_frontend import with_learnt_frontend
from bench.engine.result import test_cycles
from bench.engine.trained import check_has_learnt, evaluation_precision, trained_graph
from bench.engine.votes import scores_by_cycle
from bench.experiment.initial_runs import InitialRun
from bench.experiment.spec import RunSpec
from leaderboard.results.predictions import CycleSet
from leaderboard.results.transfer import shared_probabilities


def judge_there(
    run: InitialRun, spec: RunSpec, trained: TaskCard, dataset: Dataset, on_progress: Progress | None = None
) -> tuple[CycleSet, NDArray[np.float64]]:
    """Judge a run's saved weights on the tested parts of a data set.

    Args:
        run: The run, and which of its weights are judged.
        spec: Its spec; device, cache and plug-ins are those of this machine.
        trained: The task that it was trained on.
        dataset: What it is judged on, labelled for the judged task.
        on_progress: Called while features are made, with the recordings that are done and their total.

    Returns:
        The n tested cycles with the labels of the judged task, and the probabilities (n, 2) of normal and abnormal
        (:func:`leaderboard.results.transfer.shared_probabilities`).

    Raises:
        DataError: If there is no tested cycle, or audio cannot be read.
        WeightsError: If the weights, or what the front-end learnt, are missing or of something else.
        RunError: If the model's outputs are not finite.
    """
    data = _tested_data(run, spec, dataset, on_progress)
    graph = trained_graph(run, spec, trained.classes)
    accelerator = build_accelerator(spec.changed(precision=evaluation_precision(spec)), processes=1)
    # The outputs are of the classes that the model was trained on, whatever the rows are labelled with.
    with waiting("judging the tested part"):
        outputs = class_probabilities(
            graph.model.to(accelerator.device),
            replace(data, task=trained),
            data.test,
            accelerator,
            spec.distribution.eval_batch,
            probabilities_of(graph.method.to(accelerator.device).eval()),
        )
    _, cycle_of = data.cycles_of(data.test)
    return test_cycles(data), shared_probabilities(scores_by_cycle(spec.vote, outputs, cycle_of), trained)


def _tested_data(run: InitialRun, spec: RunSpec, dataset: Dataset, on_progress: Progress | None) -> RunData:
    """The tested rows of a data set as the front-end of a run makes them, and none that could be trained on."""
    frontend = built_front_end(spec)
    if isinstance(frontend, LearningFrontEnd):
        data = _test_rows(dataset, empty_bank(dataset, spec.frontend, spec.frontend_options), frontend)
        return _with_learnt(data, run, spec, dataset, on_progress)
    workers = spec.distribution.workers or None
    given = (dataset, spec.frontend, spec.frontend_options, Path(spec.cache))
    return _test_rows(dataset, prepare_bank(*given, workers=workers, on_progress=on_progress), frontend)


def _test_rows(dataset: Dataset, bank: FeatureBank, frontend: FrontEnd | WaveformFrontEnd) -> RunData:
    recordings = {recording.name: recording for recording in dataset.recordings}
    test = np.flatnonzero([recordings[cycle.recording].split != TRAIN for cycle in bank.cycles])
    if not len(test):
        raise DataError(f"The data in {dataset.root} hold no cycle of a tested part.", "Use a set that has one.")
    none = np.array([], dtype=np.int64)
    return RunData(bank, none, none, test, recordings, dataset.task, dataset.card, extremes_of(bank, frontend))


def _with_learnt(
    data: RunData, run: InitialRun, spec: RunSpec, dataset: Dataset, on_progress: Progress | None
) -> RunData:
    """Data whose pictures are made by what the front-end of a run learnt from its own training rows."""
    check_has_learnt(run)
    frontend = built_front_end(spec)
    if not isinstance(frontend, WaveformFrontEnd):
        raise no_halves(spec.frontend)
    given = (dataset, spec.frontend, spec.frontend_options, Path(spec.cache))
    waves = prepare_wave_bank(*given, workers=spec.distribution.workers or None, on_progress=on_progress)
    return with_learnt_frontend(replace(data, frontend=frontend, waves=waves), spec, run.folder)
