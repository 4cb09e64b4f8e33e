"""Batches of augmented waveforms are those of one process in two and three, and in micro-batches (fp32, 1e-5)."""

from __future__ import annotations

import pytest
from step_cases import case, largest_difference, train

pytestmark = pytest.mark.slow

EVERYTHING = {
    **{f"{name}_probability": 0.5 for name in ("noise", "gain", "speed", "stretch", "pitch", "vtlp")},
    **{f"{name}_probability": 0.5 for name in ("concat", "roll", "crop", "pad")},
    "concat_law": "union",
    "concat_level": True,
    "concat_crossfade": 0.05,
    "wave_zone": 0.8,
    "crop_seconds": 0.5,
    "pad_seconds": 1.0,
    "vocoder_window": 512,
}
CBA = {"concat_probability": 1.0, "concat_law": "cba", "noise_probability": 0.5, "wave_rare": True}
UNEVEN = {"batch": 8, "drop_last": False}
"""30 rows: neither the batches of 8 nor the last one of 6 divide among all numbers of processes."""
SMALL_AST = {"embed_dim": 16, "depth": 1, "heads": 2, "stride": 16, "frames": 98, "mels": 128}
AST = {"frontend": "ast", "frontend_options": {"seconds": 1.0}}
SCL = {"frontend": "scl", "frontend_options": {"seconds": 1.0, "normalise": "batch", "evaluation_batch": 4}}


def ast_case(method, **fields):
    return {**case("ast", SMALL_AST, method), **AST, "fields": {**EVERYTHING, **fields}}


IN_THREE = ("ce-uneven", "stages", "batch-norm", "patchmix@micro")
"""Cases that three processes train too."""
CASES = {
    "ce-uneven": ast_case("ce", **UNEVEN),
    "cba": {**case("ast", SMALL_AST, "ce"), **AST, "fields": {**CBA, **UNEVEN}},
    "patchmix": ast_case("patchmix-cl", **UNEVEN),
    "views": ast_case("scl-hybrid"),
    "stages": ast_case("scl"),
    "batch-norm": {**case("cnn6", {}, "scl-hybrid"), **SCL, "fields": {**EVERYTHING, **UNEVEN}},
}
MICRO = {
    f"{name}@micro": {**CASES[name], "fields": {**CASES[name]["fields"], "micro_batch": 2}}
    for name in ("ce-uneven", "patchmix", "views")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("augmented")
    cases = {**CASES, **MICRO}
    train(
        folder, {name: {**one, "processes": [1, 2, 3][: 3 if name in IN_THREE else 2]} for name, one in cases.items()}
    )
    return folder


@pytest.mark.parametrize(
    ("name", "processes"), [(name, n) for name in CASES for n in (2, 3) if n == 2 or name in IN_THREE]
)
def test_several_processes_give_the_losses_and_parameters_of_one(folder, name, processes):
    assert largest_difference(folder, name, processes) < 1e-5


@pytest.mark.parametrize(
    ("name", "processes"), [(name, n) for name in MICRO for n in (1, 2, 3) if n < 3 or name in IN_THREE]
)
def test_micro_batches_give_those_of_whole_batches(folder, name, processes):
    assert largest_difference(folder, name, processes, name.split("@")[0]) < 1e-5
