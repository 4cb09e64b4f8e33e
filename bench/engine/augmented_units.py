"""Unit waveforms of a global batch as a run hears them: joined with partners, and changed, before pictures are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bench.data.frontends import LengthFrontEnd
from bench.data.units import UnitWaves
from bench.engine.augment.concatenation import Partners, concatenate, draw_partners, rare_shares
from bench.engine.augment.options import AugmentOptions
from bench.engine.augment.waveform import apply_placements, apply_sounds, draw_waveform
from bench.engine.augment.waves import Waves
from bench.engine.data import RunData


class AugmentedUnits:
    """Loads units of the waveform bank and augments them as the options say.

    Args:
        options: What the run asks for; some of it changes waveforms.
        data: The run's data, with its waveform bank.

    Raises:
        SpecError: If a training row would find no partner to be joined with.
    """

    def __init__(self, options: AugmentOptions, data: RunData) -> None:
        if data.frontend is None:
            raise ValueError("the run makes no pictures of waveforms")
        self.options, self.data, self.rate = options, data, data.frontend.sample_rate
        self.length = data.frontend if isinstance(data.frontend, LengthFrontEnd) else None
        self.pool = data.partner_pool(options)
        self.rarity = rare_shares(np.asarray(data.class_counts()))

    def heard(self, rows: np.ndarray, rng: np.random.Generator) -> Partners:
        """Draw which rows are heard in the place of each row of a global batch, and the class of what is heard.

        Args:
            rows: (global,) rows of the bank.
            rng: Generator of the step.
        """
        return draw_partners(rows, self.pool, rng)

    def units(self, heard: Partners, local: slice, device: torch.device, rng: np.random.Generator) -> UnitWaves:
        """Load this process's units and change them; what is drawn is drawn for the whole batch.

        Args:
            heard: From :meth:`heard`.
            local: Places in the global batch of the rows that this process holds.
            device: Where the units go.
            rng: Generator of the step.
        """
        draw = draw_waveform(len(heard), self.options, rng, self.rarity[heard.labels])[local]
        # Of each row: where it lies in its piece once it is joined, and once its sound is changed.
        places = rng.random((2, len(heard)))[:, local] if self.length is not None else np.empty((2, 0))
        units = self._joined(heard[local], places[0], device)
        if self.length is not None:
            units = self.length.at_length(units)
        units = _with_waves(units, apply_sounds(_waves(units), draw, self.options))
        if self.length is not None:
            units = self.length.at_length(replace(units, draws=torch.from_numpy(places[1])), first=True)
        return _with_waves(units, apply_placements(_waves(units), draw, self.options, self.rate))

    def _joined(self, own: Partners, places: np.ndarray, device: torch.device) -> UnitWaves:
        """This process's units, joined with their partners; a joined one has the draw of ``places`` for its own."""
        units = self.data.units(own.first).to(device)
        if not len(own.places):
            return units
        late = self.data.units(own.second[own.places]).to(device)
        units = _with_waves(units, concatenate(_waves(units), _waves(late), own, self.options, self.rate))
        return replace(units, draws=_joined_draws(units.draws, own, places)) if len(places) else units


def _waves(units: UnitWaves) -> Waves:
    return Waves(units.samples, units.lengths)


def _with_waves(units: UnitWaves, waves: Waves) -> UnitWaves:
    return replace(units, samples=waves.samples, lengths=waves.lengths)


def _joined_draws(draws: Tensor | None, own: Partners, places: np.ndarray) -> Tensor:
    """The draws of units, but new ones for those that are joined: they are heard nowhere else."""
    fresh = torch.from_numpy(places)
    return fresh if draws is None else torch.where(torch.from_numpy(own.second >= 0), fresh, draws)
