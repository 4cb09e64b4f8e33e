"""Audio encoders of transformers: small random checkpoints in the published layouts, and what is said of others."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import hub_server
import numpy as np
import pytest
import torch
from encoder_checkpoints import save_checkpoint, write_shards
from safetensors.torch import load_file

import baselines
from baselines import MODELS, weights
from baselines.hugging_face.card import KINDS
from bench.core.errors import RegistryError, SpecError, WeightsError
from bench.core.inputs import map_inputs
from bench.data.frontends.chosen import choose_front_end
from bench.data.units import UnitWaves
from bench.engine.preflight import check_model
from bench.experiment.recipes import Request, choose_source, resolve

LENGTHS = (0.3, 0.77, 0.95)
"""Seconds of cycles; none is as long as the encoders' second."""


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = save_checkpoint(kind, tmp_path_factory.mktemp("checkpoints") / kind)
        return made[kind]

    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a folder needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def front_end_of(card, **changed):
    """The front-end that a checkpoint's card asks for."""
    asked = {name.removeprefix("frontend."): value for name, value in card.recipes["paper"].items() if "." in name}
    return choose_front_end(card.frontend, {**asked, **changed}).build()


def cycles(rate, lengths=LENGTHS):
    rng = np.random.default_rng(0)
    return [(0.3 * rng.standard_normal(int(seconds * rate))).astype(np.float32) for seconds in lengths]


def units(waves):
    return UnitWaves.of([torch.from_numpy(wave) for wave in waves])


def as_a_model_takes_it(made):
    return map_inputs(lambda x: x[:, None] if x.ndim == 3 else x, made)


def extracted(folder, card, waves, rate):
    """What transformers' own feature extractor makes of the cycles."""
    from transformers import AutoFeatureExtractor

    words = {"padding": "max_length", "max_length": rate} if card.frontend == "waveform" else {}
    return AutoFeatureExtractor.from_pretrained(folder)(waves, sampling_rate=rate, return_tensors="pt", **words)


