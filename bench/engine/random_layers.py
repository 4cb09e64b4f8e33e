"""Random layers (dropout, stochastic depth) drawn for the global batch, whatever part of it a pass computes.

Every process and every micro-batch begins with the seed of a single pass over the whole batch. Where a forward pass
draws random numbers, it makes the draw of that single pass and takes its rows (:mod:`bench.engine.global_draws`). What
is drawn how is learnt at the start of a stage from two small forward passes, one with the rows of a whole batch, one
with those of a part; a draw that cannot be divided by rows is refused there, before anything is trained.
"""

from __future__ import annotations

import abc
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx.operator_schemas import get_signature_for_torch_op
from torch.utils._python_dispatch import TorchDispatchMode

from bench.core.errors import SpecError
from methods.views import VIEWS_IN_A_ROW

IN_PLACE = frozenset(
    {"bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_"}
)
"""Operators that fill a tensor with numbers, each drawn by itself."""

DIVISIBLE = IN_PLACE | {"native_dropout", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like"}
"""Operators whose draw can be made for all rows and then divided: their only tensor argument, if any, has its shape."""

UNTAGGED = frozenset({"binomial", "random", "random_", "_sample_dirichlet"})
"""Random functions that torch does not mark as such."""

BATCH_NORMS = frozenset(
    {
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_batch_norm_with_update",
        "cudnn_batch_norm",
        "miopen_batch_norm",
    }
)
"""Operators by which torch normalises over a batch, on a CPU and on GPUs."""

HINT = "Use --processes 1 and --set micro_batch=0."


def is_random(function: Any, arguments: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether a call of an operator draws random numbers; attention and recurrent layers do so only with dropout."""
    name = function.overloadpacket.__name__
    if torch.Tag.nondeterministic_seeded not in function.tags and name not in UNTAGGED:
        return False
    parameters = _parameters(function)
    known = {**dict(zip(parameters, arguments, strict=False)), **options}
    rates = [known.get(name, parameters[name].default) for name in ("dropout", "dropout_p") if name in parameters]
    return not rates or any(rates)


@functools.cache
def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of an operator by name, in their order."""
    signatures: Any = get_signature_for_torch_op(function)
    parameters: Mapping[str, inspect.Parameter] = signatures[0].parameters
    return parameters


@dataclass(frozen=True)
class RecordedCall:
    """A call that draws random numbers, or normalises over a batch.

    Attributes:
        name: The operator's name.
        shape: Shape of the operator's result; of a batch normalisation, of its input.
        views: Number of views of the rows that are known to stand one after the other in it.
        order: The axes of the tensor that is drawn for, from the innermost in memory to the outermost.
        joined: Whether rows were concatenated before it without saying so, so that its rows cannot be told apart.
    """

    name: str
    shape: tuple[int, ...]
    views: int = 1
    joined: bool = False
    order: tuple[int, ...] = ()


def axes_from_innermost(tensor: Tensor) -> tuple[int, ...]:
    """The axes of a tensor by their stride; of axes with one stride, those of size 1 have no place of their own."""
    return tuple(sorted(range(tensor.ndim), key=lambda axis: (tensor.stride(axis), -axis)))


class RandomMode(TorchDispatchMode, abc.ABC):  # type: ignore[no-untyped-call]
    """Runs operators, and has a say in those that draw random numbers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator."""
        options = kwargs or {}
        if not is_random(func, args, options):
            return self.run(func, args, options)
        # One that is made of other operators: they say what is drawn, and dropout in evaluation draws nothing.
        with self:
            made = func.decompose(*args, **options)
        return self.draw(func, args, options) if made is NotImplemented else made

    def run(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Run an operator that draws nothing."""
        return func(*args, **options)

    @abc.abstractmethod
    def draw(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Run an operator that draws."""


class CallRecorder(RandomMode):
    """Writes down the random calls and the batch normalisations of a forward pass.

    Args:
        rows: Rows of the pass.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.random: list[RecordedCall] = []
        self.norms: list[RecordedCall] = []
        self._joined = False

    def draw(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Run an operator that draws, and write it down."""
        result = func(*args, **options)
        first = result[0] if isinstance(result, (tuple, list)) else result
        name = func.overloadpacket.__name__
        drawn_for = next((value for value in args if isinstance(value, Tensor)), first)
        order = axes_from_innermost(drawn_for)
        self.random.append(RecordedCall(name, tuple(first.shape), VIEWS_IN_A_ROW.get(), self._joined, order))
        return result

    def run(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Run another operator; batch normalisations, and rows that are put in a row, are written down."""
        name = func.overloadpacket.__name__
        # Operand 5 is `training`; `_batch_norm_with_update`, which is for training alone, has its momentum there.
        if name in BATCH_NORMS and args[5]:
            self.norms.append(RecordedCall(name, tuple(args[0].shape)))
        # Along axis 0 only, which is what an operand beside the tensors would say.
        elif name in ("cat", "stack") and VIEWS_IN_A_ROW.get() == 1 and not any(args[1:]):
            sizes = [part.shape[0] if part.ndim else 0 for part in args[0]]
            self._joined |= len(sizes) > 1 and all(size and size % self.rows == 0 for size in sizes)
        return func(*args, **options)


@dataclass(frozen=True)
class Division:
    """The rule by which one draw is divided among processes and micro-batches.

    Attributes:
        name: The operator's name.
        axis: The axis that the rows lie along; None where every part has the whole draw.
        views: Number of views of the rows that stand one after the other along that axis.
        each: Count of numbers along that axis for each row of each view.
        order: The axes of the whole draw, from the innermost in memory to the outermost: the order of the draws.
    """

    name: str
    axis: int | None = None
    views: int = 1
    each: int = 1
    order: tuple[int, ...] = ()


def divisions(whole: CallRecorder, part: CallRecorder, rows: int, processes: int) -> tuple[Division, ...]:
    """Learn how the draws of a forward pass are divided.

    Args:
        whole: The pass of a single process over ``rows * processes`` rows.
        part: The pass of one of the processes over ``rows`` of them.
        rows: Number of rows of each process.
        processes: Number of processes.

    Raises:
        SpecError: If a draw, or a batch normalisation, cannot be divided.
    """
    _check_norms(whole.norms, part.norms)
    if [call.name for call in whole.random] != [call.name for call in part.random]:
        raise SpecError("What is drawn at random in a forward pass depends on the number of rows.", HINT)
    return tuple(_division(*pair, rows, processes) for pair in zip(whole.random, part.random, strict=True))


def _check_norms(whole: Sequence[RecordedCall], part: Sequence[RecordedCall]) -> None:
    """Refuse statistics of this process's rows alone. Sizes of instance normalisation differ along axis 1."""
    for one, own in zip(whole, part, strict=False):
        if one.shape[:1] != own.shape[:1]:
            raise SpecError(
                f"A batch normalisation ({own.name}) sees the rows of one process or micro-batch only.",
                "Use layers of torch.nn.BatchNorm in the model, rows that were gathered in the method, or "
                "--processes 1 and --set micro_batch=0.",
            )


def _division(one: RecordedCall, own: RecordedCall, rows: int, processes: int) -> Division:
    axes = [axis for axis, sizes in enumerate(zip(one.shape, own.shape, strict=True)) if sizes[0] != sizes[1]]
    if not axes:
        return Division(own.name)
    each, rest = divmod(own.shape[axes[0]], rows * own.views)
    divisible = own.name in DIVISIBLE and len(axes) == 1 and rest == 0
    # Several numbers for a row: of windows of a clip, or of views that were put one after the other unannounced.
    if not divisible or one.shape[axes[0]] != own.shape[axes[0]] * processes or (each > 1 and one.joined):
        raise SpecError(
            f"Random numbers are drawn in a way that cannot be divided among processes or micro-batches: {own.name}, "
            f"of size {'x'.join(map(str, own.shape))} for {rows} rows.",
            "Draw them in the method's `draw`, draw each row's by themselves (dropout, torch.rand), or use "
            "--processes 1 and --set micro_batch=0.",
        )
    return Division(own.name, axes[0], own.views, each, one.order)


def learn_divisions(
    forward_whole: Callable[[], object], forward_part: Callable[[], object], rows: int, processes: int
) -> tuple[Division, ...]:
    """Run two small forward passes and learn from them how each random draw is divided.

    Args:
        forward_whole: Runs the pass of a single process, over ``rows * processes`` rows.
        forward_part: Runs the pass of this process, over ``rows`` of them.
        rows: Number of rows of each process.
        processes: Number of processes.

    Returns:
        The division of each draw, in the order of the draws.

    Raises:
        SpecError: If a draw, or a batch normalisation, cannot be divided.
    """
    recorders = CallRecorder(rows * processes), CallRecorder(rows)
    # Draws are looked at, not results: a graph for gradients would only cost memory.
    with torch.no_grad():
        for forward, recorder in zip((forward_whole, forward_part), recorders, strict=True):
            with recorder:
                forward()
    return divisions(*recorders, rows, processes)
