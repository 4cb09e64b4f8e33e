"""Front-ends: from a recording and its cycles to spectrograms. The registry and its cards import no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bench.core.cards import FrontEndCard
from bench.core.registry import Registry
from bench.data.frontends import cards
from bench.data.frontends.encoders import card as encoders
from bench.data.frontends.gammatone.card import CARD as GAMMATONE
from bench.data.frontends.imagenet.card import LOGMEL_IMAGE
from bench.data.frontends.l3s.card import CARD as L3S
from bench.data.frontends.lungattn import card as lungattn
from bench.data.frontends.lungbrn import card as lungbrn
from bench.data.frontends.mfcc_mel import card as mfcc_mel
from bench.data.frontends.options import ASTFrontEndOptions, SCLFrontEndOptions
from bench.data.frontends.respirenet import card as respirenet
from bench.data.frontends.sadaco.card import CARD as SADACO
from bench.data.frontends.segments import card as segments

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.units import Inputs, UnitWaves

__all__ = [
    "FRONTENDS",
    "ASTFrontEndOptions",
    "BatchFrontEnd",
    "FrontEnd",
    "LearningFrontEnd",
    "LengthFrontEnd",
    "PieceOptions",
    "SCLFrontEndOptions",
    "SpanPieceOptions",
    "TraceableFrontEnd",
    "WaveformFrontEnd",
]


@runtime_checkable
class FrontEnd(Protocol):
    """A front-end that makes pictures of a recording in one go.

    What a registered front-end's builder returns, when it is called with the options of its card, is this or a
    :class:`WaveformFrontEnd`.
    """

    @property
    def shape(self) -> tuple[int, ...] | Mapping[str, tuple[int, ...]]:
        """Shape of what it makes of one cycle, the same as its options' ``shape``.

        (frames, mels), or (channels, frames, mels); for a model of several inputs, such a shape for each input's name.
        """
        ...

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> Inputs:
        """Turn the cycles of one recording into spectrograms.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (cycles, *shape) float32, for each name where the shapes have names.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        ...


