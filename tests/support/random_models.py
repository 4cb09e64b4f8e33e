"""A plug-in with models whose layers draw random numbers, each in a way of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from timm.layers import DropPath
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from bench.plugins import ModelCard, Registration, option

WIDTH = 16


class Base(nn.Module):
    """A convolution, what a model draws, and a classifier."""

    def __init__(self, options, num_classes=4):
        super().__init__()
        self.options, self.feature_dim = options, WIDTH
        self.conv = nn.Conv2d(1, WIDTH, 5, stride=4)
        self.classifier = nn.Linear(WIDTH, num_classes)
        self.build()

    def build(self):
        pass

    def features(self, x):
        return self.drawn(self.conv(x)).flatten(2).mean(2)

    def forward(self, x):
        return self.classifier(self.features(x))


class Pictures(Base):
    """Dropout of values, channels and paths, in two memory layouts, noise, and a gate that all rows share."""

    def build(self):
        self.inner = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.path, self.channels = DropPath(0.4), nn.Dropout2d(0.3)

    def drawn(self, x):
        x = self.norm(x + self.path(self.inner(x)))
        x = F.dropout(x.to(memory_format=torch.channels_last), 0.3, self.training)
        x = self.channels(x.contiguous()).relu()
        if self.training:
            x = x + 0.1 * torch.randn_like(x) + 0.1 * torch.rand(len(x), 1, 1, 1)
            x = x * (0.5 + torch.rand(1))
        return x


class Sequences(Base):
    """Rows along the second axis (a transformer's and a recurrent layer's habit), and dropout of attention."""

    def build(self):
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, dropout=0.3)
        self.recurrent = nn.GRU(WIDTH, WIDTH, 2, dropout=0.4, batch_first=True)
        self.norm = nn.BatchNorm1d(WIDTH)

    def drawn(self, x):
        steps = x.flatten(2).permute(2, 0, 1)
        tokens = self.recurrent(self.layer(steps).transpose(0, 1))[0]
        query = tokens[:, None]
        rate = 0.3 if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, query, query, dropout_p=rate)[:, 0]
        return self.norm(mixed.transpose(1, 2))[:, :, :, None]


class Windows(Base):
    """Several windows of each row, one after the other along the first axis."""

    def drawn(self, x):
        windows = x.flatten(2)[:, :, :28].unflatten(2, (4, 7)).transpose(1, 2).flatten(0, 1)
        windows = F.dropout(windows, 0.4, self.training)
        return windows.unflatten(0, (-1, 4)).transpose(1, 2)


class Residual(nn.Module):
    """A residual block with dropout and stochastic depth, and a normalisation that is given."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.inner = norm, nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.dropout, self.path = nn.Dropout(0.3), DropPath(0.3)

    def forward(self, x):
        return x + self.path(self.dropout(self.inner(self.norm(x)).relu()))


class Residuals(Base):
    """Two residual blocks, each normalised within a row: these can be computed in micro-batches, and again."""

    def norm(self):
        return nn.GroupNorm(4, WIDTH)

    def build(self):
        self.blocks = nn.Sequential(Residual(self.norm()), Residual(self.norm()))

    def checkpoint_blocks(self):
        return list(self.blocks)

    def drawn(self, x):
        return self.blocks(x)


class BatchResiduals(Residuals):
    """Two residual blocks with batch statistics, whose mean over all batches counts how often it was taken."""

    def norm(self):
        return nn.BatchNorm2d(WIDTH, momentum=None)


class Norms(Base):
    """Batch normalisations of all dimensions; with and without running statistics, momentum and weights."""

    def build(self):
        self.of_pictures = nn.BatchNorm2d(WIDTH, track_running_stats=False)
        self.of_sequences = nn.BatchNorm1d(WIDTH, momentum=None)
        self.of_volumes = nn.BatchNorm3d(WIDTH // 2, affine=False)
        self.of_rows = nn.BatchNorm1d(WIDTH, affine=False, track_running_stats=False)

    def drawn(self, x):
        x = self.of_sequences(self.of_pictures(x).flatten(2)).relu()
        x = self.of_volumes(x.unflatten(1, (WIDTH // 2, 2))[:, :, :, None]).relu().flatten(1, 3)
        return self.of_rows(x.mean(2))[:, :, None, None]


class Counting(Base):
    """Remembers how often it was called: micro-batches would count more often."""

    def build(self):
        self.register_buffer("calls", torch.zeros(()))

    def drawn(self, x):
        if self.training:
            self.calls += 1
        return x


class Permuted(Base):
    """Random numbers that belong to no row: refused."""

    def drawn(self, x):
        return x[torch.randperm(len(x))] if self.training else x


class Rectified(Base):
    """An operator that draws in a way of its own: refused."""

    def drawn(self, x):
        return F.rrelu(x, training=self.training)


class Joined(Base):
    """Two views of the rows put one after the other without a word, then drawn for: refused."""

    def drawn(self, x):
        both = F.dropout(torch.cat([x, x.relu()]), 0.4, self.training)
        one, other = both.chunk(2)
        return one + other


class OwnStatistics(Base):
    """Batch statistics of a functional call, of this process's rows alone: refused."""

    def drawn(self, x):
        return F.batch_norm(x, None, None, training=True) if self.training else x


class Uncertain(Base):
    """Dropout in the evaluation: refused there."""

    def drawn(self, x):
        return F.dropout(x, 0.2, training=True)


@dataclass(frozen=True, kw_only=True)
class Options:
    """None that matter."""

    unused: int = option(0, "nothing")


def _registration(kind):
    card = ModelCard(
        id=kind.__name__.lower(),
        title=kind.__name__,
        summary=str(kind.__doc__),
        options=Options,
        frontend="ast",
        parameters=sum(parameter.numel() for parameter in kind(Options()).parameters()),
    )
    return Registration(card, kind)


pictures, sequences, windows = _registration(Pictures), _registration(Sequences), _registration(Windows)
residuals, batch_residuals, norms, counting = map(_registration, (Residuals, BatchResiduals, Norms, Counting))
permuted, rectified, joined = _registration(Permuted), _registration(Rectified), _registration(Joined)
own_statistics, uncertain = _registration(OwnStatistics), _registration(Uncertain)
