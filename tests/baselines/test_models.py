"""Every model of the registry: cards, shapes, initialisation, options, and what sets the families apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from safetensors.torch import save_file

import baselines
from baselines import MODELS
from baselines.ast.model import fit_positions
from bench.core.errors import RegistryError, SpecError
from bench.data.frontends import FRONTENDS
from bench.data.frontends.shapes import made_up_inputs
from bench.engine.optim import OptimOptions, build_optimizer
from bench.experiment.recipes import Request, choose_source, resolve
from methods import METHODS

DEMO = {"embed_dim": 64, "depth": 2, "heads": 2, "stride": 16, "frames": 398, "initialisation": "xavier"}
IDS = [entry.id for entry in MODELS]
AST_IDS = [entry.id for entry in MODELS if entry.card.patches]
CNN_IDS = [entry.id for entry in MODELS if not entry.card.patches]
HEAVY = ("resnest101", "cnn14")
LIGHT_IDS = [name for name in IDS if name not in HEAVY]

PARAMETERS = {
    "ast": 85_989_124,
    "ast-small": 21_760_900,
    "ast-tiny": 5_572_036,
    "resnet18": 11_172_292,
    "resnet34": 21_280_452,
    "resnet50": 23_509_956,
    "efficientnet-b0": 4_012_096,
    "efficientnet-b1": 6_517_732,
    "efficientnet-b2": 7_706_054,
    "resnest14": 8_570_308,
    "resnest26": 15_028_068,
    "resnest50": 25_441_860,
    "resnest101": 46_233_060,
    "cnn6": 4_306_372,
    "cnn10": 4_688_196,
    "cnn14": 75_485_508,
    "bi-resnet-att": 5_646_390,
    "resnet18-se-sa": 11_263_292,
    "inception-small": 745_462,
    "c-dnn": 5_035_014,
    "cnn-moe": 4_531_252,
    "cnn8": 4_689_604,
    "cnn8-pt": 4_802_264,
    "cnn8-dilated": 4_691_656,
    "resnet-dilated": 4_865_800,
    "bi-resnet": 1_349_892,
    "resnet-nl": 707_844,
    "resnet-att": 711_900,
    "resnet34-respirenet": 21_367_364,
}
"""4 classes, one channel. Those that SYSTEMS 3.1 and 3.6 print; ResNet50 and ResNeSt50 are its numbers for three
channels less two of their stems (6,272 and 576); CNN10 and CNN14 are PANNs' without its heads; SE adds the 89,080
of SYSTEMS 3.11 to ResNet18, and its parallel spatial gates a number for each channel of a block; Bi-ResNet and
ResNet-NL are those of 3.2 and 3.3 that are in use. Of 3.13 and 3.14 what no output depends on is left out: 16 of
CNN8-Pt, 2,052 of the dilated networks."""

OWN_FRONT_ENDS = {
    "bi-resnet-att": "mfcc-mel",
    "inception-small": "log-mel-segments",
    **dict.fromkeys(("c-dnn", "cnn-moe"), "gammatone"),
    **dict.fromkeys(("cnn8", "cnn8-pt", "cnn8-dilated", "resnet-dilated"), "l3s"),
    "bi-resnet": "lungbrn",
    "resnet-nl": "lungrn-nl",
    "resnet-att": "lungattn",
    "resnet34-respirenet": "respirenet",
}
"""Models that were published with a front-end of their own; of the others the CNNs of PANNs have ``scl``."""

FROM_SCRATCH = ("resnet18-se-sa", *(name for name in OWN_FRONT_ENDS if name != "resnet34-respirenet"))
"""Models that their authors pretrain on nothing, of whom there are no weights."""

NOT_SHIFTED = ("c-dnn", "cnn-moe", "bi-resnet", "resnet-nl", "resnet-att", "resnet34-respirenet")
"""Models whose front-end gives no whole cycle along time: patches of one, drawn pictures, rows that are frequencies."""

BY_CELLS = ("cnn8-dilated", "resnet-dilated")
"""Models whose classifier weighs the cells of a map: of features it makes the same only while all weigh alike."""


def test_the_registry_holds_the_models_of_the_paper():
    assert {entry.id: entry.card.parameters for entry in MODELS} == PARAMETERS


@pytest.mark.parametrize("model_id", IDS)
def test_cards_say_what_is_true(model_id):
    card = MODELS.card(model_id)
    with torch.device("meta"):
        model = baselines.create(model_id)
    assert sum(p.numel() for p in model.parameters()) == card.parameters
    assert card.id == model_id
    assert card.citation.startswith("@")
    assert card.frontend == OWN_FRONT_ENDS.get(model_id, "scl" if model_id.startswith("cnn") else "ast")
    assert card.gaps
    # The authors of these recipes published all of it; every other recipe has gaps that were filled.
    assert "reconstruction" in card.gaps or card.fidelity == "original" or card.frontend in ("scl", "l3s")
    assert bool(card.weights) == (model_id not in FROM_SCRATCH)
    assert all(each.licence and each.source and each.location for each in card.weights.values())
    recipe = set(card.recipe("paper", "none"))
    assert {"lr", "batch", "weight_decay", "step_average"} <= recipe
    assert recipe & {"epochs", "iterations"}
    assert card.recipe("demo", "none").get("time_shift", False) is (model_id not in NOT_SHIFTED)
    assert hasattr(model, "embed_patches") == card.patches


def test_the_paper_trains_ast_longer_from_scratch():
    card = MODELS.card("ast")
    assert card.recipe("paper", "none")["epochs"] == 200
    assert card.recipe("paper", "imagenet")["epochs"] == 50
    assert card.default_pretrain == "imagenet+audioset"


def small_front_end(model_id):
    """Options of a model's own front-end, of a second of sound or of small pictures."""
    options = FRONTENDS.card(MODELS.card(model_id).frontend).options
    known = {"seconds": 1.0, "stft_size": 40, "size": 40}
    return options(**{field.name: known[field.name] for field in fields(options) if field.name in known})


