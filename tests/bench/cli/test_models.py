"""``bench models``: the list, the cards, and what the models cost."""

from __future__ import annotations

import json
import re
import signal
import sys

import pytest

from baselines import MODELS
from bench.launch import measurement as measure
from bench.launch.measurement import MeasurementRequest, measure_apart


@pytest.fixture(autouse=True)
def home_of_its_own(tmp_path, monkeypatch):
    """What is measured is kept in the results folder."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "kept"))


def test_the_list_names_the_family_on_stderr(bench):
    captured = bench("models", "list", "--format", "json")
    assert [row["id"] for row in json.loads(captured.out)] == [entry.id for entry in MODELS]
    table = bench("models", "list")
    assert "resnest101" in table.out
    assert "timm:NAME" in table.err
    assert "timm:NAME" not in table.out


@pytest.mark.parametrize("model_id", [entry.id for entry in MODELS if entry.card.weights])
def test_a_card_shows_licence_source_and_hash_of_its_weights(bench, model_id):
    card = json.loads(bench("models", "show", model_id, "--format", "json").out)
    text = bench("models", "show", model_id).out
    assert card["weights"]
    for name, weights in card["weights"].items():
        assert set(weights) == {"title", "source", "licence", "location", "hash"}
        assert f"  {name}:\n" in text
        for field in ("licence", "source", "location", "hash"):
            assert f"    {field}: {weights[field]}\n" in text
    assert f"{card['gaps']}\n" in text


def test_a_hash_is_shown_where_somebody_published_it(bench):
    assert "hash: SHA-256 0dc499e40e97" in bench("models", "show", "cnn14").out
    assert "hash: MD5 bfb1f1f99689" in bench("models", "show", "cnn10").out
    assert "hash: recorded at the first download" in bench("models", "show", "resnet18").out


def test_a_card_of_timm_is_shown(bench):
    text = bench("models", "show", "timm:resnet10t").out
    assert re.search(r"^fidelity +original$", text, re.MULTILINE)
    assert "licence: apache-2.0\n" in text
    assert "did you mean 'resnet10t'" in bench("models", "show", "timm:resnet10", code=2).err.replace("resnet101", "")


def test_the_cost_of_two_models(bench):
    captured = bench("models", "bench", "resnet18", "cnn6", "--batch", "2", "--frames", "48", "--format", "json")
    document = json.loads(captured.out)
    assert document["hardware"]["cpu"]
    assert [row["model"] for row in document["rows"]] == ["resnet18", "cnn6"]
    for row in document["rows"]:
        assert row["error"] is None
        assert row["parameters"] == MODELS.card(row["model"]).parameters
        mels = 128 if row["model"] == "resnet18" else 64
        assert (row["batch"], row["frames"], row["mels"]) == (2, 48, mels)
        assert row["training"]["seconds_per_step"] > 0
        assert 0 < row["evaluation"]["seconds_per_cycle"] < row["training"]["seconds_per_step"]
        assert row["start_memory_mib"] < row["evaluation"]["peak_memory_mib"] < row["training"]["peak_memory_mib"]
    assert "resnet18 (1 of 2)" in captured.err


def test_operations_are_counted_by_hand_and_by_torch_alike():
    """CNN6: a convolution of k x k costs 2 k k inputs outputs for each place, the classifier 2 x 512 x 4."""
    frames, mels, flops = 48, 128, 2 * 512 * 4
    for inputs, outputs in ((1, 64), (64, 128), (128, 256), (256, 512)):
        flops += 2 * 25 * inputs * outputs * frames * mels
        frames, mels = frames // 2, mels // 2
    assert measure._flops(measure.MeasurementRequest(model="cnn6"), {}, (1, 48, 128)) == flops


def test_operations_of_attention_are_counted():
    frames, width, depth, tokens = 98, 192, 2, 12 * 9 + 2
    patches = 2 * (tokens - 2) * width * 16 * 16
    block = 2 * tokens * width * (3 + 1 + 8) * width + 4 * tokens * tokens * width
    # Of the last block only the two class tokens ask, are projected and pass the MLP.
    last = 2 * width * width * (2 + 2 * tokens + 2 + 2 * 8) + 4 * 2 * tokens * width
    counted = measure._flops(
        measure.MeasurementRequest(model="ast-tiny"), {"frames": frames, "depth": depth}, (1, frames, 128)
    )
    assert counted == patches + block + last + 2 * width * 4


def test_a_model_that_fails_is_a_row_with_its_reason(bench):
    captured = bench("models", "bench", "cnn6", "--frames", "4", "--batch", "1", code=1)
    assert re.search(r"^ cnn6 +- .*RuntimeError: Given input", captured.out, re.MULTILINE)


def test_a_process_that_is_killed_is_a_row_with_its_reason(tmp_path, monkeypatch):
    killed = tmp_path / "python"
    killed.write_text(f"#!/bin/sh\nkill -{signal.SIGKILL} $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    row = measure_apart(MeasurementRequest(model="cnn6"))
    assert row["error"] == "killed by signal 9; most often the memory ran out"
    assert row["model"] == "cnn6"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cnn66"], "did you mean 'cnn6'"),
        (["cnn6", "--batch", "0"], "batch is 0, but must be at least 1"),
        (["cnn6", "--frames", "-3"], "frames is -3"),
        (["cnn6", "--device", "tpu"], "Unknown device 'tpu'"),
        (["cnn6", "--format", "xml"], "Unknown format 'xml'"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_measured(bench, words, message):
    captured = bench("models", "bench", *words, code=2)
    assert message in captured.err
    assert "1 of" not in captured.err


def test_a_run_of_a_timm_backbone_follows_the_front_end(bench, small_data, small_cache, tmp_path):
    words = "run --model timm:vit_tiny_patch16_224 --method ce --epochs 1 --set seconds=1.0 --set batch=8".split()
    places = ["--data", small_data, "--cache", small_cache, "--home", tmp_path, "--format", "json"]
    document = json.loads(bench(*words, *places).out)
    assert document["spec"]["model"] == "timm:vit_tiny_patch16_224"
    assert document["spec"]["model_options"] == {"stem": "sum", "frames": 98, "mels": 128}
    assert document["metrics"]["last"]["4class"]["n"] == 12