@torch.no_grad()
def their_features(kind, folder, inputs):
    """What the features are by transformers' own model: its pooler, or the mean over what is no padding."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    if kind == "clap":
        longer = torch.zeros(len(inputs["input_features"]), 1, dtype=torch.bool)
        return model.audio_model(inputs["input_features"].float(), is_longer=longer).pooler_output
    if kind == "audio-spectrogram-transformer":
        return model(inputs["input_values"]).pooler_output
    if kind == "whisper":
        return model.encoder(inputs["input_features"]).last_hidden_state.mean(1)
    mask = inputs.get("attention_mask")
    found = model(inputs["input_values"], attention_mask=mask).last_hidden_state
    if mask is None:
        return found.mean(1)
    return torch.stack([row[: kept(int(size))].mean(0) for row, size in zip(found, mask.sum(1), strict=True)])


def kept(samples):
    """Stretches of time that the small convolutions make of so many samples."""
    for kernel, stride in ((10, 8), (8, 8), (4, 4)):
        samples = (samples - kernel) // stride + 1
    return samples


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"beats"}))
def test_features_and_outputs_equal_transformers_own(kind, folder_of, no_network):
    folder = folder_of(kind)
    card = MODELS.card(f"hf:{folder}")
    assert card.id == f"hf:{kind}"
    # Transformers fill up with zeros; CLAP's extractor repeats, and its card asks for that.
    frontend = front_end_of(
        card, **({} if kind == "clap" else {"fit": "pad"}), **({"seconds": 1.0} if card.frontend == "waveform" else {})
    )
    waves = cycles(frontend.sample_rate)
    made, inputs = frontend.picture(units(waves)), extracted(folder, card, waves, frontend.sample_rate)
    own, theirs = made["wave"] if isinstance(made, dict) else made, next(iter(inputs.values()))
    if kind == "clap":
        assert (theirs[:, 1:] == theirs[:, :1]).all(), "no cycle is longer than the encoder's: four equal pictures"
        theirs = theirs[:, 0]
    if kind == "whisper":
        theirs = theirs.transpose(1, 2)
    torch.testing.assert_close(own, theirs.float(), atol=1e-4, rtol=0)
    if isinstance(made, dict):
        assert made["length"][:, 0].tolist() == inputs["attention_mask"].sum(1).tolist()
    model = baselines.create(f"hf:{folder}", pretrain=str(folder)).eval()
    with torch.no_grad():
        found = model.features(as_a_model_takes_it(made))
    assert found.shape == (3, model.feature_dim)
    assert (found[0] - found[1]).abs().max() > 1e-3, "features tell cycles apart"
    torch.testing.assert_close(found, their_features(kind, folder, inputs), atol=1e-5, rtol=1e-4)


def test_a_short_cycle_is_repeated_filled_up_or_cut():
    waves = [np.arange(1, 4, dtype=np.float32), np.arange(1, 13, dtype=np.float32)]
    known = {"seconds": 0.1, "rate": 1000, "normalise": False}
    made = {
        fit: choose_front_end("waveform", {**known, "seconds": 0.1, "fit": fit}).build().picture(units(waves))
        for fit in ("repeat", "repeatpad", "pad")
    }
    assert made["repeat"].shape == (2, 100)
    assert made["repeat"][0, :7].tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert made["repeatpad"][0, 96:].tolist() == [1, 2, 3, 0]
    assert made["pad"][0, :5].tolist() == [1, 2, 3, 0, 0]
    long = choose_front_end("waveform", known).build().picture(units([np.ones(300, np.float32)]))
    assert long.shape == (1, 100)


def test_a_cycle_is_brought_to_the_encoders_rate():
    frontend = choose_front_end("stft-mel", {"rate": 48_000, "seconds": 1.0}).build()
    wave = torch.sin(2 * torch.pi * 440 * torch.arange(8000) / 8000)
    found = frontend.fit(wave, 8000, [(0.0, 0.5), (0.5, 1.0)])
    assert [cycle.numel() for cycle in found] == [24_000, 24_000]
    crossings = int(((found[0][:-1] < 0) & (found[0][1:] >= 0)).sum())
    assert abs(crossings - 220) <= 1


@pytest.mark.parametrize(("pooling", "places"), [("class", slice(0, 1)), ("mean", slice(2, None))])
def test_ast_pools_what_is_asked_for_of_the_layer_that_is_asked_for(pooling, places, folder_of):
    from transformers import ASTModel

    folder = folder_of("audio-spectrogram-transformer")
    x = torch.randn(2, 1, 96, 32, generator=torch.Generator().manual_seed(0))
    model = baselines.create(f"hf:{folder}", pretrain=str(folder), pooling=pooling, layer=1).eval()
    with torch.no_grad():
        found = model.features(x)
        hidden = ASTModel.from_pretrained(folder).eval()(x[:, 0], output_hidden_states=True).hidden_states
    torch.testing.assert_close(found, hidden[1][:, places].mean(1))


def test_the_card_says_what_the_checkpoint_is(folder_of):
    folder = folder_of("clap")
    card = MODELS.card(f"hf:{folder}")
    model = baselines.create(f"hf:{folder}")
    assert card.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert card.frontend == "stft-mel"
    assert card.default_pretrain == str(folder)
    assert "8,000 Hz" in card.summary
    assert "16 features" in card.summary
    assert card.recipes["demo"]["frontend.hop"] == 80
    # Alone, the kind is built from what the run's spec holds.
    config = card.options().config
    assert json.loads(config)["spec_size"] == 32
    alone = baselines.create("hf:clap", config=config)
    assert alone.state_dict().keys() == model.state_dict().keys()


def test_an_untrained_encoder_is_drawn_by_the_seed(folder_of):
    folder = folder_of("wav2vec2")
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(baselines.create(f"hf:{folder}").state_dict()["trunk.encoder.layers.0.attention.q_proj.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_no_layer_is_drawn_by_the_host(folder_of):
    """SpecAugment and dropped layers of wav2vec2 would be drawn outside the run's seed."""
    folder = folder_of("wav2vec2")
    model = baselines.create(f"hf:{folder}")
    assert model.trunk.config.apply_spec_augment is False
    assert model.trunk.config.layerdrop == 0.0


