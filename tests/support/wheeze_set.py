"""The example of docs/datasets.md: its plug-in as the page has it, and a folder of its data, made on the spot."""

from __future__ import annotations

import csv
import re
import wave
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
FILE, PLUGIN = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)[0]

RATE = 4000
SEGMENTS = 8
LENGTH = 0.5
PARTS = {"w01": ("anna", "train"), "w02": ("berta", "train"), "w03": ("carla", "test")}
COLUMNS = ("file", "patient", "part", "start", "end", "class")


def rows() -> list[dict[str, str]]:
    """The lines of the table: in each recording every other segment wheezes."""
    return [
        dict(zip(COLUMNS, (f"{name}.wav", patient, part, str(n * LENGTH), str((n + 1) * LENGTH), kind), strict=True))
        for name, (patient, part) in PARTS.items()
        for n, kind in enumerate(["normal", "wheeze"] * (SEGMENTS // 2))
    ]


def write_table(folder: Path, lines: list[dict[str, str]]) -> None:
    """Write the table of a folder anew."""
    with (folder / "wheezes.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(lines)


def write_wheezes(folder: Path) -> Path:
    """Write three recordings with their table; a wheeze is a tone in noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    time = np.arange(int(LENGTH * RATE)) / RATE
    for name in PARTS:
        noise = 0.02 * rng.standard_normal((SEGMENTS, len(time)))
        noise[1::2] += 0.2 * np.sin(2 * np.pi * 400 * time)
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((noise.ravel() * 32767).astype("<i2").tobytes())
    write_table(folder, rows())
    return folder


def write_plugin_of_page(path: Path) -> Path:
    """Write the page's plug-in."""
    path.write_text(PLUGIN, encoding="utf-8")
    return path


def enter_folder_of_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go into a folder with the page's plug-in and its data, and with a home and a cache of its own."""
    write_plugin_of_page(folder / FILE)
    write_wheezes(folder / "folder")
    monkeypatch.setenv("BENCH_HOME", str(folder / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    return folder
