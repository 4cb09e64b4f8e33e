"""Units of a front-end that brings them to one length: joined, changed and moved about as they are heard."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.core.datasets import FOUR_CLASSES
from bench.data.frontends.respirenet.card import RespireNetOptions
from bench.data.frontends.respirenet.front_end import build
from bench.data.units import UnitWaves, unit_draws
from bench.engine.augment.concatenation import PartnerPool
from bench.engine.augment.options import AugmentOptions
from bench.engine.augmented_units import AugmentedUnits

CPU, PIECE, ROWS = torch.device("cpu"), 2000, np.arange(12)
LENGTHS = [300, 700, 1999, 2000, 800, 1500, 400, 900, 1200, 1800, 1000, 600]
CHANGES = {
    "wave_choice": "one",
    "wave_zone": 0.6,
    "vocoder_window": 256,
    "stretch_probability": 0.5,
    "stretch_low": 0.5,
}


class Data:
    """A run's data, as far as units are made of them."""

    frontend = build(RespireNetOptions(seconds=0.5))
    labels = ROWS % 4

    def units(self, rows):
        waves = [torch.arange(1.0, LENGTHS[row] + 1) + 10_000 * row for row in rows]
        return UnitWaves.of(waves, draws=torch.cat([unit_draws("one", int(row), 1) for row in rows]))

    def partner_pool(self, options):
        return PartnerPool(ROWS, self.labels, options, classes=FOUR_CLASSES.classes)

    def class_counts(self):
        return [3, 3, 3, 3]


def heard(local=slice(0, 12), seed=0, **settings):
    maker, rng = AugmentedUnits(AugmentOptions(**settings), Data()), np.random.default_rng(seed)
    return maker.units(maker.heard(ROWS, rng), local, CPU, rng)


def test_units_that_are_only_moved_are_those_of_the_bank_at_length():
    found = heard(roll_probability=0.5)
    whole = Data.frontend.at_length(Data().units(ROWS)).samples
    assert found.samples.shape == (len(ROWS), PIECE)
    same = [torch.equal(unit, given) for unit, given in zip(found.samples, whole, strict=True)]
    assert 0 < sum(same) < len(ROWS)
    torch.testing.assert_close(found.samples.sort(1).values, whole.sort(1).values)


def test_units_are_brought_to_length_again_after_a_change_of_it():
    found = heard(**CHANGES)
    whole = Data.frontend.at_length(Data().units(ROWS)).samples
    assert found.lengths.tolist() == [PIECE] * len(ROWS)
    changed = [not torch.equal(unit, given) for unit, given in zip(found.samples, whole, strict=True)]
    assert 0 < sum(changed) < len(ROWS)


def test_a_joined_unit_is_one_of_its_pieces():
    settings = {"concat_probability": 1.0, "concat_order": "own-first"}
    rows = {int(value // 10_000) for value in heard(seed=3, **settings).samples.flatten()}
    assert rows == set(ROWS.tolist())
    found = [heard(seed=seed, **settings).samples[3] for seed in range(30)]
    # The unit of 2,000 samples and what follows it: now its beginning is heard, now the half piece and the other one.
    assert {bool(unit[0] == 30_001) for unit in found} == {True, False}


@pytest.mark.parametrize("settings", [CHANGES, {"concat_probability": 0.5}, {"roll_probability": 0.5}])
def test_each_process_has_its_rows_of_what_one_would_have(settings):
    whole = heard(**settings).samples
    for local in (slice(0, 5), slice(5, 12)):
        # Fourier frames are rounded otherwise in a batch of other size, on some processors.
        rounding = 1e-6 * float(whole.abs().max()) if settings is CHANGES else 0
        torch.testing.assert_close(heard(local, **settings).samples, whole[local], atol=rounding, rtol=0)


def test_front_ends_without_a_length_draw_nothing_more():
    class Plain(Data):
        frontend = SimpleNamespace(sample_rate=4000)

    settings = AugmentOptions(roll_probability=0.5)
    states = []
    for data in (Plain(), Data()):
        maker, rng = AugmentedUnits(settings, data), np.random.default_rng(0)
        maker.units(maker.heard(ROWS, rng), slice(0, 12), CPU, rng)
        states.append(rng.random())
    rng = np.random.default_rng(0)
    rng.random((2, 12))
    assert states[0] == rng.random() != states[1]
