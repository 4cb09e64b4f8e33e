"""Front-end ``respirenet`` (Gairola et al. 2021, microsoft/RespireNet @ 5e3f41a).

The whole recording is brought to 4 kHz, its cycles are cut into pieces of eight seconds and filled up with copies of
themselves, and each becomes a coloured picture. The authors draw once, when the data set is made, whether copies stand
before a cycle or after it; here that follows from the recording's name and the number of the piece, so that it is the
same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torchaudio.functional import resample

from bench.data.frontends.respirenet.card import SAMPLE_RATE, RespireNetOptions, piece_spans
from bench.data.frontends.respirenet.kaiser_best import resample_kaiser_best
from bench.data.frontends.respirenet.pictures import blank_rows, clip_rows, coloured, enlarge
from bench.data.frontends.respirenet.spectrogram import decibels, grey_levels, mel_power
from bench.data.frontends.waveform import cycle_samples, number_of_samples
from bench.data.units import UnitWaves, unit_draws

MEAN, DEVIATION = (0.5091, 0.1739, 0.4363), (0.2288, 0.1285, 0.0743)
"""Mean and standard deviation of red, green and blue in the official code."""


class RespireNetFrontEnd:
    """The front-end with the published mean and deviation of the colours.

    Args:
        options: Length, padding, resampling, and what is done to the picture.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, options: RespireNetOptions) -> None:
        self.options = options
        self.mean, self.deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(colours, rows, columns) of one piece."""
        return self.options.shape

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into the pieces of its cycles, at 4 kHz.

        A cycle of one piece stays as long as it is; what is left of a longer one is filled up with copies of the whole
        cycle, which a piece by itself no longer knows.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording; sides of padding are drawn from it.

        Returns:
            (samples,) float32 of each piece, at most as many as a piece has.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        wave = self._resampled(wave, rate)
        cycles = [wave[place] for place in cycle_samples(spans, wave.numel(), name, rate=SAMPLE_RATE)]
        found: list[Tensor] = []
        for cycle in cycles:
            pieces = piece_spans(cycle.numel(), self.options.samples)
            draws = unit_draws(name, len(found), len(pieces))
            found += [cycle[begin:end] for begin, end in pieces]
            if len(pieces) > 1:
                last = self._filled(cycle, pieces[-1], bool(self._before(draws[-1])))
                found[-1] = last
        return found

    def _resampled(self, wave: Tensor, rate: int) -> Tensor:
        if self.options.resampling == "kaiser-best":
            return resample_kaiser_best(wave, rate, SAMPLE_RATE)
        resampled: Tensor = resample(wave, rate, SAMPLE_RATE)
        return resampled

    def _filled(self, cycle: Tensor, span: tuple[int, int], before: bool) -> Tensor:
        """The last piece of a cycle, filled up with copies of the whole cycle."""
        begin, end = (torch.tensor([place]) for place in span)
        source = filling(begin, end, torch.tensor([cycle.numel()]), torch.tensor([before]), self.options.samples)
        return cycle[source[0]]

    def _before(self, draws: Tensor) -> Tensor:
        """Whether copies stand before the piece, by draws in [0, 1)."""
        side = self.options.pad_side
        return draws >= 0.5 if side == "drawn" else torch.full_like(draws, side == "before", dtype=torch.bool)

    def at_length(self, units: UnitWaves, *, first: bool = False) -> UnitWaves:
        """Bring units to the length of a piece: shorter ones are filled up, of longer ones a piece is taken.

        Args:
            units: The units, of any lengths.
            first: Whether the first piece of a longer one is taken, and not one that its draw says.

        Returns:
            The units, each as long as a piece; the very same where they are that already.
        """
        size, lengths = self.options.samples, units.lengths
        if bool((lengths == size).all()):
            return units
        counts = torch.where(lengths <= size, 1, 2 + (lengths - size).div(size // 2, rounding_mode="floor"))
        draws = units.draws if units.draws is not None else torch.zeros(len(units), dtype=torch.float64)
        place = draws * counts
        piece = torch.minimum(place.long(), counts - 1)
        before = self._before(place - piece)
        piece = torch.zeros_like(piece) if first else piece
        begin = piece * (size // 2)
        source = filling(begin, torch.minimum(begin + size, lengths), lengths, before, size)
        samples = units.samples.gather(1, source.to(units.samples.device))
        return replace(units, samples=samples, lengths=torch.full_like(lengths, size))

    def colours(self, units: UnitWaves) -> Tensor:
        """Make the coloured pictures of units, not yet normalised.

        Args:
            units: Pieces as :meth:`fit` gives them, perhaps augmented.

        Returns:
            (units, 3, rows, columns) int32, 0..255; the first row is the highest mel.
        """
        return self._colours(self.at_length(units).samples)

    def _colours(self, waves: Tensor) -> Tensor:
        """Coloured pictures of pieces (units, samples) of the length of a piece."""
        levels = grey_levels(decibels(mel_power(waves)))
        pictures = enlarge(coloured(levels), self.options.enlargement).flip(1)
        if self.options.blank_region_clipping:
            pictures = clip_rows(pictures, blank_rows(levels.flip(1)) * self.options.enlargement)
        return pictures.transpose(1, 2)

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn pieces into coloured pictures, less the mean and divided by the deviation of each colour.

        Args:
            units: Pieces as :meth:`fit` gives them, perhaps augmented.

        Returns:
            (units, 3, rows, columns) float32; the first row is the highest mel.
        """
        return self._normalised(self.colours(units))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn pieces (units, samples) of one length into pictures, as :meth:`picture` where nobody drew a side."""
        size, length = self.options.samples, number_of_samples(waves)
        # Copies before a piece stop with its end; of a longer one the first samples are taken.
        ends_last = self.options.pad_side == "before"
        shift = (size - length).clamp(min=0) if ends_last else torch.zeros_like(length)
        places = (torch.arange(size, device=waves.device) - shift).remainder(length)
        return self._normalised(self._colours(waves[:, places]))

    def _normalised(self, colours: Tensor) -> Tensor:
        mean, deviation = (each.to(colours.device)[:, None, None] for each in (self.mean, self.deviation))
        return ((colours / 255 - mean) / deviation).contiguous()


class LearningRespireNetFrontEnd(RespireNetFrontEnd):
    """The front-end with mean and deviation of the colours from the rows that a run is trained on."""

    def learn(self, units: Iterable[UnitWaves]) -> dict[str, Tensor]:
        """Learn mean and deviation of each colour, both means over pictures.

        Args:
            units: The training rows in batches.

        Returns:
            ``mean`` and ``deviation``, (3,) float32: the mean of the pictures' means, and of their deviations, which is
            smaller than the deviation over all pictures.

        Source: microsoft/RespireNet @ 5e3f41a, ``train.py`` line 90, where pictures are augmented at random.
        """
        means, deviations = [], []
        for batch in units:
            colours = self.colours(batch).flatten(2).double() / 255
            means.append(colours.mean(2))
            deviations.append(colours.std(2))
        return {"mean": torch.cat(means).mean(0).float(), "deviation": torch.cat(deviations).mean(0).float()}

    def use(self, learnt: Mapping[str, Tensor]) -> None:
        """Normalise by what was learnt, from now on.

        Args:
            learnt: What :meth:`learn` returned.
        """
        self.mean, self.deviation = learnt["mean"], learnt["deviation"]


def filling(begin: Tensor, end: Tensor, lengths: Tensor, before: Tensor, size: int) -> Tensor:
    """Find which sample of a cycle stands where in a piece that is filled up with copies of the cycle.

    Args:
        begin: (units,) first sample of the piece.
        end: (units,) sample after its last.
        lengths: (units,) samples of the whole cycle.
        before: (units,) bool, whether the copies stand before the piece.
        size: Samples of the filled piece.

    Returns:
        (units, size) int64. After a piece stand copies from the cycle's beginning; before it copies that stop with the
        cycle's end.
    """
    left = (size - (end - begin)).clamp(min=0)
    shift = torch.where(before, left, 0)
    place = torch.arange(size)[None] - shift[:, None]
    own = (place >= 0) & (place < (end - begin)[:, None])
    copies = torch.where(before[:, None], place, place - (end - begin)[:, None])
    return torch.where(own, begin[:, None] + place, copies.remainder(lengths[:, None]))


def build(options: RespireNetOptions) -> RespireNetFrontEnd:
    """Build the front-end that the options describe: with the published constants, or one that learns them."""
    return (LearningRespireNetFrontEnd if options.normalise == "training" else RespireNetFrontEnd)(options)
