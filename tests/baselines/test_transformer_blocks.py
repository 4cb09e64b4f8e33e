"""The blocks against a plain form: attention in three operations, timm's layers one after the other.

In single precision the two agree within 1e-5. In bfloat16 both are compared with single precision. Both round the same
weights and activations, so that ours may be off by a quarter more than the plain form under the same autocast is: over
eight other seeds it was off by 0.82 to 1.17 times as much, 1.04 on average, and with the seed here by 1.12. Attention
by itself, where the plain form rounds the scores before their softmax and ours does not, must be nearer.
"""

import copy

import pytest
import torch
from timm.models.vision_transformer import Block
from torch.nn.functional import cross_entropy

from baselines import transformer_blocks
from baselines.ast.card import ASTOptions
from baselines.ast.model import AST
from baselines.transformer_blocks import TransformerBlock, self_attention
from bench.engine.activation_checkpoints import checkpoint_activations

OPTIONS = ASTOptions(embed_dim=64, heads=2, depth=3, frames=198, stride=16, initialisation="xavier")
LABELS = torch.tensor([0, 3, 1])


def plain_attention(qkv, heads):
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def plain_block(block, x):
    attention, mlp = block.attn, block.mlp
    x = x + attention.proj(plain_attention(attention.qkv(block.norm1(x)), attention.num_heads))
    return x + mlp.fc2(mlp.act(mlp.fc1(block.norm2(x))))


def plain_forward(model, pictures):
    trunk = model.trunk
    tokens = trunk.patch_embed(pictures.transpose(2, 3))
    starts = (table.expand(len(tokens), -1, -1) for table in (trunk.cls_token, trunk.dist_token))
    x = torch.cat((*starts, tokens), dim=1) + trunk.pos_embed
    for block in trunk.blocks:
        x = plain_block(block, x)
    return model.classifier(trunk.norm(x)[:, :2].mean(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return AST(OPTIONS)


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(3, 1, OPTIONS.frames, OPTIONS.mels, generator=torch.Generator().manual_seed(2))


def stepped(model, forward, pictures, precision=torch.float32):
    """Loss, gradients and parameters after a step, each as one vector."""
    model = copy.deepcopy(model)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        loss = cross_entropy(forward(model, pictures).float(), LABELS)
    loss.backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {"loss": loss.detach(), "gradients": gradients, "parameters": after}


def off(found, exact):
    return float((found - exact).norm() / exact.norm())


def test_names_are_those_of_timm():
    ours, theirs = (kind(64, 2, qkv_bias=True).state_dict() for kind in (TransformerBlock, Block))
    assert list(ours) == list(theirs)


def test_single_precision_equals_the_plain_form(model, pictures):
    ours, plain = stepped(model, AST.forward, pictures), stepped(model, plain_forward, pictures)
    for name, value in plain.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-5)


def test_bfloat16_is_as_near_as_the_plain_form(model, pictures):
    exact = stepped(model, plain_forward, pictures)
    ours, plain = (stepped(model, forward, pictures, torch.bfloat16) for forward in (AST.forward, plain_forward))
    assert off(ours["gradients"], exact["gradients"]) < 1.25 * off(plain["gradients"], exact["gradients"]) < 0.05
    assert off(ours["parameters"], exact["parameters"]) < 1.25 * off(plain["parameters"], exact["parameters"])
    # A single number: the plain form may be right by chance.
    assert abs(ours["loss"] - exact["loss"]) < 0.01


@pytest.mark.parametrize(("tokens", "heads", "width"), [(950, 2, 64), (50, 3, 32), (64, 1, 24)])
def test_attention_in_bfloat16(tokens, heads, width):
    generator = torch.Generator().manual_seed(3)
    qkv = torch.randn(2, tokens, 3 * heads * width, generator=generator).mul(2).bfloat16()
    upstream = torch.randn(2, tokens, heads * width, generator=generator)

    def gradient(attention, x):
        x = x.detach().requires_grad_()
        mixed = attention(x, heads)
        mixed.backward(upstream.to(mixed.dtype))
        return x.grad.float()

    exact = gradient(plain_attention, qkv.float())
    ours = gradient(self_attention, qkv)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = gradient(plain_attention, qkv)
    # Queries, keys and values each, so that a large part does not hide a small one.
    for mine, theirs, right in zip(ours.chunk(3, -1), plain.chunk(3, -1), exact.chunk(3, -1), strict=True):
        assert off(mine, right) < off(theirs, right) < 0.05


def test_scores_of_large_size_stay_finite():
    qkv = torch.full((1, 40, 3 * 16), 60.0, dtype=torch.bfloat16)
    qkv[:, ::2] *= -1
    qkv.requires_grad_()
    self_attention(qkv, 1).float().square().mean().backward()
    assert bool(qkv.grad.isfinite().all())


def test_heads_at_a_time_do_not_matter(model, pictures, monkeypatch):
    together = stepped(model, AST.forward, pictures, torch.bfloat16)
    monkeypatch.setattr(transformer_blocks, "_SCORES_PER_THREAD", 1)
    alone = stepped(model, AST.forward, pictures, torch.bfloat16)
    torch.testing.assert_close(together["gradients"], alone["gradients"], rtol=0, atol=1e-6)


def test_blocks_computed_again_in_bfloat16(model, pictures):
    once = stepped(model, AST.forward, pictures, torch.bfloat16)
    again = copy.deepcopy(model)
    checkpoint_activations(again, "ast")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cross_entropy(again(pictures).float(), LABELS).backward()
    assert torch.equal(once["gradients"], torch.cat([p.grad.flatten() for p in again.parameters()]))


def test_frozen_layers_get_no_gradient_and_hand_theirs_on(model, pictures):
    exact = stepped(model, AST.forward, pictures, torch.bfloat16)
    frozen = copy.deepcopy(model)
    frozen.trunk.blocks.requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cross_entropy(frozen(pictures).float(), LABELS).backward()
    assert all(parameter.grad is None for parameter in frozen.trunk.blocks.parameters())
    expected = exact["gradients"][: frozen.trunk.cls_token.numel()]
    assert torch.equal(frozen.trunk.cls_token.grad.flatten(), expected)


def test_evaluation_in_bfloat16(model, pictures):
    exact = model.double()(pictures.double()).detach()
    model.float()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        ours, plain = model(pictures), plain_forward(model, pictures)
    assert off(ours.double(), exact) < 1.5 * off(plain.double(), exact) < 0.05
