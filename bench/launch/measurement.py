"""What a model costs on this machine: parameters, operations, seconds and memory of a training step and of evaluation.

Each model is measured in a process of its own, so that its peak memory is its own and a process that is killed for it
costs one row.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from bench.core.datasets import FOUR_CLASSES, MOST_CLASSES
from bench.core.errors import InterruptedRunError, RunError, SpecError
from bench.core.inputs import UNNAMED, joined, map_inputs
from bench.core.options import check_value
from bench.data.frontends.shapes import batch_shape, input_shapes, picture_sizes
from bench.launch.child import Children, Work

if TYPE_CHECKING:
    from bench.core.cards import ModelCard
    from bench.launch.child_process import Parent


@dataclass(frozen=True, kw_only=True)
class MeasurementRequest:
    """Which model to measure, on what and how often.

    Attributes:
        model: Model id.
        batch: Clips of a training step, and of a batch in evaluation.
        frames: Frames of a spectrogram; None for those of the model's front-end.
        device: cpu or cuda.
        repeats: Timed steps and batches, after one that is not timed; their median counts.
        classes: Outputs of the classifier.
    """

    model: str
    batch: int = 8
    frames: int | None = None
    device: str = "cpu"
    repeats: int = 3
    classes: int = len(FOUR_CLASSES.classes)

    def __post_init__(self) -> None:
        for name, most in (("batch", 100_000), ("frames", 100_000), ("repeats", 1000), ("classes", MOST_CLASSES)):
            value = getattr(self, name)
            if value is not None:
                check_value(value, int, name, {"low": 1, "high": most})


def measure_apart(request: MeasurementRequest) -> dict[str, Any]:
    """Measure a model in a process of its own.

    Returns:
        What :func:`measure` returns, or the same with nothing but what was asked for and ``error``, the reason.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped it.
    """
    with Children() as children:
        name = f"the measurement of {request.model}"
        child = children.start(Work(module="bench.launch.measurement", task=asdict(request), name=name, shown=False))
        children.wait()
    if child.error is None and child.said_last:
        row: dict[str, Any] = child.value
        return row
    if children.asked:
        raise InterruptedRunError(f"{request.model} was being measured; nothing is kept of it.")
    if child.error is not None:
        return _failed(request, child.error.message)
    code = child.code or 0
    reason = f"killed by signal {-code}; most often the memory ran out" if code < 0 else f"exit code {code}"
    return _failed(request, reason)


def _failed(request: MeasurementRequest, reason: str) -> dict[str, Any]:
    return {**_row(request, request.frames), "error": reason}


def _row(request: MeasurementRequest, frames: int | None) -> dict[str, Any]:
    return {
        "model": request.model,
        "batch": request.batch,
        "frames": frames,
        "mels": None,
        "device": request.device,
        **({} if request.classes == len(FOUR_CLASSES.classes) else {"classes": request.classes}),
        "parameters": None,
        "flops": None,
        "training": None,
        "evaluation": None,
        "start_memory_mib": None,
        "error": None,
    }


def measure(request: MeasurementRequest) -> dict[str, Any]:
    """Measure a model in this process, in single precision; weights and inputs are random.

    Returns:
        ``parameters``; ``flops`` of one clip in evaluation (a multiplication and an addition count as two);
        ``training`` with ``seconds_per_step`` (forward, backward, Adam) and ``peak_memory_mib``; ``evaluation`` with
        ``seconds_per_cycle`` and ``peak_memory_mib``; ``start_memory_mib``, the peak before the model was built; and
        what was measured, ``classes`` where they are not four. On a CPU the memory is the whole process's, on a GPU
        what torch allocated there.

    Raises:
        SpecError: If there is no such model, or it does not take such spectrograms.
    """
    import torch

    import baselines
    from bench.data.frontends import FRONTENDS

    card = baselines.MODELS.card(request.model)
    frontend: Any = FRONTENDS.card(card.frontend).options()
    shape, frames, mels = _input_shape(frontend, request)
    options = _size_options(card, frames, mels)
    flops = _flops(request, options, shape)
    start = _peak_memory(request.device)
    torch.manual_seed(0)
    model: Any = baselines.create(request.model, request.classes, **options).to(request.device)
    x = map_inputs(lambda size: torch.randn(request.batch, *size, device=request.device), shape)
    return {
        **_row(request, frames),
        "mels": mels,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops": flops,
        # Evaluation first: the peak of a process only grows, and training needs more.
        "evaluation": _evaluation(model, x, request),
        "training": _training(model, x, request),
        "start_memory_mib": start,
    }


def forward_flops(model: str) -> int:
    """Operations of one clip in evaluation, as :func:`measure` counts them; no number is computed.

    Args:
        model: Model id; its classifier has four classes, and its pictures are those of its front-end.
    """
    import baselines
    from bench.data.frontends import FRONTENDS

    card, request = baselines.MODELS.card(model), MeasurementRequest(model=model)
    shape, frames, mels = _input_shape(FRONTENDS.card(card.frontend).options(), request)
    return _flops(request, _size_options(card, frames, mels), shape)


def _size_options(card: ModelCard, frames: int | None, mels: int | None) -> dict[str, Any]:
    """The options of a model that say how large its pictures are, where it has such options."""
    names = {field.name for field in fields(card.options)}
    sizes = {"frames": frames, "mels": mels}
    return {name: size for name, size in sizes.items() if name in names and size is not None}


def _input_shape(frontend: Any, request: MeasurementRequest) -> tuple[Any, int | None, int | None]:
    """Shape of what the model takes of a clip, for each name where inputs have names; frames and mels of a picture."""
    shapes, sizes = input_shapes(frontend), picture_sizes(frontend)
    if UNNAMED not in sizes:
        if request.frames is not None:
            raise SpecError(
                f"{request.model} does not take one spectrogram, whose frames could be chosen.", "Leave out --frames."
            )
        return joined({name: batch_shape(shape, 1)[1:] for name, shape in shapes.items()}), None, None
    frames, mels = request.frames or sizes[UNNAMED][0], sizes[UNNAMED][1]
    return batch_shape((*shapes[UNNAMED][:-2], frames, mels), 1)[1:], frames, mels


def _flops(request: MeasurementRequest, options: dict[str, Any], shape: Any) -> int:
    """Operations of one clip in evaluation, counted without computing a number."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import baselines

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model: Any = baselines.create(request.model, request.classes, **options).eval()
        model(map_inputs(lambda size: torch.empty(1, *size), shape))
    return int(counter.get_total_flops())


