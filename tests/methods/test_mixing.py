"""Patch mixing: the law of its draws, and mixed features of the authors' AST."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_models import ast_tiny
from golden_rules import spectrograms

from bench.core.errors import SpecError
from methods.base import Batch
from methods.mixing import PatchMix, column_tokens, draw_patch_mix, masked_units, mix_batch, mix_tokens

GRID = (12, 79)


def recorded(arrays, case: dict, grid: tuple[int, int]) -> PatchMix:
    mask = arrays[f"{case['key']}/mask"].astype(np.int64)
    permutation = arrays[f"{case['key']}/index"].astype(np.int64)
    return PatchMix(case["lam"], permutation, column_tokens(mask, grid) if case["time_domain"] else mask)


@pytest.mark.golden
def test_lambda_and_number_of_masked_units(golden):
    for case in golden.json("ast_tiny.json")["mix"]:
        assert masked_units(case["lam_drawn"], case["n_units"]) == (case["num_mask"], case["lam"])


@pytest.mark.golden
@pytest.mark.slow
@torch.inference_mode()
def test_mixed_features(golden):
    document, arrays = golden.json("ast_tiny.json"), golden.arrays("ast_tiny.npz")
    model = ast_tiny(document["seed"]).eval()
    x = torch.from_numpy(spectrograms(document["seed"], "input:mix", 4))
    batch = Batch(features=x, labels=torch.arange(4), local=slice(0, 4))
    tokens = model.embed_patches(x)
    unmixed = model.encode(tokens).numpy()
    np.testing.assert_allclose(unmixed, arrays["mix/features_unmixed"], rtol=0, atol=2e-5)
    for case in document["mix"]:
        mixed = mix_batch(tokens, batch, recorded(arrays, case, model.patch_grid))
        ours = unmixed if torch.equal(mixed, tokens) else model.encode(mixed).numpy()
        np.testing.assert_allclose(ours, arrays[f"{case['key']}/features"], rtol=0, atol=2e-5)


@pytest.mark.golden
@pytest.mark.slow
@torch.inference_mode()
def test_mixed_features_in_float64(golden):
    document, arrays = golden.json("ast_tiny.json"), golden.arrays("ast_tiny.npz")
    model = ast_tiny(document["seed"]).double().eval()
    x = torch.from_numpy(spectrograms(document["seed"], "input:mix", 4)).double()
    batch = Batch(features=x, labels=torch.arange(4), local=slice(0, 4))
    for case in (next(c for c in document["mix"] if c["time_domain"] == time) for time in (False, True)):
        mix = recorded(arrays, case, model.patch_grid)
        ours = model.encode(mix_batch(model.embed_patches(x), batch, mix))[:, :32]
        np.testing.assert_allclose(ours.numpy(), arrays[f"{case['key']}/features_f64_head"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["patch", "t-patch"])
def test_a_draw_is_what_the_law_says(mode):
    generator, units = np.random.default_rng(3), 79 if mode == "t-patch" else 948
    for _ in range(50):
        mix = draw_patch_mix(8, GRID, 1.0, mode, generator)
        assert sorted(mix.permutation) == list(range(8))
        assert len(set(mix.mask.tolist())) == len(mix.mask)
        assert mix.lam == pytest.approx(1 - len(mix.mask) / 948, abs=1e-12)
        assert (len(mix.mask) * units) % 948 == 0
        if len(mix.mask):
            assert mix.mask.min() >= 0
            assert mix.mask.max() < 948


def test_time_columns_are_masked_over_all_frequencies():
    mix = draw_patch_mix(4, GRID, 1.0, "t-patch", np.random.default_rng(1))
    chosen = np.zeros(948, dtype=bool)
    chosen[mix.mask] = True
    grid = chosen.reshape(GRID)
    assert 0 < grid.sum() < 948
    assert (grid == grid[0]).all()


def test_lambda_is_distributed_as_beta():
    generator = np.random.default_rng(0)
    lams = np.array([draw_patch_mix(2, GRID, 0.2, "patch", generator).lam for _ in range(4000)])
    # Beta(b, b) has the variance 1 / (4 (2 b + 1)).
    assert lams.mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.1786 / 4000))
    assert lams.var() == pytest.approx(1 / (4 * 1.4), abs=0.01)


def test_beta_0_mixes_nothing():
    mix = draw_patch_mix(4, GRID, 0.0, "patch", np.random.default_rng(0))
    assert mix.lam == 1.0
    assert len(mix.mask) == 0


def test_the_same_generator_draws_the_same():
    first, second = (draw_patch_mix(4, GRID, 1.0, "patch", np.random.default_rng(5)) for _ in range(2))
    assert first.lam == second.lam
    assert (first.permutation == second.permutation).all()
    assert (first.mask == second.mask).all()


def test_unknown_mode_is_named():
    with pytest.raises(SpecError, match="mix is 'rows', but must be one of patch, t-patch"):
        draw_patch_mix(4, GRID, 1.0, "rows", np.random.default_rng(0))


def test_mixing_takes_masked_tokens_from_the_partner_and_leaves_its_input():
    tokens = torch.arange(4.0)[:, None, None].expand(4, 6, 2).clone()
    kept = tokens.clone()
    partners = tokens[torch.tensor([2, 3, 0, 1])]
    mixed = mix_tokens(tokens, partners, np.array([1, 4]))
    assert mixed[:, :, 0].tolist()[0] == [0, 2, 0, 0, 2, 0]
    assert mixed[:, :, 0].tolist()[3] == [3, 1, 3, 3, 1, 3]
    assert torch.equal(tokens, kept)
    assert torch.equal(mixed, mix_tokens(tokens, partners, torch.tensor([1, 4])))


def test_partners_are_found_in_the_global_batch():
    whole = torch.randn(6, 5, 3)
    mix = PatchMix(0.6, np.array([5, 4, 3, 0, 1, 2]), np.array([0, 3]))
    alone = mix_batch(whole, Batch(features=whole, labels=torch.zeros(6), local=slice(0, 6)), mix)
    for local in (slice(0, 2), slice(2, 6)):
        batch = Batch(features=whole[local], labels=torch.zeros(6), local=local, gather=lambda _: whole)
        assert torch.equal(mix_batch(whole[local], batch, mix), alone[local])


def test_gradients_reach_both_sources():
    tokens = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    batch = Batch(features=tokens, labels=torch.zeros(2), local=slice(0, 2))
    mix = PatchMix(0.5, np.array([1, 0]), np.array([1, 2]))
    assert torch.autograd.gradcheck(lambda t: mix_batch(t, batch, mix), tokens)
