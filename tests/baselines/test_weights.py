"""Weights: layouts of other code bases, refusals that name the tensor, downloads from a server and a hub."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import hashlib
import http.server
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path, PosixPath, PureWindowsPath
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoder_checkpoints import write_shards
from safetensors.torch import save_file

import baselines
from baselines import MODELS, downloads, weights
from baselines.ast import hugging_face
from baselines.downloads import LocatedWeights
from bench.core.cards import WeightsCard
from bench.core.download import Patience
from bench.core.errors import SpecError, StoreError, WeightsError
from bench.core.files import temporary_name
from bench.core.log import show_log

CARD = MODELS.card("cnn6")
SMALL = {"embed_dim": 32, "depth": 2, "heads": 2, "stride": 16, "frames": 398}


def filled(model):
    """The state of a model with every number drawn anew, batch statistics included."""
    g = torch.Generator().manual_seed(5)
    return {
        name: torch.rand(t.shape, generator=g) + 0.5 if t.is_floating_point() else t
        for name, t in model.state_dict().items()
    }


def prefixed(state, old, new):
    return {new + name.removeprefix(old): tensor for name, tensor in state.items() if name.startswith(old)}


def saved(document, path):
    torch.save(document, path)
    return str(path)


def patchmix_file(state, path):
    """A checkpoint as the authors' code writes it, with arguments and optimiser."""
    model = prefixed(state, "trunk.", "v.")
    model |= {"v.head.weight": torch.zeros(1000, 32), "mlp_head.1.weight": torch.zeros(4, 32)}
    arguments = argparse.Namespace(
        model="ast", class_nums=np.array([2063.0, 1215.0, 501.0, 363.0]), cls_list=["normal"]
    )
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 5e-5, "betas": (0.9, 0.999)}]}
    classifier = prefixed(state, "classifier.", "")
    return saved(
        {"args": arguments, "model": model, "optimizer": optimizer, "epoch": 3, "classifier": classifier}, path
    )


def audioset_state(state, rows=12, columns=101):
    official = prefixed(state, "trunk.", "module.v.")
    official["module.v.pos_embed"] = torch.rand(1, 2 + rows * columns, 32)
    return official | {"module.mlp_head.1.weight": torch.zeros(527, 32), "module.v.head_dist.bias": torch.zeros(1000)}


@pytest.fixture(scope="module")
def ast_state():
    return filled(baselines.create("ast-tiny", **SMALL))


def test_patchmix_checkpoint(ast_state, tmp_path):
    model = baselines.create("ast-tiny", pretrain=patchmix_file(ast_state, tmp_path / "best.pth"), **SMALL)
    assert all(torch.equal(tensor, ast_state[name]) for name, tensor in model.state_dict().items())


def test_imagenet_layout_of_the_trunk(ast_state, tmp_path):
    state = prefixed(ast_state, "trunk.", "")
    state["patch_embed.proj.weight"] = torch.rand(32, 3, 16, 16)
    state["pos_embed"] = torch.rand(1, 2 + 14 * 14, 32)
    path = saved(
        state | {"head.weight": torch.zeros(1000, 32), "head_dist.bias": torch.zeros(1000)}, tmp_path / "d.pth"
    )
    model = baselines.create("ast-tiny", pretrain=path, **SMALL)
    torch.testing.assert_close(
        model.trunk.patch_embed.proj.weight, state["patch_embed.proj.weight"].sum(1, keepdim=True)
    )
    assert torch.equal(model.trunk.blocks[1].mlp.fc2.weight, state["blocks.1.mlp.fc2.weight"])
    assert torch.equal(model.trunk.pos_embed[:, :2], state["pos_embed"][:, :2])


def torchvision_model(model_id):
    import torchvision

    model = getattr(torchvision.models, model_id.replace("-", "_"))()
    if model_id.startswith("resnet"):
        model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        model.fc = torch.nn.Identity()
    else:
        model.features[0][0] = torch.nn.Conv2d(1, 32, 3, 2, 1, bias=False)
        model.classifier = torch.nn.Identity()
    return model


@pytest.mark.parametrize("model_id", ["resnet18", "resnet34", "resnet50", "efficientnet-b0", "efficientnet-b1"])
@torch.no_grad()
def test_torchvision_files_give_torchvisions_features(model_id, tmp_path):
    torch.manual_seed(3)
    theirs = torchvision_model(model_id)
    theirs.train()(torch.randn(4, 1, 64, 64))  # batch statistics other than 0 and 1
    theirs.eval()
    ours = baselines.create(model_id, pretrain=saved(theirs.state_dict(), tmp_path / "tv.pth")).eval()
    x = torch.randn(2, 1, 100, 64)
    torch.testing.assert_close(ours.features(x), theirs(x), rtol=1e-5, atol=1e-5)
    head = torch.nn.Linear(ours.feature_dim, 4).state_dict()
    wrapped = {"args": argparse.Namespace(), "model": theirs.state_dict(), "classifier": head, "epoch": 1}
    tuned = baselines.create(model_id, pretrain=saved(wrapped, tmp_path / "best.pth")).eval()
    torch.testing.assert_close(tuned.features(x), theirs(x), rtol=1e-5, atol=1e-5)
    assert torch.equal(tuned.classifier.weight, head["weight"])


@pytest.mark.parametrize("model_id", ["resnet18", "efficientnet-b0", "resnest14"])
def test_rgb_stem_is_drawn_anew_or_summed(model_id, tmp_path):
    fresh = baselines.create(model_id)
    norm = "layer1.0.bn1" if model_id == "resnest14" else "bn1"
    state = prefixed(filled(fresh), "trunk.", "")
    stem = fresh.stem.removeprefix("trunk.")
    state[stem] = torch.rand(*state[stem].shape[:1], 3, *state[stem].shape[2:])
    state = {name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name}
    path = saved(state, tmp_path / "rgb.pth")
    torch.manual_seed(11)
    scratch = baselines.create(model_id).state_dict()[fresh.stem]
    torch.manual_seed(11)
    again = baselines.create(model_id, pretrain=path, stem="reinit").state_dict()
    assert torch.equal(again[fresh.stem], scratch)
    assert torch.equal(again[f"trunk.{norm}.running_var"], state[f"{norm}.running_var"])
    odd = saved(state | {stem: torch.zeros(8, 3, 1, 1)}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=rf"'{stem}' has the shape \(8, 3, 1, 1\)"):
        baselines.create(model_id, pretrain=odd)
    summed = baselines.create(model_id, pretrain=path, stem="sum").state_dict()[fresh.stem]
    torch.testing.assert_close(summed, state[stem].sum(1, keepdim=True))