def _evaluation(model: Any, x: Any, request: MeasurementRequest) -> dict[str, float | None]:
    import torch

    model.eval()
    with torch.no_grad():
        seconds = _median_seconds(lambda: model(x), request)
    return {"seconds_per_cycle": seconds / request.batch, "peak_memory_mib": _peak_memory(request.device)}


def _training(model: Any, x: Any, request: MeasurementRequest) -> dict[str, float | None]:
    import torch

    from bench.engine.optim import OptimOptions, build_optimizer

    labels = torch.arange(request.batch, device=request.device) % request.classes
    optimizer = build_optimizer([(parameter, 1.0) for parameter in model.parameters()], OptimOptions(lr=1e-5))

    def step() -> None:
        loss: Any = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    model.train()
    seconds = _median_seconds(step, request)
    return {"seconds_per_step": seconds, "peak_memory_mib": _peak_memory(request.device)}


def _median_seconds(run: Callable[[], Any], request: MeasurementRequest) -> float:
    import torch

    def settle() -> None:
        if request.device == "cuda":
            torch.cuda.synchronize()

    times = []
    for _ in range(request.repeats + 1):
        began = time.perf_counter()
        run()
        settle()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def _peak_memory(device: str) -> float | None:
    from bench.engine.hardware import peak_memory_mib

    return peak_memory_mib()["gpu" if device == "cuda" else "host"]


def main(task: Mapping[str, Any], parent: Parent) -> dict[str, Any]:
    """Measure a model in this process, which was started for it.

    Args:
        task: The fields of a :class:`MeasurementRequest`.
        parent: The process that started this one.

    Returns:
        As :func:`measure`.

    Raises:
        BenchError: As :func:`measure`; RunError if the model fails.
    """
    try:
        return measure(MeasurementRequest(**task))
    except (RuntimeError, MemoryError) as error:
        raise RunError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
