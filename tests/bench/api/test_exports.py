"""``bench export``: a trained run as files, the examples of docs/export.md, and what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from board_runs import write_run
from safetensors import safe_open
from small_runs import small_run

import bench as library
from baselines import MODELS
from bench.api.exports import export
from bench.core.errors import RunError, SpecError, StoreError
from bench.data.frontends import FRONTENDS
from bench.engine.export import parity, writing

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- loads: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
ENDINGS = {"onnx": "onnx", "torch": "pt2", "safetensors": "safetensors"}


@pytest.fixture(scope="module")
def run(small_data, small_cache, tmp_path_factory):
    return small_run(small_data, small_cache, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("kind", ENDINGS)
def test_the_page_loads_what_is_written(run, small_cache, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = library.export(run, kind, out=f"ast.{ENDINGS[kind]}", cache=small_cache)
    told = made.to_json()
    assert told["run_id"] == run.id
    assert told["parity"]["batches"] == [1, 3]
    assert told["parity"]["checked_on"] == "3 test recordings of demo"
    assert told["frontend_included"] is (kind != "safetensors")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        scope: dict = {}
        exec(compile(EXAMPLES[kind], f"docs/export.md ({kind})", "exec"), scope)
    assert scope["about"] == {name: value for name, value in told.items() if name != "path"}
    assert shown.getvalue()
    assert [file.name for file in tmp_path.iterdir()] == [f"ast.{ENDINGS[kind]}"]


def test_the_card_in_a_file_says_what_the_file_takes(run, small_cache, tmp_path):
    export(run, "safetensors", out=tmp_path / "w.safetensors", cache=small_cache)
    with safe_open(tmp_path / "w.safetensors", framework="np") as file:
        card = file.metadata()["model_card.md"]
    assert "## This file" in card
    assert "not part of it: the file holds weights alone" in card
    assert "## How to use it" not in card


def test_the_command_prints_a_document_or_the_card(run, small_cache, bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("--home", run.folder.parents[1], "--cache", small_cache)
    printed = bench("export", f"{run.id[:6]}:best-test", "--format", "safetensors", "--json", *words)
    document = json.loads(printed.out)
    assert document["path"] == f"{run.id}-best-test.safetensors"
    assert document["rule"] == "best-test"
    assert "greatest difference of a probability" in printed.err
    assert "no JSON document" in bench("export", run.folder, "--format", "card", "--json", *words, code=2).err
    assert bench("export", run.folder, "--format", "card", *words[:2]).out.startswith("---\nlibrary_name: lungbench")


def test_a_file_that_is_not_the_run_is_not_written(run, small_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "LIMIT", 0.0)
    out = tmp_path / "w.safetensors"
    out.write_text("what was there")
    with pytest.raises(RunError, match="differs by") as caught:
        export(run, "safetensors", out=out, cache=small_cache)
    assert caught.value.exit_code == 1
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]
    assert out.read_text() == "what was there"


def test_a_place_that_cannot_be_written_is_told_before_the_work(run, small_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "examples_for", None)
    with pytest.raises(StoreError, match="is a folder, and nothing is written to it"):
        export(run, "torch", out=tmp_path, cache=small_cache)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Cannot write"):
        export(run, "torch", out=tmp_path / "file" / "made.pt2", cache=small_cache)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tflite", {}), "Unknown format 'tflite'"),
        (("onnx", {"opset": 12}), "--opset is 12, but must be 18 to 23"),
        (("torch", {"opset": 19}), "--opset is of onnx, not of torch"),
        (("safetensors", {"frontend": False}), "Weights alone have no front-end"),
    ],
)
def test_words_that_are_refused(run, words, message):
    file_format, options = words
    with pytest.raises(SpecError, match=message):
        export(run, file_format, **options)


def test_what_is_combined_is_refused(tmp_path):
    parts = [write_run(tmp_path, seed=seed) for seed in (1, 2)]
    both = library.ensemble([str(part) for part in parts], home=tmp_path)
    for word in (both.id, both):
        with pytest.raises(SpecError, match="is the ensemble of several runs") as caught:
            export(word, "torch", home=tmp_path)
        assert parts[0].name in caught.value.hint


def test_the_table_of_the_page_has_every_model_and_front_end():
    table = PAGE.partition("## What can be exported")[2]
    for entry in (*MODELS, *FRONTENDS):
        assert f"`{entry.card.id}`" in table, entry.card.id
