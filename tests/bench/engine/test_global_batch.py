"""One, two and three processes give the same losses and parameters after five steps, for every method (fp32, 1e-5)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from baselines import MODELS
from methods import METHODS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
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


CASES = {f"ast-{entry.id}": case("ast", SMALL_AST, entry.id) for entry in METHODS}
CASES |= {f"ast-cl-{k}": case("ast", SMALL_AST, "patchmix-cl", **options) for k, options in enumerate(CL_OPTIONS)}
CASES |= {f"norm-{e.id}": case(*BATCH_NORM, e.id) for e in METHODS if not e.card.needs_patches}
CASES["resnet18"] = case("resnet18", {}, "ce")
CASES["efficientnet"] = case("timm:test_efficientnet", {}, "ce")
assert all(c["model"] in MODELS or c["model"].startswith("timm:") for c in CASES.values())

PLUGIN = str(ROOT / "tests" / "support" / "random_models.py")
"""Models with random layers: what they draw is that of the global batch too."""


def random_case(model: str, method: str = "ce", **more: object) -> dict:
    return {**case(model, {}, method), "plugins": [PLUGIN], **more}


RANDOM = {"stochastic-depth": case("efficientnet-b0", {"drop_path": 0.5}, "ce")}
RANDOM |= {model: random_case(model) for model in ("pictures", "sequences", "windows")}
# Two views go through a model in a row where it has no batch norm, and one after the other where it has.
RANDOM |= {f"views-{model}": random_case(model, "scl-hybrid") for model in ("pictures", "windows")}

# 30 rows: neither the batches of 8 nor the last one of 6 divide among all numbers of processes.
BATCHES = {"batch": 8, "drop_last": False}
UNEVEN = {method: {**case("ast", SMALL_AST, method), "fields": BATCHES} for method in ("patchmix-cl", "mixup", "scl")}
UNEVEN |= {"norm": {**case(*BATCH_NORM, "ce"), "fields": BATCHES}, "random": random_case("pictures", fields=BATCHES)}

HOOKED = str(ROOT / "tests" / "support" / "hooked_methods.py")
UNEVEN["prepared"] = {
    "model": "ast",
    "model_options": SMALL_AST,
    "method": "prepared",
    "method_options": {},
    "plugins": [HOOKED],
    "fields": BATCHES,
}
"""It prepares itself in every process, and each must have learnt the same."""

MESSAGES = {
    "permuted": "cannot be divided among processes: randperm",
    "rectified": "cannot be divided among processes: rrelu",
    "joined": "cannot be divided among processes: bernoulli_",
    "ownstatistics": "A batch normalisation (native_batch_norm) sees the rows of one process only",
    "uncertain": "in an evaluation",
}
REFUSED = {model: random_case(model, refused=True) for model in MESSAGES}


def train(folder: Path, cases: dict) -> None:
    (folder / "cases.json").write_text(json.dumps(cases))
    script = ROOT / "tests" / "support" / "five_steps.py"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script), str(folder)], check=True, env=env, timeout=350)


def largest_difference(folder: Path, name: str, processes: int) -> float:
    one, several = (load_file(folder / str(n) / f"{name}.safetensors") for n in (1, processes))
    assert one.keys() == several.keys()
    return max((one[key].double() - several[key].double()).abs().max().item() for key in one)


def differing(folder: Path, cases: dict, allowed: dict[str, float]) -> dict:
    train(folder, cases)
    found = {(name, n): largest_difference(folder, name, n) for name in cases for n in (2, 3)}
    return {place: worst for place, worst in found.items() if not worst < allowed.get(place[0], 1e-5)}


def test_processes_share_a_batch_without_changing_it(tmp_path):
    assert differing(tmp_path, CASES, {}) == {}


def test_random_layers_draw_for_the_global_batch(tmp_path):
    # The rounding of a layer of EfficientNet-B0 grows through the 80 that follow; another draw moves it by 0.9.
    assert differing(tmp_path, RANDOM, {"stochastic-depth": 1e-4}) == {}


def test_batches_need_not_divide_among_the_processes(tmp_path):
    assert differing(tmp_path, UNEVEN, {}) == {}


def test_draws_that_cannot_be_divided_are_refused(tmp_path):
    train(tmp_path, REFUSED)
    for model, message in MESSAGES.items():
        for n in (2, 3):
            assert message in (tmp_path / f"{n}" / f"{model}.txt").read_text()
