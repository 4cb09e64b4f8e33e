"""Shapes of front-ends with one input and with several."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bench.core.errors import SpecError
from bench.core.inputs import by_name, joined, map_inputs
from bench.data.frontends.shapes import in_words, input_shapes, made_up_inputs, picture_sizes


def options(shape):
    return SimpleNamespace(shape=shape)


NAMED = options({"left": (3, 20, 8), "right": (30, 9), "numbers": (5,)})


def test_every_input_has_a_shape_and_pictures_have_sizes():
    assert input_shapes(options([20, 8])) == {"": (20, 8)}
    assert input_shapes(NAMED) == {"left": (3, 20, 8), "right": (30, 9), "numbers": (5,)}
    assert picture_sizes(NAMED) == {"left": (20, 8), "right": (30, 9)}
    assert picture_sizes(options((7,))) == {}


@pytest.mark.parametrize("names", [{}, {"": (1,)}, {"Left": (1,)}, {"a/b": (1,)}, {"a" * 33: (1,)}, {3: (1,)}])
def test_a_name_is_one_that_a_file_can_have(names):
    with pytest.raises(SpecError, match="must name one or more"):
        input_shapes(options(names))


def test_made_up_inputs_have_a_channel_where_a_picture_has_none():
    found = made_up_inputs(NAMED, 2, torch.zeros)
    sizes = {name: tuple(array.shape) for name, array in found.items()}
    assert sizes == {"left": (2, 3, 20, 8), "right": (2, 1, 30, 9), "numbers": (2, 5)}
    assert made_up_inputs(options((20, 8)), 4, torch.zeros).shape == (4, 1, 20, 8)


def test_shapes_in_words():
    assert in_words(options((798, 128))) == "798 by 128"
    assert in_words(NAMED) == "left 3 by 20 by 8, right 30 by 9, numbers 5"


def test_inputs_are_mapped_in_their_form():
    assert map_inputs(len, "abc") == 3
    assert map_inputs(len, {"left": "abc", "right": "d"}) == {"left": 3, "right": 1}
    assert joined(by_name([1, 2])) == [1, 2]
