"""Pictures as matplotlib draws arrays of numbers, turned to grey and made small: what LungSys' networks are shown.

The authors draw each array with librosa 0.7 and matplotlib 3.1 in a figure of 640 by 480 pixels, save it as PNG and
read its luminance. Here the same pixels follow from a rule, without either library. It met every pixel of theirs
within 2 grey levels.

Source: SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I @ 83f3d17, ``pre-processing/stft.py``,
``wavelet.py``, ``model/bnn.py``; LungAttn @ 8a7972b.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.frontends.colour_tables import MAGMA, luminance

WIDTH, HEIGHT = 640, 480
"""Pixels of matplotlib's default figure."""

LINEAR_BELOW_HZ = 65.40639
"""Frequency (the note C2) below which librosa's logarithmic axis is linear."""

SUBPIXELS = 256
"""Parts of a pixel to which the renderer rounds edges."""

GREYS = luminance(MAGMA)
# The anti-aliased black frame of the axes covers 14/255 of its second pixel; the renderer cuts to whole numbers.
FRAMED_GREYS = luminance((MAGMA.astype(np.int64) * 241 // 255).astype(np.uint8))
"""(256,) grey of each colour, in the picture and under the edge of its frame."""

Grey = NDArray[np.uint8]


def even_edges(cells: int, pixels: int) -> NDArray[np.float64]:
    """Places at which cells of equal size begin, in pixels.

    Args:
        cells: Number of cells.
        pixels: Pixels that they share.

    Returns:
        (cells,).
    """
    return pixels * np.arange(cells) / cells


def log_frequency_edges(rows: int, highest: float) -> NDArray[np.float64]:
    """Places at which the rows of a spectrogram begin on librosa's logarithmic axis, in pixels from the bottom.

    Args:
        rows: Number of rows; the axis has them lie evenly from 0 Hz to ``highest``.
        highest: Frequency at the top of the axis, Hz.

    Returns:
        (rows,). Rows are centred on their frequencies; the first one begins at 0 Hz.
    """
    edges = np.maximum((np.arange(rows) - 0.5) * highest / max(rows - 1, 1), 0.0)
    return HEIGHT * _axis_place(edges) / _axis_place(np.array(highest))


def _axis_place(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The place of a frequency on the axis, in the axis' own units."""
    octaves = np.log2(np.maximum(hertz, LINEAR_BELOW_HZ) / LINEAR_BELOW_HZ)
    return np.minimum(hertz, LINEAR_BELOW_HZ) + LINEAR_BELOW_HZ * octaves


def _shown_cells(edges: NDArray[np.float64], pixels: int) -> NDArray[np.intp]:
    """(pixels,) number of the cell that each pixel shows: later cells are painted over earlier ones."""
    first_pixels = np.floor(np.rint(edges * SUBPIXELS) / SUBPIXELS)
    return np.searchsorted(first_pixels, np.arange(pixels), side="right") - 1


def colour_indices(values: NDArray[Any]) -> Grey:
    """Number of the colour, 0..255, that each value of an array has between its smallest and largest.

    Args:
        values: Any shape.

    Returns:
        The same shape. All are 0 where there is no difference.
    """
    low, high = values.min(), values.max()
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    indices: NDArray[Any] = np.minimum((values - low) / (high - low) * 256, 255)
    return indices.astype(np.uint8)


def drawn_picture(values: NDArray[Any], row_edges: NDArray[np.float64]) -> Grey:
    """Draw an array over a whole figure, with the frame of its axes, and turn it to grey.

    Args:
        values: (rows, columns); row 0 is drawn at the bottom, columns are of equal width.
        row_edges: (rows,) place at which each row begins, in pixels from the bottom: :func:`even_edges` or
            :func:`log_frequency_edges`.

    Returns:
        (480, 640); row 0 is at the top.
    """
    rows = _shown_cells(row_edges, HEIGHT)[::-1]
    columns = _shown_cells(even_edges(values.shape[1], WIDTH), WIDTH)
    indices = colour_indices(values)[:, columns][rows]
    picture = GREYS[indices]
    for edge in (np.s_[1], np.s_[-1], np.s_[:, 1], np.s_[:, -1]):
        picture[edge] = FRAMED_GREYS[indices[edge]]
    picture[0] = picture[:, 0] = 0
    return picture


def network_picture(picture: Grey, size: int) -> NDArray[np.float32]:
    """Bring a grey picture to 0..1 by its smallest and largest level, and make it a small square.

    Args:
        picture: (rows, columns).
        size: Pixels of the square's side; the aspect ratio is not kept.

    Returns:
        (size, size), multiples of 1/255.
    """
    low, high = int(picture.min()), int(picture.max())
    unit = (np.arange(256) - low) / max(high - low, 1)
    # Cut to whole numbers, not rounded, as torchvision turns an array of fractions into a picture.
    levels = (unit.clip(0, 1).astype(np.float32) * np.float32(255)).astype(np.uint8)
    small = Image.fromarray(levels[picture]).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32) / np.float32(255)
