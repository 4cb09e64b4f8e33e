"""Raw cycles are joined at random with one of any class, and labelled with all that is heard, before the picture."""

from dataclasses import dataclass

import torch
from torch import nn
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from bench.plugins import DataError, FrontEndCard, ModelCard, Registration, option

RATE = 4000
RECIPE = {"concat_probability": 0.5, "concat_law": "union", "concat_partner": "other-patient", "concat_crossfade": 0.01}
RECIPE |= {"concat_level": True, "lr": 1e-3, "batch": 8, "epochs": 3, "specaug_probability": 0.0}


@dataclass(frozen=True, kw_only=True)
class Options:
    seconds: float = option(1.5, "length to which waveforms are repeated or cut, s", low=0.1, high=60.0)
    shape = property(lambda self: (1 + int(self.seconds * RATE) // 128, 32))


class RawCycles:
    sample_rate = RATE

    def __init__(self, options):
        self.size, self.shape = int(options.seconds * RATE), options.shape
        self.mel = MelSpectrogram(RATE, n_fft=256, hop_length=128, n_mels=32)

    def fit(self, wave, rate, spans, *, name="the recording"):
        wave = resample(wave, rate, RATE)
        cycles = [wave[int(start * RATE) : int(end * RATE)] for start, end in spans]
        if any(cycle.numel() == 0 for cycle in cycles):
            raise DataError(f"A cycle of {name} holds no sample.", "Mend its annotation.")
        return cycles

    def picture(self, units):
        device = units.samples.device
        repeated = torch.arange(self.size, device=device) % units.lengths.to(device)[:, None]
        return (self.mel.to(device)(units.samples.gather(1, repeated)) + 1e-6).log().mT


class SmallCNN(nn.Module):
    def __init__(self, options, num_classes):
        super().__init__()
        self.feature_dim, self.classifier = 16, nn.Linear(16, num_classes)
        layers = nn.Conv2d(1, 16, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1)
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        return self.classifier(self.features(x))


text = {"id": "raw-cycles", "title": "Raw cycles", "summary": "Log-mel spectrograms of repeated raw cycles."}
raw = Registration(FrontEndCard(**text, options=Options, version=1), RawCycles)
text = {"id": "joining-cnn", "title": "Joining CNN", "summary": "One convolution and a mean, on joined cycles."}
cnn = Registration(ModelCard(**text, frontend="raw-cycles", recipes={"paper": RECIPE, "demo": RECIPE}), SmallCNN)
