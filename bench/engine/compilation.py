"""``torch.compile`` of a model's blocks: one block's kernels serve all blocks of its kind.

Not the whole step: a method's λ, permutations and masks change with each step, and what is made of numbers that change
would be made anew. Each shape of a batch has kernels of its own (``dynamic=False``), so that which kernels compute a
step does not depend on what was computed before it: a run that is resumed goes on with the same ones. Evaluations and
frozen parts are not compiled.

CUDA graphs ("reduce-overhead") are not used: a block's results would lie in memory that its next call writes to.
"""

from __future__ import annotations

import logging
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.core.errors import SpecError
from bench.engine.activation_checkpoints import BlockModel
from bench.experiment.spec import RunSpec

logger = logging.getLogger(__name__)

STEPS_THAT_PAY = 20_000
"""Steps of a run from which compiling pays by itself on a GPU.

Compiling a block and its backward pass takes about a minute with a cold cache; of a step of a small batch, which is
bound by its kernel launches, it is expected to save some milliseconds. 20,000 steps of 5 ms are 100 s. Neither number
was measured on a GPU yet; ``python -m benchmarks.gpu`` measures both. The paper's run (50 epochs of 517 steps) is
longer, a run at batch 64 is shorter.
"""

SHAPES = 64
"""Forms of a block (shapes of its input, kinds of blocks) that may be compiled; beyond them torch would stop to."""

KERNELS = "TORCHINDUCTOR_CACHE_DIR"
"""The variable by which torch finds the kernels that it has compiled before."""

COMPILERS = {"cpu": ("c++", "g++", "clang++"), "cuda": ("cc", "gcc", "clang")}
"""Programs of which torch needs one: it writes C++ for CPUs, and Triton a launcher in C for GPUs."""


def compile_blocks(model: nn.Module, spec: RunSpec, steps: int, device: torch.device) -> bool:
    """Have the blocks of a model compiled where the spec says so; parameters, buffers and their names stay.

    Args:
        model: The model, its layers already replaced where they must be.
        spec: The spec of the run: the field ``compile``.
        steps: Steps of the whole run.
        device: The device of the run.

    Returns:
        Whether they are compiled; it happens when each is first called.

    Raises:
        SpecError: If compiling was asked for and cannot be: something else has changed the blocks' passes, the model
            names no blocks, or there is no compiler.
    """
    wanted, hindrance = spec.distribution.compile, _hindrance(model, spec, device)
    if wanted == "on" and hindrance is not None:
        raise SpecError(f"compile=on cannot be used: {hindrance}.", "Leave --set compile=off.")
    if wanted == "off" or hindrance is not None:
        return False
    if wanted == "auto" and not pays(steps, device):
        return False
    keep_kernels_in(Path(spec.cache) / "kernels")
    for block in _blocks(model):
        _compile(block)
    logger.debug("%d blocks of %s are compiled when they are first called", len(_blocks(model)), spec.model)
    return True


def pays(steps: int, device: torch.device) -> bool:
    """Whether a run of so many steps is long enough for ``compile=auto``; on a CPU it does not pay."""
    return device.type == "cuda" and steps >= STEPS_THAT_PAY


def keep_kernels_in(folder: Path) -> None:
    """Let runs share what torch compiles: the second run of a matrix finds the kernels of the first.

    Args:
        folder: Where they are kept; somebody who has set :data:`KERNELS` keeps them there.
    """
    import torch._inductor.config as inductor
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    inductor.fx_graph_cache = True
    # torch sets the variable by itself as it is imported, to a folder that is gone after the next start of the machine.
    if os.environ.get(KERNELS, default_cache_dir()) == default_cache_dir():
        os.environ[KERNELS] = str(folder)


def _blocks(model: nn.Module) -> list[nn.Module]:
    return list(model.checkpoint_blocks()) if isinstance(model, BlockModel) else []


def _hindrance(model: nn.Module, spec: RunSpec, device: torch.device) -> str | None:
    """Why the blocks of a model cannot be compiled; None where they can."""
    options = spec.distribution
    if options.processes > 1 or options.micro_batch or options.checkpointing:
        # Each of them puts something of its own around a block's pass: draws of the global batch, a second pass.
        return "a run with several processes, micro-batches or checkpointing changes how blocks are called"
    if not _blocks(model):
        return f"{spec.model} does not name its blocks"
    programs = COMPILERS[device.type]
    if not any(map(shutil.which, (os.environ.get("CXX" if device.type == "cpu" else "CC") or programs[0], *programs))):
        return f"this machine has no {' or '.join(programs)}"
    return None


def _compile(block: Any) -> None:
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, SHAPES)
    plain = block.forward
    # An attribute of this one block goes before the class's method, and hooks still run around it.
    block.forward = partial(_forward, block, plain, torch.compile(plain, dynamic=False))


def _forward(block: nn.Module, plain: Any, compiled: Any, *args: Any) -> Any:
    return (compiled if block.training else plain)(*args)
