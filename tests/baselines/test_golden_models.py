"""The models against numbers of the authors' code (``ast_tiny``, ``keys``, ``cnn6``)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rules import spectrograms, weight

import baselines
from baselines.ast.model import LAYOUTS, fit_positions
from baselines.state_dicts import load_into

pytestmark = pytest.mark.golden

F32, F64, TABLE, CNN32, CNN64 = 2e-5, 1e-9, 2e-6, 5e-5, 1e-9


def official_name(name):
    """The official key under which a golden set generates a tensor of ours."""
    return name.replace("trunk.", "v.", 1) if name.startswith("trunk.") else name.replace("classifier.", "mlp_head.", 1)


def generated(model, seed, rename=official_name):
    state = {
        name: torch.from_numpy(np.asarray(weight(seed, rename(name), tuple(t.shape))))
        for name, t in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model.eval()


def near(actual, expected, tolerance):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def facts(golden):
    return golden.json("ast_tiny.json")


@pytest.fixture(scope="module")
def numbers(golden):
    return golden.arrays("ast_tiny.npz")


@pytest.fixture(scope="module")
def tiny(facts):
    return generated(baselines.create("ast-tiny"), facts["seed"])


@pytest.fixture(scope="module")
def tiny64(facts):
    return generated(baselines.create("ast-tiny"), facts["seed"]).double()


@pytest.fixture(scope="module")
def mix_input(facts):
    return torch.from_numpy(spectrograms(facts["seed"], "input:mix", 4))


@torch.no_grad()
def test_tiny_equals_the_official_ast(tiny, tiny64, facts, numbers):
    x = torch.from_numpy(spectrograms(facts["seed"], "input:ast", 2))
    tokens = tiny.embed_patches(x)
    assert list(tokens.shape) == facts["patch_shape"]
    near(tokens.flatten()[torch.from_numpy(numbers["eval/patch_pos"]).long()], numbers["eval/patch_val"], F32)
    features = tiny.encode(tokens)
    near(features, numbers["eval/features"], F32)
    near(tiny.classifier(features), numbers["eval/logits"], F32)
    near(tiny64.features(x.double()), numbers["eval/features_f64"], F64)
    near(tiny64(x.double()), numbers["eval/logits_f64"], F64)


@torch.no_grad()
def test_every_block_equals_the_official_one(tiny, facts, numbers):
    x = torch.from_numpy(spectrograms(facts["seed"], "input:ast", 2))
    trunk = tiny.trunk
    tokens = torch.cat(
        (trunk.cls_token.expand(2, -1, -1), trunk.dist_token.expand(2, -1, -1), tiny.embed_patches(x)), 1
    )
    tokens = tokens + trunk.pos_embed
    for block, mean, std in zip(trunk.blocks, numbers["eval/block_mean"], numbers["eval/block_std"], strict=True):
        tokens = block(tokens)
        assert tokens.double().mean().item() == pytest.approx(mean, abs=F32)
        assert tokens.double().std(correction=0).item() == pytest.approx(std, abs=F32)


def mixed(tokens, case, numbers, grid):
    """Patch-Mix by the arrays of the set: the masked tokens come from the partners."""
    rows, columns = grid
    assert rows * columns == tokens.shape[1]
    mask = torch.from_numpy(numbers[f"{case['key']}/mask"]).long()
    if case["time_domain"]:
        mask = (torch.arange(rows)[:, None] * columns + mask[None]).flatten()
    partners = tokens[torch.from_numpy(numbers[f"{case['key']}/index"]).long()]
    result = tokens.clone()
    result[:, mask] = partners[:, mask]
    return result


@pytest.mark.slow
@torch.no_grad()
def test_encoding_of_mixed_tokens(tiny, tiny64, mix_input, facts, numbers):
    assert tiny.patch_grid == (12, 79)
    tokens, tokens64 = tiny.embed_patches(mix_input), tiny64.embed_patches(mix_input.double())
    unmixed = tiny.encode(tokens)
    near(unmixed, numbers["mix/features_unmixed"], F32)
    assert len(facts["mix"]) == 10
    for case in facts["mix"]:
        changed = mixed(tokens, case, numbers, tiny.patch_grid)
        features = unmixed if torch.equal(changed, tokens) else tiny.encode(changed)
        near(features, numbers[f"{case['key']}/features"], F32)
    for time_domain in (False, True):
        case = next(each for each in facts["mix"] if each["time_domain"] == time_domain and each["num_mask"])
        wide = tiny64.encode(mixed(tokens64, case, numbers, tiny.patch_grid))
        near(wide[:, :32], numbers[f"{case['key']}/features_f64_head"], F64)


def check_table(table, numbers, key):
    assert list(table.shape) == numbers[f"{key}/shape"].tolist()
    near(table.flatten()[torch.from_numpy(numbers[f"{key}/pos"]).long()], numbers[f"{key}/val"], TABLE)
    wide = table.double()
    sums = [wide.sum().item(), wide.abs().sum().item(), wide.square().sum().item()]
    # Each number may be off by the table's tolerance; a sum of 3.7 million of them gathers rounding of its own.
    np.testing.assert_allclose(sums, numbers[f"{key}/sums"], rtol=1e-7, atol=1e-3)


@pytest.mark.parametrize(
    ("tag", "name", "shape", "rows", "law"),
    [
        ("imagenet_tiny", "pos_embed", (1, 198, 192), None, "official"),
        ("imagenet_base", "pos_embed", (1, 578, 768), None, "official"),
        ("imagenet_base_untransposed", "pos_embed", (1, 578, 768), None, "corrected"),
        ("audioset_base", "module.v.pos_embed", (1, 1214, 768), 12, "official"),
        ("audioset_base_untransposed", "module.v.pos_embed", (1, 1214, 768), 12, "corrected"),
    ],
)
def test_position_grids(facts, numbers, tag, name, shape, rows, law):
    table = torch.from_numpy(weight(facts["seed"], name, shape))
    check_table(fit_positions(table, rows, (12, 79), law), numbers, f"{tag}/pos_embed")


@pytest.mark.parametrize(("tag", "model", "width"), [("imagenet_tiny", "ast-tiny", 192), ("imagenet_base", "ast", 768)])
def test_patch_projection_is_summed_over_colours(facts, numbers, tag, model, width):
    # The width alone counts here: one block keeps the base model small.
    small = baselines.create(model, depth=1)
    rgb = torch.from_numpy(weight(facts["seed"], "patch_embed.proj.weight", (width, 3, 16, 16)))
    timm_layout = next(layout for layout in LAYOUTS if layout.title == "timm DeiT")
    check_table(small.adapt("trunk.patch_embed.proj.weight", rgb, timm_layout), numbers, f"{tag}/proj")


def audioset_file(keys, seed):
    return {
        name: torch.from_numpy(weight(seed, name, tuple(shape)))
        for name, shape, _ in keys["audioset_10_10_0.4593"]["keys"]
    }


def hugging_face(state):
    """The same tensors under transformers' names."""
    renames = {
        "v.cls_token": "embeddings.cls_token",
        "v.dist_token": "embeddings.distillation_token",
        "v.pos_embed": "embeddings.position_embeddings",
        "v.patch_embed.proj": "embeddings.patch_embeddings.projection",
        "v.norm": "layernorm",
        "mlp_head.0": "classifier.layernorm",
        "mlp_head.1": "classifier.dense",
    }
    parts = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    result = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.")
        stem, _, kind = name.rpartition(".")
        if name.startswith(("v.head.", "v.head_dist.")):
            continue
        if name in renames:
            result["audio_spectrogram_transformer." + renames[name]] = tensor
        elif stem in renames:
            prefix = "" if stem.startswith("mlp") else "audio_spectrogram_transformer."
            result[f"{prefix}{renames[stem]}.{kind}"] = tensor
        else:
            _, _, index, part = stem.split(".", 3)
            layer = f"audio_spectrogram_transformer.encoder.layer.{index}."
            if part == "attn.qkv":
                for each, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                    result[f"{layer}attention.attention.{each}.{kind}"] = piece.clone()
            else:
                result[f"{layer}{parts[part]}.{kind}"] = tensor
    return result


