"""Unit waveforms of a global batch as a run hears them: joined with partners, and changed, before pictures are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bench.data.units import UnitWaves
from bench.engine.augment.concatenation import Partners, concatenate, draw_partners, rare_shares
from bench.engine.augment.options import AugmentOptions
from bench.engine.augment.waveform import apply_waveform, draw_waveform
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
        draw = draw_waveform(len(heard), self.options, rng, self.rarity[heard.labels])
        own = heard[local]
        units = self.data.units(own.first).to(device)
        waves = Waves(units.samples, units.lengths)
        if len(own.places):
            late = self.data.units(own.second[own.places]).to(device)
            waves = concatenate(waves, Waves(late.samples, late.lengths), own, self.options, self.rate)
        waves = apply_waveform(waves, draw[local], self.options, self.rate)
        return replace(units, samples=waves.samples, lengths=waves.lengths)
