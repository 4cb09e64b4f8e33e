"""Fourier transforms as matrix products, for programs that other runtimes carry out.

Few runtimes of ONNX have its operators for Fourier transforms, and all of them multiply matrices. The frames of a
front-end are short, so that a product takes about as long.

Shapes: N samples of a frame, K = N // 2 + 1 frequencies, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class FourierProducts(TorchFunctionMode):
    """While it is entered, ``torch.fft.rfft`` and ``torch.stft`` are products with cosines and sines.

    The matrices are kept: what was computed once outside of a trace is a constant within it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bases: dict[tuple[int, torch.dtype], tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a call of one of the transforms as a product; let any other be."""
        given = kwargs or {}
        if function is torch.fft.rfft and len(args) == 1 and not given:
            return self._transform(args[0])
        if function is torch.stft:
            return self._short_time(*args, **given)
        return function(*args, **given)

    def _transform(self, frames: Tensor) -> Tensor:
        """Spectra (..., K) of frames (..., N)."""
        cosines, sines = self._basis(frames.shape[-1], frames.dtype)
        return torch.complex(frames @ cosines, frames @ sines)

    def _basis(self, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and negative sines (N, K), computed in double precision."""
        if (size, dtype) not in self._bases:
            # The angle by whole numbers: their products modulo N keep it exact.
            turns = torch.outer(torch.arange(size), torch.arange(size // 2 + 1)) % size
            angles = turns.double() * (2 * torch.pi / size)
            self._bases[size, dtype] = angles.cos().to(dtype), (-angles.sin()).to(dtype)
        return self._bases[size, dtype]

    def _short_time(
        self,
        waves: Tensor,
        n_fft: int,
        hop_length: int,
        win_length: int | None = None,
        window: Tensor | None = None,
        center: bool = True,
        pad_mode: str = "reflect",
        **others: Any,
    ) -> Tensor:
        """Spectra (B, K, T) of waveforms (B, samples), as ``torch.stft`` has them."""
        asked = {name for name, value in others.items() if value not in (None, name in ("onesided", "return_complex"))}
        if asked or window is None:
            raise NotImplementedError(f"a short-time transform with {', '.join(sorted(asked)) or 'no window'}")
        # What the window leaves of a frame are its middle samples: the others need no product.
        size = win_length or n_fft
        skipped = (n_fft - size) // 2
        if center:
            waves = functional.pad(waves[:, None], (n_fft // 2, n_fft // 2), mode=pad_mode)[:, 0]
        frames = 1 + (waves.shape[1] - n_fft) // hop_length
        seen = waves[:, skipped : skipped + (frames - 1) * hop_length + size].unfold(1, size, hop_length)
        cosines, sines = (part[skipped : skipped + size] for part in self._basis(n_fft, waves.dtype))
        windowed = seen * window
        return torch.complex(windowed @ cosines, windowed @ sines).mT
