"""From grey pictures to coloured, enlarged and clipped ones, in whole numbers as OpenCV computes them.

Shapes: U pictures, R rows, C columns; a picture is (R, 3, C) here, so that rows are moved as a whole.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.frontends.respirenet.colours import brightness, magma

BITS = 11
"""Binary digits of OpenCV's weights."""

DARK = 10
"""Brightness below which a cell is blank."""

BLANK_SHARE = 0.8
"""Share of blank cells from which a row is blank."""


class Between(NamedTuple):
    """Where the rows or columns of a resized picture are read.

    Attributes:
        low: Place of the row or column before.
        high: Place of the one behind it.
        weight: Weight of the one behind it, 0..2048; that before has the rest.
    """

    low: Tensor
    high: Tensor
    weight: Tensor


def places_between(given: Tensor, wanted: int) -> Between:
    """Find where a picture is read to give it another number of rows or columns.

    Args:
        given: (U,) rows or columns that the pictures have.
        wanted: Rows or columns that they get.

    Returns:
        Each (U, wanted) int64.
    """
    sizes = given.double()[:, None]
    steps = torch.arange(wanted, dtype=torch.float64, device=given.device)
    place = ((steps + 0.5) * (sizes / wanted) - 0.5).float()
    low = place.floor()
    weight = ((place - low) * 2**BITS).round().long()
    last = given[:, None] - 1
    before, behind = low.long(), low.long() + 1
    return Between(torch.minimum(before.clamp(min=0), last), torch.minimum(behind, last), weight)


def coloured(levels: Tensor) -> Tensor:
    """Colour grey pictures.

    Args:
        levels: (U, R, C) int64, 0..255.

    Returns:
        (U, R, 3, C) int32, 0..255.
    """
    return magma(levels.device).int()[levels].transpose(2, 3).contiguous()


def enlarge(pictures: Tensor, factor: int) -> Tensor:
    """Enlarge pictures in both directions by bilinear interpolation.

    Args:
        pictures: (U, R, 3, C) int32.
        factor: What rows and columns are multiplied by.

    Returns:
        (U, R * factor, 3, C * factor) int32.
    """
    if factor == 1:
        return pictures
    units, rows, _, columns = pictures.shape
    across = places_between(torch.tensor([columns], device=pictures.device), columns * factor)
    down = places_between(torch.full((units,), rows, device=pictures.device), rows * factor)
    weight = across.weight[0].int()
    wide = pictures[..., across.low[0]] * (2**BITS - weight) + pictures[..., across.high[0]] * weight
    return _rows_between(wide, down)


def _rows_between(pictures: Tensor, rows: Between) -> Tensor:
    """Pictures (U, R, 3, C), 2048 times as large, with other rows and divided again, rounded as OpenCV does."""
    unit = torch.arange(pictures.shape[0], device=pictures.device)[:, None]
    weight = rows.weight.int()[..., None, None]
    small = pictures >> 4
    low = (small[unit, rows.low] * (2**BITS - weight)) >> 16
    high = (small[unit, rows.high] * weight) >> 16
    rounded: Tensor = (low + high + 2) >> 2
    return rounded


def blank_rows(levels: Tensor) -> Tensor:
    """Count the rows to cut off the top of each picture: up to the first that is not blank, and that one.

    Args:
        levels: (U, R, C) int64, 0..255, the top row first.

    Returns:
        (U,) int64; 0 where nothing would be left.

    Source: microsoft/RespireNet @ 5e3f41a, ``image_dataloader.py``; blank region clipping of the paper, section III.
    """
    dark = (brightness(magma(levels.device)) < DARK)[levels]
    filled = dark.double().mean(dim=2) < BLANK_SHARE
    first = filled.int().argmax(dim=1)
    cut = torch.where(filled.any(dim=1), first + 1, levels.shape[1])
    return torch.where(cut < levels.shape[1], cut, 0)


def clip_rows(pictures: Tensor, cut: Tensor) -> Tensor:
    """Cut rows off the top of pictures and stretch what is left to their height.

    Args:
        pictures: (U, R, 3, C) int32.
        cut: (U,) int64, rows that are cut off.

    Returns:
        (U, R, 3, C) int32.
    """
    rows = pictures.shape[1]
    read = places_between(rows - cut, rows)
    moved = Between(read.low + cut[:, None], read.high + cut[:, None], read.weight)
    return _rows_between(pictures << BITS, moved)
