"""Mixup of pairs of classes with binary cross-entropy, for any model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.core.errors import SpecError
from bench.core.inputs import map_inputs
from bench.engine.host_arrays import array_on
from methods.base import Batch, Task
from methods.losses import binary_cross_entropy
from methods.mixing import index_on
from methods.pair_mixup.card import AUTHORS_POSITIVE_WEIGHTS, PairMixupOptions
from methods.pair_mixup.pairs import PairMixes, Roles, draw_pair_mixes
from methods.views import rows_everywhere


def mix_pairs(rows: Tensor, mixes: PairMixes) -> Tensor:
    """Blend rows of a batch.

    Args:
        rows: (batch, ...).
        mixes: The pairs and their shares.

    Returns:
        (mixes, ...).
    """
    first, second = (rows[index_on(index, rows.device)] for index in (mixes.first, mixes.second))
    shares = array_on(rows.device, mixes.shares).to(rows.dtype)
    return torch.lerp(second, first, shares.view(-1, *[1] * (rows.ndim - 1)))


def _two_at_least(rows: Tensor) -> Tensor:
    """A single row twice: a batch normalisation refuses to take statistics of one."""
    return torch.cat([rows, rows]) if len(rows) == 1 else rows


def mixed_targets(targets: Tensor, mixes: PairMixes) -> Tensor:
    """Labels of mixes: mixed as the clips are, but for crackles with wheezes, which are both.

    Args:
        targets: (batch, classes) of the clips.
        mixes: The pairs and their shares.

    Returns:
        (mixes, classes).
    """
    mixed = mix_pairs(targets, mixes)
    number, before = mixes.labelled
    mixed[before:] = 0
    mixed[before:, number] = 1
    return mixed


def positive_weights(options: PairMixupOptions, counts: tuple[int, ...]) -> Tensor | None:
    """What multiplies the loss of a class that is there; None where nothing does.

    Args:
        options: Options of the method.
        counts: Training cycles of each class.

    Raises:
        SpecError: If the authors' weights are asked for other than four classes, or a class that is to be weighted by
            its number of cycles has none.
    """
    if options.mixup or options.positive_weights == "none":
        return None
    if options.positive_weights == "authors":
        if len(counts) != len(AUTHORS_POSITIVE_WEIGHTS):
            raise SpecError(
                f"positive_weights=authors has four weights, but there are {len(counts)} classes.",
                "Use --set positive_weights=counts.",
            )
        return torch.tensor(AUTHORS_POSITIVE_WEIGHTS)
    if 0 in counts:
        raise SpecError(
            f"Class {counts.index(0)} has no training cycle, so that its positive weight is undefined.",
            "Use --set positive_weights=none or other data.",
        )
    return sum(counts) / torch.tensor(counts)


class PairMixup(nn.Module):
    """Binary cross-entropy of the clean batch and of mixes of its clips (Li et al. 2021).

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.

    Raises:
        SpecError: If the classes cannot be weighted as the options say.
    """

    weights: Tensor | None

    def __init__(self, options: PairMixupOptions, task: Task) -> None:
        super().__init__()
        self.options, self.classes = options, len(task.class_counts)
        self.roles = Roles.of(task) if options.mixup else None
        # On the model's device with it, but not in its state: the weights follow from the options.
        self.register_buffer("weights", positive_weights(options, task.class_counts), persistent=False)

    def draw(self, batch_size: int, rng: np.random.Generator) -> int:
        """Draw the seed of the step: which clips are mixed depends on their classes, which are not known here."""
        return int(rng.integers(2**63))

    def scores(self, logits: Tensor) -> Tensor:
        """Scores of classes: each by itself, the sigmoid of its logit."""
        return logits.sigmoid()

    def forward(self, model: nn.Module, batch: Batch, draw: int) -> dict[str, Tensor]:
        """Return the scalar ``loss`` of the global batch, clean rows followed by mixed ones."""
        logits = batch.gather(model(batch.features))
        targets = one_hot(batch.labels, self.classes).to(logits.dtype)
        mixes = self._mixes(batch, draw)
        if mixes:
            # The same in every process: their number is the batch's, and cannot be divided as its rows are.
            mixed = map_inputs(lambda x: _two_at_least(mix_pairs(batch.gather(x), mixes)), batch.features)
            with rows_everywhere():
                logits = torch.cat([logits, model(mixed)[: len(mixes)]])
            targets = torch.cat([targets, mixed_targets(targets, mixes)])
        return {"loss": binary_cross_entropy(logits, targets, self.weights)}

    def _mixes(self, batch: Batch, seed: int) -> PairMixes | None:
        if self.roles is None:
            return None
        # Read from the device only where a batch was made by hand: that waits for all that it has to do.
        labels = batch.labels.cpu().numpy() if batch.host_labels is None else batch.host_labels
        return draw_pair_mixes(labels, self.roles, self.options.beta, np.random.default_rng(seed))
