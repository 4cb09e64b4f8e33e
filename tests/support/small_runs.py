"""Runs of the Python API on the small set: a second or so each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "embed_dim": 16,
    "depth": 1,
    "heads": 2,
    "frontend.seconds": 1.0,
    "batch": 8,
    "specaug_probability": 0.0,
}


def small_run(data: Path, cache: Path, home: Path, *, epochs: int = 1, **options: Any) -> Any:
    """``bench.run`` of a small AST with Patch-Mix CL."""
    import bench

    words = {"data": data, "cache": cache, "home": home, "settings": SETTINGS, "device": "cpu", **options}
    return bench.run("ast", "patchmix-cl", epochs=epochs, **words)
