"""What a training method is: the values that it is given, and the few calls that the engine makes.

A method owns its loss and whatever modules it adds (a projector). It owns no loop, no device and no process: it sees
one global batch, of which this process holds some rows, and returns the loss of the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

from bench.core.errors import SpecError
from bench.engine.optim import OptimOptions
from bench.engine.schedule import ScheduleOptions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

Draw: TypeAlias = Any
"""What a method's ``draw`` returns: a frozen value of numbers and numpy arrays that goes to its ``forward``, unread."""


def _gather_alone(tensor: Tensor) -> Tensor:
    """The gather of a single process: its rows are all rows."""
    return tensor


@dataclass(frozen=True, kw_only=True)
class Task:
    """The model and data that a method is built for, as far as it must know them.

    Attributes:
        feature_dim: Width of the model's features.
        class_counts: Training cycles per class (0 normal, 1 crackle, 2 wheeze, 3 both).
        patch_grid: Rows (frequency) and columns (time) of the model's patch tokens, or None where it has none.
    """

    feature_dim: int
    class_counts: tuple[int, ...]
    patch_grid: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One global batch, as one process sees it.

    Attributes:
        features: (local, 1, frames, mels), the spectrograms of this process's rows.
        second: The same rows, augmented a second time by draws of their own; None unless the method's card asks for
            two views.
        labels: (global,), the classes of all rows, int64, on the device of ``features``.
        local: Places in the global batch of the rows that this process holds.
        stage: Number of the method's stage that is trained, counted from 0.
        gather: (local, ...) -> (global, ...), rows in global order. Its gradient is exact: the adjoint sums the
            gradients of all processes. The identity where there is one process.
    """

    features: Tensor
    labels: Tensor
    local: slice
    gather: Callable[[Tensor], Tensor] = _gather_alone
    second: Tensor | None = None
    stage: int = 0


TrainablePart: TypeAlias = Literal["encoder", "classifier", "method"]
TRAINABLE_PARTS: tuple[TrainablePart, ...] = ("encoder", "classifier", "method")
"""What can be trained or frozen: the model without its classifier, the classifier, and what the method adds."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training with an optimiser and a learning-rate schedule of its own.

    Attributes:
        name: Name that people are shown, e.g. ``linear probe``.
        optim: Optimiser, rates and decay.
        schedule: Length, and law of the learning rate.
        augment: Whether clips are augmented (SpecAugment, shifts).
        trains: The parts that are trained; the others are frozen, in evaluation mode.
        evaluated: Whether its epochs are evaluated and may be chosen by a selection rule. A stage that leaves the
            classifier untrained says no.
    """

    name: str
    optim: OptimOptions
    schedule: ScheduleOptions
    augment: bool = True
    trains: tuple[TrainablePart, ...] = TRAINABLE_PARTS
    evaluated: bool = True


class PatchModel(Protocol):
    """A model that gives access to its patch tokens (frequency-major: row * columns + column)."""

    classifier: nn.Module

    def embed_patches(self, x: Tensor) -> Tensor:
        """(batch, 1, frames, mels) -> (batch, tokens, dim), before positions and class tokens are added."""
        ...

    def encode(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, dim) -> (batch, dim)."""
        ...


class Method(Protocol):
    """A training method. Every method is also a ``torch.nn.Module``, so that what it adds is trained and saved."""

    def draw(self, batch_size: int, rng: np.random.Generator) -> Draw | None:
        """Draw what is random in a step, once for the global batch, so that every process has the same.

        Args:
            batch_size: Rows of the global batch.
            rng: The run's generator for methods.
        """
        ...

    def __call__(self, model: nn.Module, batch: Batch, draw: Draw | None) -> Mapping[str, Tensor]:
        """Compute the losses of the whole global batch.

        Args:
            model: The model with its ``features``, ``classifier`` and, where it has patches, its patch access.
            batch: The global batch as this process sees it.
            draw: The value that :meth:`draw` returned for this step.

        Returns:
            Named scalars; ``loss`` is the one to minimise. Equal in all processes: each computes them from gathered
            features, so that the mean of the processes' gradients is the gradient of the global loss.
        """
        ...


@runtime_checkable
class StagedMethod(Protocol):
    """A method that is trained in stages of its own; one without :meth:`stages` has the spec's single stage."""

    def stages(self, first: Stage) -> tuple[Stage, ...]:
        """Plan the stages.

        Args:
            first: The stage that the spec describes, with all parts trained.

        Returns:
            The stages in their order; the last one is evaluated.
        """
        ...


def patch_access(model: nn.Module, method: str) -> PatchModel:
    """Return the model as one whose patches can be reached.

    Args:
        model: Any model.
        method: Id of the method that asks, for the message.

    Raises:
        SpecError: If the model has no patch tokens.
    """
    if not (hasattr(model, "embed_patches") and hasattr(model, "encode")):
        raise no_patches(method, f"the model {type(model).__name__}")
    return cast(PatchModel, model)


def no_patches(method: str, what: str) -> SpecError:
    """The error for a patch method without patches.

    Args:
        method: Id of the method.
        what: What has no patch tokens.
    """
    return SpecError(
        f"Method {method} mixes patch tokens, but {what} has none.",
        "Choose a model with patch tokens, e.g. ast, or a method for any model, e.g. ce.",
    )
