"""What the golden set of RespireNet is about: its recordings, its made-up waves, and its tables by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_known import same_file
from golden_recordings import pretend_recording
from golden_rules import rng

from bench.data.frontends.respirenet.card import RespireNetOptions
from bench.data.frontends.respirenet.front_end import RespireNetFrontEnd, build
from bench.data.frontends.respirenet.pictures import blank_rows
from bench.data.frontends.respirenet.spectrogram import decibels, grey_levels, mel_power
from bench.data.samples import read_samples
from bench.data.units import UnitWaves

PRETEND_SPANS = [(0.0, 0.2), (0.2, 0.7005), (0.7005, 8.7005), (8.7005, 18.001), (18.001, 24.3337), (24.3337, 99.0)]
SIDES = ("before", "after")


def front_end(**options: Any) -> RespireNetFrontEnd:
    return build(RespireNetOptions(**options))


def pretend_wave(seed: int, entry: dict[str, Any]) -> torch.Tensor:
    """A made-up recording of the set, -1..1."""
    integers = pretend_recording(seed, entry["rec"], entry["sr"], entry["bits"], entry["n_native"])
    return torch.from_numpy((integers / 2 ** (entry["bits"] - 1)).astype(np.float32))


def real_recording(folder: Path, entry: dict[str, Any]) -> tuple[torch.Tensor, list[tuple[float, float]]] | None:
    """A real recording and its cycles; None where the folder does not hold it, or another sound of its name."""
    path = same_file(folder, entry["rec"])
    if path is None:
        return None
    wave, rate = read_samples(path)
    assert (rate, len(wave)) == (entry["sr"], entry["n_native"])
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return torch.from_numpy(wave), [tuple(map(float, line.split()[:2])) for line in lines if line.strip()]


def pieces_by_row(entry: dict[str, Any], wave: torch.Tensor, spans: Any, side: str) -> dict[str, np.ndarray]:
    """The filled pieces of a recording, by the rows of the set's tables: ``r3/c3/p1``."""
    built = front_end(pad_side=side)
    units = built.at_length(UnitWaves.of(built.fit(wave, entry["sr"], spans, name=entry["rec"])))
    counts = built.options.pieces_of_spans(spans, len(wave) / entry["sr"])
    names = [f"{entry['key']}/c{cycle}/p{piece}" for cycle, count in enumerate(counts) for piece in range(count)]
    return dict(zip(names, units.samples.numpy(), strict=True))


def special_wave(seed: int, name: str) -> np.ndarray:
    """A made-up piece of eight seconds that is hard for the picture (the set's README, 1.2)."""
    g, n = rng(seed, f"special:{name}"), 32000
    made = np.zeros(n)
    if name in ("low", "lownoise"):
        own, t = rng(seed, "special:low"), np.arange(n) / 4000
        f, a = own.uniform(80, 600, 5), own.uniform(0.05, 0.15, 5)
        made = np.hanning(n) * sum(a[k] * np.sin(2 * np.pi * f[k] * t) for k in range(5))
    if name == "lownoise":
        noise = 2e-4 * g.standard_normal(n)
        noise[: int(0.79 * n)] = 0
        made = made + noise
    if name == "noise":
        made = 0.05 * g.standard_normal(n)
    if name == "click":
        made[g.integers(2000, n - 2000)] = 0.7
    return made.astype(np.float32)


def row_of(golden: Any, table: str, row: str) -> int:
    return golden.facts["rows"][table].index(row)


def stats(values: np.ndarray) -> list[float]:
    wide = np.asarray(values, np.float64)
    return [wide.mean(), wide.std(), wide.min(), wide.max()]


def pictures(seed: int, name: str, batch: int, height: int, width: int) -> np.ndarray:
    """Pretend normalised pictures (batch, 3, height, width), float32 (README B, section 0, ``pic``)."""
    made = np.empty((batch, 3, height, width), dtype=np.float32)
    for i in range(batch):
        g = rng(seed, f"{name}:{i}")
        u, v = g.standard_normal((4, height)), g.standard_normal((4, width))
        x = 0.5 * g.standard_normal((3, height, width)) + 0.5 * g.standard_normal(3)[:, None, None]
        made[i] = x + sum(0.5 * u[r][:, None] * v[r][None] for r in range(4))
    return made


def check_picture(golden: Any, row: str, wave: np.ndarray, close: tuple[float, float] = (3, 0.3)) -> None:
    """Compare the picture of a piece: the rows that are cut off it, some cells, the means of rows and columns.

    Args:
        golden: The set.
        row: Row of its table ``picture``.
        wave: (samples,) the piece.
        close: Largest difference of a cell, and the mean one.
    """
    at, arrays = row_of(golden, "picture", row), golden.arrays
    units = UnitWaves.of([torch.from_numpy(wave)])
    got = front_end().colours(units)[0].numpy()
    levels = grey_levels(decibels(mel_power(units.samples)))
    assert int(blank_rows(levels.flip(1))[0]) * 3 == arrays["picture/cut"][at], row
    image = got.transpose(1, 2, 0)
    far = np.abs(image.reshape(-1)[arrays["pos/img"]] - arrays["picture/img_val"][at].astype(int))
    assert far.max() <= close[0], row
    assert far.mean() <= close[1], row
    np.testing.assert_allclose(image.mean((1, 2)), arrays["picture/img_rowmean"][at], atol=0.7, rtol=0)
    np.testing.assert_allclose(image.mean((0, 2))[::3], arrays["picture/img_colmean3"][at], atol=0.7, rtol=0)
    np.testing.assert_allclose(image.mean(), arrays["picture/img_stats"][at][0], atol=0.3, rtol=0)
