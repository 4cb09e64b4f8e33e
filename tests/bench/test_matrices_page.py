"""docs/matrices.md: its file is planned and run as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "matrices.md").read_text(encoding="utf-8")
NAME, TEXT = re.search(r"<!-- file: (\S+) -->\n```toml\n(.*?)```", PAGE, re.DOTALL).groups()
COMMANDS = re.findall(r"^bench (matrix [^#\n]*)", PAGE, re.MULTILINE)


@pytest.mark.slow
def test_the_file_of_the_page_runs_by_the_commands_of_the_page(bench, tmp_path, small_data, small_cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "results"))
    (tmp_path / NAME).write_text(TEXT, encoding="utf-8")
    small = {"demo": str(small_data)}
    dry, run, status, listed, cancel = ([small.get(word, word) for word in line.split()] for line in COMMANDS)
    where = ["--cache", small_cache, "--device", "cpu"]
    planned = json.loads(bench(*dry, *where, "--format", "json").out)
    assert (len(planned["runs"]), planned["total"]["missing"]) == (4, 4)
    assert not (tmp_path / "results").exists()
    bench(*run, *where)
    assert json.loads(bench(*status, "--format", "json").out)["counts"]["done"] == 4
    assert "small" in bench(*listed).out
    assert "No process is at the matrix 'small'." in bench(*cancel).out
