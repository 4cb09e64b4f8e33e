"""The files that a program is written to, and how each is loaded again without the code that wrote it."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from bench.core.errors import RunError, SpecError
from bench.core.text import echoed
from bench.engine.export.parity import Loaded
from bench.engine.export.portable import PortableOperations
from bench.engine.export.programs import PROBABILITIES, Program

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What makes, and tries, files of ONNX."""

LOWEST_OPSET, HIGHEST_OPSET = 18, 23
"""Versions of ONNX's operators that can be asked for."""

MOST_ONNX_BYTES = 2**31 - 2**26
"""Bytes of weights at most in a file of ONNX, which is one message of protobuf: less than 2 GiB with all else in it."""

FAULTS = (RuntimeError, ValueError, TypeError, AssertionError, LookupError, AttributeError, ArithmeticError)
"""What the exporters, and models within them, raise; NotImplementedError is one of them."""


class Writable(Protocol):
    """A program in the form of one kind of file."""

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file with some texts by name."""
        ...

    def load(self, path: Path) -> Loaded:
        """Load a file that was written."""
        ...


def check_onnx() -> None:
    """Refuse to go on without what files of ONNX are made with; raises SpecError."""
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SpecError(
            f"--format onnx needs packages that are not installed: {', '.join(missing)}.",
            "Install them: pip install 'lungbench[onnx]'",
        )


class TorchProgram:
    """A traced program, as ``torch.export.load`` reads it; it needs torch and nothing else.

    Args:
        program: The program.
        example: Inputs of two rows or more to trace it with.
    """

    def __init__(self, program: Program, example: Mapping[str, Tensor]) -> None:
        self._traced = _traced(program, example)
        self._names = [one.name for one in program.inputs]

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the program; the texts are files of its archive."""
        archive = io.BytesIO()
        with _quiet():
            torch.export.save(self._traced, archive, extra_files=dict(metadata))
        # Not by torch itself, whose writer ends the whole process where the disk is full.
        path.write_bytes(archive.getbuffer())

    def load(self, path: Path) -> Loaded:
        """Load a program."""
        with path.open("rb") as stream, _quiet():
            module = torch.export.load(stream).module()

        def run(inputs: Mapping[str, Tensor]) -> Any:
            with torch.no_grad():
                return module(*(inputs[name] for name in self._names)).numpy()

        return run


class OnnxProgram:
    """A program as a file of ONNX.

    Args:
        program: The program.
        example: Inputs of two rows or more to trace it with.
        opset: Version of ONNX's operators.
    """

    def __init__(self, program: Program, example: Mapping[str, Tensor], opset: int) -> None:
        _check_fits(program)
        with PortableOperations():
            # Once before the trace: what is computed once and kept is a constant in it.
            with torch.no_grad():
                program.module(*example.values())
            traced = _traced(program, example)
        names = [one.name for one in program.inputs]
        with _quiet(), _told("be written as ONNX"):
            made = torch.onnx.export(
                traced,
                (),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=names,
                output_names=[PROBABILITIES],
            )
        assert made is not None
        self._model: Any = made.model_proto
        _name_axes(self._model, program)
        _forget_origins(self._model)

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file; the texts are its metadata."""
        import onnx

        del self._model.metadata_props[:]
        onnx.helper.set_model_props(self._model, dict(metadata))
        onnx.save(self._model, path)

    def load(self, path: Path) -> Loaded:
        """Load a file in ONNX Runtime, on the CPU."""
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as states

        faults = (
            states.Fail,
            states.InvalidArgument,
            states.InvalidGraph,
            states.InvalidProtobuf,
            states.NotImplemented,
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        with _told("be loaded by ONNX Runtime", *faults):
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        def run(inputs: Mapping[str, Tensor]) -> Any:
            with _told("be run by ONNX Runtime", *faults, states.RuntimeException):
                return session.run([PROBABILITIES], {name: tensor.numpy() for name, tensor in inputs.items()})[0]

        return run


def _check_fits(program: Program) -> None:
    """Refuse a model that is larger than a file of ONNX can be."""
    module = program.module
    size = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    if size > MOST_ONNX_BYTES:
        raise RunError(
            f"The model has {size / 2**30:.1f} GiB of weights, and a file of ONNX holds less than 2 GiB.",
            "Use --format torch or safetensors.",
        )


def _name_axes(model: Any, program: Program) -> None:
    """Give the open axes of a model the names that the program has for them."""
    for found, wanted in zip(model.graph.input, program.inputs, strict=True):
        for axis, size in zip(found.type.tensor_type.shape.dim, wanted.shape, strict=True):
            if isinstance(size, str):
                axis.dim_param = size
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def _forget_origins(model: Any) -> None:
    """Remove what the exporter notes of each operation for its developers, lines of code among it."""
    graph = model.graph
    for one in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del one.metadata_props[:]


def _traced(program: Program, example: Mapping[str, Tensor]) -> ExportedProgram:
    """Trace a program; axes of any size are left open.

    Raises:
        RunError: If it cannot be traced.
    """
    axes = tuple(
        {place: Dim.DYNAMIC for place, size in enumerate(one.shape) if isinstance(size, str)} for one in program.inputs
    )
    shapes = axes if program.rate is not None else (axes,)
    with torch.no_grad(), _quiet(), _told("be traced"):
        traced = torch.export.export(program.module, tuple(example.values()), dynamic_shapes=shapes)
    for part in traced.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, GraphModule) else ():
            # Which lines of which files an operation is from, with their places on this machine.
            node.meta.pop("stack_trace", None)
    return traced


@contextmanager
def _told(what: str, *others: type[Exception]) -> Iterator[None]:
    """Tell failures of the exporter, and errors of other classes, in one sentence; a plug-in may do anything."""
    faults: tuple[type[Exception], ...] = (*FAULTS, *others)
    try:
        yield
    except faults as error:
        # The exporters tell a story around what went wrong, which is the first cause.
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        line = echoed(str(cause).strip().partition("\n")[0], 300)
        raise RunError(
            f"The model cannot {what}: {type(cause).__name__}: {line}",
            "Its code may look at numbers or at the size of the batch. `--format safetensors` writes the weights.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor lines of the exporters, which speak to their own developers."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


class Weights:
    """The weights by themselves, under the names of the published network, as a safetensors file.

    Args:
        tensors: The tensors by name.
        rebuild: Makes the program of some tensors, to try a file.
    """

    def __init__(self, tensors: Mapping[str, Tensor], rebuild: Callable[[Mapping[str, Tensor]], Loaded]) -> None:
        self._tensors, self._rebuild = tensors, rebuild

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file; the texts are its metadata. Raises OSError where that fails."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        try:
            save_file(dict(self._tensors), path, metadata={"format": "pt", **metadata})
        except SafetensorError as error:
            # Its own error hides the system's: a full disk is to be told as one.
            raise OSError(str(error)) from error

    def load(self, path: Path) -> Loaded:
        """Load the weights into a new model."""
        from safetensors.torch import load_file

        return self._rebuild(load_file(path))
