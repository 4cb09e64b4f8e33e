"""The pictures of a recording from any front-end: one that makes them in one go, or one of two halves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core.inputs import joined
from bench.data.frontends import FrontEnd, WaveformFrontEnd
from bench.data.frontends.shapes import input_shapes

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.units import Inputs


def recording_pictures(
    frontend: FrontEnd | WaveformFrontEnd,
    wave: Tensor,
    rate: int,
    spans: Sequence[tuple[float, float]],
    *,
    name: str = "the recording",
    device: str = "",
) -> Inputs:
    """Turn the cycles of one recording into pictures.

    Args:
        frontend: A front-end that has ``features``, or both ``fit`` and ``picture``.
        wave: (samples,) float32, −1..1.
        rate: Sampling rate of ``wave``, Hz.
        spans: Start and end of each cycle, seconds.
        name: Name by which messages call the recording.
        device: Device that recorded it.

    Returns:
        (rows, *shape) float32, or such an array for each name: a row for each cycle, or for each piece of one.

    Raises:
        DataError: If a cycle holds no sample of the recording.
    """
    # Whole recordings in one go where a front-end can: it may save what a batch of any waveforms needs.
    if isinstance(frontend, FrontEnd):
        return frontend.features(wave, rate, spans, name=name)

    import torch

    from bench.data.units import UnitWaves, unit_draws

    waves = frontend.fit(wave, rate, spans, name=name)
    if not waves:
        return joined({name: torch.empty(0, *shape) for name, shape in input_shapes(frontend).items()})
    return frontend.picture(UnitWaves.of(waves, [device] * len(waves), unit_draws(name, 0, len(waves))))
