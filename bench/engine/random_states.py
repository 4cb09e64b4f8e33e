"""The global random generators of torch and numpy, given back to the program that a run is a part of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

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
