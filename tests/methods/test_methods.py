"""Every method on a small AST: losses, gradients, draws, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import baselines
import methods
from bench.errors import RegistryError, SpecError
from methods import METHODS
from methods.base import Batch
from methods.losses import class_weights, patch_mix_contrastive_loss
from methods.mixing import PatchMix

TASK = {"feature_dim": 64, "class_counts": [30, 20, 10, 5], "patch_grid": (3, 4)}
ALL = [entry.id for entry in METHODS]
PATCH_METHODS = [entry.id for entry in METHODS if entry.card.needs_patches]


def small_ast() -> nn.Module:
    torch.manual_seed(0)
    model = baselines.create("ast-tiny", embed_dim=64, depth=2, heads=2, stride=16, frames=64, mels=48)
    assert model.patch_grid == TASK["patch_grid"]
    return model


def small_batch(rows: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 1, 64, 48, generator=generator)
    return Batch(features=x, labels=torch.tensor([0, 1, 2, 3, 1, 0])[:rows], local=slice(0, rows))


def build(id_: str, **options) -> nn.Module:
    torch.manual_seed(2)
    return methods.create(id_, **{**TASK, **options})


@pytest.mark.parametrize("id_", ALL)
def test_cards_are_complete(id_):
    card = METHODS.card(id_)
    assert card.id == id_
    assert card.citation.startswith("@")
    for text in (card.title, card.summary, card.source, card.formula):
        assert text.strip()


def test_importing_the_package_imports_no_torch():
    code = "import sys, methods; [e.card for e in methods.METHODS]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("id_", ALL)
def test_every_parameter_learns(id_):
    model, method = small_ast(), build(id_)
    assert isinstance(method, nn.Module)
    # Half of the patches and another partner for each: whatever is trained must then get a gradient.
    draw = method.draw(4, np.random.default_rng(0)) and PatchMix(0.5, np.array([1, 0, 3, 2]), np.arange(6))
    losses = method(model, small_batch(), draw)
    losses["loss"].backward()
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    for name, parameter in [*model.named_parameters(), *method.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("id_", ALL)
def test_losses_under_bfloat16_are_near_those_in_float32(id_):
    model, method = small_ast(), build(id_)
    draw = method.draw(4, np.random.default_rng(4))
    exact = method(model, small_batch(), draw)["loss"].item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(model, small_batch(), draw)["loss"]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("id_", ALL)
def test_a_part_of_the_global_batch_gives_the_loss_of_the_whole(id_):
    """Each of two processes, given what the other gathers, must compute the loss of one process."""
    model, method = small_ast(), build(id_)
    whole, gathered = small_batch(6), list[Tensor]()
    draw = method.draw(6, np.random.default_rng(0))

    def record(rows: Tensor) -> Tensor:
        gathered.append(rows.detach())
        return rows

    one = Batch(features=whole.features, labels=whole.labels, local=whole.local, gather=record)
    alone = method(model, one, draw)
    for local in (slice(0, 3), slice(3, 6)):
        calls = iter(gathered)

        def gather(rows: Tensor, local: slice = local, calls=calls) -> Tensor:
            known = next(calls).clone()
            torch.testing.assert_close(rows.detach(), known[local], rtol=0, atol=1e-5)
            known[local] = rows.detach()
            return known

        part = Batch(features=whole.features[local], labels=whole.labels, local=local, gather=gather)
        for name, loss in method(model, part, draw).items():
            assert loss.item() == pytest.approx(alone[name].item(), abs=1e-5), name


def test_weighted_cross_entropy_uses_the_class_counts():
    model, batch = small_ast(), small_batch()
    weights = class_weights(TASK["class_counts"])
    expected = nn.functional.cross_entropy(model(batch.features), batch.labels, weight=weights)
    assert torch.equal(build("ce")(model, batch, None)["loss"], expected)
    plain = nn.functional.cross_entropy(model(batch.features), batch.labels)
    assert torch.equal(build("ce", weighted=False)(model, batch, None)["loss"], plain)


def test_class_weights_are_no_state():
    assert build("ce").state_dict() == {}


@pytest.mark.parametrize("target", ["stop-z", "stop-hz", "z", "hz"])
@pytest.mark.parametrize("negatives", ["all", "different-label"])
def test_patchmix_cl_is_its_parts(target, negatives):
    """The loss written out with two forward passes, one for the clean and one for the mixed clips."""
    model, batch = small_ast(), small_batch()
    method = build("patchmix-cl", target=target, negatives=negatives, alpha=0.5, tau=0.1)
    other = build("patchmix-cl", target=target, negatives=negatives, alpha=0.5, tau=0.1)
    draw = method.draw(4, np.random.default_rng(1))
    losses = method(model, batch, draw)
    clean = model.features(batch.features)
    tokens = model.embed_patches(batch.features).clone()
    partners = tokens[torch.from_numpy(draw.permutation)]
    tokens[:, draw.mask] = partners[:, draw.mask]
    mixed = model.encode(tokens)
    targets = other.projector(clean) if target.endswith("hz") else clean
    contrastive = patch_mix_contrastive_loss(
        other.projector(mixed),
        targets,
        torch.from_numpy(draw.permutation),
        draw.lam,
        0.1,
        batch.labels,
        negatives,
    )
    ce = nn.functional.cross_entropy(model.classifier(clean), batch.labels)
    torch.testing.assert_close(losses["ce"], ce)
    torch.testing.assert_close(losses["contrastive"], contrastive)
    torch.testing.assert_close(losses["loss"], ce + 0.5 * contrastive)
    for ours, theirs in zip(method.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("target", "stopped"), [("stop-z", True), ("stop-hz", True), ("z", False), ("hz", False)])
def test_targets_are_stopped_or_not(target, stopped):
    clean = torch.randn(4, 64, requires_grad=True)
    assert build("patchmix-cl", target=target).targets(clean).requires_grad is not stopped


def test_alpha_0_trains_with_cross_entropy_alone():
    model, batch = small_ast(), small_batch()
    method = build("patchmix-cl", alpha=0)
    losses = method(model, batch, method.draw(4, np.random.default_rng(0)))
    assert losses["loss"].item() == losses["ce"].item()
    losses["loss"].backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    build("ce", weighted=False)(model, batch, None)["loss"].backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_projector_dim_widens_the_output_of_projected_targets():
    assert build("patchmix-cl", target="hz", projector_dim=16).projector.linear2.out_features == 16
    with pytest.raises(SpecError, match="projector's width is 16, but target z has width 64"):
        build("patchmix-cl", target="z", projector_dim=16)


def test_a_model_with_batch_statistics_sees_clean_and_mixed_clips_apart():
    """One double pass would give the batch norm the statistics of both halves together."""

    class Normed(nn.Module):
        classifier = nn.Linear(64, 4)

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(64)
            self.sizes: list[int] = []

        def embed_patches(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, : 12 * 64].unflatten(1, (12, 64))

        def encode(self, tokens: Tensor) -> Tensor:
            self.sizes.append(len(tokens))
            return self.norm(tokens.mean(1))

    method, model = build("patchmix-cl"), Normed()
    method(model, small_batch(), method.draw(4, np.random.default_rng(0)))
    assert model.sizes == [4, 4]
    assert model.norm.num_batches_tracked == 2


def test_an_ast_encodes_clean_and_mixed_clips_in_one_pass(monkeypatch):
    model, sizes = small_ast(), []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda tokens: sizes.append(len(tokens)) or encode(tokens))
    method = build("patchmix-cl")
    method(model, small_batch(), method.draw(4, np.random.default_rng(0)))
    assert sizes == [8]


@pytest.mark.parametrize("id_", PATCH_METHODS)
def test_a_patch_method_without_patches_is_refused(id_):
    with pytest.raises(SpecError, match=f"{id_} mixes patch tokens") as error:
        methods.create(id_, feature_dim=64, class_counts=[1, 1, 1, 1])
    assert "e.g. ast" in (error.value.hint or "")
    method = build(id_)
    with pytest.raises(SpecError, match="the model Linear has none"):
        method(nn.Linear(2, 2), small_batch(), method.draw(4, np.random.default_rng(0)))


def test_an_unknown_method_suggests():
    with pytest.raises(RegistryError, match="did you mean 'patchmix-cl'"):
        methods.create("patchmix-cll", **TASK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tua": 0.1}, "Unknown option 'tua' for method patchmix-cl: did you mean 'tau'"),
        ({"tau": 0}, "tau is 0.0, but must be at least 0.0001"),
        ({"alpha": -1}, "alpha is -1.0, but must be at least 0.0"),
        ({"negatives": "some"}, "negatives is 'some', but must be one of all, different-label"),
        ({"target": "y"}, "target is 'y', but must be one of stop-z, stop-hz, z, hz"),
        ({"mix": "rows"}, "mix is 'rows', but must be one of patch, t-patch"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(SpecError, match=message):
        methods.create("patchmix-cl", **TASK, **options)