def without(name):
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


def with_(name, tensor):
    return lambda state: state | {name: tensor}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("module.v.blocks.1.attn.proj.weight"), r"'v\.blocks\.1\.attn\.proj\.weight' is missing"),
        (without("module.v.cls_token"), r"official AST layout.*'v\.cls_token' is missing"),
        (with_("module.v.blocks.2.norm1.bias", torch.zeros(32)), r"'v\.blocks\.2\.norm1\.bias' is extra"),
        (with_("module.v.norm.bias", torch.zeros(31)), r"'v\.norm\.bias' has the shape \(31,\), but \(32,\) is needed"),
        (
            with_("module.v.norm.bias", torch.full((32,), torch.nan)),
            r"'v\.norm\.bias' holds values that are not finite",
        ),
        (with_("module.v.pos_embed", torch.zeros(1, 1213, 32)), r"has 1,211 positions, but no published.*12 x 101"),
        (with_("module.v.pos_embed", torch.zeros(1213)), r"'v\.pos_embed'.*\(1213,\)"),
        (with_("module.v.norm.weight", 3.0), r"'v?\.?.*norm\.weight' is float, not a tensor"),
        (
            with_("module.v.patch_embed.proj.weight", torch.zeros(32, 2, 16, 16)),
            r"\(32, 2, 16, 16\), but \(32, 1, 16, 16\)",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(change, message, ast_state, tmp_path):
    path = saved(change(audioset_state(ast_state)), tmp_path / "audioset.pth")
    with pytest.raises(WeightsError, match=message):
        baselines.create("ast-tiny", pretrain=path, **SMALL)


def test_the_unchanged_file_fits(ast_state, tmp_path):
    state = audioset_state(ast_state)
    model = baselines.create("ast-tiny", pretrain=saved(state, tmp_path / "audioset.pth"), **SMALL)
    assert torch.equal(model.trunk.norm.bias, state["module.v.norm.bias"])


@pytest.mark.parametrize("law", ["official", "corrected"])
def test_the_option_decides_how_positions_are_laid(law, ast_state, tmp_path):
    state = audioset_state(ast_state)
    path = saved(state, tmp_path / "audioset.pth")
    table = baselines.create("ast-tiny", pretrain=path, pos_embed=law, **SMALL).trunk.pos_embed
    picture = state["module.v.pos_embed"][:, 2:].reshape(1, 12, 101, 32)
    assert torch.equal(table[:, :2], state["module.v.pos_embed"][:, :2])
    if law == "corrected":  # 12 x 101 is cut to its middle 8 x 24
        assert torch.equal(table[:, 2:].reshape(1, 8, 24, 32), picture[:, 2:10, 38:62])
    else:  # cut to 8 columns and stretched to 24 rows, whose first and last keep the ends' values
        laid = table[:, 2:].reshape(1, 24, 8, 32)
        assert torch.equal(laid[:, [0, -1]], picture[:, [0, -1], 46:54])


def test_another_number_of_classes_is_named(ast_state, tmp_path):
    path = patchmix_file(ast_state, tmp_path / "best.pth")
    with pytest.raises(WeightsError, match=r"'classifier\.1\.weight' has the shape \(4, 32\), but \(2, 32\)"):
        baselines.create("ast-tiny", 2, path, **SMALL)


def test_many_faults_are_counted(ast_state, tmp_path):
    path = saved(audioset_state(ast_state), tmp_path / "audioset.pth")
    with pytest.raises(WeightsError, match=r"is extra; and \d+ more"):
        baselines.create("ast-tiny", pretrain=path, **SMALL | {"depth": 1})


def test_weights_of_another_model_follow_no_known_layout(tmp_path):
    path = saved(baselines.create("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match="holds no weights for model cnn6: its 122 tensors") as caught:
        baselines.create("cnn6", pretrain=path)
    assert "PANNs" in caught.value.hint


class Attack:
    def __reduce__(self):
        return (os.system, ("touch attacked",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.pth", b"these are no weights\n" * 20),
        ("empty.pth", b""),
        ("attack.pth", pickle.dumps({"model": Attack()})),
        ("broken.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{not json"),
        ("empty.safetensors", b""),
        ("zip.pth", b"PK\x03\x04" + b"\0" * 100),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(name, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name} is no readable") as caught:
        baselines.create("cnn6", pretrain=name)
    assert "safetensors" in caught.value.hint
    assert not Path("attacked").exists()


def test_code_inside_a_torch_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"conv_block1.conv1.weight": torch.zeros(1)}, "extra": Attack()}, "attack.pth")
    with pytest.raises(WeightsError, match=r"attack\.pth is no readable file of weights: it holds code"):
        baselines.create("cnn6", pretrain="attack.pth")
    assert not Path("attacked").exists()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(ending, share, tmp_path):
    state, path = baselines.create("cnn6").state_dict(), tmp_path / f"cut.{ending}"
    if ending == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match="no readable"):
        baselines.create("cnn6", pretrain=str(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_every_damage_to_a_torch_file_is_a_weights_error(zipped, tmp_path):
    path = tmp_path / "small.pth"
    torch.save({"model": {"w": torch.arange(3.0)}}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    choose = np.random.default_rng(0)
    damaged = [whole[:size] for size in range(0, len(whole), 1 + len(whole) // 150)]
    for place, value in zip(choose.integers(0, len(whole), 150), choose.integers(0, 256, 150), strict=True):
        damaged.append(whole[:place] + bytes([value]) + whole[place + 1 :])
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            weights.read_tensors(path)
        except WeightsError:
            refused += 1
    assert refused >= 150


@pytest.mark.parametrize("document", [[torch.zeros(3)], {}, torch.zeros(2), {"model": {}}])
def test_a_file_without_named_tensors_is_refused(document, tmp_path):
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        weights.read_tensors(Path(saved(document, tmp_path / "odd.pth")))


@pytest.mark.parametrize(
    ("pretrain", "message"),
    [
        ("audioset", "Model 'resnet18' has no pretrained weights 'audioset'"),
        ("imagent", "did you mean 'imagenet'"),
        ("weights/missing.pth", "There is no file of weights"),
        ("missing.safetensors", "There is no file of weights"),
        (".", r"The folder \. holds no model\.safetensors or pytorch_model\.bin"),
        ("https://host/w.pth#sha256=12", "is no hash"),
        ("torchvision:resnet19", "torchvision has no weights 'resnet19': did you mean 'resnet18'"),
        ("torchvision:ResNet18_Weights.V9", "torchvision has no weights"),
        ("timm:resnet18.tv_in2k", "timm has no weights 'resnet18.tv_in2k': did you mean 'resnet18.tv_in1k'"),
        ("tim:resnet18.tv_in1k", "did you mean 'timm:'"),
        ("hff:owner/repository/file", "did you mean 'hf:'"),
        ("htps://host/w.pth", "did you mean 'https:'"),
        ("hf:../../etc/passwd", "names no repository on the hub"),
        ("hf:https://huggingface.co/owner/repository", "names no repository on the hub"),
        ("http://[::1", "cannot be used: its host or port is malformed"),
        ("http:///w.pth", "cannot be used: it names no host"),
        ("hf:owner", "names no repository on the hub"),
        ("hf:owner/repository/", "names no file on the hub"),
        ("hf:owner/repository@-x/file", "names no revision on the hub"),
    ],
)
def test_weights_that_do_not_exist_are_refused(pretrain, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=message):
        weights.locate(MODELS.card("resnet18"), pretrain, tmp_path)


def official_state(ast_state, rows=12, columns=101):
    """A checkpoint of the official AST without wrappers."""
    return {name.removeprefix("module."): tensor for name, tensor in audioset_state(ast_state, rows, columns).items()}


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: under("_orig_mod.", state),
        lambda state: under("module._orig_mod.", state),
        lambda state: under("_orig_mod.module.", state),
        lambda state: under("module.module.", state) | {"n_averaged": torch.tensor(3)},
        lambda state: under("_fsdp_wrapped_module.", state),
        lambda state: {name.replace("blocks.1.", "blocks.1._orig_mod."): each for name, each in state.items()},
        lambda state: {"state_dict": under("model.", state) | {"loss.weight": torch.ones(4)}, "epoch": 1},
        lambda state: {"state_dict": under("net.backbone._orig_mod.", state), "callbacks": {}},
        lambda state: under("encoder.", state),
        lambda state: {"model_state_dict": state, "epoch": 1},
        lambda state: {"module": state, "dp_world_size": 1, "optimizer": None},
        lambda state: {"net": state},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"model": {"name": "ast"}, "state_dict": state},
        lambda state: {"teacher": state},
        lambda state: {"model": state, "ema": {name: torch.zeros_like(each) for name, each in state.items()}},
        lambda state: {"my_network": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}},
        lambda state: state | {"epoch": 3, "lr": 0.1, "optimizer": {"state": {}}},
    ],
)
def test_wrappers_of_training_frameworks_are_taken_off(wrap, ast_state, tmp_path):
    state = official_state(ast_state)
    model = baselines.create("ast-tiny", pretrain=saved(wrap(state), tmp_path / "w.pth"), **SMALL)
    assert torch.equal(model.trunk.blocks[1].mlp.fc2.weight, state["v.blocks.1.mlp.fc2.weight"])
    assert torch.equal(model.trunk.norm.bias, state["v.norm.bias"])


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda state: {"student": state, "teacher": state}, "holds two models, 'student' and 'teacher'"),
        (lambda state: under("a.", state) | under("b.", state), "more than once, under 'a.' and 'b.'"),
        (lambda state: state | under("module.", state), "twice, under two prefixes"),
        (
            lambda state: {"optimizer_state_dict": {"zero_stage": 2}, "ds_version": "1"},
            "one part of a checkpoint that Deep",
        ),
        (
            lambda state: {"module": {name: torch.empty(0) for name in state}, "param_shapes": []},
            "one part of a checkpoint that DeepSpeed",
        ),
    ],
)
def test_a_file_that_does_not_say_which_model_is_meant_is_refused(wrap, message, ast_state, tmp_path):
    with pytest.raises(WeightsError, match=message):
        baselines.create("ast-tiny", pretrain=saved(wrap(official_state(ast_state)), tmp_path / "w.pth"), **SMALL)


