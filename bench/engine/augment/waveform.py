"""Changes of unit waveforms: drawn on the host for the global batch, applied on the device to all units at once.

Order: noise, gain, speed, stretch, pitch, vtlp; then roll, crop, pad. Draws are shares and amounts that do not depend
on how long a unit is, so that every process draws the same for the global batch and applies its own rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.engine.augment.loudness import add_noise, change_gain
from bench.engine.augment.options import PLACEMENTS, WAVE_OPERATIONS, AugmentOptions
from bench.engine.augment.placement import crop, gap, pad, roll
from bench.engine.augment.resampling import change_speed
from bench.engine.augment.vocoder import perturb_vocal_tract, shift_pitch, stretch_tempo
from bench.engine.augment.waves import Waves, joined, part, rows_of, with_rows


@dataclass(frozen=True)
class Change:
    """What one operation does to a batch.

    Attributes:
        chosen: (batch,) bool, which units it changes.
        amount: (batch,) float64, by how much: in the operation's unit, or a share in [0, 1) of where it may lie.
    """

    chosen: np.ndarray
    amount: np.ndarray

    def __getitem__(self, rows: slice) -> Change:
        return Change(self.chosen[rows], self.amount[rows])


@dataclass(frozen=True)
class NoiseDraw:
    """Where noise lies and what it is.

    Attributes:
        seeds: (batch,) int64, from which the noise of each unit is drawn.
        places: (batch,) float64 in [0, 1), where its stretch of the unit begins.
    """

    seeds: np.ndarray
    places: np.ndarray

    def __getitem__(self, rows: slice) -> NoiseDraw:
        return NoiseDraw(self.seeds[rows], self.places[rows])


@dataclass(frozen=True)
class WaveformDraw:
    """What happens to each unit of a batch; an operation that the run does not have is None.

    Attributes:
        noise: Amounts are signal-to-noise ratios in dB.
        noise_draw: Seeds and places of the noise.
        gain: Amounts are decibels or factors.
        speed: Amounts are factors.
        stretch: Amounts are factors.
        pitch: Amounts are semitones.
        vtlp: Amounts are factors, or where it leaves a gap shares of where that may begin.
        roll: Amounts are shares of the length.
        crop: Amounts are shares of the places where it may begin.
        pad: Amounts are shares of what may come before the unit.
    """

    noise: Change | None = None
    noise_draw: NoiseDraw | None = None
    gain: Change | None = None
    speed: Change | None = None
    stretch: Change | None = None
    pitch: Change | None = None
    vtlp: Change | None = None
    roll: Change | None = None
    crop: Change | None = None
    pad: Change | None = None

    def __getitem__(self, rows: slice) -> WaveformDraw:
        drawn = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return WaveformDraw(**{name: None if part is None else part[rows] for name, part in drawn.items()})


def draw_waveform(
    batch: int, options: AugmentOptions, rng: np.random.Generator, rarity: np.ndarray | None = None
) -> WaveformDraw:
    """Draw what happens to each unit of a global batch.

    How many numbers are drawn depends on the options alone; an operation of probability 0 draws none.

    Args:
        batch: Rows of the global batch.
        options: What the run asks for.
        rng: Generator of the step.
        rarity: (batch,) what the chances of noise to vtlp are multiplied by where ``wave_rare`` is set:
            :func:`bench.engine.augment.concatenation.rare_shares` of the classes.

    Raises:
        ValueError: If ``wave_rare`` is set and there is no rarity.
    """
    if options.wave_rare and rarity is None:
        raise ValueError("wave_rare needs to know how rare the class of each row is.")
    share = rarity if options.wave_rare and rarity is not None else np.ones(batch)
    drawn: dict[str, Change | NoiseDraw] = {
        name: Change(chosen, _draw_amounts(name, batch, options, rng))
        for name, chosen in _draw_operations(batch, options, share, rng).items()
    }
    if "noise" in drawn:
        drawn["noise_draw"] = NoiseDraw(rng.integers(2**63, size=batch), rng.random(batch))
    for name in PLACEMENTS:
        if options.chance(name) > 0:
            drawn[name] = Change(rng.random(batch) < options.chance(name), rng.random(batch))
    return WaveformDraw(**drawn)  # type: ignore[arg-type]


def _draw_operations(
    batch: int, options: AugmentOptions, share: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Which rows each operation changes, (batch,) bool by name."""
    names = [name for name in WAVE_OPERATIONS if options.chance(name) > 0]
    if options.wave_choice == "each":
        return {name: rng.random(batch) < options.chance(name) * share for name in names}
    # One draw for all: the chances lie side by side, and it falls on one of them or behind the last.
    draws, chosen, above = rng.random(batch) if names else np.ones(batch), {}, np.zeros(batch)
    for name in names:
        below, above = above, above + options.chance(name) * share
        chosen[name] = (draws >= below) & (draws < above)
    return chosen


def _draw_amounts(name: str, batch: int, options: AugmentOptions, rng: np.random.Generator) -> np.ndarray:
    """(batch,) float64, uniform between the operation's lowest and highest amount, or on its steps."""
    if name == "vtlp" and options.vtlp_law == "gap":
        return rng.random(batch)
    prefix = "noise_snr" if name == "noise" else name
    low, high = getattr(options, f"{prefix}_low"), getattr(options, f"{prefix}_high")
    values = step_values(low, high, getattr(options, f"{name}_step", 0.0), without=1.0 if name != "pitch" else None)
    return rng.uniform(low, high, batch) if values is None else values[rng.integers(len(values), size=batch)]


