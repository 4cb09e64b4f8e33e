"""A net of two branches, each with a picture of its own, and a binary head for each class, weighted by the data."""

import torch
from torch import nn
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from bench.plugins import FrontEndCard, MethodCard, ModelCard, NoOptions, Registration


class TwoPictures(NoOptions):  # options and front-end in one: there is nothing to choose
    sample_rate, shape = 4000, property(lambda self: {"fine": (32, 32), "coarse": (8, 48)})

    def fit(self, wave, rate, spans, *, name="the recording"):
        return [resample(wave[int(start * rate) : int(end * rate)], rate, 4000) for start, end in spans]

    def picture(self, units):
        samples = nn.functional.pad(units.samples, (0, 4000))[:, :4000]
        makers = {"fine": MelSpectrogram(4000, 256, n_mels=32), "coarse": MelSpectrogram(4000, 1024, n_mels=48)}
        return {name: (mel.to(samples.device)(samples) + 1e-6).log().mT for name, mel in makers.items()}


class TwoBranches(nn.Module):
    def __init__(self, options, num_classes):
        super().__init__()
        self.feature_dim, self.classifier = 12, nn.Linear(12, num_classes)
        self.fine, self.coarse = nn.Conv2d(1, 12, 3), nn.Conv2d(1, 12, 3)

    def features(self, x):
        return self.fine(x["fine"]).relu().mean((2, 3)) * self.coarse(x["coarse"]).relu().mean((2, 3))

    def forward(self, x):
        return self.classifier(self.features(x))


class BinaryHeads(nn.Module):
    scores = staticmethod(torch.sigmoid)

    def __init__(self, options, task):
        super().__init__()
        self.register_buffer("weights", torch.ones(4))

    def prepare(self, model, rows):
        self.weights.copy_(len(rows) / torch.tensor(rows.class_counts).clamp(min=1) - 1)

    def draw(self, batch_size, rng):
        return None

    def forward(self, model, batch, draw):
        logits, hits = batch.gather(model(batch.features)), nn.functional.one_hot(batch.labels, 4).float()
        return {"loss": nn.functional.binary_cross_entropy_with_logits(logits, hits, pos_weight=self.weights)}


recipe = {"lr": 1e-3, "batch": 8, "epochs": 3, "step_average": 0.0, "specaug_probability": 0.0}
text = {"id": "two-branches", "title": "Two branches", "summary": "Two pictures of a cycle, a branch for each."}
pictures = Registration(FrontEndCard(**text, options=TwoPictures, version=1), lambda options: options)
model = Registration(ModelCard(**text, frontend="two-branches", recipes={"paper": recipe, "demo": recipe}), TwoBranches)
card = MethodCard(id="binary-heads", title="Binary heads", summary="Each class by itself.", formula="sum of BCE")
heads = Registration(card, BinaryHeads)
