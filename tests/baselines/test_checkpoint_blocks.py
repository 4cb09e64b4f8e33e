"""The blocks that activation checkpointing computes again, of every family."""

import pytest
import timm
import torch

import baselines
from baselines.timm.blocks import repeated_blocks

FOUND = {
    "resnet18": (8, {"BasicBlock"}),
    "resnest14d": (4, {"ResNestBottleneck"}),
    "efficientnet_b0": (16, {"DepthwiseSeparableConv", "InvertedResidual"}),
    "vit_tiny_patch16_224": (12, {"Block"}),
    "swin_tiny_patch4_window7_224": (12, {"SwinTransformerBlock"}),
    "convnext_atto": (12, {"ConvNeXtBlock"}),
    "densenet121": (58, {"DenseLayer"}),
    "vgg11": (0, set()),
}


@pytest.mark.parametrize("name", FOUND)
def test_blocks_of_timm_networks(name):
    with torch.device("meta"):
        blocks = repeated_blocks(timm.create_model(name, in_chans=1, num_classes=0))
    assert (len(blocks), {type(block).__name__ for block in blocks}) == FOUND[name]
    within = {id(part) for block in blocks for part in list(block.modules())[1:]}
    assert not within & {id(block) for block in blocks}


@pytest.mark.parametrize(("model", "count"), [("ast", 12), ("resnet34", 16), ("cnn14", 6), ("efficientnet-b0", 16)])
def test_blocks_of_models(model, count):
    with torch.device("meta"):
        assert len(baselines.create(model).checkpoint_blocks()) == count