def test_an_object_that_holds_itself_is_refused(tmp_path):
    document: dict = {}
    document["model"] = document
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        weights.read_tensors(Path(saved(document, tmp_path / "w.pth")))


HARMLESS = [
    PosixPath("/a/b"),
    PureWindowsPath("c:/a"),
    np.bool_(True),
    np.float64(2.5),
    np.str_("fold"),
    np.zeros(2, np.uint8),
    np.array(["a"]),
    np.random.get_state(),
    collections.defaultdict(list, {"loss": [1.0]}),
    collections.OrderedDict(a=1),
    datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    argparse.Namespace(folder=PosixPath("x")),
    SimpleNamespace(lr=0.1),
    frozenset({1}),
    torch.Size([1]),
    torch.float16,
    torch.device("cpu"),
]


@pytest.mark.parametrize("extra", HARMLESS, ids=lambda extra: type(extra).__name__)
@pytest.mark.parametrize("zipped", [True, False])
def test_harmless_things_beside_the_tensors_are_no_hindrance(extra, zipped, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"model": {"a.weight": torch.ones(2)}, "extra": extra}, path, _use_new_zipfile_serialization=zipped)
    assert list(weights.read_tensors(path)) == ["a.weight"]


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (collections.deque([1]), "collections.deque"),
        (np.array([None], dtype=object), "ObjectDType"),
        (np.random.RandomState(0), "numpy.random._pickle.__randomstate_ctor"),
        (Attack(), "posix.system"),
    ],
)
def test_a_class_that_is_not_read_is_named_and_nobody_is_told_to_read_it_anyway(extra, name, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"model": {"a.weight": torch.ones(2)}, "extra": extra}, path)
    with pytest.raises(WeightsError, match=re.escape(name)) as caught:
        weights.read_tensors(path)
    assert "weights_only" not in f"{caught.value.message} {caught.value.hint}"
    assert "state_dict()" in caught.value.hint


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_later_pickle_protocol_is_named(protocol, zipped, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"w": torch.ones(2)}, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="pickled by protocol 4 or a later one"):
        weights.read_tensors(path)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_torchscript_archive_is_named(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "program.pt")
    with pytest.raises(WeightsError, match="it is a TorchScript archive") as caught:
        weights.read_tensors(tmp_path / "program.pt")
    assert not re.search("weights_only|jit.load|trust", f"{caught.value.message} {caught.value.hint}")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        ("w.bin", b"<!doctype html><title>Log in</title>", "a page of the web"),
        ("w.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ],
)
def test_what_is_often_given_in_place_of_weights_is_named(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"is no readable file of weights: it is {kind}"):
        weights.read_tensors(tmp_path / name)