def small_options(model_id, front_end):
    """Options of a model that is quick to train on pictures of a small front-end."""
    if model_id in AST_IDS:
        return {"frames": front_end.shape[0], "depth": 2}  # all blocks are alike
    names = {field.name for field in fields(MODELS.card(model_id).options)}
    known = {"width": 4, "frames": front_end.shape[1]} if OWN_FRONT_ENDS.get(model_id) == "l3s" else {}
    return {name: value for name, value in known.items() if name in names}


@pytest.mark.parametrize(
    "model_id", [*LIGHT_IDS, *(pytest.param(model_id, marks=pytest.mark.slow) for model_id in HEAVY)]
)
def test_a_model_trains_is_saved_and_loaded(model_id, tmp_path):
    """Two steps on a second of sound: every parameter is reached, and the file gives the same model back."""
    front_end = small_front_end(model_id)
    options = small_options(model_id, front_end)
    torch.manual_seed(0)
    model = baselines.create(model_id, num_classes=3, **options).train()
    x, labels = made_up_inputs(front_end, 2, torch.randn), torch.tensor([0, 2])
    optimizer = build_optimizer([(one, 1.0) for one in model.parameters()], OptimOptions(lr=1e-4))
    for _ in range(2):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
    assert loss.isfinite()
    model.eval()
    path = tmp_path / "last.safetensors"
    save_file(model.state_dict(), path)
    again = baselines.create(model_id, num_classes=3, pretrain=str(path), **options).eval()
    with torch.no_grad():
        features = model.features(x)
        assert features.shape == (2, model.feature_dim)
        assert model_id in BY_CELLS or torch.equal(model.classifier(features), model(x))
        assert torch.equal(again(x), model(x))
    assert again(x).shape == (2, 3)


@pytest.mark.parametrize("model_id", ["ast-tiny", "resnet18", "resnest14", "efficientnet-b0", "cnn6", "cnn10"])
def test_torchs_generator_decides_the_weights(model_id):
    options = {"depth": 2} if model_id in AST_IDS else {}
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(baselines.create(model_id, pretrain="none", **options).state_dict())
    first, same, other = states
    assert all(torch.equal(tensor, same[name]) for name, tensor in first.items())
    drawn = "classifier.weight" if model_id in CNN_IDS else "classifier.1.weight"
    assert not torch.equal(first[drawn], other[drawn])
    assert all(tensor.isfinite().all() for tensor in first.values())


