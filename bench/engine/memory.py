"""Memory that runs out in a training step: how it is told from other errors, and what is said about it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

CPU_WORDS = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
"""What torch's allocator of the CPU says; its error has no class of its own."""

SMALLER = "a smaller model or shorter clips"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_WORDS)


def words_of_exhaustion(error: BaseException, where: str = "") -> str:
    """Say in a sentence that memory ran out.

    Args:
        error: The error of :func:`is_out_of_memory`.
        where: Words that follow, as in ``" in a step of 8 cycles"``.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return f"The device ran out of memory{where}: {str(error).splitlines()[0]}"
    return f"The machine ran out of memory{where}."


def fitting_micro_batch(attempt: Callable[[int], object], rows: int) -> int | None:
    """Find a micro-batch that fits, by trying half of the rows, a quarter, and so on.

    Args:
        attempt: Computes the gradients of a step in micro-batches of some rows, and keeps nothing of them.
        rows: Rows that do not fit at once.

    Returns:
        The first size that fits; None where not even a single row does.
    """
    size = rows // 2
    while size >= 1:
        release_memory()
        try:
            attempt(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            forget_frames(error)
        else:
            return size
        size //= 2
    return None


def forget_frames(error: BaseException) -> None:
    """Let go of the variables of the code that an error came through: they hold what filled the memory."""
    error.__traceback__ = error.__cause__ = error.__context__ = None


def release_memory() -> None:
    """Give back memory that nothing holds any more, so that it can be had in other sizes."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def hint_of_micro_batch(size: int | None, *, tried: bool, checkpointing: bool) -> str:
    """Say which micro-batch to use.

    Args:
        size: Its cycles; None where none fits.
        tried: Whether it was tried, or is a guess.
        checkpointing: Whether activations are computed again already.
    """
    if size is None:
        more = "" if checkpointing else "--set checkpointing=true or "
        return f"Not even one cycle fits at a time: use {more}{SMALLER}."
    known = "which was tried and fits" if tried else "or less"
    return f"Use --set micro_batch={size}, {known}."


def hint_of_checkpointing(*, checkpointing: bool, possible: bool) -> str:
    """Say what helps a model that normalises over the batch, whose rows must be computed together.

    Args:
        checkpointing: Whether activations are computed again already.
        possible: Whether the model can do that.
    """
    if possible and not checkpointing:
        return "Use --set checkpointing=true: the model normalises over the batch, so micro-batches cannot be used."
    return f"Use a smaller --set batch=…, more processes on other devices, or {SMALLER}."
