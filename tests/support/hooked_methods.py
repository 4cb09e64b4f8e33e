"""A plug-in with methods that use the hooks of the engine: one prepares itself, one scores with sigmoids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from bench.plugins import MethodCard, Registration


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """No options."""


class Prepared(nn.Module):
    """Cross-entropy with offsets of classes that are learnt from the training part, with a number drawn at random."""

    def __init__(self, options, task):
        super().__init__()
        self.register_buffer("offsets", torch.zeros(len(task.class_counts)))
        self.register_buffer("drawn", torch.zeros(()))
        self.calls = 0

    def prepare(self, model, rows):
        self.calls += 1
        assert not model.training
        sums = torch.zeros_like(self.offsets)
        for inputs, labels in rows.batches(5):
            sums.index_add_(0, labels, model(inputs).detach().mean(1) + inputs.mean((1, 2, 3)))
        self.offsets.copy_(sums / torch.tensor(rows.class_counts))
        self.drawn.copy_(torch.rand(()))

    def draw(self, batch_size, rng):
        return None

    def forward(self, model, batch, draw):
        logits = batch.gather(model(batch.features)) + 10 * self.offsets + self.drawn * torch.arange(4)
        ce = F.cross_entropy(logits, batch.labels)
        return {"loss": 2 * ce, "ce": ce, "largest logit": logits.max().detach(), "rows": logits[:, 0]}


class Sigmoid(nn.Module):
    """Binary cross-entropy of each class by itself."""

    def __init__(self, options, task):
        super().__init__()

    def draw(self, batch_size, rng):
        return None

    def scores(self, logits):
        return logits.sigmoid()

    def forward(self, model, batch, draw):
        logits = batch.gather(model(batch.features))
        return {"loss": F.binary_cross_entropy_with_logits(logits, F.one_hot(batch.labels, 4).to(logits.dtype))}


class Frequent(Sigmoid):
    """The same with scores that depend on how many training rows each class has."""

    def __init__(self, options, task):
        super().__init__(options, task)
        self.counts = torch.tensor(task.class_counts)

    def scores(self, logits):
        return logits.sigmoid() * self.counts


def card(name):
    return MethodCard(id=name, title=name, summary="A method for tests.", formula="L", options=NoOptions)


prepared = Registration(card("prepared"), Prepared)
sigmoid = Registration(card("sigmoid"), Sigmoid)
frequent = Registration(card("frequent"), Frequent)
