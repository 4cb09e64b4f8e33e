"""The stages of a run: which one an epoch belongs to, and which parts of the model it trains.

Most methods have one stage, the one that the spec describes. Epochs are counted through all stages, so that an
epoch's number alone says where a run stands.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.errors import SpecError
from bench.core.fields import check_part
from bench.core.text import counted_noun, echoed
from bench.engine.optim import OptimOptions
from bench.engine.schedule import learning_rate
from bench.experiment.spec import RunSpec
from methods.base import TRAINABLE_PARTS, Stage, StagedMethod

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PlannedStage:
    """A stage at its place among the stages of a run.

    Attributes:
        index: Number of the stage, counted from 0.
        stage: The stage itself.
        before: Number of epochs of all stages before it.
        steps: Number of steps of a whole epoch.
    """

    index: int
    stage: Stage
    before: int
    steps: int

    @property
    def end(self) -> int:
        """Number of the run's epochs that are done when this stage is."""
        return self.before + self.stage.schedule.length_in_epochs(self.steps)

    def steps_of(self, epoch: int) -> int:
        """Number of steps of an epoch; the last one of a stage is cut short where iterations give its length.

        Args:
            epoch: Number of the epoch, from 1, counted through all stages.
        """
        done = (epoch - self.before - 1) * self.steps
        return min(self.steps, self.stage.schedule.length_in_steps(self.steps) - done)

    def rate(self, epoch: int, step: int) -> float:
        """Learning rate of a step.

        Args:
            epoch: Number of the epoch, from 1, counted through all stages.
            step: Number of the step in its epoch, from 0.

        Raises:
            SpecError: If the warm-up is longer than the stage.
        """
        return learning_rate(self.stage.optim.lr, self.stage.schedule, epoch - self.before, step, self.steps)


@dataclass(frozen=True)
class StagePlan:
    """The stages of a run in their order.

    Attributes:
        stages: The stages.
        steps: Number of steps of a whole epoch.

    Raises:
        SpecError: If the warm-up of a stage is as long as the stage, which iterations may give a length of few epochs.
    """

    stages: tuple[Stage, ...]
    steps: int

    def __post_init__(self) -> None:
        for stage in self.stages:
            warmup, epochs = stage.schedule.warmup_epochs, stage.schedule.length_in_epochs(self.steps)
            if warmup >= epochs:
                raise SpecError(
                    f"warmup_epochs is {warmup}, but must be below the {counted_noun(epochs, 'epoch')} that the "
                    f"stage '{stage.name}' "
                    f"has with {counted_noun(self.steps, 'step')} each."
                )

    @property
    def epochs(self) -> int:
        """Number of epochs of all stages together."""
        return sum(stage.schedule.length_in_epochs(self.steps) for stage in self.stages)

    def at(self, done: int) -> PlannedStage:
        """Find the stage that the next epoch belongs to.

        Args:
            done: Epochs that are done; after the last one the last stage is given.
        """
        before = 0
        for index, stage in enumerate(self.stages):
            place = PlannedStage(index, stage, before, self.steps)
            if done < place.end or index == len(self.stages) - 1:
                return place
            before = place.end
        raise AssertionError("a plan has at least one stage")


def stages_of(spec: RunSpec, method: object) -> tuple[Stage, ...]:
    """The stages of a run: the spec's, or those that the method makes of it.

    Args:
        spec: The spec of the run.
        method: The method, already built.

    Raises:
        SpecError: If the method's stages cannot be run; the stage and its fault are named.
    """
    first = Stage(name="training", optim=spec.optim, schedule=spec.schedule)
    stages = method.stages(first) if isinstance(method, StagedMethod) else (first,)
    _check_stages(stages, spec.method)
    return tuple(stages)


def _check_stages(stages: Any, method: str) -> None:
    if not isinstance(stages, (tuple, list)) or not all(isinstance(stage, Stage) for stage in stages):
        raise SpecError(f"Method {method} plans {echoed(repr(stages), 80)}, but must plan a tuple of `Stage`s.")
    if not stages or not stages[-1].evaluated:
        raise SpecError(f"The last stage of method {method} is not evaluated, so a run of it would have no result.")
    for stage in stages:
        unknown = set(stage.trains) - set(TRAINABLE_PARTS)
        if not stage.trains or unknown:
            raise SpecError(
                f"Stage '{stage.name}' of method {method} trains {stage.trains}, but parts are {TRAINABLE_PARTS}."
            )
        _check_options(stage, method)


def _check_options(stage: Stage, method: str) -> None:
    """Check what a method has set in a stage as if a user had; raises SpecError."""
    try:
        check_part(stage.optim)
        check_part(stage.schedule)
        stage.optim.check()
        stage.schedule.check(stage.optim.lr)
    except SpecError as error:
        raise SpecError(f"Stage '{stage.name}' of method {method}: {error.message}", error.hint) from error


def trainable_parameters(graph: nn.Module) -> frozenset[int]:
    """``id`` of each parameter that model and method leave to training, before any stage freezes parts of them."""
    return frozenset(id(parameter) for parameter in graph.parameters() if parameter.requires_grad)


def freeze_others(graph: Any, trains: Collection[str], trainable: Collection[int]) -> None:
    """Let gradients reach the trained parts alone.

    Args:
        graph: Model and method as one module (``bench.engine.graph.TrainingGraph``).
        trains: Parts (:data:`methods.base.TRAINABLE_PARTS`) that are trained.
        trainable: From :func:`trainable_parameters`; what model and method froze themselves stays frozen.
    """
    for part, parameters in _parameters_by_part(graph).items():
        for parameter in parameters:
            parameter.requires_grad_(part in trains and id(parameter) in trainable)


def trained_with_factors(graph: Any, options: OptimOptions) -> list[tuple[nn.Parameter, float]]:
    """The parameters that gradients reach, in the graph's order, each with the factor of its learning rate.

    Args:
        graph: Model and method as one module, after :func:`freeze_others`.
        options: The factors of classifier and method.
    """
    factors = {"encoder": 1.0, "classifier": options.classifier_rate, "method": options.method_rate}
    by_parameter = {id(one): factors[part] for part, own in _parameters_by_part(graph).items() for one in own}
    return [(one, by_parameter[id(one)]) for one in graph.parameters() if one.requires_grad]


def set_training_mode(graph: Any, trains: Collection[str]) -> None:
    """Put the trained parts into training mode and the frozen ones into evaluation mode."""
    graph.train()
    # A frozen part in training mode would still move its running statistics, and draw dropout.
    graph.model.train("encoder" in trains)
    graph.model.classifier.train("classifier" in trains)
    graph.method.train("method" in trains)


def _parameters_by_part(graph: Any) -> dict[str, list[nn.Parameter]]:
    classifier = list(graph.model.classifier.parameters())
    # By identity: tensors that hold equal numbers compare equal, and are not the same parameter.
    known = {id(parameter) for parameter in classifier}
    encoder = [parameter for parameter in graph.model.parameters() if id(parameter) not in known]
    return {"encoder": encoder, "classifier": classifier, "method": list(graph.method.parameters())}
