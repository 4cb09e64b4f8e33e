"""Figures of a run that has come to its end: the confusion matrix of its last epoch, and its learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

DPI = 120


def figures_of(entries: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Figure]:
    """The figures of a run by name.

    Args:
        entries: The entries of all of its epochs.
        classes: Names of the classes.

    Returns:
        ``learning_curves``, and ``confusion_matrix`` where an epoch was judged.
    """
    judged = [entry for entry in entries if entry["test"] is not None]
    found = {"learning_curves": learning_curves(entries)}
    if judged:
        # The exact class comes first in the metrics of every task.
        counts = next(iter(judged[-1]["test"].values()))["confusion"]
        found["confusion_matrix"] = confusion_figure(np.asarray(counts), classes, judged[-1]["epoch"])
    return found


def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str], epoch: int) -> Figure:
    """A confusion matrix: counts as they are, shades by the share of each true class.

    Args:
        counts: (k, k), rows are true classes.
        classes: Names of the classes.
        epoch: Number of the epoch, for the title.
    """
    figure, axes = _empty((1.1 * len(classes) + 2.2, 0.9 * len(classes) + 1.6))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=f"test part after epoch {epoch}")
    return figure


def learning_curves(entries: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss and Score by epoch, in one figure with two axes."""
    figure, axes = _empty((6.4, 4.0))
    axes.plot([entry["epoch"] for entry in entries], [entry["loss"] for entry in entries], color="C0", label="loss")
    axes.set(xlabel="epoch", ylabel="training loss")
    right = axes.twinx()
    for colour, part in (("C1", "test"), ("C2", "val")):
        judged = [entry for entry in entries if entry[part]]
        if judged:
            scores = [next(iter(entry[part].values()))["score"] for entry in judged]
            right.plot([entry["epoch"] for entry in judged], scores, color=colour, marker=".", label=f"Score, {part}")
    right.set_ylabel("Score, %")
    lines = [*axes.get_lines(), *right.get_lines()]
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = [str(line.get_label()) for line in lines]
    figure.legend(lines, names, loc="outside upper center", ncols=len(lines), frameon=False)
    return figure


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as a picture, (height, width, 3), 0 to 255."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def _empty(size: tuple[float, float]) -> tuple[Figure, Axes]:
    # Without pyplot, which keeps figures of its own and belongs to the main thread.
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, figure.add_subplot()