@pytest.mark.slow
@torch.no_grad()
def test_audioset_files_end_to_end(golden, facts, numbers, tmp_path):
    from safetensors.torch import save_file

    seed = facts["seed"]
    state = audioset_file(golden.json("keys.json"), seed)
    official, hub = tmp_path / "audioset_10_10_0.4593.pth", tmp_path / "model.safetensors"
    torch.save(state, official)
    save_file(hugging_face(state), hub)
    del state
    x = torch.from_numpy(spectrograms(seed, "input:ast", 2))
    model = baselines.create("ast", pretrain=str(official)).eval()
    head = {name: weight(seed, f"mlp_head.{name}", tuple(t.shape)) for name, t in model.classifier.state_dict().items()}
    model.classifier.load_state_dict({name: torch.from_numpy(array) for name, array in head.items()})
    near(model.features(x), numbers["audioset_base/features"], F32)
    near(model(x), numbers["audioset_base/logits"], F32)
    first = model.state_dict()
    other = baselines.create("ast", pretrain=str(hub))
    assert all(torch.equal(first[name], t) for name, t in other.state_dict().items() if name.startswith("trunk."))
    table = torch.from_numpy(weight(seed, "module.v.pos_embed", (1, 1214, 768)))
    other.trunk.pos_embed.copy_(fit_positions(table, 12, other.patch_grid, "corrected"))
    near(other.eval().features(x), numbers["audioset_base_untransposed/features"], F32)


