"""LungAttn's network: positions of its attention, its size, and pictures of other sizes."""

from __future__ import annotations

import pytest
import torch

import baselines
from baselines.lungattn.attention import AttentionAugmentedConv2d, AttentionShape
from baselines.lungattn.model import map_size, official_name
from bench.core.errors import SpecError


def test_numbers_of_parameters():
    model = baselines.create("resnet-att")
    assert sum(parameter.numel() for parameter in model.parameters()) == 711_900
    augmented = model.get_submodule("layers.block6.conv1")
    assert sum(parameter.numel() for parameter in augmented.parameters()) == 60_568
    assert len({official_name(name) for name in model.state_dict()}) == len(model.state_dict())


@pytest.mark.parametrize(("rows", "columns", "classes"), [(224, 224, 4), (64, 64, 2), (48, 72, 7)])
def test_pictures_of_any_size_and_any_number_of_classes(rows, columns, classes):
    model = baselines.create("resnet-att", num_classes=classes, frames=rows, mels=columns).eval()
    x = torch.randn(2, 3, rows, columns)
    with torch.no_grad():
        assert model.layers(model.stem(x)).shape[2:] == (map_size(rows), map_size(columns))
        assert model.features(x).shape == (2, 64)
        assert torch.equal(model(x), model.classifier(model.features(x)))
        assert model(x).shape == (2, classes)


def test_smaller_pictures_and_single_ones_are_taken_and_larger_ones_refused():
    torch.manual_seed(0)
    model = baselines.create("resnet-att", frames=96, mels=96).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 3, 64, 80)).shape == (2, 4)
        x = torch.randn(2, 1, 64, 64)
        assert torch.equal(model(x), model(x.repeat(1, 3, 1, 1)))
        with pytest.raises(SpecError, match="has 14 rows or columns, but its positions are laid out for 6"):
            model(torch.randn(1, 3, 224, 224))


def in_words(layer: AttentionAugmentedConv2d, x: torch.Tensor) -> torch.Tensor:
    """The attention's weights, pair by pair, of one picture."""
    keys, heads = layer.shape.keys, layer.shape.heads
    height, width = x.shape[2:]
    queries, others = layer.projection(x)[0, : 2 * keys].view(2, heads, keys // heads, height, width)
    logits = torch.zeros(heads, height * width, height * width)
    for head in range(heads):
        for i, j, k, m in torch.cartesian_prod(*map(torch.arange, (height, width, height, width))).tolist():
            query = queries[head, :, i, j] * (keys // heads) ** -0.5
            position = layer.row_positions[k - i + height - 1] + layer.column_positions[m - j + width - 1]
            logits[head, i * width + j, k * width + m] = query @ (others[head, :, k, m] + position)
    return logits.softmax(-1)


def test_attention_sees_relative_rows_and_columns():
    torch.manual_seed(0)
    layer = AttentionAugmentedConv2d(6, 10, (3, 4), AttentionShape(8, 4, 2))
    x = torch.randn(1, 6, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(layer.attention(x)[0], in_words(layer, x))


def test_attention_in_place_puts_results_where_they_belong():
    """With attention to itself alone, the attention's channels are its values, place by place."""
    torch.manual_seed(0)
    shape = AttentionShape(8, 4, 2)
    layers = {in_place: AttentionAugmentedConv2d(6, 10, (3, 4), shape, in_place=in_place) for in_place in (True, False)}
    layers[False].load_state_dict(layers[True].state_dict())
    x = torch.randn(2, 6, 3, 4)
    found = {}
    for in_place, layer in layers.items():
        layer.weights = lambda queries, keys: torch.eye(12).expand(2, 2, 12, 12)
        with torch.no_grad():
            values = layer.projection(x)[:, 16:]
            found[in_place] = layer(x)[:, 6:]
            expected = layer.mixing(values)
    torch.testing.assert_close(found[True], expected)
    assert not torch.allclose(found[False], expected)
