"""The memory that a run will take, without computing a number: its model and method run on tensors without values.

What autograd would save for the backward pass is counted in one forward pass of a batch on torch's ``meta`` device.
Parameters, gradients, the optimiser's state and its copy that is written are added by their sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, UntypedStorage
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from baselines import MODELS
from bench.core.errors import BenchError
from bench.core.inputs import by_name
from bench.data.frontends import FRONTENDS
from bench.data.frontends.chosen import choose_front_end
from bench.data.frontends.shapes import made_up_inputs
from bench.engine.activation_checkpoints import BlockModel
from bench.engine.distributed import rows_per_process
from bench.engine.graph import TrainingGraph, build_graph
from bench.engine.micro_batches import RowwiseModel
from bench.engine.optim import OptimOptions
from bench.engine.random_states import random_states_kept
from bench.engine.stages import freeze_others, set_training_mode, stages_of, trainable_parameters
from bench.experiment.spec import RunSpec
from methods import METHODS
from methods.base import Batch, Stage

# What layers raise on tensors without values; they promise no single class.
_FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AssertionError, ArithmeticError, AttributeError)

LAYERS_IN_EVALUATION = 2
"""Tensors of the size of the largest that an evaluation has at a time: what goes into a layer, and what comes out."""

HALVED = (
    *(functional.linear, functional.conv1d, functional.conv2d, functional.conv3d),
    *(functional.scaled_dot_product_attention, torch.matmul, Tensor.matmul, Tensor.__matmul__),
    *(torch.bmm, torch.mm, torch.addmm, torch.baddbmm),
)
"""Functions that autocast computes in half precision, with what goes into them."""


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes that a process of a run needs at its peak, by what they hold.

    Attributes:
        program: Interpreter and libraries; 0 on a GPU.
        weights: Parameters and buffers.
        gradients: A gradient of each trained parameter, and what processes exchange of them.
        optimiser: State of the optimiser.
        activations: The larger of what a training step and an evaluation hold.
        saved_state: Copy of weights and optimiser that is written while training goes on; 0 on a GPU.
    """

    program: int
    weights: int
    gradients: int
    optimiser: int
    activations: int
    saved_state: int

    @property
    def total(self) -> int:
        """All of them, bytes."""
        return sum(asdict(self).values())


def step_memory(spec: RunSpec) -> StepMemory | None:
    """Compute what the steps of a run will take in each of its processes.

    Args:
        spec: A spec that can be run; plug-ins are loaded.

    Returns:
        The memory; None for plug-ins and whatever else cannot run without values.
    """
    if MODELS.get(spec.model).version or FRONTENDS.get(spec.frontend).version or METHODS.get(spec.method).version:
        return None
    try:
        with random_states_kept(), torch.device("meta"):
            return _step_memory(spec)
    except (BenchError, *_FAULTS):
        # Whatever is wrong with a spec, its start says.
        return None


def _step_memory(spec: RunSpec) -> StepMemory:
    first = _graph_of(spec)
    # A stage freezes parameters, so that each has a graph of its own.
    later = range(1, len(stages_of(spec, first.method)))
    found = [_stage_memory(spec, first, 0), *(_stage_memory(spec, _graph_of(spec), index) for index in later)]
    return max(found, key=lambda memory: memory.total)


def _graph_of(spec: RunSpec) -> TrainingGraph:
    # Fresh weights will do, as only sizes are asked for. Pictures are not laid out as on a CPU: without values, batch
    # normalisation forgets the layout, and copies would be counted that nobody makes.
    return build_graph(spec.changed(weights=None, init_from=None, device="cuda"))


def _stage_memory(spec: RunSpec, graph: TrainingGraph, index: int) -> StepMemory:
    stage = stages_of(spec, graph.method)[index]
    freeze_others(graph, stage.trains, trainable_parameters(graph))
    set_training_mode(graph, stage.trains)
    on_host = spec.distribution.device == "cpu"
    weights = _bytes_of([*graph.parameters(), *graph.buffers()])
    trained = _bytes_of(parameter for parameter in graph.parameters() if parameter.requires_grad)
    optimiser = _moments(stage.optim) * trained
    return StepMemory(
        program=psutil.Process().memory_info().rss if on_host else 0,
        weights=weights,
        # DistributedDataParallel has buckets beside the gradients.
        gradients=trained * (2 if spec.distribution.processes > 1 else 1),
        optimiser=optimiser,
        activations=_activations(spec, graph, index, stage),
        saved_state=weights + optimiser if on_host else 0,
    )


def _moments(options: OptimOptions) -> int:
    """Tensors that the optimiser keeps for each parameter."""
    if options.optimiser == "sgd":
        return 1 if options.momentum else 0
    return 2


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    sizes = {_identity(storage): storage.nbytes() for storage in (tensor.untyped_storage() for tensor in tensors)}
    return sum(sizes.values())