@pytest.mark.parametrize(
    ("options", "grid"),
    [({}, (12, 79)), ({"frames": 398}, (12, 39)), ({"stride": 16, "frames": 398}, (8, 24)), ({"mels": 64}, (5, 79))],
)
def test_patch_grid(options, grid):
    model = baselines.create("ast-tiny", depth=1, **options)
    x = torch.randn(1, 1, model.options.frames, model.options.mels)
    assert model.patch_grid == grid
    assert model.embed_patches(x).shape == (1, grid[0] * grid[1], 192)


def test_tokens_are_frequency_major():
    model = baselines.create("ast-tiny", **DEMO)
    x = torch.zeros(1, 1, 398, 128)
    x[:, :, 5 * 16 : 6 * 16, 2 * 16 : 3 * 16] = 1.0  # the patch in frequency row 2, time column 5
    moved = (model.embed_patches(x) - model.embed_patches(torch.zeros_like(x))).abs().sum(-1)[0]
    assert moved.nonzero().flatten().tolist() == [2 * 24 + 5]


def test_the_short_last_block_equals_the_whole_one():
    torch.manual_seed(0)
    model = baselines.create("ast-tiny", **DEMO).double()
    tokens = model.embed_patches(torch.randn(2, 1, 398, 128, dtype=torch.float64)).detach()
    trunk = model.trunk
    x = torch.cat((trunk.cls_token.expand(2, -1, -1), trunk.dist_token.expand(2, -1, -1), tokens), dim=1)
    x = trunk.norm(trunk.blocks(x + trunk.pos_embed))
    whole, short = (x[:, 0] + x[:, 1]) / 2, model.encode(tokens)
    torch.testing.assert_close(short, whole, rtol=0, atol=1e-12)
    parameters = [
        p for p in trunk.parameters() if p is not trunk.patch_embed.proj.weight and p is not trunk.patch_embed.proj.bias
    ]
    for a, b in zip(
        torch.autograd.grad(short.square().sum(), parameters),
        torch.autograd.grad(whole.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_ast_is_initialised_as_timm_does_unless_told_otherwise():
    torch.manual_seed(0)
    trunk = baselines.create("ast-tiny", depth=1).trunk
    for tensor in (trunk.blocks[0].attn.qkv.weight, trunk.blocks[0].mlp.fc1.weight, trunk.pos_embed):
        assert tensor.std().item() == pytest.approx(0.02, rel=0.03)
    assert not trunk.blocks[0].attn.qkv.bias.any()
    xavier = baselines.create("ast-tiny", depth=1, initialisation="xavier").trunk
    assert xavier.blocks[0].mlp.fc1.weight.std().item() == pytest.approx((2 / (192 + 768)) ** 0.5, rel=0.03)
    assert xavier.patch_embed.proj.weight.std().item() == pytest.approx((2 / (192 + 256)) ** 0.5, rel=0.03)


def tagged_table(rows, columns):
    """A position table whose two numbers are the row (frequency) and the column (time) that it stands for."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack((row.flatten(), column.flatten()), dim=1).float()
    return torch.cat((torch.full((2, 2), -1.0), places))[None]


def test_corrected_positions_keep_order_and_official_ones_scramble_time():
    table = tagged_table(12, 101)
    corrected = fit_positions(table, 12, (12, 79), "corrected")[0, 2:]
    assert corrected[:, 0].reshape(12, 79)[:, 0].tolist() == list(range(12))
    assert corrected[:, 1].reshape(12, 79)[3].tolist() == list(range(11, 90))
    official = fit_positions(table, 12, (12, 79), "official")[0, 2:]
    assert official[:13, 1].tolist() == [*range(44, 56), 44]
    assert official[78, 1] == 50
    assert (fit_positions(table, 12, (12, 79), "official")[0, :2] == -1).all()
    assert torch.equal(fit_positions(table, 12, (12, 101), "corrected"), table)


def test_positions_of_a_square_grid_fit_any_geometry():
    assert fit_positions(tagged_table(24, 24), None, (8, 24), "corrected").shape == (1, 2 + 8 * 24, 2)
    assert fit_positions(tagged_table(14, 14), None, (12, 79), "official").shape == (1, 950, 2)


def test_another_input_size_is_refused_with_both_sizes():
    model = baselines.create("ast-tiny", depth=1, frames=398)
    with pytest.raises(SpecError, match=r"398 frames, 128 mels.*\(2, 1, 798, 128\)"):
        model(torch.zeros(2, 1, 798, 128))


@pytest.mark.parametrize(
    ("model_id", "options", "message"),
    [
        ("ast", {"embed_dim": 100}, "embed_dim is 100, which is not a multiple of heads, 12"),
        ("ast", {"frames": 10}, "patch_size is 16, but the spectrogram is 10 frames by 128 mels"),
        ("ast", {"pos_embed": "right"}, "pos_embed is 'right', but must be one of official, corrected"),
        ("ast", {"dept": 3}, "did you mean 'depth'"),
        ("cnn6", {"depth": 3}, "Unknown option 'depth' for model cnn6"),
        ("resnet18", {"stem": "mean"}, "must be one of reinit, sum"),
        ("efficientnet-b0", {"drop_path": 2.0}, "at most 0.9"),
        ("cnn6", {"num_classes": 0}, "num_classes is 0"),
    ],
)
def test_impossible_options_are_refused(model_id, options, message):
    with pytest.raises(SpecError, match=message):
        baselines.create(model_id, **options)


def test_an_unknown_model_is_refused_with_a_suggestion():
    with pytest.raises(RegistryError, match="did you mean 'ast-tiny'"):
        baselines.create("ast-tinny")


@pytest.mark.parametrize("model_id", ["cnn6", "cnn10"])
def test_panns_turn_the_picture_for_scl(model_id):
    torch.manual_seed(0)
    model = baselines.create(model_id).eval()
    turned = baselines.create(model_id, orientation="mel-time").eval()
    turned.load_state_dict(model.state_dict())
    x = torch.randn(2, 1, 96, 64)
    torch.testing.assert_close(turned.features(x), model.features(x.transpose(2, 3)))
    assert not torch.allclose(turned.features(x), model.features(x))


@pytest.mark.parametrize(("variant", "count"), [(0, 9), (1, 16), (2, 16)])
def test_stochastic_depth_is_torchvisions(variant, count):
    import torchvision
    from timm.layers import DropPath
    from torchvision.ops import StochasticDepth

    with torch.device("meta"):
        model = baselines.create(f"efficientnet-b{variant}")
        published = getattr(torchvision.models, f"efficientnet_b{variant}")()
    blocks = [block for block in model.modules() if getattr(block, "has_skip", False)]
    ours = [m.drop_prob for block in blocks for m in block.modules() if isinstance(m, DropPath)]
    skips = [block for block in published.features.modules() if getattr(block, "use_res_connect", False)]
    theirs = [m.p for block in skips for m in block.modules() if isinstance(m, StochasticDepth)]
    assert len(skips) == count
    assert ours == pytest.approx(theirs)


def test_the_stem_is_the_only_option_in_which_residual_networks_differ():
    published = {*FROM_SCRATCH, *OWN_FRONT_ENDS}
    grey = [name for name in CNN_IDS if name.startswith("res") and name not in published]
    defaults = {name: baselines.MODELS.card(name).options().stem for name in grey}
    assert [name for name, stem in defaults.items() if stem == "reinit"] == ["resnet18"]


@pytest.mark.parametrize("method", [entry.id for entry in METHODS if entry.card.needs_patches])
@pytest.mark.parametrize("model_id", [*CNN_IDS, "timm:vit_tiny_patch16_224"])
def test_patch_methods_refuse_models_without_patches(model_id, method, tmp_path):
    request = Request(model=model_id, method=method, cache=tmp_path, data="demo")
    with pytest.raises(SpecError, match=f"mixes patches, but the model '{model_id}' has none") as caught:
        resolve(request, choose_source(request), [1])
    assert "ast-tiny" in caught.value.hint
    assert not any(tmp_path.iterdir())


def test_listing_models_imports_no_torch():
    code = (
        "import sys, baselines; assert len(list(baselines.MODELS)) == 29; "
        "assert not {'torch', 'timm', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
