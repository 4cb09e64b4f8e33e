"""What is peculiar to each family of architectures, in one program of ONNX that gives what the modules give.

Whole networks of every model are tried by tests/support/export_table.py, which takes minutes.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

import baselines
from bench.engine.export.formats import OnnxProgram
from bench.engine.export.parity import compared
from bench.engine.export.programs import Program, ProgramInput

PARTS = {
    "arsc": ("bi-resnet-att", {}, "fusion", (512, 4, 4)),
    "experts": ("cnn-moe", {"experts": 2}, "classifier", (512,)),
    "lungattn": ("resnet-att", {}, "layers.block6.conv1", (64, 14, 14)),
    "lungsys": ("resnet-nl", {}, "stft.layers.non_local1", (64, 8, 8)),
    "prototypes": ("cnn8-pt", {"width": 8}, "prototype_layer", (64, 7, 8)),
    "timm": ("efficientnet-b0", {}, "trunk.blocks.1.0", (16, 8, 8)),
}
"""By family: a model, its options, a module of it that other families do not have, and the shape of its input."""

ELSEWHERE = {
    "ast": "tests/bench/api/test_exports.py",
    "hugging_face": "tests/bench/engine/test_probe.py",
    "beats": "layers as those of hugging_face",
    "panns": "convolutions, norms and pooling alone; test_formats.py has it as a program of torch",
    "inception": "convolutions, norms and pooling alone",
    "respirenet": "a residual network of timm and two linear layers",
    "se_sa": "the attention of arsc in the residual network of timm",
}
"""Families that are tried in other places, or have no operation of their own."""


class Together(nn.Module):
    """Modules side by side, each with a stretch of the row for its input: their outputs in one row."""

    def __init__(self) -> None:
        super().__init__()
        made = [baselines.create(model, **options).get_submodule(part) for model, options, part, _ in PARTS.values()]
        self.parts, self.shapes = nn.ModuleList(made), [shape for *_, shape in PARTS.values()]
        self.sizes = [math.prod(shape) for shape in self.shapes]

    def forward(self, *inputs):
        """Map (batch, all inputs) to (batch, all outputs)."""
        pieces = zip(self.parts, inputs[0].split(self.sizes, 1), self.shapes, strict=True)
        return torch.cat([part(x.unflatten(1, shape)).flatten(1) for part, x, shape in pieces], 1)


def test_a_part_of_every_family_gives_in_onnx_what_it_gives(tmp_path):
    torch.manual_seed(0)
    module = Together().eval().requires_grad_(False)
    x = torch.randn(3, sum(module.sizes))
    program = Program(module, (ProgramInput("features", ("batch", x.shape[1])),), without_frontend="for a test")
    made = OnnxProgram(program, {"features": torch.zeros_like(x)}, 18)
    made.write(tmp_path / "parts.onnx", {})
    trials = [({"features": x[:rows]}, module(x[:rows]).double().numpy()) for rows in (1, 3)]
    assert trials[0][1].std() > 0.1
    compared(made.load(tmp_path / "parts.onnx"), trials, "noise")


def test_every_family_is_spoken_of():
    folders = {path.parent.name for path in Path(baselines.__file__).parent.glob("*/card.py")}
    assert folders - {"systems"} <= PARTS.keys() | ELSEWHERE.keys()
    assert len(folders) > 10
