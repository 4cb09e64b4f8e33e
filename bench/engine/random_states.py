"""The global random generators: given back to the program that a run is a part of, and kept in saved states."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Give the global generators of torch and numpy the states back that they had before the block, however it ends.

    A run seeds torch's own generator. A script or a notebook that calls one goes on drawing as if it had not.
    """
    of_numpy, of_torch = np.random.get_state(), torch.get_rng_state()
    had_devices = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    of_devices = torch.cuda.get_rng_state_all() if had_devices else []
    try:
        yield
    finally:
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if had_devices:
            torch.cuda.set_rng_state_all(of_devices)
        else:
            # Devices that nothing had used yet begin with the seed of the CPU's generator.
            torch.cuda.manual_seed_all(torch.initial_seed())


def random_states() -> dict[str, Any]:
    """The states of all generators of this process, as ``Accelerator.load_state`` restores them.

    A run seeds torch's and numpy's before each step; a plug-in may draw from Python's own.
    """
    states: dict[str, Any] = {
        "step": 0,
        "random_state": random.getstate(),
        "numpy_random_seed": np.random.get_state(),
        "torch_manual_seed": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["torch_cuda_manual_seed"] = torch.cuda.get_rng_state_all()
    return states


@dataclass(frozen=True)
class DrawnFrom:
    """The states of torch's own generators at one moment.

    Attributes:
        of_cpu: The CPU's.
        of_device: The current GPU's; None where none is in use.
    """

    of_cpu: Tensor
    of_device: Tensor | None

    @classmethod
    def here(cls) -> DrawnFrom:
        """The states as they are now."""
        on_device = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state() if on_device else None)

    def restore(self) -> None:
        """Let the generators draw again what they drew from then on."""
        torch.set_rng_state(self.of_cpu)
        if self.of_device is not None:
            torch.cuda.set_rng_state(self.of_device)
