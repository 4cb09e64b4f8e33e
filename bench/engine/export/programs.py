"""What is exported of a trained run: a module from waveforms, or from pictures, to probabilities of the classes.

The module is what the run's own evaluation computes, in single precision and without checks that look at numbers, so
that it can be traced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import SpecError
from bench.core.inputs import by_name, joined, map_inputs
from bench.data.frontends import BatchFrontEnd, TraceableFrontEnd, WaveformFrontEnd
from bench.data.frontends.shapes import batch_shape, input_shapes
from bench.data.units import Inputs
from bench.engine.data import with_channels
from bench.engine.trained import TrainedRun
from methods.base import ScoringMethod

WAVEFORM, FEATURES, PROBABILITIES = "waveform", "features", "probabilities"
"""Names of the inputs and of the output of a program."""

BY_USUAL = "by the extremes of a usual batch of the training, as `bench predict` does; the run was judged in batches"
BY_ITSELF = "each row by its own extremes, as the run keeps none of its training; the run was judged in batches"
"""What normalises the pictures of a front-end that leaves it to the batch."""


@dataclass(frozen=True)
class ProgramInput:
    """An input of a program.

    Attributes:
        name: Its name.
        shape: Its axes, a word for one of any size: ``("batch", "samples")``, or ``("batch", 1, 798, 128)``.
    """

    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A module that can be exported, and what is to be known of its inputs.

    Attributes:
        module: Takes a tensor for each input and gives probabilities (batch, classes).
        inputs: The inputs, in the order in which the module takes them.
        rate: Rate of the waveforms, Hz; None where pictures are the input.
        without_frontend: Why the front-end is not part of it; None where it is.
        normalisation: What is done in place of a normalisation by the batch; None where nothing is.
    """

    module: nn.Module = field(repr=False)
    inputs: tuple[ProgramInput, ...]
    rate: int | None = None
    without_frontend: str | None = None
    normalisation: str | None = None

    def described(self) -> dict[str, Any]:
        """The program as a JSON object: its inputs and what they are."""
        return {
            "inputs": {one.name: list(one.shape) for one in self.inputs},
            "output": PROBABILITIES,
            "sample_rate": self.rate,
            "frontend_included": self.without_frontend is None,
            "without_frontend": self.without_frontend,
            "normalisation": self.normalisation,
        }


class FromPictures(nn.Module):
    """Pictures to probabilities.

    Args:
        model: The trained model.
        method: Its method, which may make the scores.
        frontend: Normalises pictures that are normalised by the batch.
        names: Names of the inputs, in the order in which they are given.
        extremes: Smallest and largest value of a usual batch; None for those of each row.
    """

    def __init__(
        self,
        model: nn.Module,
        method: nn.Module,
        frontend: Any,
        names: tuple[str, ...],
        extremes: tuple[float, float] | None,
    ) -> None:
        super().__init__()
        self.extremes = extremes
        self.model = model
        self.method = method if isinstance(method, ScoringMethod) else None
        self._frontend, self.names = frontend, names

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map (batch, channels, frames, mels), or a tensor for each name, to probabilities (batch, classes)."""
        return self.probabilities(joined(dict(zip(self.names, inputs, strict=True))))

    def probabilities(self, inputs: Inputs) -> Tensor:
        """Probabilities (batch, classes) of pictures with their channels."""
        if isinstance(self._frontend, BatchFrontEnd) and isinstance(inputs, Tensor):
            inputs = self._frontend.normalise(inputs, *self._low_and_high(inputs.flatten(1)))
        logits: Tensor = self.model(inputs)
        if self.method is None:
            return logits.softmax(-1)
        scores: Tensor = self.method.scores(logits)
        return scores / scores.sum(-1, keepdim=True)

    def _low_and_high(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """What pictures (batch, values) are normalised by: (batch,) each."""
        lowest, highest = values.amin(1), values.amax(1)
        if self.extremes is None:
            return lowest, highest
        low, high = self.extremes
        return torch.full_like(lowest, low), torch.full_like(highest, high)


class FromWaveforms(nn.Module):
    """Waveforms of units to probabilities.

    Args:
        frontend: Makes pictures of them.
        pictures: The rest.
    """

    def __init__(self, frontend: TraceableFrontEnd, pictures: FromPictures) -> None:
        super().__init__()
        self._frontend, self._pictures = frontend, pictures

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (batch, samples) at the front-end's rate to probabilities (batch, classes)."""
        return self._pictures.probabilities(map_inputs(with_channels, self._frontend.traced_picture(waveform)))


def program_of(run: TrainedRun, *, without_frontend: str | None = None) -> Program:
    """Make the program of a run.

    Args:
        run: The run, opened on the CPU.
        without_frontend: Why the front-end is left out; None to make it part of the program where it can be.
    """
    frontend, method = run.frontend, run.graph.method
    # Whoever loads the program gets numbers, and no gradients.
    run.graph.requires_grad_(False)
    shapes = input_shapes(run.chosen.options)
    pictures = FromPictures(run.graph.model, method, frontend, tuple(shapes), run.batch_extremes).eval()
    normalisation = None
    if run.normalises_by_batch:
        normalisation = BY_ITSELF if run.batch_extremes is None else BY_USUAL
    reason = without_frontend or untraceable_reason(frontend, run.spec.frontend)
    if reason is None:
        whole = FromWaveforms(frontend, pictures).eval()  # type: ignore[arg-type]  # it is traceable
        rate = frontend.sample_rate  # type: ignore[union-attr]
        return Program(whole, (ProgramInput(WAVEFORM, ("batch", "samples")),), rate, None, normalisation)
    inputs = tuple(
        ProgramInput(name or FEATURES, ("batch", *batch_shape(shape, 1)[1:])) for name, shape in shapes.items()
    )
    return Program(pictures, inputs, None, reason, normalisation)


def untraceable_reason(frontend: Any, name: str) -> str | None:
    """Why a front-end cannot be part of a traced program; None where it can.

    Args:
        frontend: The front-end.
        name: Its id.
    """
    if not isinstance(frontend, WaveformFrontEnd):
        return f"the front-end {name} draws its pictures of whole recordings at their own rates"
    if not isinstance(frontend, TraceableFrontEnd):
        return f"the front-end {name} has no pictures that can be traced (traced_picture)"
    try:
        with torch.no_grad():
            frontend.traced_picture(torch.zeros(1, frontend.sample_rate))
    except SpecError as error:
        return f"front-end {name}: {error.message}"
    return None


def reference(run: TrainedRun, inputs: Inputs) -> Tensor:
    """What the original gives: probabilities (batch, classes) of pictures as the front-end's own ``picture`` has them.

    Args:
        run: The run, opened on the CPU in single precision.
        inputs: (batch, ...) of the front-end, not normalised where it leaves that to the batch.
    """
    x = map_inputs(with_channels, inputs)
    if isinstance(run.frontend, BatchFrontEnd) and isinstance(x, Tensor):
        kept = run.batch_extremes
        pairs = [kept or (float(row.min()), float(row.max())) for row in x]
        x = run.frontend.normalise(x, *(torch.tensor(values) for values in zip(*pairs, strict=True)))
    return torch.from_numpy(run.probabilities(x))


def named_inputs(inputs: Inputs) -> Mapping[str, Tensor]:
    """Inputs by the names that programs give them."""
    return {name or FEATURES: tensor for name, tensor in by_name(inputs).items()}
