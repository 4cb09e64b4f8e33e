"""One process and several give the same losses and parameters after five steps, for every method (fp32, 1e-5)."""

from __future__ import annotations

import pytest
from five_steps import GROUPS
from step_cases import BATCH_NORM, CL_OPTIONS, ROOT, SMALL_AST, case, largest_difference, random_case, train

from baselines import MODELS
from methods import METHODS

pytestmark = pytest.mark.slow

CASES = {f"ast-{entry.id}": case("ast", SMALL_AST, entry.id) for entry in METHODS}
CASES |= {f"ast-cl-{k}": case("ast", SMALL_AST, "patchmix-cl", **options) for k, options in enumerate(CL_OPTIONS)}
CASES |= {f"norm-{e.id}": case(*BATCH_NORM, e.id) for e in METHODS if not e.card.needs_patches}
ALSO_IN_THREE = ("ast-ce", "ast-patchmix-cl", "ast-scl", "norm-mixup", "norm-scl-hybrid")
"""Cases that three processes train too; of the others, what is not there in two is not there in three."""
for name, one in CASES.items():
    one["processes"] = [1, 2, 3] if name in ALSO_IN_THREE else [1, 2]
CASES["resnet18"] = case("resnet18", {}, "ce")
CASES["efficientnet"] = case("timm:test_efficientnet", {}, "ce")
assert all(c["model"] in MODELS or c["model"].startswith("timm:") for c in CASES.values())

# The channels of a stochastic normalisation are drawn once for all processes.
RANDOM = {"stochastic-norm": case("resnet18", {"norm": "stochastic"}, "ce")}
RANDOM |= {"stochastic-depth": case("efficientnet-b0", {"drop_path": 0.5}, "ce")}
RANDOM |= {model: random_case(model) for model in ("pictures", "sequences", "windows", "norms")}
# Clean and mixed rows in a row, and dropout on the logits.
RANDOM["resnet-nl"] = case("resnet-nl", {}, "mixup-bce")
# Mixes that every process computes, whose number is no multiple of the batch's.
RANDOM["resnet-att"] = case("resnet-att", {}, "pair-mixup")
# Two views go through a model in a row where it has no batch norm, and one after the other where it has.
RANDOM |= {f"views-{model}": random_case(model, "scl-hybrid") for model in ("pictures", "windows")}

# 30 rows: neither the batches of 8 nor the last one of 6 divide among all numbers of processes.
BATCHES = {"batch": 8, "drop_last": False}
UNEVEN = {method: {**case("ast", SMALL_AST, method), "fields": BATCHES} for method in ("patchmix-cl", "mixup", "scl")}
UNEVEN |= {"norm": {**case(*BATCH_NORM, "ce"), "fields": BATCHES}, "random": random_case("pictures", fields=BATCHES)}
UNEVEN["norms"] = random_case("norms", fields=BATCHES)

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
    "permuted": "cannot be divided among processes or micro-batches: randperm",
    "rectified": "cannot be divided among processes or micro-batches: rrelu",
    "joined": "cannot be divided among processes or micro-batches: bernoulli_",
    "ownstatistics": "A batch normalisation (native_batch_norm) sees the rows of one process or micro-batch only",
    "uncertain": "in an evaluation",
}
REFUSED = {model: random_case(model, refused=True) for model in MESSAGES}


def differing(folder, cases: dict, allowed: dict[str, float]) -> dict:
    train(folder, cases)
    places = [(name, n) for name, case in cases.items() for n in case.get("processes", GROUPS)[1:]]
    found = {place: largest_difference(folder, *place) for place in places}
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
