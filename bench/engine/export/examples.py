"""What an exported program is tried on: units of the run's test recordings where they are here, made-up ones otherwise.

Units of one length make a batch. A program is tried with each of the first units by itself, at its own length, and with
several at once, cut to the shortest of them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.core.datasets import TRAIN
from bench.core.errors import DataError
from bench.core.inputs import by_name, joined
from bench.core.text import plain
from bench.data.frontends.halves import recording_pictures
from bench.data.samples import read_samples
from bench.data.units import Inputs, UnitWaves
from bench.engine.data import load_run_dataset
from bench.engine.trained import TrainedRun

logger = logging.getLogger(__name__)

UnitT = TypeVar("UnitT")

UNITS = 6
RECORDINGS = 4
"""Units, and recordings that they are taken from, at most."""

TOGETHER = 3
"""Units of the larger batch."""

SPANS = ((0.1, 1.2), (1.2, 3.9), (2.0, 2.4))
RATE, SECONDS = 16_000, 4.0
"""Of a made-up recording: its cycles, its rate in Hz, and how long it lasts."""


@dataclass(frozen=True, eq=False)
class Sounds:
    """A recording to take units from.

    Attributes:
        name: Its name.
        device: What recorded it.
        wave: (samples,) float32, −1..1.
        rate: Hz.
        spans: Start and end of its cycles, s.
    """

    name: str
    device: str
    wave: Tensor
    rate: int
    spans: Sequence[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Examples:
    """Recordings, and where they are from.

    Attributes:
        sounds: The recordings.
        source: What they are, in words.
    """

    sounds: Sequence[Sounds]
    source: str

    def waveforms(self, run: TrainedRun) -> Iterator[Tensor]:
        """Batches of waveforms (units, samples) as the front-end of a run cuts them."""
        frontend: Any = run.frontend
        cut = (wave for one in self.sounds for wave in frontend.fit(one.wave, one.rate, one.spans, name=one.name))
        units = list(islice(cut, UNITS))
        yield from (wave[None] for wave in units)
        some = _several(units)
        shortest = min(len(wave) for wave in some)
        yield torch.stack([wave[:shortest] for wave in some])

    def pictures(self, run: TrainedRun) -> Iterator[Inputs]:
        """Batches of what the front-end of a run makes of units, not normalised where it leaves that to the batch."""
        made: list[Inputs] = []
        for one in self.sounds:
            named = by_name(_pictures(run, one))
            rows = len(next(iter(named.values())))
            made += [joined({name: part[row : row + 1] for name, part in named.items()}) for row in range(rows)]
        yield from made[:UNITS]
        several = [by_name(row) for row in _several(made)]
        yield joined({name: torch.cat([row[name] for row in several]) for name in several[0]})


def _several(units: Sequence[UnitT]) -> list[UnitT]:
    """The first units, again and again where there are few: a program must see several rows at once."""
    return [units[place % len(units)] for place in range(TOGETHER)]


def pictures_of(run: TrainedRun, waves: Tensor) -> Inputs:
    """What a front-end's own ``picture`` makes of waveforms (units, samples); nobody drew anything for them."""
    frontend: Any = run.frontend
    found: Inputs = frontend.picture(UnitWaves.of(list(waves)))
    return found


def _pictures(run: TrainedRun, one: Sounds) -> Inputs:
    return recording_pictures(run.frontend, one.wave, one.rate, one.spans, name=one.name, device=one.device)


def examples_for(run: TrainedRun) -> Examples:
    """Test recordings of a run's data set; made-up ones where its data are not here, or are others."""
    try:
        found = list(islice(_tested(run), RECORDINGS))
    except DataError as error:
        # The reason names folders of this machine, and the source stands in the file.
        logger.info(f"compared on made-up waveforms: {error.message}")
        return Examples([made_up(0), made_up(1)], "made-up waveforms, as the data of the run are not here")
    return Examples(found, f"{len(found)} test recordings of {plain(run.spec.dataset)}")


def _tested(run: TrainedRun) -> Iterator[Sounds]:
    if not Path(run.spec.data).is_dir():
        raise DataError(f"There is no folder {run.spec.data}.")
    for recording in load_run_dataset(run.spec).recordings:
        if recording.split != TRAIN and recording.audio is not None and recording.cycles:
            samples, rate = read_samples(recording.audio)
            spans = [(cycle.start, cycle.end) for cycle in recording.cycles]
            yield Sounds(recording.name, recording.device, torch.from_numpy(samples), rate, spans)


def made_up(number: int) -> Sounds:
    """Noise that swells like breath, with a tone in it."""
    generator = torch.Generator().manual_seed(number)
    time = torch.arange(int(RATE * SECONDS)) / RATE
    breath = torch.sin(math.pi * time / 1.3).square()
    noise = torch.randn(len(time), generator=generator)
    wave = 0.1 * breath * noise + 0.05 * torch.sin(2 * math.pi * (180.0 + 70.0 * number) * time)
    return Sounds(f"made-up-{number}", "", wave, RATE, SPANS)
