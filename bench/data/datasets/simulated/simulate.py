"""Simulated lung sounds: breath noise, crackles and wheezes, and the devices that record them.

The sounds follow the textbook descriptions of the terms (breath: low-passed noise that rises and falls with
the air flow; crackle: a damped oscillation of a few milliseconds; wheeze: a tone of at least 80 ms between 100 and
1000 Hz), nothing is measured from recordings. ``docs/simulated-data.md`` says what they are good for.

All sounds are made at 8 kHz in float64; a device then limits the band, brings the sound to its own rate and
quantises it. A ``Wave`` is (samples,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float64]

SYNTHESIS_RATE = 8000
"""Samples per second at which sounds are made; every device's band ends below half of it."""

CRACKLE_PEAK_DB = (10.0, 18.0)
"""Peak of a crackle over the RMS of the breath noise at the height of inspiration."""

WHEEZE_RMS_DB = (-6.0, 2.0)
"""RMS of a wheeze over the RMS of the breath noise at the height of inspiration."""

BACKGROUND_DB = -25.0
"""Steady noise between breaths, over the RMS of the breath noise at the height of inspiration."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A stethoscope or microphone.

    Attributes:
        name: Name of the device in ICBHI's file names, 8 characters.
        mode: ``sc`` or ``mc``, single-channel (sequential) or multi-channel (simultaneous) acquisition.
        rate: Samples per second of its files.
        bits: Bits per sample of its files, 16 or 24.
        low: Lower band limit, Hz.
        high: Upper band limit, Hz.
    """

    name: str
    mode: Literal["sc", "mc"]
    rate: int
    bits: Literal[16, 24]
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Chest:
    """How one patient's breath sounds.

    Attributes:
        level: RMS of the breath noise at the height of inspiration, full scale = 1.
        corner: Where the noise's spectrum begins to fall, Hz.
        slope: How steeply it falls, dB per octave.
        inspiration: Share of a cycle that is inspiration.
        expiration_db: Level of expiration over that of inspiration.
    """

    level: float
    corner: float
    slope: float
    inspiration: float
    expiration_db: float


@dataclass(frozen=True)
class Breath:
    """One respiratory cycle.

    Attributes:
        start: Seconds from the beginning of the recording.
        end: Seconds from the beginning of the recording.
        crackle: Whether it holds crackles.
        wheeze: Whether it holds wheezes.
    """

    start: float
    end: float
    crackle: bool
    wheeze: bool

    @property
    def samples(self) -> slice:
        """The samples of the cycle in a sound at 8 kHz."""
        return slice(int(self.start * SYNTHESIS_RATE), int(self.end * SYNTHESIS_RATE))


def amplitude(decibels: float) -> float:
    """The amplitude ratio of a level difference in dB."""
    return float(10.0 ** (decibels / 20.0))


def draw_chest(rng: np.random.Generator) -> Chest:
    """Draw a patient's breath."""
    return Chest(
        level=0.02 * amplitude(rng.uniform(-4.0, 4.0)),
        corner=rng.uniform(150.0, 300.0),
        slope=rng.uniform(9.0, 15.0),
        inspiration=rng.uniform(0.36, 0.46),
        expiration_db=rng.uniform(-8.0, -3.0),
    )


def _add_hump(flow: Wave, first: float, last: float) -> None:
    """Add half a period of sin² to a cycle's air flow, between two shares of the cycle."""
    start, stop = int(first * len(flow)), int(last * len(flow))
    flow[start:stop] += np.sin(np.pi * np.arange(stop - start) / (stop - start)) ** 2


def _coloured(white: npt.NDArray[np.complex128], samples: int, corner: float, slope: float) -> Wave:
    """Shape white noise, given as its spectrum, so that it falls beyond a corner; RMS 1."""
    frequency = np.arange(len(white)) * (SYNTHESIS_RATE / samples)
    wave: Wave = np.fft.irfft(white * (1 + (frequency / corner) ** 2) ** (-slope / 12.04), samples)
    wave /= np.sqrt(np.mean(wave**2))
    return wave


def breath_noise(rng: np.random.Generator, chest: Chest, breaths: Sequence[Breath], samples: int) -> Wave:
    """Make the breath noise of a recording: inspiration, then a duller and softer expiration, then a pause.

    Args:
        rng: Where all draws come from.
        chest: The patient.
        breaths: The cycles, in order of time.
        samples: Length of the recording, an even number.

    Returns:
        (samples,) at 8 kHz; RMS 1 at the height of inspiration.
    """
    flow_in, flow_out = np.full(samples, amplitude(BACKGROUND_DB)), np.zeros(samples)
    for breath in breaths:
        part = breath.samples
        _add_hump(flow_in[part], 0.0, chest.inspiration)
        _add_hump(flow_out[part], chest.inspiration, 0.95)
    white = rng.standard_normal(samples + 2).view(np.complex128)
    inspiration = _coloured(white, samples, chest.corner, chest.slope)
    expiration = _coloured(white, samples, 0.7 * chest.corner, chest.slope)
    noise: Wave = inspiration * flow_in + expiration * flow_out * amplitude(chest.expiration_db)
    return noise


def _crackle(frequency: float, decay: float) -> Wave:
    """One damped oscillation, peak 1 (frequency in Hz, decay in s)."""
    time = np.arange(int(6 * decay * SYNTHESIS_RATE)) / SYNTHESIS_RATE
    wave: Wave = np.exp(-time / decay) * np.sin(2 * np.pi * frequency * time)
    wave /= np.abs(wave).max()
    return wave


