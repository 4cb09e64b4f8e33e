"""Cases of :mod:`five_steps`, and what its processes leave: for tests that compare ways of computing a batch."""

from __future__ import annotations

import json
from pathlib import Path

from five_steps import train_in_groups
from safetensors.torch import load_file

from methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
SMALL_AST = {"embed_dim": 16, "depth": 1, "heads": 2, "stride": 8, "frames": 32, "mels": 24}
BATCH_NORM = ("timm:test_resnet", {})
"""A ResNet of 0.4 million parameters: what is compared is the statistics, and they do not depend on the size."""
CL_OPTIONS = [
    {"target": "stop-hz"},
    {"target": "z"},
    {"target": "hz"},
    {"negatives": "different-label"},
    {"mix": "t-patch", "target": "hz", "negatives": "different-label"},
]


def case(model: str, model_options: dict, method: str, **method_options: object) -> dict:
    if "probe_epochs" in METHODS.card(method).options.__dataclass_fields__:
        # Adam's step is as large for a gradient of rounding noise: at the default of 0.1, 1e-3 of it is seen.
        method_options |= {"probe_epochs": 1, "probe_lr": 5e-5}
    return {"model": model, "model_options": model_options, "method": method, "method_options": method_options}


PLUGIN = str(ROOT / "tests" / "support" / "random_models.py")
"""Models with random layers: what they draw is that of the global batch too."""


def random_case(model: str, method: str = "ce", **more: object) -> dict:
    return {**case(model, {}, method), "plugins": [PLUGIN], **more}


def train(folder: Path, cases: dict) -> None:
    (folder / "cases.json").write_text(json.dumps(cases))
    train_in_groups(folder)


def largest_difference(folder: Path, name: str, processes: int, like: str | None = None) -> float:
    """Between the losses and parameters of a case in some processes and those of one: of ``like``, or of itself."""
    whole, part = folder / "1" / f"{like or name}.safetensors", folder / str(processes) / f"{name}.safetensors"
    one, several = load_file(whole), load_file(part)
    assert one.keys() == several.keys()
    return max((one[key].double() - several[key].double()).abs().max().item() for key in one)
