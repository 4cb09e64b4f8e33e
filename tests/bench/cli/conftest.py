"""Fixtures of the commands that speak to a Hugging Face Hub of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hub_server
import pytest
from hub_server import READS, SIGNATURE, WRITES, Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that this process speaks to; whatever a test does, no secret of it may stay on the disk."""
    with hub_server.running() as hub:
        hub_server.use(hub, monkeypatch)
        monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("COLUMNS", "200")
        yield hub
    for path in tmp_path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [word for word in (WRITES, READS, SIGNATURE) if word.encode() in content], path


@pytest.fixture
def told(bench: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command line whose output holds no token and no signature."""

    def called(*words: Any, code: int = 0) -> Any:
        done = bench(*words, code=code)
        assert not [word for word in (WRITES, READS, SIGNATURE) if word in done.out + done.err]
        return done

    return called
