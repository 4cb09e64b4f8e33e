"""The picture of a recording that was classified: waveform, spectrogram, and the probability of each class over time.

A cell of the lower panel spans a cycle and is the fuller the more probable the class is, so that its colour alone says
nothing that its shade does not. The chosen class has a frame, the annotated one a dot.
"""

from __future__ import annotations

import io
import math
import warnings
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
import torchaudio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from bench.api.prediction_values import PredictedRecording
from bench.core.text import echoed
from bench.data.sounds import read_sound
from bench.search.figures.style import INK, MUTED, PAPER, SERIES, drawing

PictureFormat = Literal["svg", "png"]

COLUMNS = 600
"""Points of time of waveform and spectrogram, whatever the length of the recording."""

MELS, LOWEST_HZ, HIGHEST_HZ = 48, 50.0, 4000.0
WINDOW_SECONDS = 0.064
RANGE_DB = 70.0

ON_PICTURE = "#f4f4f4"
"""Colour of lines on the spectrogram, which is dark on pages of either kind."""

MOST_BORDERS = 200
"""Borders of cycles that are drawn; more would be a wall."""

WIDTH, UPPER, LOWER, ROW = 9.0, 1.2, 1.9, 0.3
"""Inches: of the picture, of waveform, of spectrogram, and of each class."""


def recording_picture(
    recording: PredictedRecording, output: PictureFormat, *, subtitle: str = "", bare: bool = False
) -> bytes:
    """Draw a recording that was classified.

    Args:
        recording: The recording, whose file is read again.
        output: ``svg`` or ``png``.
        subtitle: Which run it is by.
        bare: Leave title and background out, as pages do that have their own.

    Returns:
        The file's bytes.

    Raises:
        DataError: If the file has gone meanwhile.
    """
    wave = read_sound(recording.path).waves[recording.channel - 1]
    classes = list(recording.cycles[0].scores) if recording.cycles else []
    height = UPPER + LOWER + ROW * len(classes) + (0.9 if bare else 1.5)
    with drawing():
        paper = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none" if bare else PAPER)
        if not bare:
            paper.suptitle(_title(recording, subtitle), x=0.01, ha="left", fontsize=10)
        ratios = [UPPER, LOWER, ROW * len(classes)]
        upper, middle, lower = paper.subplots(3, 1, sharex=True, height_ratios=ratios)
        _draw_wave(upper, wave, recording.seconds)
        _draw_spectrogram(middle, wave, recording.rate, recording.seconds)
        _draw_scores(lower, recording, classes)
        _draw_borders([upper, middle], recording)
        lower.set_xlim(0, recording.seconds)
        lower.set_xlabel("seconds")
        return _bytes(paper, output)


def _bytes(paper: Figure, output: PictureFormat) -> bytes:
    stream = io.BytesIO()
    undated: dict[str, Any] = {"Date": None} if output == "svg" else {}
    paper.savefig(stream, format=output, dpi=150, metadata=undated)
    return stream.getvalue()


def _title(recording: PredictedRecording, subtitle: str) -> str:
    channel = f", channel {recording.channel}" if recording.channels > 1 else ""
    name = echoed(recording.recording)  # an SVG with a control character cannot be read
    return f"{name}{channel}\n{subtitle}" if subtitle else f"{name}{channel}"


def _draw_wave(ax: Axes, wave: NDArray[np.float32], seconds: float) -> None:
    size = max(1, len(wave) // COLUMNS)
    whole = wave[: len(wave) // size * size].reshape(-1, size)
    times = (np.arange(len(whole)) + 0.5) * size / len(wave) * seconds
    ax.fill_between(times, whole.min(1), whole.max(1), color=INK, linewidth=0.3)
    loudest = float(np.abs(wave).max()) or 1.0
    ax.set_ylim(-1.05 * loudest, 1.05 * loudest)
    ax.set_ylabel("waveform")


def _draw_spectrogram(ax: Axes, wave: NDArray[np.float32], rate: int, seconds: float) -> None:
    size = 1 << max(4, round(math.log2(rate * WINDOW_SECONDS)))
    highest = min(HIGHEST_HZ, rate / 2)
    transform = torchaudio.transforms.MelSpectrogram(
        rate, n_fft=size, hop_length=max(size // 4, len(wave) // COLUMNS), n_mels=MELS, f_min=LOWEST_HZ, f_max=highest
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        power = transform(torch.from_numpy(np.ascontiguousarray(wave)))
    decibels = 10 * torch.log10(power.clamp_min(1e-12))
    decibels = decibels.clamp_min(float(decibels.max()) - RANGE_DB)
    ax.imshow(
        decibels.numpy(), origin="lower", aspect="auto", extent=(0, seconds, 0, MELS), cmap="cividis", resample=False
    )
    ticks = [hertz for hertz in (100, 250, 500, 1000, 2000, 4000) if hertz <= highest]
    low, high = _mel(LOWEST_HZ), _mel(highest)
    ax.set_yticks([(_mel(hertz) - low) / (high - low) * MELS for hertz in ticks], [f"{hertz:,}" for hertz in ticks])
    ax.set_ylabel("log-mel, Hz")


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _draw_scores(ax: Axes, recording: PredictedRecording, classes: list[str]) -> None:
    """Draw a cell for each cycle and class; of windows that overlap, each has the middle of its time."""
    for cycle, (start, end) in zip(recording.cycles, _cells(recording), strict=True):
        for row, name in enumerate(classes):
            box = (start, row - 0.5), end - start, 1.0
            ax.add_patch(Rectangle(*box, facecolor=SERIES[0], alpha=max(0.02, cycle.scores[name]), linewidth=0))
            if name == cycle.predicted:
                ax.add_patch(Rectangle(*box, fill=False, edgecolor=INK, linewidth=1.1))
            if name == cycle.label:
                ax.plot((start + end) / 2, row, "o", markersize=4, color=SERIES[1])
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_yticks(range(len(classes)), classes)
    ax.tick_params(axis="y", length=0)
    words = "fuller: more probable · frame: predicted"
    words += " · dot: annotated" if any(cycle.label in classes for cycle in recording.cycles) else ""
    ax.set_title(words, fontsize=8, fontweight="normal", color=MUTED)


def _cells(recording: PredictedRecording) -> list[tuple[float, float]]:
    spans = [(cycle.start, cycle.end) for cycle in recording.cycles]
    if not any(later[0] < earlier[1] for earlier, later in pairwise(sorted(spans))) or recording.annotation:
        return spans
    middles = [(start + end) / 2 for start, end in spans]
    borders = [0.0, *((earlier + later) / 2 for earlier, later in pairwise(middles)), recording.seconds]
    return list(pairwise(borders))


def _draw_borders(axes: list[Axes], recording: PredictedRecording) -> None:
    borders = sorted({border for span in _cells(recording) for border in span})
    for ax in axes if len(borders) <= MOST_BORDERS else ():
        for border in borders:
            ax.axvline(border, color=ON_PICTURE if ax is axes[1] else MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