def rezipped(path, method, names=lambda name: name):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(names(name), content)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_packed_archive_is_not_expanded(method, tmp_path):
    path = tmp_path / "bomb.pth"
    torch.save({"w": torch.zeros(1 << 20)}, path)
    rezipped(path, method)
    with pytest.raises(WeightsError, match="its archive is packed"):
        weights.read_tensors(path)


def test_an_archive_whose_members_lie_over_each_other_is_not_read(tmp_path):
    path = tmp_path / "bomb.pth"
    torch.save({f"w{number}": torch.zeros(1 << 12) for number in range(8)}, path)
    content = bytearray(path.read_bytes())
    for found in re.finditer(rb"PK\x01\x02", bytes(content)):
        content[found.start() + 24 : found.start() + 28] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="announces more than it holds"):
        weights.read_tensors(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2])
def test_fractions_of_other_widths_become_float32(kind, ast_state, tmp_path):
    state = {name: tensor.to(kind) for name, tensor in official_state(ast_state).items()}
    model = baselines.create("ast-tiny", pretrain=saved(state, tmp_path / "w.pth"), **SMALL)
    assert model.trunk.norm.bias.dtype == torch.float32
    assert torch.equal(model.trunk.norm.bias, state["v.norm.bias"].float())


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(32, dtype=torch.int8), "'v.norm.weight' holds int8, but fractions are needed"),
        (torch.ones(32, dtype=torch.uint8), "'v.norm.weight' holds uint8"),
        (torch.ones(32, dtype=torch.bool), "'v.norm.weight' holds bool"),
        (torch.ones(32, dtype=torch.int64), "'v.norm.weight' holds int64"),
        (torch.ones(32, dtype=torch.complex64), "'v.norm.weight' is complex"),
        (torch.ones(32).to_sparse(), "'v.norm.weight' is sparse"),
        (torch.ones(32, 1).to_sparse_csr(), "'v.norm.weight' is sparse"),
        (torch.ones(32, device="meta"), "'v.norm.weight' is a shape without numbers"),
        (torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]), "'v.norm.weight' is a nested tensor"),
        (torch.quantize_per_tensor(torch.ones(32), 0.1, 0, torch.qint8), "'v.norm.weight' is quantised"),
        (torch.zeros(32, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "'v.norm.weight' is float4"),
        (torch.full((32,), torch.inf), "'v.norm.weight' holds values that are not finite"),
        (torch.full((32,), 1e300, dtype=torch.float64), "'v.norm.weight' holds values that are not finite"),
        (torch.ones(1).expand(10**12), "announces more numbers than it holds"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_tensor_of_another_kind_is_named(tensor, message, ast_state, tmp_path):
    path = saved(official_state(ast_state) | {"v.norm.weight": tensor}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        baselines.create("ast-tiny", pretrain=path, **SMALL)


def test_whole_numbers_are_refused_by_timms_loader_too(tmp_path):
    model = baselines.create("timm:resnet10t")
    state = {name.replace("classifier.", "fc.").removeprefix("trunk."): t for name, t in model.state_dict().items()}
    path = saved(state | {"layer1.0.bn1.weight": torch.ones(64, dtype=torch.int8)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds int8, but fractions are needed"):
        baselines.create("timm:resnet10t", pretrain=path)


@pytest.mark.parametrize(("rows", "columns"), [(12, 101), (10, 85), (9, 73), (8, 68), (8, 64), (12, 12)])
def test_a_published_grid_is_known_by_its_length(rows, columns, ast_state, tmp_path):
    state = official_state(ast_state, rows, columns)
    marks = torch.arange(float(rows))[:, None].expand(rows, columns).reshape(1, -1, 1).expand(-1, -1, 32)
    state["v.pos_embed"] = torch.cat([torch.zeros(1, 2, 32), marks], dim=1)
    path = saved(state, tmp_path / "w.pth")
    options = SMALL | {"pos_embed": "corrected", "stride": 10}
    model = baselines.create("ast-tiny", pretrain=path, **options)
    laid = model.trunk.pos_embed[0, 2:, 0].reshape(*model.patch_grid)
    assert (laid == laid[:, :1]).all()  # a frequency's mark is that of the whole row
    assert laid[:, 0].diff().min() >= 0


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (5, 24, "120 positions .*12 x 10 or 10 x 12 or .* patches"),
        (12, 10, "120 positions .*12 x 10 or 10 x 12 or .* patches"),
        (12, 50, "600 positions .*12 x 50 or "),
        (7, 13, "91 positions, but no published checkpoint has"),
        (1, 1213, "1,213 positions, but no published checkpoint has"),
    ],
)
@pytest.mark.parametrize("layout", ["official", "transformers"])
def test_a_grid_that_the_file_does_not_say_is_not_guessed(rows, columns, message, layout, ast_state, tmp_path):
    if layout == "official":
        state = official_state(ast_state, rows, columns)
    else:
        state = hugging_face_state(ast_state, places=rows * columns)
    with pytest.raises(WeightsError, match=message) as caught:
        baselines.create("ast-tiny", pretrain=saved(state, tmp_path / "w.pth"), **SMALL)
    assert "config.json beside the file" in caught.value.hint


def test_a_file_of_the_models_own_geometry_is_laid_as_it_is(ast_state, tmp_path):
    state = official_state(ast_state, 8, 24)
    model = baselines.create("ast-tiny", pretrain=saved(state, tmp_path / "w.pth"), pos_embed="corrected", **SMALL)
    assert torch.equal(model.trunk.pos_embed, state["v.pos_embed"])


def test_a_config_beside_an_official_file_says_its_grid(ast_state, tmp_path):
    state = official_state(ast_state, 5, 24)
    path = saved(state, tmp_path / "w.pth")
    alone = weights.locate(MODELS.card("ast-tiny"), path, tmp_path).sha256
    said = {"model_type": CONFIG["model_type"], "num_mel_bins": 64, "max_length": 251}
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    options = SMALL | {"mels": 64, "stride": 10, "frames": 251, "pos_embed": "corrected"}
    model = baselines.create("ast-tiny", pretrain=path, **options)
    assert torch.equal(model.trunk.pos_embed, state["v.pos_embed"])
    assert weights.locate(MODELS.card("ast-tiny"), path, tmp_path).sha256 != alone


def test_a_config_of_the_published_geometry_leaves_the_hash_that_of_the_file(ast_state, tmp_path):
    folder = Path(checkpoint_folder(tmp_path / "folder", hugging_face_state(ast_state), CONFIG))
    found = weights.locate(MODELS.card("ast-tiny"), str(folder), tmp_path)
    assert found.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def transformers_5(state):
    """The same tensors under the names of transformers 5."""
    names = {
        ".encoder.layer.": ".layers.",
        "attention.attention.query": "attention.q_proj",
        "attention.attention.key": "attention.k_proj",
        "attention.attention.value": "attention.v_proj",
        "attention.output.dense": "attention.o_proj",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
    }
    return {
        functools.reduce(lambda text, old: text.replace(old, names[old]), names, name): t for name, t in state.items()
    }


@pytest.mark.parametrize("bare", [False, True])
def test_names_of_transformers_5(bare, ast_state, tmp_path):
    state = transformers_5(hugging_face_state(ast_state))
    if bare:
        state = {name.removeprefix("audio_spectrogram_transformer."): tensor for name, tensor in state.items()}
    save_file(state, tmp_path / "model.safetensors")
    model = baselines.create("ast-tiny", pretrain=str(tmp_path), **SMALL)
    assert torch.equal(model.trunk.blocks[1].attn.qkv.bias, ast_state["trunk.blocks.1.attn.qkv.bias"])
    assert torch.equal(model.trunk.blocks[1].mlp.fc1.weight, ast_state["trunk.blocks.1.mlp.fc1.weight"])


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_checkpoint_in_shards_is_read_by_its_index(kind, ast_state, tmp_path):
    index = write_shards(tmp_path / "hf", hugging_face_state(ast_state), kind)
    for pretrain in (index.parent, index):
        model = baselines.create("ast-tiny", pretrain=str(pretrain), **SMALL)
        assert torch.equal(model.trunk.blocks[1].attn.qkv.bias, ast_state["trunk.blocks.1.attn.qkv.bias"])
    found = weights.locate(MODELS.card("ast-tiny"), str(index.parent), tmp_path)
    shard = next(index.parent.glob("*00002-of*"))
    with pytest.raises(WeightsError, match="is one shard of 2"):
        baselines.create("ast-tiny", pretrain=str(shard), **SMALL)
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    assert weights.locate(MODELS.card("ast-tiny"), str(index), tmp_path).sha256 != found.sha256
    shard.unlink()
    with pytest.raises(WeightsError, match=f"The shard '{shard.name}' .* is not there"):
        weights.locate(MODELS.card("ast-tiny"), str(index), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no readable index"),
        ("[]", "no readable index"),
        ('{"weight_map": {}}', "is no index of shards"),
        ('{"weight_map": {"a": 1}}', "is no index of shards"),
        ('{"weight_map": {"a": "../secret.safetensors"}}', "names a shard outside its folder"),
        ('{"weight_map": {"a": "/etc/hostname"}}', "names a shard outside its folder"),
        ('{"weight_map": {"a.b": "whole.safetensors"}}', "does not hold 'a.b'"),
    ],
)
def test_an_index_that_is_none_is_refused(text, message, tmp_path):
    save_file({"other": torch.ones(1)}, tmp_path / "whole.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=message):
        weights.read_tensors(weights.locate(CARD, str(index), tmp_path).path)


@pytest.mark.parametrize("name", ["zero_to_fp32.py", ".metadata"])
def test_a_folder_with_a_checkpoint_in_parts_is_named(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(WeightsError, match="holds a checkpoint in parts") as caught:
        weights.locate(CARD, str(tmp_path), tmp_path)
    assert "Join" in caught.value.hint


@pytest.mark.timeout(60)
def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with (tmp_path / "vast.pth").open("wb") as stream:
        stream.truncate(100 << 30)
    for path, message in {
        "/dev/zero": "are no regular file",
        str(tmp_path / "pipe.pth"): "are no regular file",
        str(tmp_path / "vast.pth"): "more than the .* that are read",
        "a" * 5000 + "/w.pth": "There is no file of weights",
        "a\0b/w.pth": "There is no file of weights",
    }.items():
        with pytest.raises(WeightsError, match=message):
            weights.locate(CARD, path, tmp_path)


def test_an_unknown_users_home_is_a_sentence(tmp_path):
    with pytest.raises(SpecError, match=r"home folder .*~nosuchuser"):
        weights.locate(CARD, "~nosuchuser/w.pth", tmp_path)


def test_a_run_takes_only_the_weights_of_its_spec(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"abc")
    known = hashlib.sha256(b"abc").hexdigest()
    assert weights.weights_of_run("file", str(path), known) == LocatedWeights(path, known)
    assert weights.weights_of_run("none", None, None) is None
    path.write_bytes(b"abd")
    with pytest.raises(WeightsError, match=f"{hashlib.sha256(b'abd').hexdigest()}, the spec's is {known}") as caught:
        weights.weights_of_run("file", str(path), known)
    assert caught.value.exit_code == 2
    path.unlink()
    with pytest.raises(WeightsError, match="No such file"):
        weights.weights_of_run("file", str(path), known)


@pytest.mark.parametrize(
    "fields", [("none", "w.pth", None), ("none", None, "0" * 64), ("file", "w.pth", None), ("imagenet", None, None)]
)
def test_a_spec_whose_weights_do_not_belong_together_is_refused(fields):
    with pytest.raises(WeightsError, match="do not belong together"):
        weights.weights_of_run(*fields)


def test_another_grid_beside_the_same_file_is_another_file(ast_state, tmp_path):
    config = {**CONFIG, "num_mel_bins": 64, "max_length": 256, "frequency_stride": 8, "time_stride": 8}
    folder = Path(checkpoint_folder(tmp_path / "folder", hugging_face_state(ast_state, places=7 * 31), config))
    found = weights.locate(MODELS.card("ast-tiny"), str(folder), tmp_path)
    swapped = {**config, "num_mel_bins": 256, "max_length": 64}
    (folder / "config.json").write_text(json.dumps(swapped), encoding="utf-8")
    with pytest.raises(WeightsError, match="are not those of the run"):
        weights.weights_of_run("file", str(found.path), found.sha256)


def test_a_file_is_used_where_it_is(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"abc")
    found = weights.locate(MODELS.card("cnn6"), str(path), tmp_path / "cache")
    assert found == LocatedWeights(path, hashlib.sha256(b"abc").hexdigest())
    assert not (tmp_path / "cache").exists()
    assert weights.locate(MODELS.card("cnn6"), "none", tmp_path) is None


BODY = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(BODY).hexdigest()


class Files(http.server.BaseHTTPRequestHandler):
    """Serves one body as the hub does, with its headers and ranges; cut short or not at all where it is told to."""

    def do_HEAD(self):
        self.answer(send=False)

    def do_GET(self):
        self.answer(send=True)

    def answer(self, send):
        asked = self.headers.get("Range")
        self.server.requests.append((self.command, self.path, asked))
        if "Authorization" in self.headers:
            self.server.owners.append(self.headers["Authorization"])
        if "missing" in self.path:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked and self.server.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(BODY) - start))
        self.send_header("ETag", f'"{self.server.etag}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if send:
            cut = self.server.cuts > 0 and not self.path.startswith("/api/")
            self.server.cuts -= cut
            self.wfile.write(BODY[start : start + len(BODY) // 4] if cut else BODY[start:])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "PATIENCE", Patience(attempts=2, pause=0.0, timeout=10.0))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as running:
        running.requests, running.cuts, running.ranges, running.etag = [], 0, True, SHA256
        running.owners = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def leftovers(cache):
    """What lies in the cache besides locks, recorded hashes and the hub's own mark."""
    files = [path for path in (cache / "weights").rglob("*") if path.is_file() and path.name != "CACHEDIR.TAG"]
    return [path for path in files if path.stat().st_size > 100]


def test_a_url_is_fetched_once(server, tmp_path, capsys):
    show_log()  # how far it is stands in the log where there is no terminal
    url = server.url + "/files/Cnn6_mAP%3D0.343.pth?download=1"
    first = weights.locate(CARD, url, tmp_path)
    assert first.path.read_bytes() == BODY
    assert first.path.name.endswith("-Cnn6_mAP=0.343.pth")
    assert first.sha256 == SHA256
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"Fetching {url.partition('?')[0]}?***" in shown.err
    assert f"{len(BODY):,} of {len(BODY):,} bytes" in shown.err
    assert weights.locate(CARD, url, tmp_path) == first
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == [first.path]


SECRET_URL = "http://some0ne:s3cr3t@127.0.0.1:{port}/w.pth?token=t0k3n"


def everything_written(folder, shown):
    return "".join(
        [shown.out, shown.err]
        + [f"{path}\n{path.read_bytes().decode('latin-1')}" for path in folder.rglob("*") if path.is_file()]
    )


def test_user_password_and_token_appear_nowhere(server, tmp_path, capfd, caplog):
    url = SECRET_URL.format(port=server.server_port)
    found = weights.locate(CARD, url, tmp_path)
    assert found.sha256 == SHA256
    assert server.owners == ["Basic c29tZTBuZTpzM2NyM3Q="]
    assert server.requests[0][1] == "/w.pth?token=t0k3n"
    assert not re.search("some0ne|s3cr3t|t0k3n", everything_written(tmp_path, capfd.readouterr()) + caplog.text)
    assert weights.locate(CARD, url.replace("some0ne:s3cr3t", "an0ther:w0rd"), tmp_path) == found
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("w.pth", "missing.pth"),
        lambda url: re.sub(r":\d+/", ":9/", url),
        lambda url: re.sub(r":\d+/", ":port/", url),
        lambda url: url.replace("127.0.0.1", "[::1"),
        lambda url: url.replace("http:", "htps:"),
        lambda url: url.replace("http:", "ftp:"),
        lambda url: url.replace("http://", "http:/"),
        lambda url: url + "#sha256=s3cr3t",
        lambda url: url + "#sha256=" + "0" * 64,
        lambda url: url.replace("w.pth", "w .pth"),
        lambda url: url.replace("s3cr3t", "s3cr3t/?#x"),
    ],
)
def test_no_message_holds_a_secret(change, server, tmp_path, capfd):
    with pytest.raises(WeightsError) as caught:
        weights.locate(CARD, change(SECRET_URL.format(port=server.server_port)), tmp_path)
    told = f"{caught.value.message} {caught.value.hint}" + everything_written(tmp_path, capfd.readouterr())
    assert not re.search("some0ne|s3cr3t|t0k3n", told)


def test_a_password_of_the_proxy_is_not_told(server, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    for port in ("9", "port"):
        monkeypatch.setenv("http_proxy", f"http://me:s3cr3t@127.0.0.1:{port}")
        with pytest.raises(WeightsError) as caught:
            weights.locate(CARD, server.url + "/w.pth", tmp_path)
        assert "s3cr3t" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_read_only_cache_that_holds_the_weights_is_enough(recorded, server, tmp_path, monkeypatch):
    url = server.url + "/w.pth"
    found = weights.locate(CARD, url, tmp_path)
    if not recorded:
        found.path.with_name(f"{found.path.name}.sha256").unlink()

    def refuse(*arguments):
        raise StoreError("read-only")

    # Also the superuser, for whom permissions mean nothing, meets a file system that is mounted read-only.
    monkeypatch.setattr(downloads, "exclusive_lock", refuse)
    monkeypatch.setattr(downloads, "atomic_path", refuse)
    monkeypatch.setattr(downloads.os, "access", lambda path, mode: False)
    assert weights.locate(CARD, url, tmp_path) == found
    assert len(server.requests) == 1


def test_what_a_killed_download_left_is_swept(server, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    old, recent = folder / "tmpab12cd_e", folder / "tmpab12cd_f"
    for path in (old, recent):
        path.write_bytes(bytes(1000))
    os.utime(old, (0, 0))
    dead = temporary_name(folder / "w.pth.sha256")
    dead = dead.with_name(dead.name.replace(f"-{os.getpid()}-", "-999999999-"))
    dead.touch()
    weights.locate(CARD, server.url + "/w.pth", tmp_path)
    assert not old.exists()
    assert not dead.exists()
    assert recent.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"12", b"0" * 10_000])
def test_an_odd_record_of_a_hash_is_a_sentence(content, server, tmp_path):
    url = server.url + "/w.pth"
    found = weights.locate(CARD, url, tmp_path)
    found.path.with_name(f"{found.path.name}.sha256").write_bytes(content)
    with pytest.raises(WeightsError, match="holds no SHA-256"):
        weights.locate(CARD, url, tmp_path)


def test_a_cached_file_that_changed_is_fetched_again(server, tmp_path):
    url = server.url + "/w.pth"
    first = weights.locate(CARD, url, tmp_path)
    first.path.write_bytes(b"damaged")
    assert weights.locate(CARD, url, tmp_path).path.read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_download_that_is_cut_short_goes_on_where_it_ended(server, tmp_path):
    server.cuts = 2
    found = weights.locate(CARD, server.url + "/w.pth", tmp_path)
    assert found.path.read_bytes() == BODY
    quarter = len(BODY) // 4
    assert [asked for _, _, asked in server.requests] == [None, f"bytes={quarter}-", f"bytes={2 * quarter}-"]
    assert leftovers(tmp_path) == [found.path]


def test_a_download_that_keeps_being_cut_is_refused_and_gone_on_with_the_next_time(server, tmp_path):
    server.cuts, server.ranges = 10**6, False
    url = server.url + "/w.pth"
    with pytest.raises(WeightsError, match=f"Cannot fetch the weights {url}: .*keeps dropping"):
        weights.locate(CARD, url, tmp_path)
    assert {path.suffix for path in leftovers(tmp_path)} <= {".part", ".json"}
    server.cuts, server.ranges = 0, True
    assert weights.locate(CARD, url, tmp_path).path.read_bytes() == BODY
    assert server.requests[-1][2] == f"bytes={len(BODY) // 4}-"


def card_with(location, **checksum):
    known = WeightsCard(title="t", source="s", licence="MIT", location=location, **checksum)
    return replace(CARD, weights={"audioset": known})


MD5 = hashlib.md5(BODY).hexdigest()


@pytest.mark.parametrize(("kind", "right"), [("sha256", SHA256), ("md5", MD5)])
def test_a_hash_on_the_card_is_demanded(server, tmp_path, kind, right):
    url = server.url + "/w.pth"
    with pytest.raises(WeightsError, match=f"have the {kind} {right}, but 0+ was expected; they are not kept"):
        weights.locate(card_with(url, **{kind: "0" * len(right)}), "audioset", tmp_path)
    assert leftovers(tmp_path) == []
    assert weights.locate(card_with(url, **{kind: right}), "audioset", tmp_path).sha256 == SHA256
    assert weights.locate(card_with(url, **{kind: right}), "audioset", tmp_path).sha256 == SHA256
    assert len(server.requests) == 2


def test_a_hash_in_the_url_is_demanded(server, tmp_path):
    url = server.url + "/w.pth#sha256="
    with pytest.raises(WeightsError, match=r"have the sha256 \w+, but 0+ was expected; they are not kept"):
        weights.locate(CARD, url + "0" * 64, tmp_path)
    assert leftovers(tmp_path) == []
    assert weights.locate(CARD, url + SHA256.upper(), tmp_path).sha256 == SHA256


def test_the_first_digits_of_a_hash_are_demanded(server, tmp_path):
    url = server.url + "/resnet18.pth"
    with pytest.raises(WeightsError, match=f"have the sha256 {SHA256}, but 01234567 was expected; they are not kept"):
        downloads.fetch_weights(url, "sha256:01234567", tmp_path / "weights")
    assert leftovers(tmp_path) == []
    assert downloads.fetch_weights(url, f"sha256:{SHA256[:8]}", tmp_path / "weights").sha256 == SHA256


def test_weights_of_torchvision_have_the_digits_in_their_name():
    for name in ("torchvision:resnet18", "torchvision:ResNet18_Weights.IMAGENET1K_V1"):
        file = downloads.remote(name)
        assert file.url == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
        assert file.checksum == "sha256:f37072fd"
    assert downloads.remote("timm:resnet18.tv_in1k").hub == ("timm/resnet18.tv_in1k", "model.safetensors")


def test_another_file_under_the_same_url_is_refused(server, tmp_path, monkeypatch):
    url = server.url + "/w.pth"
    first = weights.locate(CARD, url, tmp_path)
    first.path.unlink()
    monkeypatch.setattr(sys.modules[__name__], "BODY", BODY[::-1])
    with pytest.raises(WeightsError, match=f"but {SHA256} was expected") as caught:
        weights.locate(CARD, url, tmp_path)
    assert "if they were replaced on purpose, delete" in caught.value.hint


def test_a_missing_url_is_refused(server, tmp_path):
    with pytest.raises(WeightsError, match=r"Cannot fetch.*There is no .*404"):
        weights.locate(CARD, server.url + "/missing.pth", tmp_path)


def test_without_a_connection_the_file_is_put_where_the_message_says(tmp_path):
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights http://127\.0\.0\.1:9/w\.pth") as caught:
        weights.locate(CARD, "http://127.0.0.1:9/w.pth", tmp_path)
    place = Path(re.search(r"put it at (\S+),", caught.value.hint)[1])
    assert place.parent == tmp_path / "weights"
    place.write_bytes(BODY)
    assert weights.locate(CARD, "http://127.0.0.1:9/w.pth", tmp_path).path == place


FETCH = """
import sys
from pathlib import Path
from baselines import MODELS
from baselines.weights import locate
from bench.core.errors import SpecError, StoreError, WeightsError
from bench.core.files import temporary_name
try:
    print(locate(MODELS.card(sys.argv[1]), sys.argv[2], Path(sys.argv[3])).sha256)
except WeightsError as error:
    sys.exit(f"{error.message} | {error.hint}")
"""


def fetching(cache, model, pretrain, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, model, pretrain, str(cache)],
        env={**os.environ, "HF_HUB_DISABLE_XET": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_fetch_one_file(server, tmp_path):
    url = server.url + "/w.pth"
    both = [fetching(tmp_path, "cnn6", url) for _ in range(2)]
    results = [process.communicate(timeout=100) for process in both]
    assert [out.strip() for out, _ in results] == [SHA256] * 2, results
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "pretrain", "file", "cuts"),
    [
        ("resnet18", "imagenet", "/timm/resnet18.tv_in1k/resolve/main/model.safetensors", 1),
        ("ast", "imagenet+audioset", "/MIT/ast-finetuned-audioset-10-10-0.4593/resolve/main/model.safetensors", 0),
        ("timm:resnet18", "imagenet", "/timm/resnet18.a1_in1k/resolve/main/model.safetensors", 0),
    ],
)
def test_hub_files_are_fetched_also_when_they_are_cut_short(server, tmp_path, model, pretrain, file, cuts):
    server.cuts = cuts
    process = fetching(tmp_path, model, pretrain, HF_ENDPOINT=server.url)
    out, err = process.communicate(timeout=100)
    assert out.strip() == SHA256, err
    assert [(command, path) for command, path, _ in server.requests].count(("GET", file)) == 1 + cuts


def test_a_hub_file_with_another_hash_than_the_hub_says_is_refused(server, tmp_path):
    server.etag = "0" * 64
    process = fetching(tmp_path, "resnet18", "imagenet", HF_ENDPOINT=server.url)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1, out
    assert f"have the sha256 {SHA256}, but {'0' * 64} was expected; they are not kept" in err
    assert leftovers(tmp_path) == []


def test_a_hub_that_cannot_be_reached_says_what_to_put_where(tmp_path):
    process = fetching(tmp_path, "ast-tiny", "imagenet", HF_HUB_OFFLINE="1")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1, out
    page = "https://huggingface.co/timm/deit_tiny_distilled_patch16_224.fb_in1k/resolve/main/model.safetensors"
    assert f"Cannot fetch the weights {page}" in err
    assert "--pretrain FILE" in err
    assert "Traceback" not in err
    place = Path(re.search(r"put it at (\S+),", err)[1])
    assert place == tmp_path / "weights" / "timm--deit_tiny_distilled_patch16_224.fb_in1k--model.safetensors"
    place.write_bytes(BODY)
    assert weights.locate(MODELS.card("ast-tiny"), "imagenet", tmp_path) == LocatedWeights(place, SHA256)


def hugging_face_state(ast_state, title="Hugging Face AST", places=1212):
    layout = next(each for each in hugging_face.LAYOUTS if each.title == title)
    state = {}
    for name, tensor in ast_state.items():
        sources = layout.sources(name)
        state |= dict(zip(sources, tensor.chunk(max(len(sources), 1)), strict=False))
    positions = next(name for name in state if name.endswith("position_embeddings"))
    state[positions] = torch.rand(1, 2 + places, 32)
    return {name: tensor.clone() for name, tensor in state.items()}


CONFIG = {
    "architectures": ["ASTForAudioClassification"],
    "model_type": "audio-spectrogram-transformer",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "hidden_act": "gelu",
    "patch_size": 16,
    "qkv_bias": True,
    "frequency_stride": 10,
    "time_stride": 10,
    "max_length": 1024,
    "num_mel_bins": 128,
}


def checkpoint_folder(folder, state, config, binary=False):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if binary:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors")
    return str(folder)


def test_a_hugging_face_part_of_another_shape_is_named(ast_state, tmp_path):
    state, path = hugging_face_state(ast_state), tmp_path / "model.safetensors"
    save_file(state, path)
    model = baselines.create("ast-tiny", pretrain=str(path), **SMALL)
    assert torch.equal(model.trunk.blocks[0].attn.qkv.weight, ast_state["trunk.blocks.0.attn.qkv.weight"])
    key = "audio_spectrogram_transformer.encoder.layer.1.attention.attention.key.weight"
    save_file(state | {key: torch.zeros(32, 31)}, path)
    with pytest.raises(WeightsError, match=r"layer\.1\.attention\.attention\.key\.weight' has the shape \(32, 31\)"):
        baselines.create("ast-tiny", pretrain=str(path), **SMALL)
    save_file({name: tensor for name, tensor in state.items() if name != key}, path)
    with pytest.raises(WeightsError, match=r"layer\.1\.attention\.attention\.key\.weight' is missing"):
        baselines.create("ast-tiny", pretrain=str(path), **SMALL)


@pytest.mark.parametrize("title", ["Hugging Face AST", "Hugging Face AST without classifier"])
@pytest.mark.parametrize("binary", [False, True])
def test_a_hugging_face_folder_brings_its_own_position_grid(ast_state, tmp_path, title, binary):
    # 64 mel bins by 256 frames at stride 8: 7 x 31 places, which AudioSet's 12 rows would not divide.
    config = {**CONFIG, "num_mel_bins": 64, "max_length": 256, "frequency_stride": 8, "time_stride": 8}
    state = hugging_face_state(ast_state, title, places=7 * 31)
    folder = checkpoint_folder(tmp_path / "checkpoint", state, config, binary)
    model = baselines.create("ast-tiny", pretrain=folder, pos_embed="corrected", **SMALL | {"mels": 64})
    assert model.patch_grid == (4, 24)
    positions = next(tensor for name, tensor in state.items() if name.endswith("position_embeddings"))
    picture = positions[:, 2:].reshape(1, 7, 31, 32)
    assert torch.equal(model.trunk.pos_embed[:, 2:].reshape(1, 4, 24, 32), picture[:, 1:5, 3:27])
    assert torch.equal(model.trunk.blocks[1].attn.qkv.bias, ast_state["trunk.blocks.1.attn.qkv.bias"])


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (
            {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 6},
            r"hidden_size 48 \(the model has 32\), num_hidden_layers 6 \(the model has 2\)",
            "--set model.embed_dim=48 --set model.depth=6",
        ),
        ({"num_attention_heads": 4}, "num_attention_heads 4", "--set model.heads=4"),
        ({"patch_size": 8}, "patch_size 8", "--set model.patch_size=8"),
        ({"model_type": "vit"}, "model_type vit", "published form"),
        ({"hidden_act": "relu"}, "hidden_act relu", "published form"),
        ({"intermediate_size": 64}, "intermediate_size 64, but the model can only have 128", "published form"),
        ({"max_length": 512}, r"12 x 50 patches .* positions for 1212", "one checkpoint"),
        ({"time_stride": 0}, r"12 x 1009 patches", "one checkpoint"),
        ({"hidden_size": "32"}, "hidden_size is '32'", "Fetch it again"),
    ],
)
def test_a_config_that_does_not_fit_names_the_fields_and_the_options(ast_state, tmp_path, change, message, hint):
    folder = checkpoint_folder(tmp_path / "checkpoint", hugging_face_state(ast_state), {**CONFIG, **change})
    with pytest.raises(WeightsError, match=rf"config\.json.*{message}") as caught:
        baselines.create("ast-tiny", pretrain=folder, **SMALL)
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["{cut", "[]", b"\xff".decode("latin-1")])
def test_a_config_that_is_none_is_refused(ast_state, tmp_path, text):
    folder = checkpoint_folder(tmp_path / "checkpoint", hugging_face_state(ast_state), text)
    with pytest.raises(WeightsError, match=r"config\.json"):
        baselines.create("ast-tiny", pretrain=folder, **SMALL)


def test_a_config_of_another_library_is_not_read(ast_state, tmp_path):
    folder = checkpoint_folder(tmp_path / "timm", prefixed(ast_state, "trunk.", ""), {"architecture": "deit"})
    state = prefixed(ast_state, "trunk.", "") | {"pos_embed": torch.rand(1, 2 + 14 * 14, 32)}
    save_file(state, Path(folder) / "model.safetensors")
    model = baselines.create("ast-tiny", pretrain=folder, **SMALL)
    assert torch.equal(model.trunk.norm.bias, ast_state["trunk.norm.bias"])