def step_values(low: float, high: float, step: float, without: float | None) -> np.ndarray | None:
    """List the amounts that steps allow, from the lowest to the highest; None where there is no step.

    Args:
        low: Lowest amount.
        high: Highest amount.
        step: From one to the next; 0 for none.
        without: An amount that changes nothing, and is left out; None to keep all.
    """
    if step == 0:
        return None
    values = low + step * np.arange(int((high - low) / step + 1e-9) + 1)
    return values if without is None else values[np.abs(values - without) > 1e-9]


Operation = Callable[[Waves, Tensor], Waves]


def apply_waveform(waves: Waves, draw: WaveformDraw, options: AugmentOptions, rate: int) -> Waves:
    """Change unit waveforms as drawn, out of place.

    Args:
        waves: This process's units.
        draw: What was drawn for them: its part of the global draw.
        options: What the run asks for.
        rate: Sample rate of the units, Hz.

    Returns:
        The changed units, zero beyond their lengths; the units as they are where nothing was drawn for them.
    """
    return apply_placements(apply_sounds(waves, draw, options), draw, options, rate)


def apply_sounds(waves: Waves, draw: WaveformDraw, options: AugmentOptions) -> Waves:
    """Change the sound of units as drawn: noise to vtlp. Arguments and result are those of :func:`apply_waveform`."""
    if draw.noise is not None and draw.noise_draw is not None:
        waves = _with_noise(waves, draw.noise, draw.noise_draw, options)
    for name, operation in _sound_operations(options).items():
        waves = _changed(waves, getattr(draw, name), operation)
    return waves


def apply_placements(waves: Waves, draw: WaveformDraw, options: AugmentOptions, rate: int) -> Waves:
    """Change where sounds lie as drawn: roll, crop, pad. Arguments and result are those of :func:`apply_waveform`."""
    for name, operation in _placements(options, rate).items():
        waves = _changed(waves, getattr(draw, name), operation)
    return waves


def _sound_operations(options: AugmentOptions) -> dict[str, Operation]:
    """The operations of :data:`WAVE_OPERATIONS` but for noise, in their order, on the part that they change."""
    window, kind = options.vocoder_window, options.resampling_filter
    operations: dict[str, Operation] = {
        "gain": lambda waves, amount: change_gain(waves, amount, scale=options.gain_scale),
        "speed": lambda waves, amount: change_speed(waves, amount, kind),
        "stretch": lambda waves, amount: stretch_tempo(waves, amount, window),
        "pitch": lambda waves, amount: shift_pitch(waves, amount, window, kind),
        "vtlp": lambda waves, amount: perturb_vocal_tract(waves, amount, window, options.vtlp_corner),
    }
    found = {name: _in_zone(operation, options.wave_zone) for name, operation in operations.items()}
    if options.vtlp_law == "gap":
        # It lies anywhere in the unit, wherever the others' zone is.
        found["vtlp"] = lambda waves, amount: gap(waves, amount, window // 4)
    return found


def _placements(options: AugmentOptions, rate: int) -> dict[str, Operation]:
    """The operations of :data:`PLACEMENTS`, in their order."""
    cropped, padded = (max(1, round(seconds * rate)) for seconds in (options.crop_seconds, options.pad_seconds))
    return {
        "roll": roll,
        "crop": lambda waves, amount: crop(waves, amount, cropped),
        "pad": lambda waves, amount: pad(waves, amount, padded, fill=options.pad_fill, place=options.pad_place),
    }


def _changed(waves: Waves, change: Change | None, operation: Operation) -> Waves:
    """Waves of which the chosen ones went through an operation."""
    if change is None or not change.chosen.any():
        return waves
    rows = np.flatnonzero(change.chosen)
    return with_rows(waves, rows, operation(rows_of(waves, rows), torch.from_numpy(change.amount[rows])))


def _with_noise(waves: Waves, change: Change, noise: NoiseDraw, options: AugmentOptions) -> Waves:
    rows = np.flatnonzero(change.chosen)
    seeds, places = noise.seeds[rows], torch.from_numpy(noise.places[rows])

    def add(units: Waves, ratios: Tensor) -> Waves:
        zone, deviation, kind = options.wave_zone, options.noise_deviation, options.noise_kind
        return add_noise(units, ratios, seeds=seeds, places=places, zone=zone, deviation=deviation, kind=kind)

    return _changed(waves, change, add)


def _in_zone(operation: Operation, zone: float) -> Operation:
    """An operation on the middle of a unit, what is before and after it left as it is; the length may change."""
    if zone == 1:
        return operation

    def on_middle(waves: Waves, amount: Tensor) -> Waves:
        starts = (waves.lengths * ((1 - zone) / 2)).long()
        ends = torch.maximum((waves.lengths * ((1 + zone) / 2)).long(), starts + 1)
        middle = operation(part(waves, starts, ends - starts), amount)
        before = part(waves, torch.zeros_like(starts), starts)
        return joined(joined(before, middle), part(waves, ends, waves.lengths - ends))

    return on_middle
