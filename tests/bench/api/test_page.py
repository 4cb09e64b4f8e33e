"""``docs/python.md``: its code is taken from there and run, block after block, as a reader would."""

import re
from pathlib import Path

import pytest

import bench

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, small_cache, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    names = {}
    said = []
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
        said.append(capsys.readouterr().out)
    assert all(said)
    assert "Unknown method 'patchmix': did you mean 'patchmix-cl'?" in said[1]
    assert "What was given lacks 1 test cycle" in "".join(said)
    assert names["run"].status == "finished"
    assert names["study"].well
    assert [row["reproduced"] is None for row in names["table"]["rows"]].count(False) == 1
    assert len(names["board"].runs()) >= 5


def test_every_function_has_an_example():
    functions = [name for name in bench.__all__ if name[0].islower()]
    for name in functions:
        assert any(f"bench.{name}(" in block for block in BLOCKS), name


def test_it_is_linked():
    assert "docs/python.md" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