@pytest.mark.parametrize(
    ("file", "content", "message", "hint"),
    [
        ("config.json", None, "holds no config.json", "save_pretrained"),
        ("config.json", "{}", "says no model_type", "wav2vec2"),
        ("config.json", '{"model_type": "bert"}', "model type 'bert', which is no audio encoder", "hubert, wavlm"),
        ("config.json", "[1]", "holds no JSON object", "Fetch"),
        ("preprocessor_config.json", None, "holds no preprocessor_config.json", "feature extractor"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_what_it_lacks(file, content, message, hint, folder_of, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folder_of("wav2vec2"), folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(RegistryError, match=message) as caught:
        MODELS.card(f"hf:{folder}")
    assert hint in caught.value.hint


def test_the_processors_file_of_transformers_5_is_read(folder_of, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folder_of("wav2vec2"), folder)
    extractor = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(
        json.dumps({"feature_extractor": {**extractor, "do_normalize": False}})
    )
    assert MODELS.card(f"hf:{folder}").recipes["paper"]["frontend.normalise"] is False


@pytest.mark.parametrize("name", ["nowhere", "", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_repository_is_refused(name):
    with pytest.raises(RegistryError, match="neither a folder nor OWNER/NAME") as caught:
        MODELS.card(f"hf:{name}")
    assert (
        "audio-spectrogram-transformer, clap, wav2vec2, hubert, wavlm, data2vec-audio, beats, whisper"
        in caught.value.hint
    )


def test_weights_of_another_kind_are_refused(folder_of):
    hubert, clap = folder_of("hubert"), folder_of("clap")
    with pytest.raises(WeightsError, match="does not fit HuBERT: it lacks '"):
        baselines.create(f"hf:{hubert}", pretrain=str(clap))


def test_a_layer_that_is_not_there_is_refused(folder_of):
    with pytest.raises(SpecError, match=r"model\.layer is 3, but the encoder has 2 layers"):
        baselines.create(f"hf:{folder_of('hubert')}", layer=3)


def test_a_configuration_that_is_none_is_refused():
    with pytest.raises(SpecError, match="is no configuration of HuBERT"):
        baselines.create("hf:hubert", config="[")


def test_without_transformers_the_command_that_installs_it_is_named(folder_of, monkeypatch):
    folder = folder_of("wav2vec2")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RegistryError, match="need transformers") as caught:
        baselines.create(f"hf:{folder}")
    assert "pip install 'lungbench[transformers]'" in caught.value.hint


@contextlib.contextmanager
def hub_of(repository, folder, requests):
    """A server that speaks the hub's routes for the files of one repository."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            requests.append((self.command, self.path))
            file = folder / self.path.rpartition("/")[2]
            is_there = self.path.startswith(f"/{repository}/resolve/main/") and file.is_file()
            content = file.read_bytes() if is_there else b""
            self.send_response(200 if is_there else 404)
            if is_there:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "c" * 40)
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_given):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


LOOK_UP = """
import sys
from baselines.hugging_face.checkpoint import find_checkpoint
from bench.core.errors import BenchError
for name in sys.argv[1:]:
    try:
        found = find_checkpoint(name)
        weights = found.weights[found.pretrain]
        print(found.kind.id, found.extractor["sampling_rate"], weights.location, weights.licence)
    except BenchError as error:
        print(error.message, error.hint)
assert "torch" not in sys.modules
"""


def looked_up(*names, cache, **environment):
    """What a process of its own, whose hub is another, finds of checkpoints: a line for each."""
    words = {"HF_HUB_DISABLE_XET": "1", "BENCH_CACHE": str(cache), **environment}
    command = [sys.executable, "-c", LOOK_UP, *names]
    done = subprocess.run(
        command, env={**os.environ, **words}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_repository_of_the_hub_is_looked_up_once(folder_of, tmp_path):
    folder, cache, requests = tmp_path / "copy", tmp_path / "cache", []
    shutil.copytree(folder_of("hubert"), folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    told = "hubert 16000 hf:somebody/hubert-small/model.safetensors apache-2.0"
    with hub_of("somebody/hubert-small", folder, requests) as url:
        found, missing = looked_up("somebody/hubert-small", "somebody/nothing", cache=cache, HF_ENDPOINT=url)
    assert found == told
    assert "hf:somebody/nothing holds no config.json" in missing
    assert not any(path.endswith(".safetensors") and command == "GET" for command, path in requests)
    # As a start leaves them in the cache.
    (snapshot,) = (cache / "weights" / "hub").glob("models--somebody--hubert-small/snapshots/*")
    shutil.copy(folder / "model.safetensors", snapshot)
    found, missing = looked_up("somebody/hubert-small", "somebody/other", cache=cache, HF_HUB_OFFLINE="1")
    assert found == told
    assert "Cannot ask the hub for somebody/other" in missing
    assert "name its folder: hf:FOLDER" in missing


def test_the_page_tells_of_every_kind():
    page = (Path(__file__).parents[2] / "docs" / "foundation-encoders.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\S+)` \| .+? \| `(\S+)`", page, re.MULTILINE))
    assert rows == {kind.id: kind.frontend for kind in KINDS.values()}


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_whisper_takes_clips_of_its_checkpoints_length_alone(folder_of, small_data, tmp_path, seconds):
    """The checkpoint's is 1 s in place of the published 30 s."""
    request = Request(
        model=f"hf:{folder_of('whisper')}",
        method="ce",
        data=str(small_data),
        cache=tmp_path,
        settings=(f"frontend.seconds={seconds}",),
        device="cpu",
        pretrain="none",
    )
    spec = resolve(request, choose_source(request), [1])[0]
    if seconds == 1.0:
        check_model(spec)
        return
    with pytest.raises(
        SpecError, match=r"does not take spectrograms of 300 by 16: .* length 100, but found 300"
    ) as caught:
        check_model(spec)
    assert ".." not in caught.value.message
    assert "--set frontend.seconds" in caught.value.hint


@pytest.fixture(scope="module")
def hub():
    with hub_server.running() as made:
        yield made


@pytest.fixture
def in_shards(folder_of, tmp_path):
    """A checkpoint in two shards: its folder, without the whole file."""

    def made(kind):
        folder = tmp_path / "shards"
        shutil.copytree(folder_of("hubert"), folder)
        state = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        write_shards(folder, state, kind)
        return folder

    return made


def features_by(name, **words):
    torch.manual_seed(0)
    model = baselines.create(f"hf:{name}", **words).eval()
    return model.features(torch.linspace(-1, 1, 4000)[None])


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_checkpoint_in_shards_is_the_same_encoder(folder_of, in_shards, hub, kind, tmp_path, monkeypatch):
    whole = folder_of("hubert")
    wanted = features_by(whole, pretrain=str(whole))
    folder = in_shards(kind)
    assert torch.equal(features_by(folder, pretrain=str(folder)), wanted)
    repository, cache = f"lab/shards-{kind}", tmp_path / "cache"
    made = hub.make("model", repository, {path.name: path.read_bytes() for path in folder.iterdir()})
    hub_server.use(hub, monkeypatch)
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    card = MODELS.card(f"hf:{repository}")
    found = weights.locate(card, card.default_pretrain, cache)
    assert found.path.name.endswith(f"{kind}.index.json")
    assert found.sha256 == weights.locate(card, str(folder), cache).sha256
    assert torch.equal(features_by(repository, pretrain=str(found.path)), wanted)
    asked = len(hub.requests)
    assert weights.locate(card, card.default_pretrain, cache) == found
    assert hub.requests[asked:] == [], "what is there is not asked for"
    files = {name: content for name, content in made.files.items() if "00002-of" not in name}
    hub.make("model", f"{repository}-cut", files)
    with pytest.raises(WeightsError, match=r"The shard '.*-00002-of-00002\..*' that .* names is not there"):
        weights.locate(card, f"hf:{repository}-cut/{found.path.name}", cache)
    next(folder.glob("*00002-of*")).unlink()
    with pytest.raises(WeightsError, match="is not there") as caught:
        weights.locate(card, str(folder), cache)
    assert "with all shards" in caught.value.hint
