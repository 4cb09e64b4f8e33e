"""Normalisation by the extremes of a batch, for front-ends whose features depend on the clips beside them.

The extremes of every cycle are known from the bank, so those of a batch follow without looking at other processes.
Where waveforms were augmented they are not: there each process finds those of its own rows, and all exchange them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.frontends import BatchFrontEnd
from bench.engine.host_arrays import arrays_on


@dataclass(frozen=True)
class BatchExtremes:
    """Smallest and largest value of each row of a bank, and the front-end that normalises by them.

    Attributes:
        frontend: Normalises features by the extremes of a group.
        low: (rows,) float32, the smallest value of each row of the bank.
        high: (rows,) float32, the largest value of each row of the bank.
    """

    frontend: BatchFrontEnd
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, frontend: BatchFrontEnd, features: Iterable[np.ndarray]) -> BatchExtremes:
        """Find the extremes of every row, in one pass over a bank.

        Args:
            frontend: The front-end that made the bank.
            features: (frames, mels) of each cycle.
        """
        # One cycle at a time: the bank is a file that need not fit into memory.
        pairs = np.array([(row.min(), row.max()) for row in features], dtype=np.float32).reshape(-1, 2)
        return cls(frontend, pairs[:, 0], pairs[:, 1])

    def in_training(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """Normalise a process's part of a global batch.

        Args:
            x: (local, 1, frames, mels).
            rows: (global,) rows of the bank, of the whole batch.
        """
        # Extremes of the whole batch, known without the other processes' clips, so that all normalise alike.
        low, high = (np.full(len(x), value, np.float32) for value in (self.low[rows].min(), self.high[rows].max()))
        return self._normalise(x, low, high)

    def in_augmented_training(self, x: Tensor, gather: Callable[[Tensor], Tensor]) -> Tensor:
        """Normalise a process's part of a global batch whose waveforms were augmented, by what became of them.

        Args:
            x: (local, 1, frames, mels).
            gather: Maps a tensor (local, ...) of this process's rows to (global, ...) of all rows.
        """
        values = x.flatten(1)
        extremes = gather(torch.stack([values.amin(1), values.amax(1)], dim=1))
        low, high = extremes[:, 0].amin().expand(len(x)), extremes[:, 1].amax().expand(len(x))
        return self.frontend.normalise(x, low, high)

    def in_evaluation(self, x: Tensor, rows: np.ndarray, part: np.ndarray) -> Tensor:
        """Normalise some cycles of an evaluation, in groups that do not depend on processes or batches.

        Args:
            x: (batch, 1, frames, mels), the cycles ``rows[part]``.
            rows: (n,) rows of the bank that are evaluated, in the data set's order.
            part: (batch,) positions in ``rows``.
        """
        # Groups are counted over all evaluated rows, so that a cycle's group is the same in any process and any batch.
        size = self.frontend.evaluation_batch
        starts = np.arange(0, len(rows), size)
        low = np.minimum.reduceat(self.low[rows], starts)[part // size]
        high = np.maximum.reduceat(self.high[rows], starts)[part // size]
        return self._normalise(x, low, high)

    def typical(self, rows: np.ndarray, batch: int) -> tuple[float, float]:
        """The smallest and largest value of a usual batch: the means of both over the batches of an epoch.

        Args:
            rows: (n,) rows of the bank that are trained on.
            batch: Rows of a batch.
        """
        # In an order of its own: neighbours in a bank are of one recording, as those in a batch are not.
        shuffled = np.random.default_rng(0).permutation(rows)
        starts = np.arange(0, len(rows), batch)
        low, high = np.minimum.reduceat(self.low[shuffled], starts), np.maximum.reduceat(self.high[shuffled], starts)
        return float(low.mean(dtype=np.float64)), float(high.mean(dtype=np.float64))

    def _normalise(self, x: Tensor, low: np.ndarray, high: np.ndarray) -> Tensor:
        return self.frontend.normalise(x, *arrays_on(x.device, low, high))
