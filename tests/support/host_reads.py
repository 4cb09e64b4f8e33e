"""Reads of a tensor's values by the host, which on a GPU wait for all that the GPU has still to do; found on the CPU.

It stands in for ``torch.cuda.set_sync_debug_mode("error")``, which ``benchmarks/gpu.py`` uses where there is a GPU.
What it cannot see: copies from memory that is not pinned, and reads within a library's own C++ code.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[2]

READING = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "masked_select", "equal", "_unique2", "unique_dim"}
"""Operations whose result, or its size, the host must know before it goes on."""

CALLS = {"cpu", "numpy", "tolist", "__array__", "tensor", "as_tensor"}
"""Calls that on the CPU are no operation of their own, or that copy a number from memory that is not pinned."""


def _place() -> str:
    """The innermost line of this project outside of the tests."""
    frames = [frame for frame in traceback.extract_stack() if "/tests/" not in frame.filename]
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)]
    frame = (ours or frames)[-1]
    return f"{_short(frame.filename)}: {frame.name}"


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in READING or masks:
            self.found.append(("a boolean index" if masks else name, _place()))
        return func(*args, **(kwargs or {}))


class _Calls(TorchFunctionMode):
    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        # A tensor that is a tensor already is handed on.
        if name in CALLS and not (name == "as_tensor" and isinstance(args[0], torch.Tensor)):
            self.found.append((name, _place()))
        return func(*args, **(kwargs or {}))


class HostReads:
    """Notes the reads in a ``with`` block.

    Attributes:
        found: What was read, and where.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._modes = _Calls(self.found), _Operations(self.found)

    def __enter__(self) -> HostReads:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)
