"""Options of the augmentation of a run; readable without torch.

Three groups, in the order of their use: two units are joined (``concat_*``), waveforms are changed (``noise_*`` to
``pad_*``), spectrograms are shifted and masked (``time_shift*``, ``specaug_*``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.core.errors import SpecError
from bench.core.fields import identity_field
from bench.core.options import Space

SPECAUG_PROBABILITY = 0.8413447460685429
"""Φ(1): the official code compares p = 1.0 with a normal draw (@ 836b09f, ``util/augmentation.py``; SYSTEMS D5)."""

WAVE_OPERATIONS = ("noise", "gain", "speed", "stretch", "pitch", "vtlp")
"""Operations on the sound itself, in the order in which they are done; ``wave_choice`` says how they are chosen."""

PLACEMENTS = ("roll", "crop", "pad")
"""Operations on the place of a sound in its unit, done after them."""

LONGEST_SECONDS = 3600.0

_CHANCE = {"low": 0.0, "high": 1.0, "since": 3, "space": Space(low=0.0, high=1.0, grid=(0.0, 0.25, 0.5))}
_FACTOR = {"low": 0.1, "high": 10.0, "since": 3}


@dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """What is changed at random in the clips that a run trains on."""

    specaug_probability: float = identity_field(
        "chance that a sample is masked",
        SPECAUG_PROBABILITY,
        low=0.0,
        high=1.0,
        space=Space(low=0.0, high=1.0, grid=(0.0, 0.5, 1.0)),
    )
    specaug_freq_masks: int = identity_field("frequency masks per sample", 2, low=0, high=1000)
    specaug_freq_width: int = identity_field(
        "bins: widths are drawn below this", 48, low=0, high=1_000_000, space=Space(low=0, high=64, grid=(16, 32, 48))
    )
    specaug_time_masks: int = identity_field("time masks per sample", 2, low=0, high=1000)
    specaug_time_width: int = identity_field(
        "frames: widths are drawn below this",
        160,
        low=0,
        high=1_000_000,
        space=Space(low=0, high=256, grid=(80, 160, 240)),
    )
    specaug_together: bool = identity_field("whether one chance decides for all samples of a batch", False)
    specaug_fill: str = identity_field(
        "value under the masks: the spectrogram's mean, or the front-end's lowest", "mean", choices=("mean", "lowest")
    )
    specaug_place: str = identity_field(
        "where masks lie: whole, anywhere with equal chances (Patch-Mix); torchaudio, whose masks never reach the last "
        "bin or frame (SCL)",
        "whole",
        choices=("whole", "torchaudio"),
        since=5,
    )
    time_shift: bool = identity_field("circular shift in time by a random number of frames", False)
    time_shift_probability: float = identity_field("chance that time_shift moves a sample", 1.0, **_CHANCE)

    concat_probability: float = identity_field("chance that a sample becomes two units in a row", 0.0, **_CHANCE)
    concat_law: str = identity_field(
        "which classes follow each other: same; union: any, labelled with all their sounds; cba: RespireNet's table; "
        "splice: any two whose sounds are together those of the sample's class",
        "same",
        choices=("same", "union", "cba", "splice"),
        since=3,
    )
    concat_rare: bool = identity_field(
        "whether concat_probability counts only for samples that bring rare classes to the largest one", False, since=3
    )
    concat_scale: float = identity_field(
        "what concat_rare brings every class to, in sizes of the largest", 1.0, low=1.0, high=1000.0, since=3
    )
    concat_partner: str = identity_field(
        "where the second unit is from", "any", choices=("any", "normal", "other-device", "other-patient"), since=3
    )
    concat_order: str = identity_field(
        "which of the two is heard first", "random", choices=("random", "own-first"), since=3
    )
    concat_level: bool = identity_field(
        "whether what is heard second is as loud as what is heard first", False, since=3
    )
    concat_crossfade: float = identity_field(
        "seconds in which one unit fades into the next", 0.0, low=0.0, high=60.0, since=3
    )

    concat_seconds: float = identity_field(
        "seconds that segments of the two fill together, each a quarter of them at least; 0: both are heard whole",
        0.0,
        low=0.0,
        high=60.0,
        since=5,
    )

    wave_choice: str = identity_field(
        "whether each of noise, gain, speed, stretch, pitch and vtlp is drawn by itself, or at most one is",
        "each",
        choices=("each", "one"),
        since=3,
    )
    wave_zone: float = identity_field(
        "share of a unit that those change: its middle, for noise any place", 1.0, low=0.01, high=1.0, since=3
    )
    wave_rare: bool = identity_field(
        "whether those change only samples that bring rare classes to the largest one", False, since=3
    )
    noise_probability: float = identity_field("chance of added white noise", 0.0, **_CHANCE)
    noise_snr_low: float = identity_field("smallest signal-to-noise ratio, dB", 10.0, low=-100.0, high=200.0, since=3)
    noise_snr_high: float = identity_field("largest signal-to-noise ratio, dB", 30.0, low=-100.0, high=200.0, since=3)
    noise_deviation: float = identity_field(
        "standard deviation of the noise, full scale 1, in place of a ratio; 0: by the ratio",
        0.0,
        low=0.0,
        high=1.0,
        since=3,
    )
    noise_kind: str = identity_field(
        "what noise is: white, or white and mirrored in time, as nlpaug's before version 1",
        "white",
        choices=("white", "mirrored"),
        since=5,
    )
    gain_probability: float = identity_field("chance of another loudness", 0.0, **_CHANCE)
    gain_low: float = identity_field("smallest gain", -6.0, low=-100.0, high=100.0, since=3)
    gain_high: float = identity_field("largest gain", 6.0, low=-100.0, high=100.0, since=3)
    gain_scale: str = identity_field(
        "whether gains are decibels or factors", "decibel", choices=("decibel", "factor"), since=3
    )
    speed_probability: float = identity_field("chance of another speed, by resampling: pitch follows", 0.0, **_CHANCE)
    speed_low: float = identity_field("smallest speed; 0.5 makes twice as long", 0.9, **_FACTOR)
    speed_high: float = identity_field("largest speed; 2 makes half as long", 1.1, **_FACTOR)
    speed_step: float = identity_field("step of the speeds, without 1; 0: any speed", 0.0, low=0.0, high=10.0, since=3)
    stretch_probability: float = identity_field(
        "chance of another tempo, by a phase vocoder: pitch stays", 0.0, **_CHANCE
    )
    stretch_low: float = identity_field("smallest tempo; 0.5 makes twice as long", 0.8, **_FACTOR)
    stretch_high: float = identity_field("largest tempo; 2 makes half as long", 1.2, **_FACTOR)
    stretch_step: float = identity_field(
        "step of the tempos, without 1; 0: any tempo", 0.0, low=0.0, high=10.0, since=3
    )
    pitch_probability: float = identity_field("chance of another pitch; the length stays", 0.0, **_CHANCE)
    pitch_low: float = identity_field("smallest shift, semitones", -2.0, low=-24.0, high=24.0, since=3)
    pitch_high: float = identity_field("largest shift, semitones", 2.0, low=-24.0, high=24.0, since=3)
    pitch_step: float = identity_field("step of the shifts, semitones; 0: any shift", 0.0, low=0.0, high=24.0, since=3)
    vtlp_probability: float = identity_field("chance of vocal tract length perturbation", 0.0, **_CHANCE)
    vtlp_low: float = identity_field("smallest factor of the frequencies", 0.9, low=0.5, high=2.0, since=3)
    vtlp_high: float = identity_field("largest factor of the frequencies", 1.1, low=0.5, high=2.0, since=3)
    vtlp_law: str = identity_field(
        "what vtlp does: warp frequencies, or leave a gap, as nlpaug's before version 1, which warps nothing",
        "frequency",
        choices=("frequency", "gap"),
        since=5,
    )
    vtlp_corner: float = identity_field(
        "share of the Nyquist frequency up to which VTLP's warp is linear", 0.6, low=0.01, high=0.99, since=3
    )
    vocoder_window: int = identity_field(
        "samples of a Fourier frame of stretch, pitch and vtlp; a multiple of 4", 2048, low=16, high=65536, since=3
    )
    resampling_filter: str = identity_field(
        "filter of speed and pitch: hann is torchaudio's, kaiser-best librosa's before 0.10, ten times as slow",
        "hann",
        choices=("hann", "kaiser-best"),
        since=3,
    )
    roll_probability: float = identity_field("chance of a circular shift of the waveform", 0.0, **_CHANCE)
    crop_probability: float = identity_field("chance that a longer unit is cut at a random place", 0.0, **_CHANCE)
    crop_seconds: float = identity_field("seconds that crop leaves", 4.0, low=0.01, high=LONGEST_SECONDS, since=3)
    pad_probability: float = identity_field("chance that a shorter unit is filled up at random", 0.0, **_CHANCE)
    pad_seconds: float = identity_field("seconds that pad fills up to", 8.0, low=0.01, high=LONGEST_SECONDS, since=3)
    pad_fill: str = identity_field("what pad fills with", "zeros", choices=("zeros", "copies"), since=3)
    pad_place: str = identity_field(
        "where the unit lies in what pad fills: anywhere, or at either side",
        "anywhere",
        choices=("anywhere", "side"),
        since=3,
    )

    @property
    def changes_pictures(self) -> bool:
        """Whether spectrograms are shifted or masked."""
        return self.shifts_pictures or self.specaug_probability > 0

    @property
    def shifts_pictures(self) -> bool:
        """Whether spectrograms are shifted in time."""
        return self.time_shift and self.time_shift_probability > 0

    @property
    def changes_waveforms(self) -> bool:
        """Whether waveforms are changed before they are brought to length; concatenation is one of the changes."""
        return self.concatenates or any(self.chance(name) > 0 for name in (*WAVE_OPERATIONS, *PLACEMENTS))

    @property
    def concatenates(self) -> bool:
        """Whether a sample can become two units in a row."""
        return self.concat_probability > 0

    def chance(self, operation: str) -> float:
        """The probability of a waveform operation (``noise``, ``roll``, ...)."""
        chance: float = getattr(self, f"{operation}_probability")
        return chance

    def check(self) -> None:
        """Check what must hold between the fields.

        Raises:
            SpecError: If a lowest value is above its highest, a step leaves no value, the chances of operations of
                which at most one is done sum to more than 1, or a law of concatenation and its partners disagree.
        """
        for name in ("noise_snr", "gain", "speed", "stretch", "pitch", "vtlp"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise SpecError(f"{name}_low is {low}, but must be at most {name}_high, which is {high}.")
        self._check_values()
        self._check_choice()
        self._check_partners()

    def _check_values(self) -> None:
        if self.gain_scale == "factor" and self.gain_low < 0:
            raise SpecError(f"gain_low is {self.gain_low}, but a gain that is a factor must be at least 0.")
        for name in ("speed", "stretch"):
            step, low, high = (getattr(self, f"{name}_{part}") for part in ("step", "low", "high"))
            if step > 0 and low + step > high and low == 1:
                raise SpecError(f"{name}_step is {step}, but from {low} to {high} that leaves no value other than 1.")
        if self.vocoder_window % 4:
            raise SpecError(f"vocoder_window is {self.vocoder_window}, but must be a multiple of 4.")

    def _check_choice(self) -> None:
        total = sum(self.chance(name) for name in WAVE_OPERATIONS)
        if self.wave_choice == "one" and total > 1 + 1e-9:
            names = ", ".join(WAVE_OPERATIONS)
            raise SpecError(
                f"The probabilities of {names} sum to {total:g}, but with wave_choice=one must sum to at most 1.",
                "Lower them, or use --set wave_choice=each.",
            )

    def _check_partners(self) -> None:
        wanted = {"same": ("any", "other-device", "other-patient"), "cba": ("any",)}
        if self.concat_partner not in wanted.get(self.concat_law, (self.concat_partner,)):
            raise SpecError(
                f"concat_partner is '{self.concat_partner}', but with concat_law={self.concat_law} must be one of "
                f"{', '.join(wanted[self.concat_law])}.",
            )


def mask_value(options: AugmentOptions, frontend: str, frontend_options: Any) -> float | None:
    """Find the value that masks write, or None where they write the mean of the spectrogram, or there are none.

    Args:
        options: What the run asks for.
        frontend: Name of the front-end, for messages.
        frontend_options: Its options, whose ``lowest`` is its lowest value.

    Raises:
        SpecError: If it is to be the front-end's lowest value, but the front-end does not say which that is.
    """
    # A recipe for another front-end may name a fill, which no mask ever writes where their probability is zero.
    if options.specaug_fill == "mean" or options.specaug_probability == 0:
        return None
    if not hasattr(frontend_options, "lowest"):
        raise SpecError(
            f"specaug_fill is 'lowest', but the options of front-end {frontend} have no `lowest` value.",
            "Use --set specaug_fill=mean.",
        )
    return float(frontend_options.lowest)