@runtime_checkable
class WaveformFrontEnd(Protocol):
    """A front-end of two halves, between which waveforms can be augmented.

    ``fit`` runs once for a recording; ``picture`` runs on batches, when the bank of pictures is made or in every
    training step. Both ways give equal pictures of equal waveforms. It needs no ``features``: where it has them, they
    are those of both halves, only faster. Options that do not change what ``fit`` returns need not make waveforms
    anew: its options class may name those that do, as ``FIT_OPTIONS: ClassVar[tuple[str, ...]]``.
    """

    @property
    def shape(self) -> tuple[int, ...] | Mapping[str, tuple[int, ...]]:
        """Shape of the picture of one cycle, or a shape for each name, the same as its options' ``shape``."""
        ...

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that ``fit`` gives, Hz."""
        ...

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into the waveforms of its cycles, not yet brought to one length.

        Args:
            wave: (samples,) float32, −1..1; not to be changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle, or of each piece of one, at ``sample_rate``.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        ...

    def picture(self, units: UnitWaves) -> Inputs:
        """Bring waveforms to one length and make their pictures, on the device that the waveforms are on.

        Args:
            units: Waveforms as ``fit`` gives them, perhaps augmented.

        Returns:
            (units, *shape) float32, for each name where the shapes have names. A row depends on its own waveform alone.
        """
        ...


@runtime_checkable
class LearningFrontEnd(WaveformFrontEnd, Protocol):
    """A front-end of two halves whose pictures depend on what it learnt from the rows that a run is trained on."""

    def learn(self, units: Iterable[UnitWaves]) -> dict[str, Tensor]:
        """Learn from the training rows of a run; called once for a run, before its first step.

        Args:
            units: The training rows in batches, in the bank's order, on the CPU; they can be gone through once.

        Returns:
            What was learnt, by name. It is stored with the run.
        """
        ...

    def use(self, learnt: Mapping[str, Tensor]) -> None:
        """Make pictures by what was learnt, from now on.

        Args:
            learnt: What :meth:`learn` returned, in this process or another.
        """
        ...


@runtime_checkable
class PieceOptions(Protocol):
    """Options of a front-end that cuts cycles into pieces: each is a row in training, a cycle's scores are their vote.

    They say it, as they say the shape, because a bank that is there is opened without the front-end and its torch.
    """

    def pieces(self, seconds: Sequence[float]) -> list[int]:
        """Count the pieces that cycles become; the front-end's ``features`` gives those of the first cycle first.

        Args:
            seconds: Annotated duration of each cycle.

        Returns:
            A number for each cycle, 1 or more.
        """
        ...


@runtime_checkable
class SpanPieceOptions(PieceOptions, Protocol):
    """Options of a front-end whose pieces of a cycle depend on where the cycle begins, or where the recording ends."""

    def pieces_of_spans(self, spans: Sequence[tuple[float, float]], duration: float) -> list[int]:
        """Count the pieces that the cycles of a recording become, as :meth:`pieces` does for durations alone.

        Args:
            spans: Start and end of each cycle, seconds.
            duration: Duration of the recording, seconds; infinite where its audio is missing.

        Returns:
            A number for each cycle, 1 or more.
        """
        ...


@runtime_checkable
class TraceableFrontEnd(WaveformFrontEnd, Protocol):
    """A front-end whose pictures can be made by a program that was traced, outside of this package."""

    def traced_picture(self, waves: Tensor) -> Inputs:
        """Make the pictures of waveforms of one length, by operations that do not depend on numbers in them.

        Args:
            waves: (units, samples) at ``sample_rate``, as ``fit`` gives them; both sizes may be unknown in a trace.

        Returns:
            As :meth:`picture` of the same waveforms, up to rounding. Where that draws a side or a part, the first.

        Raises:
            SpecError: If the pictures depend on something else than the waveforms, with what that is.
        """
        ...


@runtime_checkable
class LengthFrontEnd(WaveformFrontEnd, Protocol):
    """A front-end that brings waveforms to one length before they are augmented: what is heard is what is changed.

    Units are brought to length after they are joined, and again after their sound was changed, which may have changed
    their length.
    """

    def at_length(self, units: UnitWaves, *, first: bool = False) -> UnitWaves:
        """Bring units to the length that is heard; ``picture`` of what it returns is ``picture`` of the units.

        Args:
            units: The units, of any lengths.
            first: Whether the beginning of a longer one is taken, and not a part that its draw says.

        Returns:
            The units, all of one length.
        """
        ...


@runtime_checkable
class BatchFrontEnd(Protocol):
    """A front-end of one input whose pictures are normalised only in the batch that they come in."""

    @property
    def evaluation_batch(self) -> int:
        """Cycles that share their extremes in an evaluation, in the data set's order."""
        ...

    def normalise(self, features: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Normalise features (batch, 1, frames, mels) by the smallest and largest value of each row's group.

        Args:
            features: (batch, 1, frames, mels), as the bank holds them.
            low: (batch,) smallest value of the group that the row belongs to.
            high: (batch,) largest value of that group.

        Returns:
            The normalised features, of the same shape.
        """
        ...


FRONTENDS: Registry[FrontEndCard] = Registry("front-end", FrontEndCard, "lungbench.frontends")
FRONTENDS.add("ast", cards.AST, "bench.data.frontends.ast:ASTFrontEnd")
FRONTENDS.add("scl", cards.SCL, "bench.data.frontends.scl:build")
FRONTENDS.add("mfcc-mel", mfcc_mel.CARD, "bench.data.frontends.mfcc_mel.frontend:MFCCMelFrontEnd")
FRONTENDS.add("log-mel-segments", segments.CARD, "bench.data.frontends.segments.frontend:SegmentFrontEnd")
FRONTENDS.add("gammatone", GAMMATONE, "bench.data.frontends.gammatone.frontend:GammatoneFrontEnd")
FRONTENDS.add("l3s", L3S, "bench.data.frontends.l3s.frontend:L3SFrontEnd")
lungattn.register(FRONTENDS)
lungbrn.register(FRONTENDS)
FRONTENDS.add("respirenet", respirenet.CARD, "bench.data.frontends.respirenet.front_end:build")
FRONTENDS.add("logmel-image", LOGMEL_IMAGE, "bench.data.frontends.imagenet.logmel_image:build")
FRONTENDS.add("sadaco", SADACO, "bench.data.frontends.sadaco.frontend:SadacoFrontEnd")
encoders.register(FRONTENDS)
