"""``docs/composites.md``: its files and commands are taken from there and run."""

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "composites.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```toml\n(.*?)```", PAGE, re.DOTALL))
LINES = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()
RUNS = [words[1:] for line in LINES if (words := shlex.split(line, comments=True))[:2] == ["bench", "run"]]
ENSEMBLE = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "bench.ensemble(" in block)


@pytest.fixture
def folder(tmp_path, small_cache, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_files_and_runs():
    assert set(FILES) == {"cnn6-and-ast.toml", "per-device.toml"}
    assert len(RUNS) == 4


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_its_runs_resolve(folder, bench, small_data, words):
    given = [str(small_data) if word == "demo" else word for word in words]
    # The small set has fewer cycles than a batch of the recipe.
    document = json.loads(bench(*given, "--set", "batch=4", "--dry-run", "--format", "json").out)
    if isinstance(document, list):
        assert [one["identity"]["seed"] for one in document] == [1, 2, 3, 4, 5]
        return
    assert document["combine"] == "route:device"
    assert [part.get("device") for part in document["parts"]] == ["Meditron", None]
    epochs = [part["identity"]["epochs"] for part in document["parts"]]
    assert (epochs[0] == 5) == ("meditron.epochs=5" in words)


@pytest.mark.slow
def test_its_ensemble_is_made(folder, capsys):
    names = {}
    exec(compile(ENSEMBLE, "docs/composites.md", "exec"), names)
    assert re.fullmatch(r"[0-9.]+", capsys.readouterr().out.strip())
    assert len(names["runs"]) == 2
