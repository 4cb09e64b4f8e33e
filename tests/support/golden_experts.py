"""The rules of the golden set C for pictures, and comparisons with its sampled arrays (README C, sections 1 and 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_rules import rng, weight
from torch import Tensor, nn


def unit_pictures(seed: int, name: str, batch: int, height: int, width: int) -> np.ndarray:
    """Pretend pictures (batch, 1, height, width), each brought to 0..1, float32 (``pic`` and ``spic``)."""
    made = np.empty((batch, 1, height, width), dtype=np.float32)
    for i in range(batch):
        g = rng(seed, f"{name}:{i}")
        u, v, e = g.standard_normal((4, height)), g.standard_normal((4, width)), g.standard_normal((height, width))
        x = 0.5 * e
        for r in range(4):
            x = x + 0.5 * u[r][:, None] * v[r][None, :]
        made[i, 0] = (x - x.min()) / (x.max() - x.min())
    return made


def tensor(array: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    """An array as a tensor of its own memory."""
    return torch.from_numpy(np.array(array)).to(dtype)


def load_rule(seed: int, module: nn.Module, names: dict[str, str]) -> None:
    """Give each tensor of a module the value that the rule has for its official name.

    Args:
        seed: The set's seed.
        module: The module.
        names: Beginnings of our names, and what stands for them in the official ones.
    """
    state = {}
    for name, ours in module.state_dict().items():
        (beginning,) = (each for each in names if name.startswith(each))
        value = weight(seed, names[beginning] + name.removeprefix(beginning), tuple(ours.shape))
        state[name] = torch.from_numpy(np.asarray(value)).to(ours.dtype)
    module.load_state_dict(state)


def assert_sampled(arrays: Any, key: str, found: Tensor | np.ndarray, tolerance: float, kind: str = "val") -> None:
    """Compare an array with what the set keeps of it: the whole, or some of its values, its shape and statistics.

    Args:
        arrays: The set's arrays.
        key: Key of the array.
        found: Ours.
        tolerance: Largest deviation of a value that is allowed.
        kind: ``val``, ``f32`` or ``f64``: which of the stored values it is compared with.
    """
    ours = np.asarray(found.detach() if isinstance(found, Tensor) else found, dtype=np.float64)
    wanted = np.asarray(arrays[f"{key}_{kind}"], dtype=np.float64)
    if f"{key}_pos" in arrays.files:
        assert tuple(arrays[f"{key}_shape"]) == ours.shape, key
        assert_statistics(arrays[f"{key}_stats"], ours, key, tolerance)
        ours = ours.reshape(-1)[arrays[f"{key}_pos"]]
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=tolerance, err_msg=key)


def assert_statistics(stats: np.ndarray, ours: np.ndarray, key: str, tolerance: float) -> None:
    """Compare mean, standard deviation, smallest and largest value with those that the set keeps."""
    # The statistics are those of the float64 array, from which one in float32 is as far as its worst value.
    found = [ours.mean(), ours.std(), ours.min(), ours.max()]
    np.testing.assert_allclose(found, stats, rtol=1e-6, atol=2 * tolerance, err_msg=f"{key}: statistics")


def assert_trained(
    facts: dict[str, Any], before: dict[str, Tensor], after: dict[str, Tensor], kind: str, tolerance: float
) -> None:
    """Compare parameters before and after the recorded steps with single values and with the size of each change.

    Args:
        facts: The set's record of the training.
        before: Ours before the first step, by official name.
        after: Ours after the last step.
        kind: ``f32`` or ``f64``: which of the recorded trainings it is compared with.
        tolerance: Largest deviation of a value that is allowed.
    """
    left_out = {*facts["rounding_dominated"], *facts["parameters_without_gradient"]}
    for name, index, first, *last in facts["values"]:
        if name in left_out:
            continue
        assert before[name].flatten()[index].item() == np.float32(first), name
        assert abs(after[name].flatten()[index].item() - last[kind == "f32"]) <= tolerance, (name, index)
    assert facts["tensors"].keys() - left_out <= after.keys()
    for name in facts["tensors"].keys() - left_out:
        change = (after[name].double() - before[name].double()).norm().item()
        wanted = facts["tensors"][name]["change_norm" if kind == "f64" else "change_norm_f32"]
        assert change == pytest.approx(wanted, rel=1e-7 if kind == "f64" else 5e-2, abs=1e-12), name