def _identity(storage: UntypedStorage) -> int:
    """Tells storages apart that have no values, and therefore no address."""
    return int(StorageWeakRef(storage).cdata)  # type: ignore[no-untyped-call]


def _activations(spec: RunSpec, graph: TrainingGraph, index: int, stage: Stage) -> int:
    """Bytes of a step's inputs and of what it saves for its backward pass, or of an evaluation if that needs more."""
    options = spec.distribution
    rows = rows_per_process(spec.sampling.batch, options.processes)[0]
    batch = _made_up_batch(spec, rows, index, stage)
    counter = _Counter(graph, recomputed=options.checkpointing)
    with _OnDevice(spec.precision), counter.counting() as outside:
        model: Any = RowwiseModel(graph.model, counter.call)
        # Held until all is counted: what it saves lives as long.
        losses = graph.method(model, batch, graph.method.draw(rows, np.random.default_rng(0)))  # type: ignore[operator]
    assert losses
    share = min(options.micro_batch / counter.rows, 1) if options.micro_batch else 1
    # Micro-batches are in memory one at a time.
    within = max(counter.calls, default=0) * share if options.micro_batch else sum(counter.calls)
    inputs = _bytes_of([*by_name(batch.features).values(), *by_name(batch.second or batch.features).values()])
    # The backward pass has gradients of a layer, beside what is saved.
    training = inputs + outside[0] + within + share * counter.largest
    return int(max(training, LAYERS_IN_EVALUATION * counter.largest * options.eval_batch / counter.rows))


def _made_up_batch(spec: RunSpec, rows: int, index: int, stage: Stage) -> Batch:
    options = choose_front_end(spec.frontend, spec.frontend_options).options
    features: Any = made_up_inputs(options, rows, torch.empty)
    second = features if stage.augment and METHODS.card(spec.method).views == 2 else None
    return Batch(
        features=features,
        second=second,
        labels=torch.zeros(rows, dtype=torch.int64),
        local=slice(0, rows),
        devices=("",) * rows,
        patients=("",) * rows,
        stage=index,
    )


class _Counter:
    """Counts what autograd saves, each memory once and no weights: in all, and apart for calls and blocks of the model.

    Args:
        graph: Model and method on the ``meta`` device.
        recomputed: Whether the blocks of the model are computed again.

    Attributes:
        calls: Bytes that each row-wise call of the model needs until its backward pass is done.
        rows: Rows of the largest call.
        largest: Bytes of the largest tensor.
    """

    def __init__(self, graph: TrainingGraph, *, recomputed: bool) -> None:
        self.calls: list[int] = []
        self.rows, self.largest = 1, 0
        self._inputs, self._blocks = list[int](), list[int]()
        self._seen = {_identity(tensor.untyped_storage()) for tensor in (*graph.parameters(), *graph.buffers())}
        if recomputed and isinstance(graph.model, BlockModel):
            for block in graph.model.checkpoint_blocks():
                block.forward = partial(self._block, block.forward)

    @contextmanager
    def counting(self) -> Iterator[list[int]]:
        """Count what is saved in the block, in the one number of the list, but for what an inner one counts."""
        found = [0]

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if (identity := _identity(storage)) not in self._seen:
                self._seen.add(identity)
                found[0] += storage.nbytes()
                self.largest = max(self.largest, storage.nbytes())
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield found

    def call(self, call: Callable[..., Tensor], x: Any) -> Tensor:
        """Carry out a row-wise call of the model."""
        self._inputs, self._blocks = [], []
        with self.counting() as saved:
            out = call(x)
        self.rows = max(self.rows, len(next(iter(by_name(x).values()))))
        # One block at a time has its activations; of the others, what goes in is kept.
        self.calls.append(saved[0] + sum(self._inputs) + max(self._blocks, default=0))
        return out

    def _block(self, forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
        with self.counting() as saved:
            out = forward(*inputs, **options)
        self._inputs.append(sum(one.untyped_storage().nbytes() for one in inputs if isinstance(one, Tensor)))
        self._blocks.append(saved[0])
        return out


class _OnDevice(TorchFunctionMode):
    """Computes on the ``meta`` device as on another one: attention in one kernel, half precision where autocast has it.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(self, precision: str) -> None:
        super().__init__()
        self.half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out a function of torch."""
        kwargs = kwargs or {}
        if self.half is not None and func in HALVED:
            args = [one.to(self.half) if _is_float(one) else one for one in args]
            kwargs = {name: one.to(self.half) if _is_float(one) else one for name, one in kwargs.items()}
        if func is functional.scaled_dot_product_attention:
            return _fused_attention(*args, **kwargs)
        return func(*args, **kwargs)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention that saves no weights of it; on ``meta`` torch would take the plain one."""
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out: Tensor = fused(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]
    return out
