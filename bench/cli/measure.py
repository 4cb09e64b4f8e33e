"""``bench models bench``: what the models cost on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bench.cli.grid import print_grid
from bench.cli.options import Device, Format, Home, ModelIds
from bench.cli.output import check_format, print_json, print_text


def bench_models(
    ids: ModelIds = None,
    batch: Annotated[int, typer.Option(help="Clips of a training step.")] = 8,
    frames: Annotated[int | None, typer.Option(help="Frames of a spectrogram (default: the front-end's).")] = None,
    device: Device = "auto",
    repeats: Annotated[int, typer.Option(help="Timed steps; their median counts.")] = 3,
    output: Format = "table",
    home: Home = None,
) -> None:
    """Measure parameters, operations, time and peak memory of training and evaluation, each model in its own process.

    Weights and inputs are random. On a CPU the memory is the whole process's, interpreter and libraries included; on a
    GPU what torch allocated there. The results folder keeps what was measured, for estimates of runs (`bench matrix run
    FILE --dry-run`). The exit code is 1 if a model could not be measured.

    Example: bench models bench resnet18 cnn6 --batch 4 --frames 398
    """
    from bench.api.measurements import measure_models

    check_format(output)
    done = measure_models(ids or (), batch=batch, frames=frames, device=device, repeats=repeats, home=home)
    if output == "json":
        print_json(done.to_json())
    else:
        _print_table(done.rows)
    if not done.complete:
        raise typer.Exit(1)


HEADINGS = ("model", "parameters", "GFLOPs", "s / step", "train MiB", "ms / cycle", "eval MiB")


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    first = rows[0]
    start = min((row["start_memory_mib"] for row in rows if row["start_memory_mib"]), default=0.0)
    libraries = f", of the memory {start:,.0f} MiB before the model is built" if first["device"] == "cpu" else ""
    cells = [[*_cells(row), row["error"] or ""] for row in rows]
    print_grid("", (*HEADINGS, "error"), cells, numbers=HEADINGS[1:], wrap=("error",))
    print_text(f"batch {first['batch']}, {first['device']}, GFLOPs of one clip in evaluation{libraries}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if row["error"]:
        return (row["model"], *("-" for _ in HEADINGS[1:]))
    training, evaluation = row["training"], row["evaluation"]
    return (
        row["model"],
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e9:.2f}",
        f"{training['seconds_per_step']:.3f}",
        f"{training['peak_memory_mib']:,.0f}",
        f"{1e3 * evaluation['seconds_per_cycle']:.1f}",
        f"{evaluation['peak_memory_mib']:,.0f}",
    )