def test_our_names_cover_the_official_model(golden):
    official = {name: tuple(shape) for name, shape, _ in golden.json("keys.json")["icbhi_ast_base384"]["keys"]}
    with torch.device("meta"):
        ours = {official_name(n): tuple(t.shape) for n, t in baselines.create("ast").state_dict().items()}
    left = set(official) - set(ours)
    assert {name: official[name] for name in ours} == ours
    assert left == {"v.head.weight", "v.head.bias", "v.head_dist.weight", "v.head_dist.bias"}
    unused = golden.json("keys.json")["icbhi_ast_base384"]["n_params_never_used_in_forward"]
    mlp_head = sum(math.prod(shape) for name, shape in official.items() if name.startswith("mlp_head."))
    assert sum(math.prod(official[name]) for name in left) + mlp_head == unused


def test_our_names_cover_the_official_cnn6(golden):
    keys = golden.json("keys.json")
    ours = {name: list(tensor.shape) for name, tensor in baselines.create("cnn6").state_dict().items()}
    assert {name: shape for name, shape, _ in keys["cnn6_official"]} == {
        name: shape for name, shape in ours.items() if not name.startswith("classifier.")
    }


@pytest.mark.parametrize("model_id", ["cnn6", "cnn10", "cnn14"])
def test_our_names_cover_those_of_scl(golden, model_id):
    official = golden.json("keys.json")["scl_backbones"][f"_{model_id.upper()}"]
    with torch.device("meta"):
        model = baselines.create(model_id)
    layout = next(each for each in model.layouts if each.title == "SCL")
    ours = {layout.sources(name)[0]: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert ours == {name: shape for name, shape, _ in official}


def test_panns_files_are_listed(golden):
    assert len(golden.json("keys.json")["panns_files"]["files"]) == 3


@pytest.mark.parametrize(("file", "count"), [("Cnn6_mAP=0.343.pth", 24), ("Cnn10_mAP=0.380.pth", 48)])
def test_panns_file(golden, file, count, tmp_path):
    entries = golden.json("keys.json")["panns_files"]["files"][file]
    state = {entry[0]: torch.from_numpy(np.asarray(weight(7, entry[0], tuple(entry[1])))) for entry in entries}
    path = tmp_path / file
    torch.save({"iteration": 600000, "model": state, "sampler": {}}, path)
    model = baselines.create(file.partition("_")[0].lower(), pretrain=str(path))
    loaded = {name: t for name, t in model.state_dict().items() if not name.startswith("classifier.")}
    assert len(loaded) == count
    assert all(torch.equal(state[name], tensor) for name, tensor in loaded.items())


@pytest.mark.parametrize(
    ("dtype", "suffix", "tolerance"), [(torch.float32, "f32", CNN32), (torch.float64, "f64", CNN64)]
)
@torch.no_grad()
def test_cnn6_equals_the_official_one(golden, dtype, suffix, tolerance):
    seed, numbers = golden.json("cnn6.json")["seed"], golden.arrays("cnn6.npz")
    model = generated(baselines.create("cnn6"), seed, rename=lambda name: name).to(dtype)
    x = torch.from_numpy(spectrograms(seed, "input:cnn6", 2)).to(dtype)
    near(model.features(x), numbers[f"eval/features_{suffix}"], tolerance)
    near(model.train().features(x), numbers[f"train/features_{suffix}"], tolerance)
    for name, tensor in model.state_dict().items():
        if "running_" in name:
            near(tensor, numbers[f"train/{name}_after_{suffix}"], tolerance)
    counted = golden.json("cnn6.json")["num_batches_tracked_after_one_training_forward"]
    assert model.conv_block1.bn1.num_batches_tracked.item() == counted


@pytest.mark.parametrize("orientation", ["time-mel", "mel-time"])
@torch.no_grad()
def test_cnn6_equals_the_one_of_scl(golden, orientation):
    seed, numbers = golden.json("cnn6.json")["seed"], golden.arrays("cnn6.npz")
    model = generated(baselines.create("cnn6", orientation=orientation), seed, rename=lambda name: name)
    x = torch.from_numpy(spectrograms(seed, "input:scl", 2))[:, :, :256, :64]
    # The set hands this picture to the network as it is: rows are its first axis.
    x = x if orientation == "time-mel" else x.transpose(2, 3)
    near(model.features(x), numbers["scl_CNN6/eval/features_f32"], CNN32)
    near(model.train().features(x), numbers["scl_CNN6/train/features_f32"], CNN32)


@pytest.mark.parametrize("model_id", ["cnn10", pytest.param("cnn14", marks=pytest.mark.slow)])
@torch.no_grad()
def test_checkpoints_of_scl_and_panns_give_their_features(golden, model_id):
    """Each file's tensors by name, as the official classes have them; the PANNs file is told by its heads."""
    keys, numbers, seed = golden.json("keys.json"), golden.arrays("cnn6.npz"), golden.json("cnn6.json")["seed"]
    name = model_id.upper()
    listed = keys["scl_backbones"][f"_{name}"]
    scl = {key: torch.from_numpy(np.asarray(weight(seed, key, tuple(shape)))) for key, shape, _ in listed}
    model = baselines.create(model_id)
    assert load_into(model, scl, "model", Path("scl.pth")).title == "SCL"
    assert torch.equal(model.classifier.weight, scl["linear.weight"])
    x = torch.from_numpy(spectrograms(seed, "input:scl", 2))[:, :, :256, :64]
    near(model.eval().features(x), numbers[f"scl_{name}/eval/features_f32"], CNN32)
    near(model.train().features(x), numbers[f"scl_{name}/train/features_f32"], CNN32)
    files = keys["panns_files"]["files"]
    entries = next(entries for file, entries in files.items() if file.lower().startswith(model_id))
    panns = {key: scl[key] if key in scl else torch.zeros(()).expand(shape) for key, shape, *_ in entries}
    assert load_into(model, panns, "model", Path("panns.pth")).title == "PANNs"
    near(model.eval().features(x), numbers[f"scl_{name}/eval/features_f32"], CNN32)
