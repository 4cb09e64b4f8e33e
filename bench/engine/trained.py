"""A trained run, opened for waveforms that it has never seen: the one way from a run's folder to scores of classes.

Front-end, length of clips, normalisation, precision and vote are those of the run. What its front-end learnt of the
training rows is read from the folder, and what its method makes of the outputs is done as in the run's own evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import baselines
import methods
from bench.core.errors import SpecError, WeightsError
from bench.core.inputs import by_name, joined, map_inputs
from bench.data.bank_folder import one_thread
from bench.data.dataset import Recording
from bench.data.frontends import BatchFrontEnd, FrontEnd, LearningFrontEnd, WaveformFrontEnd
from bench.data.frontends.chosen import ChosenFrontEnd, choose_front_end
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.shapes import input_shapes
from bench.data.units import Inputs, UnitWaves, unit_draws
from bench.engine.arithmetic import HALF, set_arithmetic
from bench.engine.data import load_run_dataset, planned_data, with_channels
from bench.engine.evaluate import probabilities_of
from bench.engine.graph import TrainingGraph
from bench.engine.initial_weights import load_method_weights, load_weights
from bench.engine.learnt_frontend import read_learnt
from bench.engine.picture_layout import lay_out_pictures
from bench.engine.random_states import random_states_kept
from bench.engine.result import BATCH_EXTREMES
from bench.engine.votes import scores_by_cycle
from bench.experiment.consent import agreed_plugins
from bench.experiment.devices import choose_device, choose_precision
from bench.experiment.initial_runs import InitialRun
from bench.experiment.plugins import load_plugins_of
from bench.experiment.spec import RunSpec, read_spec
from leaderboard.results.schema import task_of
from leaderboard.tasks import JudgedTask
from methods.base import ScoringMethod

PICTURE_BYTES = 1 << 26
MOST_CYCLES = 512
"""Bytes of pictures, and cycles, that are made of a recording at a time: those of an hour would not fit into memory."""


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained run that is ready to classify.

    Attributes:
        run: The run, and which of its weights these are.
        spec: Its spec; device, precision, cache and plug-ins are those of this machine.
        document: Its result.
        judged: The task that it was trained on.
        chosen: Its front-end, not built.
        frontend: Its front-end, with what it learnt.
        graph: Model and method, on the device, in evaluation mode.
    """

    run: InitialRun
    spec: RunSpec
    document: Mapping[str, Any] = field(repr=False)
    judged: JudgedTask
    chosen: ChosenFrontEnd
    frontend: FrontEnd | WaveformFrontEnd
    graph: TrainingGraph = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores; the first is the normal one."""
        return self.judged.task.classes

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((one.device for one in self.graph.parameters()), torch.device(self.spec.distribution.device))

    @property
    def normalises_by_batch(self) -> bool:
        """Whether the front-end normalises pictures by the batch that they come in, which new recordings have not."""
        return isinstance(self.frontend, BatchFrontEnd)

    @property
    def batch_extremes(self) -> tuple[float, float] | None:
        """Smallest and largest value of a usual batch of its training; None where the run does not keep them."""
        kept = self.document["provenance"].get(BATCH_EXTREMES)
        is_sound = isinstance(kept, list) and len(kept) == 2 and all(isinstance(value, float) for value in kept)
        return (kept[0], kept[1]) if is_sound else None

    @property
    def cycles_at_once(self) -> int:
        """Cycles of a recording of which pictures are made at a time."""
        size = sum(4 * math.prod(shape) for shape in input_shapes(self.chosen.options).values())
        return max(1, min(MOST_CYCLES, PICTURE_BYTES // size))

    def pictures(self, recording: Recording, wave: Tensor, rate: int) -> tuple[Inputs, NDArray[np.int64]]:
        """What the model takes of some cycles of a recording.

        Args:
            recording: Name, device, header and the cycles; of many, :attr:`cycles_at_once`.
            wave: (samples,) float32, −1..1, all of the recording.
            rate: Sampling rate of it, Hz.

        Returns:
            (rows, channels, frames, mels) on the CPU, or such a tensor for each name, and (rows,) the place of each
            row's cycle among those of the recording: a front-end may cut a cycle into pieces.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        x = map_inputs(with_channels, self._made(recording, wave, rate))
        if isinstance(self.frontend, BatchFrontEnd) and isinstance(x, Tensor) and len(x):
            # Never by what else happens to be classified: scores of a recording are the same in any company.
            low, high = self.batch_extremes or (float(x.min()), float(x.max()))
            x = self.frontend.normalise(x, *(torch.full((len(x),), value) for value in (low, high)))
        (rows,) = self.chosen.cycles_of_rows([recording])
        places = {cycle.index: place for place, cycle in enumerate(recording.cycles)}
        return x, np.array([places[cycle.index] for cycle in rows], dtype=np.int64)

    def _made(self, recording: Recording, wave: Tensor, rate: int) -> Inputs:
        spans = [(cycle.start, cycle.end) for cycle in recording.cycles]
        frontend = self.frontend
        if not isinstance(frontend, LearningFrontEnd):
            # As a bank is made: sums over several threads have other last bits.
            with one_thread():
                return recording_pictures(frontend, wave, rate, spans, name=recording.name, device=recording.device)
        waves = frontend.fit(wave, rate, spans, name=recording.name)
        units = UnitWaves.of(waves, [recording.device] * len(waves), unit_draws(recording.name, 0, len(waves)))
        # As in a run's steps, which make such pictures on the device and in single precision.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return map_inputs(Tensor.cpu, frontend.picture(units.to(self.device)))

    def probabilities(self, inputs: Inputs) -> NDArray[np.float64]:
        """Probabilities of a batch of pictures.

        Args:
            inputs: (rows, channels, frames, mels), or such a tensor for each name, anywhere.

        Returns:
            (rows, classes) float64; not finite where the model's outputs are not.
        """
        set_arithmetic(self.spec)
        half, device = HALF.get(self.spec.precision), self.device
        with torch.inference_mode(), torch.autocast(device.type, dtype=half, enabled=half is not None):
            logits = self.graph.model(map_inputs(lambda x: x.to(device), inputs)).double()
            found: NDArray[np.float64] = probabilities_of(self.graph.method)(logits).cpu().numpy()
        return found

    def voted(self, pieces: NDArray[np.float64], cycle_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores (cycles, classes) from those of their pieces, by the vote of the run."""
        return scores_by_cycle(self.spec.vote, pieces, cycle_of)

    def scores(self, recording: Recording, wave: Tensor, rate: int, batch: int) -> NDArray[np.float64]:
        """Scores of the cycles of a recording of any length; arguments as for :meth:`pictures`.

        Args:
            recording: Name, device, header and the cycles.
            wave: (samples,) float32.
            rate: Hz.
            batch: Rows of a forward pass.

        Returns:
            (cycles, classes).
        """
        found = []
        for start in range(0, len(recording.cycles), self.cycles_at_once):
            part = replace(recording, cycles=recording.cycles[start : start + self.cycles_at_once])
            inputs, cycle_of = self.pictures(part, wave, rate)
            found.append(self.voted(np.concatenate([*map(self.probabilities, batches([inputs], batch))]), cycle_of))
        return np.concatenate(found)


def batches(parts: Sequence[Inputs], batch: int) -> Iterator[Inputs]:
    """Rows of several parts as batches, of which the last may be smaller.

    Args:
        parts: (rows, ...) each, or such a tensor for each name.
        batch: Rows of a batch.
    """
    named = [by_name(part) for part in parts]
    whole = {name: torch.cat([part[name] for part in named]) for name in named[0]}
    rows = len(next(iter(whole.values())))
    for start in range(0, rows, batch):
        yield joined({name: tensor[start : start + batch] for name, tensor in whole.items()})


# --- opening ----------------------------------------------------------------------------------------------------


def spec_here(
    run: InitialRun,
    device: str,
    cache: Path,
    plugins: Sequence[Path] = (),
    allow: Callable[[str, Path], bool] | None = None,
) -> RunSpec:
    """The spec of a run with the places of this machine; its plug-ins are loaded.

    Args:
        run: The run.
        device: ``auto``, ``cpu`` or ``cuda``.
        cache: The cache folder.
        plugins: Files that the user names.
        allow: Asked whether a plug-in may be run that the spec alone names; without it none is.

    Raises:
        SpecError: If the spec is of another run, the device is not there, or a plug-in of the run is not named.
    """
    asked = read_spec(run.folder.spec)
    if asked.run_id != run.run_id:
        raise SpecError(
            f"{run.folder.spec} is the spec of run {asked.run_id}, but the result beside it is that of {run.run_id}.",
            "Copy the whole folder of a run again.",
        )
    spec = asked.changed(
        device=choose_device(device),
        cache=str(cache.resolve()),
        plugins=agreed_plugins(asked, plugins, allow or (lambda _version, _path: False)),
    )
    load_plugins_of(spec)
    return spec


def evaluation_precision(spec: RunSpec) -> str:
    """The precision that a run is evaluated in on another machine: its own, but fp32 where a CPU has no fp16."""
    device = spec.distribution.device
    if (device, spec.precision) == ("cpu", "fp16"):
        return "fp32"
    return choose_precision(spec.precision, device, Path(spec.cache))


def open_trained_run(run: InitialRun, spec: RunSpec, precision: str | None = None) -> TrainedRun:
    """Open a run for new waveforms.

    Args:
        run: The run, and which of its weights are wanted.
        spec: Its spec, from :func:`spec_here`.
        precision: ``fp32``, ``bf16`` or ``fp16``; by default that of the run (:func:`evaluation_precision`).

    Raises:
        WeightsError: If the weights, or what the front-end learnt, are missing or of something else.
        SpecError: If the precision cannot be had here.
    """
    chosen_precision = precision or evaluation_precision(spec)
    spec = spec.changed(precision=choose_precision(chosen_precision, spec.distribution.device, Path(spec.cache)))
    document = run.folder.read_document()
    judged = task_of(document)
    chosen = choose_front_end(spec.frontend, spec.frontend_options)
    graph = trained_graph(run, spec, judged.task.classes).to(torch.device(spec.distribution.device)).eval()
    return TrainedRun(run, spec, document, judged, chosen, _front_end(run, spec, chosen), graph)


def _front_end(run: InitialRun, spec: RunSpec, chosen: ChosenFrontEnd) -> FrontEnd | WaveformFrontEnd:
    """Build the front-end of a run, with what it learnt."""
    frontend = chosen.build()
    if isinstance(frontend, LearningFrontEnd):
        check_has_learnt(run)
        frontend.use(read_learnt(run.folder.frontend, spec))
    return frontend


def check_has_learnt(run: InitialRun) -> None:
    """Make sure that a run keeps what its front-end learnt: it would learn anew otherwise, from rows that are not its.

    Raises:
        WeightsError: If it does not.
    """
    if not run.folder.frontend.is_file():
        raise WeightsError(
            f"The run {run.run_id} keeps nothing of what its front-end learnt ({run.folder.frontend}).",
            "Run it again with --rerun.",
        )


def trained_graph(run: InitialRun, spec: RunSpec, classes: Sequence[str]) -> TrainingGraph:
    """Model and method of a run with its saved weights.

    A method has a part in an evaluation only where it makes the scores itself. One whose scores depend on how many
    training rows each class has is built with these counts, for which the data of the run must be here.

    Args:
        run: The run, and which of its weights are wanted.
        spec: Its spec.
        classes: Names of the classes that it was trained on.

    Raises:
        WeightsError: If the weights are missing, or are not those of that run.
        DataError: If the class counts are needed and the data of the run are not here.
    """
    # Weights are drawn first, and then replaced by those of the file.
    with random_states_kept():
        model: Any = baselines.create(spec.model, len(classes), cache=Path(spec.cache), **spec.model_options)
        method = _method(spec, model, classes, [1] * len(classes))
        if isinstance(method, ScoringMethod):
            _check_method_weights(method, run)
            if _needs_counts(run, spec, model, classes):
                method = _method(spec, model, classes, planned_data(load_run_dataset(spec), spec).class_counts())
    load_weights(model, method, run.folder, run.which, run.run_id, spec)
    lay_out_pictures(model, spec)
    return TrainingGraph(model, method)


def _needs_counts(run: InitialRun, spec: RunSpec, model: Any, classes: Sequence[str]) -> bool:
    """Whether the scores of a method depend on the class counts that it is built with, its learnt state apart."""
    number = len(classes)
    logits = torch.linspace(-4.0, 4.0, 8 * number, dtype=torch.float64).reshape(number, 8).T.contiguous()
    scores = []
    for counts in ([1] * number, [1 + 3 * place for place in range(number)]):
        method = _method(spec, model, classes, counts)
        load_method_weights(method, run.folder.method_weights_of(run.which), run.run_id, spec.method)
        with torch.no_grad():
            scores.append(probabilities_of(method.eval())(logits))
    return not torch.equal(*scores)


def _check_method_weights(method: Any, run: InitialRun) -> None:
    path = run.folder.method_weights_of(run.which)
    if method.state_dict() and not path.is_file():
        raise WeightsError(f"There are no weights {path} of the method that makes the scores.", "Run that run again.")


def _method(spec: RunSpec, model: Any, classes: Sequence[str], class_counts: list[int]) -> Any:
    return methods.create(
        spec.method,
        feature_dim=model.feature_dim,
        class_counts=class_counts,
        class_names=tuple(classes),
        patch_grid=getattr(model, "patch_grid", None),
        **spec.method_options,
    )
