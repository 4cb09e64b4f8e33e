"""Weights: layouts of other code bases, refusals that name the tensor, downloads from a server and a hub."""

from __future__ import annotations

import argparse
import hashlib
import http.server
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import baselines
from baselines import MODELS, weights
from bench.cards import WeightsCard
from bench.errors import WeightsError

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

    if model_id == "resnet18":
        model = torchvision.models.resnet18()
        model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        model.fc = torch.nn.Identity()
    else:
        model = torchvision.models.efficientnet_b0()
        model.features[0][0] = torch.nn.Conv2d(1, 32, 3, 2, 1, bias=False)
        model.classifier = torch.nn.Identity()
    return model


@pytest.mark.parametrize("model_id", ["resnet18", "efficientnet-b0"])
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


@pytest.mark.parametrize("model_id", ["resnet18", "efficientnet-b0"])
def test_rgb_stem_is_drawn_anew_or_summed(model_id, tmp_path):
    fresh = baselines.create(model_id)
    state = prefixed(filled(fresh), "trunk.", "")
    stem = fresh.stem.removeprefix("trunk.")
    state[stem] = torch.rand(*state[stem].shape[:1], 3, *state[stem].shape[2:])
    state = {name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name}
    path = saved(state, tmp_path / "rgb.pth")
    torch.manual_seed(11)
    scratch = baselines.create(model_id).state_dict()[fresh.stem]
    torch.manual_seed(11)
    again = baselines.create(model_id, pretrain=path).state_dict()
    assert torch.equal(again[fresh.stem], scratch)
    assert torch.equal(again["trunk.bn1.running_var"], state["bn1.running_var"])
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
        (with_("module.v.pos_embed", torch.zeros(1, 1213, 32)), r"'v\.pos_embed'.*\(1, 1213, 32\).*12 rows"),
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


def test_a_hugging_face_part_of_another_shape_is_named(ast_state, tmp_path):
    from baselines.ast import LAYOUTS

    layout = next(each for each in LAYOUTS if each.title == "Hugging Face AST")
    state = {}
    for name, tensor in ast_state.items():
        sources = layout.sources(name)
        state |= dict(zip(sources, tensor.chunk(max(len(sources), 1)), strict=False))
    state["audio_spectrogram_transformer.embeddings.position_embeddings"] = torch.rand(1, 1214, 32)
    state = {name: tensor.clone() for name, tensor in state.items()}
    path = tmp_path / "model.safetensors"
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
        (".", "is a folder, not a file"),
        ("hf:owner/repository", "names no file on the hub"),
    ],
)
def test_weights_that_do_not_exist_are_refused(pretrain, message, tmp_path):
    with pytest.raises(WeightsError, match=message):
        weights.locate(MODELS.card("resnet18"), pretrain, tmp_path)


def test_a_file_is_used_where_it_is(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"abc")
    found = weights.locate(MODELS.card("cnn6"), str(path), tmp_path / "cache")
    assert found == weights.LocatedWeights(path, hashlib.sha256(b"abc").hexdigest())
    assert not (tmp_path / "cache").exists()
    assert weights.locate(MODELS.card("cnn6"), "none", tmp_path) is None


BODY = bytes(range(256)) * 4096


