"""Front-ends: from a recording and its cycles to spectrograms. The registry and its cards import no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bench.core.cards import FrontEndCard
from bench.core.registry import Registry
from bench.data.frontends import cards
from bench.data.frontends.options import ASTFrontEndOptions, SCLFrontEndOptions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FRONTENDS", "ASTFrontEndOptions", "BatchFrontEnd", "FrontEnd", "PieceOptions", "SCLFrontEndOptions"]


class FrontEnd(Protocol):
    """What a registered front-end's builder returns when it is called with the options of its card."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one cycle: (frames, mels), or (channels, frames, mels).

        Two inputs of different size for one cycle are one row (values,), which the model takes apart again.
        """
        ...

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> Tensor:
        """Turn the cycles of one recording into spectrograms.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (cycles, *shape) float32.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        ...


@runtime_checkable
class PieceOptions(Protocol):
    """Options of a front-end that cuts cycles into pieces: each is a row in training, a cycle's scores are their means.

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
class BatchFrontEnd(FrontEnd, Protocol):
    """A front-end whose features are normalised only in the batch that they come in."""

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
