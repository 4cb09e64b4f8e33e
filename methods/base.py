"""What a training method is: the values that it is given, and the few calls that the engine makes.

A method owns its loss and whatever modules it adds (a projector). It owns no loop, no device and no process: it sees
one global batch, of which this process holds some rows, and returns the loss of the whole of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

from bench.core.errors import SpecError
from bench.core.inputs import OneOrNamed
from bench.core.optional_calls import OptionalCalls
from bench.engine.optim import OptimOptions
from bench.engine.schedule import ScheduleOptions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

Draw: TypeAlias = Any
"""What a method's ``draw`` returns: a frozen value of numbers and numpy arrays that goes to its ``forward``, unread."""


Inputs: TypeAlias = "OneOrNamed[Tensor]"
"""What a model takes of a batch: (rows, channels, frames, mels), or such a tensor for each of its named inputs."""


def _gather_alone(tensor: Tensor) -> Tensor:
    """The gather of a single process: its rows are all rows."""
    return tensor


@dataclass(frozen=True, kw_only=True)
class Task:
    """The model and data that a method is built for, as far as it must know them.

    Attributes:
        feature_dim: Width of the model's features.
        class_counts: Training cycles per class, as many numbers as there are classes. Class 0 is the normal one.
        patch_grid: Rows (frequency) and columns (time) of the model's patch tokens, or None where it has none.
        class_names: Names of the classes in the order of their numbers, for a method whose formula is about certain
            ones; empty where nobody told them.

    Raises:
        SpecError: If there are names, but not one for each class.
    """

    feature_dim: int
    class_counts: tuple[int, ...]
    patch_grid: tuple[int, int] | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.class_names and len(self.class_names) != len(self.class_counts):
            raise SpecError(
                f"There are {len(self.class_counts)} numbers of training cycles, but the classes are "
                f"{', '.join(self.class_names)}.",
                "Give the number of training cycles of each class.",
            )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One global batch, as one process sees it.

    Attributes:
        features: (local, channels, frames, mels), the spectrograms of this process's rows; a tensor for each name
            where the front-end names its inputs.
        second: The same rows, augmented a second time by draws of their own; None unless the method's card asks for
            two views.
        labels: (global,), the classes of all rows, int64, on the device of ``features``.
        local: Places in the global batch of the rows that this process holds.
        devices: Recording device of all rows, (global,).
        patients: Patient of all rows, (global,).
        stage: Number of the method's stage that is trained, counted from 0.
        host_labels: The same labels (global,) in the host's memory, so that a method may choose by them without waiting
            for a device; None where nobody gave them.
        gather: (local, ...) -> (global, ...), rows in global order. Its gradient is exact: the adjoint sums the
            gradients of all processes. The identity where there is one process.
    """

    features: Inputs
    labels: Tensor
    local: slice
    gather: Callable[[Tensor], Tensor] = _gather_alone
    second: Inputs | None = None
    devices: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    stage: int = 0
    host_labels: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The training part of a run, for what a method learns of it before the first step.

    Held-out and test rows are not among them.

    Attributes:
        labels: (rows,) classes, int64, on the device of the model.
        class_counts: Number of rows of each class.
        devices: Recording device of each row.
        patients: Patient of each row.
        load: Gives the inputs of the rows from one number to another, as a model takes them.
    """

    labels: Tensor
    class_counts: tuple[int, ...]
    devices: tuple[str, ...]
    patients: tuple[str, ...]
    load: Callable[[int, int], Inputs]

    def __len__(self) -> int:
        return len(self.devices)

    def batches(self, size: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Go through all rows once, in the data set's order and without augmentation.

        Args:
            size: Rows of a batch; the last one may have fewer.

        Yields:
            Inputs (batch, channels, frames, mels), or such a tensor for each name, and labels (batch,), on the device
            of the model.
        """
        for start in range(0, len(self), size):
            end = min(start + size, len(self))
            yield self.load(start, end), self.labels[start:end]


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


class PreparedMethod(OptionalCalls):
    """A method that learns something of the training part before the first step, such as statistics of classes."""

    @abstractmethod
    def prepare(self, model: nn.Module, rows: TrainingRows) -> None:
        """Learn it; called once in a run, in every process, with the initial weights and in evaluation mode.

        What is learnt belongs into buffers of the method, which are saved with the state of a run: a run that goes on
        from a saved state does not prepare again. A buffer must have its final shape from the start. What is drawn at
        random here depends on the run's seed alone, and changes no draw of the training.

        Args:
            model: The model on its device; its weights are those that the training begins with.
            rows: The training part.
        """
        ...


class SourceHeadMethod(OptionalCalls):
    """A method that keeps the classifier of the task that pretrained weights were learnt on."""

    @abstractmethod
    def take_source_head(self, weight: Tensor, bias: Tensor) -> None:
        """Take it; called before the first step of a run that starts from pretrained weights, and of no other.

        Args:
            weight: (source classes, features).
            bias: (source classes,).

        Raises:
            SpecError: If it has no use for a head of that size.
        """
        ...


class HeadMethod(OptionalCalls):
    """A method that gives the model a classifier of its own, in the place of the model's."""

    @abstractmethod
    def head(self) -> nn.Module:
        """Make it; called once for a run, when model and method are built and the initial weights are loaded.

        Returns:
            A module that maps the model's features (batch, features) to logits (batch, classes). It is saved with the
            model.
        """
        ...


class ChoosingMethod(OptionalCalls):
    """A method that an option's value leaves the choice of that option to."""

    @abstractmethod
    def chosen(self) -> Mapping[str, float]:
        """What it chose; called once for a run, at its end.

        Returns:
            The values by the names of their options; empty where the options left it no choice.
        """
        ...


class ScoringMethod(OptionalCalls):
    """A method whose scores are no softmax of the logits, such as one that trains with binary cross-entropy."""

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """Scores of classes: at least 0, the largest for the class that is chosen.

        They need not sum to 1. The evaluation divides those of each row (a cycle, or a piece of one) by their sum
        before anything else sees them: the chosen class and the ratios of the scores stay, and votes, stored
        predictions, calibration and combinations of runs find rows that sum to 1 whatever the method was.

        Args:
            logits: (batch, classes) outputs of the model, float64.

        Returns:
            (batch, classes), as ``logits.sigmoid()``.
        """
        ...


class PatchModel(Protocol):
    """A model that gives access to its patch tokens (frequency-major: row * columns + column)."""

    classifier: nn.Module

    def embed_patches(self, x: Inputs) -> Tensor:
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
            Named scalars; ``loss`` is the one to minimise, the others (``ce``, ``contrastive``) are shown: a result
            keeps the mean of each over an epoch. Equal in all processes: each computes them from gathered
            features, so that the mean of the processes' gradients is the gradient of the global loss.
        """
        ...


class StagedMethod(OptionalCalls):
    """A method that is trained in stages of its own; one without :meth:`stages` has the spec's single stage."""

    @abstractmethod
    def stages(self, first: Stage) -> tuple[Stage, ...]:
        """Plan the stages.

        Args:
            first: The stage that the spec describes, with all parts trained.

        Returns:
            The stages in their order; the last one is evaluated.
        """
        ...


class RowwiseMethod(OptionalCalls):
    """A method whose loss is a weighted mean of losses that each depend on one row: gradients of parts add up."""

    @abstractmethod
    def row_weights(self, labels: Tensor, stage: int) -> Tensor | None:
        """Weigh the rows of a batch.

        Args:
            labels: (rows,) classes, int64.
            stage: Number of the method's stage, counted from 0.

        Returns:
            (rows,), at least 0: each row's weight in every loss that the method returns; None in a stage whose loss
            is no such mean.
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