def crackles(rng: np.random.Generator, samples: int, inspiration: float) -> Wave:
    """Make a cycle's crackles: either fine ones late in inspiration, or coarse ones from its beginning into expiration.

    Fine crackles oscillate at 500-900 Hz and decay within 1.5-3 ms, coarse ones at 200-400 Hz and 4-8 ms.

    Args:
        rng: Where all draws come from.
        samples: The cycle's length at 8 kHz.
        inspiration: Share of the cycle that is inspiration.

    Returns:
        (samples,), relative to the breath noise's RMS at the height of inspiration.
    """
    fine = rng.random() < 0.5
    first, last = (0.35 * inspiration, 1.1 * inspiration) if fine else (0.1 * inspiration, 0.8)
    wave: Wave = np.zeros(samples)
    for place in rng.uniform(first, last, rng.integers(4, 11)):
        frequency = rng.uniform(500.0, 900.0) if fine else rng.uniform(200.0, 400.0)
        decay = rng.uniform(0.0015, 0.003) if fine else rng.uniform(0.004, 0.008)
        pulse = rng.choice((-1.0, 1.0)) * amplitude(rng.uniform(*CRACKLE_PEAK_DB)) * _crackle(frequency, decay)
        start = int(place * samples)
        part = wave[start : start + len(pulse)]
        part += pulse[: len(part)]
    return wave


def _wheeze(rng: np.random.Generator, samples: int) -> Wave:
    """One tone with two harmonics that drifts slowly between 100 and 1000 Hz, RMS 1 between its soft edges."""
    time = np.arange(samples) / SYNTHESIS_RATE
    middle = np.exp(rng.uniform(np.log(130.0), np.log(800.0)))
    drift = rng.uniform(0.0, 0.2) * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * time + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * np.cumsum(middle * 2.0**drift) / SYNTHESIS_RATE
    strengths = np.array([1.0, rng.uniform(0.2, 0.6), rng.uniform(0.05, 0.3)])
    tones: Wave = np.sum(strengths[:, None] * np.sin(np.outer([1, 2, 3], phase)), axis=0)
    tones /= np.sqrt(np.sum(strengths**2) / 2)
    edge = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.03)
    tones *= np.sin(np.pi / 2 * edge) ** 2
    return tones


def wheezes(rng: np.random.Generator, samples: int, inspiration: float) -> Wave:
    """Make a cycle's wheezes: one or two tones, mostly in expiration, each at least 80 ms long.

    Args:
        rng: Where all draws come from.
        samples: The cycle's length at 8 kHz.
        inspiration: Share of the cycle that is inspiration.

    Returns:
        (samples,), relative to the breath noise's RMS at the height of inspiration.
    """
    wave: Wave = np.zeros(samples)
    for _ in range(rng.integers(1, 3)):
        length = max(int(rng.uniform(0.25, 0.5) * samples), int(0.08 * SYNTHESIS_RATE))
        first = int(rng.uniform(0.6 * inspiration, 0.97 - length / samples) * samples)
        wave[first : first + length] += amplitude(rng.uniform(*WHEEZE_RMS_DB)) * _wheeze(rng, length)
    return wave


def lung_sound(rng: np.random.Generator, chest: Chest, breaths: Sequence[Breath], seconds: float) -> Wave:
    """Make the sound of a recording, before any device.

    Args:
        rng: Where all draws come from.
        chest: The patient.
        breaths: The cycles, in order of time.
        seconds: Length of the recording.

    Returns:
        (samples,) at 8 kHz.
    """
    samples = round(seconds * SYNTHESIS_RATE)
    wave = breath_noise(rng, chest, breaths, samples)
    for breath in breaths:
        part = wave[breath.samples]
        if breath.crackle:
            part += crackles(rng, len(part), chest.inspiration)
        if breath.wheeze:
            part += wheezes(rng, len(part), chest.inspiration)
    return chest.level * wave


def band_limited(wave: Wave, device: Device) -> Wave:
    """Pass a sound through a device: its band (third-order slopes) and its rate, in one step in the frequency domain.

    Args:
        wave: (samples,) at 8 kHz, a whole number of periods of the device's rate long.
        device: The device.

    Returns:
        (samples * rate / 8000,) at the device's rate.
    """
    samples = len(wave) * device.rate // SYNTHESIS_RATE
    frequency = np.fft.rfftfreq(len(wave), 1 / SYNTHESIS_RATE)
    ratio = np.maximum(frequency, 1e-3)
    gain = 1 / np.sqrt((1 + (device.low / ratio) ** 6) * (1 + (ratio / device.high) ** 6))
    gain[frequency >= device.rate / 2] = 0.0
    limited: Wave = np.fft.irfft(np.fft.rfft(wave) * gain, samples) * (samples / len(wave))
    return limited


def quantised(wave: Wave, bits: int) -> npt.NDArray[Any]:
    """Round a sound to a device's numbers: int16, or 24 bits in the upper part of int32 as soundfile wants them."""
    scale = 2 ** (bits - 1)
    whole: Wave = np.clip(np.rint(wave * scale), -scale, scale - 1)
    return whole.astype(np.int16) if bits == 16 else np.left_shift(whole.astype(np.int32), 8)