class Files(http.server.BaseHTTPRequestHandler):
    """Serves one body: whole, cut short, or not at all; and as the hub does, with its headers."""

    def do_HEAD(self):
        self.answer(send=False)

    def do_GET(self):
        self.answer(send=True)

    def answer(self, send):
        self.server.requests.append((self.command, self.path))
        if "missing" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("ETag", f'"{hashlib.sha256(BODY).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if send:
            self.wfile.write(BODY[: len(BODY) // 2] if self.server.cut else BODY)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as running:
        running.requests, running.cut = [], False
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def leftovers(cache):
    return [path for path in (cache / "weights").rglob("*") if path.is_file() and path.stat().st_size > 100]


def test_a_url_is_fetched_once(server, tmp_path):
    card = MODELS.card("cnn6")
    url = server.url + "/files/Cnn6_mAP%3D0.343.pth?download=1"
    first = weights.locate(card, url, tmp_path)
    assert first.path.read_bytes() == BODY
    assert first.path.name.endswith("-Cnn6_mAP=0.343.pth")
    assert first.sha256 == hashlib.sha256(BODY).hexdigest()
    assert weights.locate(card, url, tmp_path) == first
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == [first.path]


def test_a_cached_file_that_changed_is_fetched_again(server, tmp_path):
    card, url = MODELS.card("cnn6"), server.url + "/w.pth"
    first = weights.locate(card, url, tmp_path)
    first.path.write_bytes(b"damaged")
    assert weights.locate(card, url, tmp_path).path.read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_download_that_is_cut_short_leaves_nothing(server, tmp_path):
    server.cut = True
    url = server.url + "/w.pth"
    with pytest.raises(WeightsError, match=f"Cannot fetch the weights {url}") as caught:
        weights.locate(MODELS.card("cnn6"), url, tmp_path)
    assert "--pretrain FILE" in caught.value.hint
    assert leftovers(tmp_path) == []
    server.cut = False
    assert weights.locate(MODELS.card("cnn6"), url, tmp_path).path.read_bytes() == BODY


def card_with(location, sha256):
    known = WeightsCard(title="t", source="s", licence="MIT", location=location, sha256=sha256)
    return replace(MODELS.card("cnn6"), weights={"audioset": known})


def test_a_wrong_hash_is_refused(server, tmp_path):
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights.*hash"):
        weights.locate(card_with(server.url + "/w.pth", "0" * 64), "audioset", tmp_path)
    assert leftovers(tmp_path) == []
    right = hashlib.sha256(BODY).hexdigest()
    assert weights.locate(card_with(server.url + "/w.pth", right), "audioset", tmp_path).sha256 == right


def test_another_file_under_the_same_url_is_refused(server, tmp_path, monkeypatch):
    url = server.url + "/w.pth"
    first = weights.locate(MODELS.card("cnn6"), url, tmp_path)
    first.path.unlink()
    monkeypatch.setattr(sys.modules[__name__], "BODY", BODY[::-1])
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights.*hash"):
        weights.locate(MODELS.card("cnn6"), url, tmp_path)


def test_a_missing_url_and_a_dead_server_are_refused(server, tmp_path):
    with pytest.raises(WeightsError, match=r"Cannot fetch.*404"):
        weights.locate(MODELS.card("cnn6"), server.url + "/missing.pth", tmp_path)
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights http://127\.0\.0\.1:9/w\.pth"):
        weights.locate(MODELS.card("cnn6"), "http://127.0.0.1:9/w.pth", tmp_path)


FETCH = """
import sys
from pathlib import Path
from baselines import MODELS
from baselines.weights import locate
from bench.errors import WeightsError
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
    expected = hashlib.sha256(BODY).hexdigest()
    assert [out.strip() for out, _ in results] == [expected] * 2, results
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "pretrain", "file"),
    [
        ("resnet18", "imagenet", "/timm/resnet18.tv_in1k/resolve/main/model.safetensors"),
        ("ast", "imagenet+audioset", "/MIT/ast-finetuned-audioset-10-10-0.4593/resolve/main/model.safetensors"),
    ],
)
def test_hub_files_are_fetched(server, tmp_path, model, pretrain, file):
    process = fetching(tmp_path, model, pretrain, HF_ENDPOINT=server.url)
    out, err = process.communicate(timeout=100)
    assert out.strip() == hashlib.sha256(BODY).hexdigest(), err
    assert ("GET", file) in server.requests


def test_a_hub_that_cannot_be_reached_is_refused(tmp_path):
    process = fetching(tmp_path, "ast-tiny", "imagenet", HF_HUB_OFFLINE="1")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1, out
    assert "Cannot fetch the weights timm/deit_tiny_distilled_patch16_224.fb_in1k/model.safetensors" in err
    assert "--pretrain FILE" in err
    assert "Traceback" not in err
