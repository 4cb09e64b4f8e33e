"""Activation checkpointing: a model's blocks keep what goes into them, and compute what lies within once more.

timm's own switch is not used: its second run would move running statistics again, and draw for this process's rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

from torch import nn

from bench.core.errors import SpecError
from bench.core.optional_calls import OptionalCalls
from bench.engine.recomputation import recomputed


class BlockModel(OptionalCalls):
    """A model that says which of its parts are worth computing twice."""

    @abstractmethod
    def checkpoint_blocks(self) -> Sequence[nn.Module]:
        """Parts that are called one after the other, none within another; none where the architecture has no such."""
        ...


def checkpoint_activations(model: nn.Module, name: str) -> None:
    """Let the blocks of a model keep no activations for the backward pass, which computes them again.

    Numbers, parameters and the names of both stay what they are.

    Args:
        model: The model, its normalisation layers already those of a group of processes.
        name: Id of the model, for the message.

    Raises:
        SpecError: If the model names no blocks.
    """
    for block in blocks_of(model, name):
        # An attribute of this one block goes before the class's method, and hooks still run around it.
        block.forward = partial(recomputed, block, block.forward)


def blocks_of(model: nn.Module, name: str) -> Sequence[nn.Module]:
    """The blocks of a model that are computed again.

    Raises:
        SpecError: If the model names none.
    """
    blocks = model.checkpoint_blocks() if isinstance(model, BlockModel) else ()
    if not blocks:
        raise SpecError(
            f"checkpointing cannot be used with {name}: it does not say which of its blocks are computed again.",
            "Leave checkpointing at false; without batch normalisation, --set micro_batch=… saves memory too.",
        )
    return blocks
