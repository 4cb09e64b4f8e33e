"""The pair that is checked: a model and a method on the tiny simulated set.

Runs are those of the engine and the launcher. Losses and gradients outside of a run come from a graph that the engine
builds, so that a check sees what a run would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines import MODELS
from bench.core.cards import FrontEndCard
from bench.core.inputs import map_inputs
from bench.core.options import build_options
from bench.data.datasets.simulated.demo import write_tiny
from bench.data.frontends import FRONTENDS
from bench.data.frontends.shapes import picture_sizes
from bench.engine.augment.spectrogram import apply_shift, draw_shift
from bench.engine.batches import random_stream
from bench.engine.data import RunData, open_run_data
from bench.engine.graph import TrainingGraph, build_graph
from bench.engine.learnt_frontend import with_learnt_frontend
from bench.engine.stages import freeze_others, set_training_mode, stages_of, trainable_parameters
from bench.experiment.recipes import Request, check_pair, choose_source, resolve
from bench.experiment.spec import RunSpec
from bench.launch.once import Launched, launch
from leaderboard.results.run_folder import RunFolder
from methods import METHODS
from methods.base import Batch, Stage

EPOCHS = 2
BATCH = 8
SETTINGS = (
    f"epochs={EPOCHS}",
    f"batch={BATCH}",
    "eval_batch=3",
    "lr=1e-4",
    "specaug_probability=0.5",
    "time_shift=true",
)
"""What makes a run small and lets every random draw take part; a small rate keeps rounding from growing."""

NO_DRAWS = ("specaug_probability=0", "time_shift=false")
"""For methods that compute the features of each cycle once, and in which nothing can be augmented."""

SECONDS = 1.0
"""Length of a clip, s, where the front-end can make such short ones."""

WIDEST_MASK = 20
"""Frames or mel bins of a mask at most; narrow enough for a spectrogram of short clips."""


class CheckedPair:
    """A model and a method on the tiny simulated set; what several checks look at is made once.

    Args:
        model: Id of the model.
        method: Id of the method.
        frontend: Front-end id; None for the one on the model's card.
        plugins: Absolute paths of the files that ids are looked up in; they are loaded.
        folder: A folder for data, cache and runs, which has none of them.
        dataset: Id of the data set that the tiny set is loaded as; None for the simulated one.

    Raises:
        SpecError: For an unknown id, or a method that cannot train the model.
    """

    def __init__(
        self,
        model: str,
        method: str,
        frontend: str | None,
        plugins: Sequence[str],
        folder: Path,
        dataset: str | None = None,
    ) -> None:
        self.model, self.method = MODELS.get(model), METHODS.get(method)
        self.frontend = FRONTENDS.get(frontend or self.model.card.frontend)
        check_pair(self.model.card, self.method.card)
        self.plugins, self.folder, self.dataset = plugins, folder, dataset

    @cached_property
    def spec(self) -> RunSpec:
        """The spec of the runs; the tiny set is written for it."""
        data = self.folder / "data"
        write_tiny(data)
        request = Request(
            model=self.model.id,
            method=self.method.id,
            frontend=self.frontend.id,
            pretrain="none",
            profile="demo",
            data=str(data),
            dataset=self.dataset,
            cache=self.folder / "cache",
            settings=[
                *SETTINGS,
                *_frontend_settings(self.frontend.card),
                *(NO_DRAWS if self.method.card.probe else ()),
            ],
            device="cpu",
            plugins=self.plugins,
        )
        return resolve(request, choose_source(request), [1])[0]

    @cached_property
    def data(self) -> RunData:
        """The tiny set and its features; a front-end that learns has learnt from it."""
        return with_learnt_frontend(open_run_data(self.spec), self.spec, RunFolder(self.folder / "learnt"))

    @cached_property
    def finished(self) -> Launched:
        """The run of one process."""
        return self.launch("one")

    def launch(self, name: str, **changes: Any) -> Launched:
        """Run the spec to its end, in a results folder of its own.

        Args:
            name: Name of the results folder.
            **changes: Fields of the spec that this run has otherwise.

        Raises:
            BenchError: The error that the run failed with.
        """
        launched = launch(self.spec.changed(**changes), self.folder / name, rerun=False)
        if launched.error is not None:
            raise launched.error
        return launched

    def graph(self, seed: int = 1) -> TrainingGraph:
        """Model and method as a run of this seed begins with them."""
        return build_graph(self.spec.changed(seed=seed), self.data.class_counts())

    def clips(self, rows: np.ndarray) -> Any:
        """What the model takes of some rows: (rows, 1, frames, mels), or such a tensor for each name."""
        return self.data.inputs(rows)

    def losses(self, graph: TrainingGraph) -> Iterator[tuple[Stage, dict[str, Tensor]]]:
        """The losses of the first batch in each stage, with gradients allowed and modes set as in that stage."""
        rows = random_stream(self.spec.seed, 1).permutation(self.data.train)[:BATCH]
        first = self.clips(rows)
        trainable = trainable_parameters(graph)
        for index, stage in enumerate(stages_of(self.spec, graph.method)):
            freeze_others(graph, stage.trains, trainable)
            set_training_mode(graph, stage.trains)
            rng = random_stream(self.spec.seed, 1, index)
            wants_second = self.method.card.views == 2 and stage.augment
            second: Any = map_inputs(partial(_shifted, rng=rng), first) if wants_second else None
            batch = Batch(
                features=first,
                second=second,
                labels=torch.from_numpy(self.data.bank.labels[rows]),
                local=slice(0, BATCH),
                stage=index,
            )
            draw = graph.method.draw(BATCH, rng)  # type: ignore[operator]
            yield stage, graph(batch, draw)


def _shifted(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures moved in time; what is no picture stays as it is."""
    return apply_shift(x, draw_shift(len(x), x.shape[2], rng)) if x.ndim == 4 else x


def _frontend_settings(card: FrontEndCard) -> list[str]:
    """Short clips where the front-end can make them, and masks that fit into its spectrograms."""
    can_be_short = "seconds" in {field.name for field in dataclasses.fields(card.options)}
    options: Any = build_options(card.options, {"seconds": SECONDS} if can_be_short else {}, f"front-end {card.id}")
    sizes = list(picture_sizes(options).values())
    if not sizes:
        return [*NO_DRAWS, *([f"frontend.seconds={SECONDS}"] if can_be_short else [])]
    frames, mels = (min(each) for each in zip(*sizes, strict=True))
    widths = [f"specaug_time_width={min(WIDEST_MASK, frames)}", f"specaug_freq_width={min(WIDEST_MASK, mels)}"]
    return [*widths, *([f"frontend.seconds={SECONDS}"] if can_be_short else [])]
