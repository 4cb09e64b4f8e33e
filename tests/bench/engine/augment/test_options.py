"""What the options promise: off by default, no part of an id at their defaults, and clear words where they disagree."""

from __future__ import annotations

import dataclasses

import pytest

from bench.core.errors import SpecError
from bench.core.options import later_defaults
from bench.engine.augment.options import PLACEMENTS, WAVE_OPERATIONS, AugmentOptions

FIRST = {
    "specaug_probability",
    "specaug_freq_masks",
    "specaug_freq_width",
    "specaug_time_masks",
    "specaug_time_width",
    "specaug_together",
    "specaug_fill",
    "time_shift",
}


def test_every_later_field_stays_out_of_an_id_at_its_default():
    names = {field.name for field in dataclasses.fields(AugmentOptions)}
    assert names - set(later_defaults(AugmentOptions)) == FIRST


def test_nothing_changes_waveforms_by_default():
    options = AugmentOptions()
    options.check()
    assert not options.changes_waveforms
    assert not options.concatenates
    assert all(options.chance(name) == 0 for name in (*WAVE_OPERATIONS, *PLACEMENTS))


@pytest.mark.parametrize("name", [*WAVE_OPERATIONS, *PLACEMENTS, "concat"])
def test_each_operation_changes_waveforms(name):
    assert AugmentOptions(**{f"{name}_probability": 0.1}).changes_waveforms


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"specaug_probability": 0.0}, False),
        ({"specaug_probability": 0.0, "time_shift": True}, True),
        ({"specaug_probability": 0.0, "time_shift": True, "time_shift_probability": 0.0}, False),
        ({}, True),
    ],
)
def test_what_changes_pictures(fields, changes):
    assert AugmentOptions(**fields).changes_pictures == changes


RESPIRENET = {
    **{f"{name}_probability": 0.1 for name in ("noise", "stretch", "gain", "vtlp", "pitch")},
    "wave_choice": "one",
    "wave_zone": 0.6,
    "noise_deviation": 0.0072,
    "gain_scale": "factor",
    "gain_low": 0.5,
    "gain_high": 2.0,
    "stretch_low": 0.5,
    "stretch_high": 1.9,
    "stretch_step": 0.1,
    "pitch_low": -1.0,
    "pitch_high": 2.0,
    "pitch_step": 1.0,
    "resampling_filter": "kaiser-best",
    "roll_probability": 0.5,
    "concat_probability": 1.0,
    "concat_law": "cba",
    "concat_rare": True,
}
SPLICE = {
    "concat_probability": 0.5,
    "concat_law": "union",
    "concat_partner": "other-device",
    "concat_order": "own-first",
    "concat_level": True,
    "concat_crossfade": 0.01,
}
PROTOTYPES = {"crop_probability": 1.0, "crop_seconds": 4.0}
COTUNING = {"wave_rare": True, "stretch_probability": 1.0, "vtlp_probability": 1.0}


@pytest.mark.parametrize("fields", [RESPIRENET, SPLICE, PROTOTYPES, COTUNING])
def test_the_published_systems_are_sound(fields):
    AugmentOptions(**fields).check()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"speed_low": 1.5}, "speed_low is 1.5, but must be at most speed_high, which is 1.1."),
        ({"noise_snr_high": 1.0}, "noise_snr_low is 10.0, but must be at most noise_snr_high, which is 1.0."),
        ({"gain_scale": "factor"}, "gain_low is -6.0, but a gain that is a factor must be at least 0."),
        ({"speed_low": 1.0, "speed_step": 0.5}, "speed_step is 0.5, but from 1.0 to 1.1 that leaves no value"),
        ({"vocoder_window": 1022}, "vocoder_window is 1022, but must be a multiple of 4."),
        (
            {"wave_choice": "one", "noise_probability": 0.5, "gain_probability": 0.6},
            "sum to 1.1, but with wave_choice=one must sum to at most 1.",
        ),
        ({"concat_partner": "normal"}, "concat_partner is 'normal', but with concat_law=same must be one of any"),
        ({"concat_law": "cba", "concat_partner": "other-device"}, "with concat_law=cba must be one of any."),
    ],
)
def test_fields_that_disagree(fields, words):
    with pytest.raises(SpecError) as error:
        AugmentOptions(**fields).check()
    assert words in error.value.message


def test_chances_of_which_one_is_done_may_fill_all():
    AugmentOptions(wave_choice="one", **{f"{name}_probability": 1 / 6 for name in WAVE_OPERATIONS}).check()
