"""A plug-in with front-ends of two halves, one of one go, and a model for any of them, as a contributor writes them."""

from __future__ import annotations

from pathlib import Path

PLUGIN = '''
import os
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from bench.plugins import FrontEndCard, ModelCard, Registration, option

FRAMES, MELS = 6, 4


@dataclass(frozen=True, kw_only=True)
class Options:
    power: float = option(1.0, "of the level", low=0.5, high=2.0)
    FIT_OPTIONS: ClassVar = ()
    shape: ClassVar = (FRAMES, MELS)


@dataclass(frozen=True, kw_only=True)
class NamedOptions(Options):
    shape: ClassVar = {"left": (FRAMES, MELS), "right": (2, 5, 3), "length": (1,)}


class Halves:
    """The level of each sixth of a cycle, in four powers."""

    sample_rate = 8000

    def __init__(self, options):
        self.options, self.shape = options, options.shape

    def fit(self, wave, rate, spans, *, name="the recording"):
        return [wave[int(start * rate) : int(end * rate)].clone() for start, end in spans]

    def levels(self, units):
        parts = [torch.stack([part.abs().mean() for part in wave.chunk(FRAMES)]) for wave in units.waves()]
        powers = self.options.power * torch.arange(1, MELS + 1, device=units.samples.device)
        return torch.stack(parts)[:, :, None] ** powers

    def picture(self, units):
        return self.levels(units)


class Named(Halves):
    """Two pictures and a number."""

    def picture(self, units):
        left = self.levels(units)
        length = units.lengths.to(left.device)[:, None] / self.sample_rate
        return {"left": left, "right": left[:, None, :5, :3].repeat(1, 2, 1, 1) + 1, "length": length}


class Learner(Halves):
    """Levels less their mean over the training rows."""

    def __init__(self, options):
        super().__init__(options)
        self.mean = None

    def learn(self, units):
        if "LEARN_LOG" in os.environ:
            with open(os.environ["LEARN_LOG"], "a") as log:
                log.write("learnt\\n")
        levels = torch.cat([self.levels(batch) for batch in units])
        return {"mean": levels.mean(0), "seen": levels.flatten(1).double().sum(1)}

    def use(self, learnt):
        self.mean = learnt["mean"]

    def picture(self, units):
        return self.levels(units) - self.mean.to(units.samples.device)


class BatchLearner(Learner):
    """The same, brought to 0..1 by the extremes of a batch."""

    evaluation_batch = 3

    def normalise(self, features, low, high):
        low, high = (value.view(-1, 1, 1, 1) for value in (low, high))
        return (features - low) / (high - low)


class NoTensors(Learner):
    def learn(self, units):
        return {"mean": 1.0}


class OneGo:
    """Makes pictures without waveforms between."""

    def __init__(self, options):
        self.shape = options.shape

    def features(self, wave, rate, spans, *, name="the recording"):
        return torch.zeros(len(spans), *self.shape)


class NamedBatch(Named):
    evaluation_batch = 3

    def normalise(self, features, low, high):
        return features


def front_end(name, builder, options=Options):
    card = FrontEndCard(id=name, title=name, summary="For tests.", options=options, version=1)
    return Registration(card, builder)


halves = front_end("halves", Halves)
named = front_end("named", Named, NamedOptions)
learner = front_end("learner", Learner)
batch_learner = front_end("batch-learner", BatchLearner)
no_tensors = front_end("no-tensors", NoTensors)
one_go = front_end("one-go", OneGo)
named_batch = front_end("named-batch", NamedBatch, NamedOptions)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    frames: int = option(0, "frames of the picture", low=0)


class AnyInput(nn.Module):
    """A branch for each input that it is given, made when it is built for the inputs of ``named`` or for one."""

    feature_dim = 6

    def __init__(self, options, num_classes):
        super().__init__()
        sizes = {"left": 24, "right": 30, "length": 1} if options.frames == 0 else {"": 24}
        self.branches = nn.ModuleDict({f"of_{name}": nn.Linear(size, 6) for name, size in sizes.items()})
        self.classifier = nn.Linear(6, num_classes)

    def features(self, x):
        inputs = x if isinstance(x, dict) else {"": x}
        return sum(branch(inputs[name[3:]].flatten(1)) for name, branch in self.branches.items()).relu()

    def forward(self, x):
        return self.classifier(self.features(x))


RECIPE = {"lr": 0.01, "batch": 4, "epochs": 2, "schedule": "constant", "specaug_probability": 0.0, "time_shift": False}
any_input = Registration(
    ModelCard(
        id="any-input", title="Any", summary="Any input.", options=ModelOptions, frontend="halves",
        recipes={"paper": RECIPE, "demo": RECIPE},
    ),
    AnyInput,
)
'''


def write_halves_plugin(folder: Path) -> Path:
    """Write the plug-in."""
    path = folder / "halves.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path
