"""Pieces of cycles vote by majority; SGD counts iterations, draws rows by weight, and its head is ten times as fast."""

from dataclasses import dataclass
from math import ceil

from torch import nn
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from bench.plugins import FrontEndCard, ModelCard, Registration, option

RATE = 4000
RECIPE = {"optimiser": "sgd", "momentum": 0.9, "lr": 1e-2, "classifier_rate": 10.0, "step_average": 0.0, "batch": 8}
RECIPE |= {"schedule": "exponential", "schedule_unit": "iteration", "lr_decay": 0.9, "decay_every": 5}
RECIPE |= {"iterations": 20, "sampler": "weighted", "vote": "majority", "specaug_probability": 0.0}


@dataclass(frozen=True, kw_only=True)
class Options:
    piece: float = option(0.4, "seconds of a piece, at most", low=0.1, high=8.0)
    shape = property(lambda self: (1 + int(self.piece * RATE) // 128, 32))

    def pieces(self, seconds):
        return [max(1, ceil(each / self.piece)) for each in seconds]


class Pieces:
    sample_rate = RATE

    def __init__(self, options):
        self.options, self.shape = options, options.shape
        self.mel = MelSpectrogram(RATE, n_fft=256, hop_length=128, n_mels=32)

    def fit(self, wave, rate, spans, *, name="the recording"):
        wave, counts = resample(wave, rate, RATE), self.options.pieces([end - start for start, end in spans])
        cycles = [wave[int(start * RATE) : int(end * RATE)] for start, end in spans]
        return [piece for cycle, count in zip(cycles, counts, strict=True) for piece in cycle.tensor_split(count)]

    def picture(self, units):
        size = int(self.options.piece * RATE)
        samples = nn.functional.pad(units.samples, (0, size))[:, :size]
        return (self.mel.to(samples.device)(samples) + 1e-6).log().mT


class SmallCNN(nn.Module):
    def __init__(self, options, num_classes):
        super().__init__()
        self.feature_dim, self.classifier = 16, nn.Linear(16, num_classes)
        layers = nn.Conv2d(1, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        return self.classifier(self.features(x))


text = {"id": "pieces", "title": "Pieces", "summary": "Log-mel spectrograms of equal pieces of a cycle."}
pieces = Registration(FrontEndCard(**text, options=Options, version=1), Pieces)
text = {"id": "piece-cnn", "title": "Piece CNN", "summary": "One convolution with batch normalisation, and a mean."}
cnn = Registration(ModelCard(**text, frontend="pieces", recipes={"paper": RECIPE, "demo": RECIPE}), SmallCNN)
