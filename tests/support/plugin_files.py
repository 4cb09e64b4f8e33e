"""Plug-ins as a contributor writes them, for tests: files, a package with entry points, and registries that forget."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import bench.experiment.plugins
from bench.experiment.registries import SYSTEMS, registries

METHOD = """
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.core.cards import MethodCard
from bench.core.options import option
from bench.core.registry import Registration


@dataclass(frozen=True, kw_only=True)
class Options:
    smoothing: float = option(0.1, "share of each label that all classes get alike", low=0.0, high=1.0)
    kind: str = option("even", "how it is shared", choices=("even", "prior"))


class Mine(nn.Module):
    def __init__(self, options, task):
        super().__init__()
        self.smoothing = options.smoothing
        {build}

    def draw(self, batch_size, rng):
        return None

    def forward(self, model, batch, draw):
        {forward}


mine = Registration(
    MethodCard(id="{id}", title="Mine", summary="A method for tests.", formula="L = CE", options=Options{card}), Mine
)
"""

GLOBAL_LOSS = (
    'return {"loss": cross_entropy(batch.gather(model(batch.features)), batch.labels, label_smoothing=self.smoothing)}'
)


FRONTEND = """
from dataclasses import dataclass

import torch

from bench.core.cards import FrontEndCard
from bench.core.options import option
from bench.core.registry import Registration


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: int = option(40, "frames of a cycle", low=1)

    @property
    def shape(self):
        return self.frames, 16


class Flat:
    def __init__(self, options):
        self.shape = options.shape

    def features(self, wave, rate, spans, *, name="the recording"):
        return torch.full((len(spans), *self.shape), LEVEL)


flat = Registration(FrontEndCard(id="flat", title="Flat", summary="A level.", options=Options, version=1), Flat)
"""


def method_text(
    id: str = "mine",  # noqa: A002
    *,
    build: str = "pass",
    forward: str = GLOBAL_LOSS,
    card: str = "",
) -> str:
    """A file with one method; by default a sound one."""
    fields = {"id": id, "build": build, "forward": forward, "card": card}
    text = METHOD
    for name, value in fields.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def write_plugin(path: Path, text: str | None = None) -> Path:
    """Write a plug-in file; by default a sound method ``mine``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(method_text() if text is None else text, encoding="utf-8")
    return path


def write_package(folder: Path, name: str, entry_points: str, modules: dict[str, str], version: str = "1.0") -> Path:
    """Lay out an installed package: its modules, and the metadata that an installer writes."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return folder


@contextlib.contextmanager
def fresh_registries() -> Iterator[None]:
    """Registries as a new process finds them; what was there before comes back afterwards."""
    found = [*registries().values(), SYSTEMS]
    # All that a registry has learnt: also whether it has looked for what is built in.
    before = [dict(vars(registry)) for registry in found]
    loaded, modules = bench.experiment.plugins._loaded, set(sys.modules)
    bench.experiment.plugins._loaded = {}
    for registry in found:
        registry._entries = {entry.id: entry for entry in registry._entries.values() if entry.version is None}
        registry._problems = None
    try:
        yield
    finally:
        bench.experiment.plugins._loaded = loaded
        for registry, state in zip(found, before, strict=True):
            vars(registry).update(state)
        for name in set(sys.modules) - modules:
            if name.startswith(("lungbench_plugin_", "fake_")):
                del sys.modules[name]
