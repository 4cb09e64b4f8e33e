"""Micro-batches and recomputed activations give the losses and parameters of a whole batch in one process (1e-5)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from step_cases import BATCH_NORM, SMALL_AST, case, largest_difference, random_case, train
from torch import nn

from bench.core.errors import SpecError
from bench.engine.global_draws import GlobalDraws, drawing
from bench.engine.micro_batches import MicroBatchedModel, rows_alone
from bench.engine.random_layers import learn_divisions
from bench.engine.recomputation import recomputed
from methods import METHODS
from methods.base import Batch
from methods.views import views_in_a_row

DEEP_AST = {**SMALL_AST, "depth": 3}
UNEVEN = {"batch": 8, "drop_last": False}
"""30 rows: neither the batches of 8 nor the last one of 6 divide among all processes and micro-batches."""


def variants(name: str, base: dict, *changes: dict) -> dict:
    """A case, and the same with other fields of execution; each is named by the one that it must equal."""
    fields = base.get("fields", {})
    return {name: base} | {
        f"{name}@{'-'.join(f'{k}{v}' for k, v in change.items())}": {**base, "fields": {**fields, **change}}
        for change in changes
    }


def differing(folder, cases: dict) -> dict:
    train(folder, cases)
    found = {(name, n): largest_difference(folder, name, n, name.split("@")[0]) for name in cases for n in (1, 2, 3)}
    return {place: worst for place, worst in found.items() if not worst < 1e-5}


TWO, ONE = {"micro_batch": 2}, {"micro_batch": 1}
AGAIN, BOTH = {"checkpointing": True}, {"micro_batch": 1, "checkpointing": True}


def test_small_cases_of_every_kind(tmp_path):
    cases = variants("weighted", {**case("ast", SMALL_AST, "ce", weighted=True), "fields": UNEVEN}, TWO)
    cases |= variants("cl", {**case("ast", DEEP_AST, "patchmix-cl"), "fields": UNEVEN}, TWO, BOTH)
    cases |= variants("mixed", random_case("residuals", "mixup"), ONE)
    cases |= variants("views", random_case("residuals", "scl-hybrid"), TWO, AGAIN)
    cases |= variants("norms", random_case("batchresiduals", fields=UNEVEN), AGAIN)
    assert differing(tmp_path, cases) == {}


@pytest.mark.slow
@pytest.mark.parametrize("method", [entry.id for entry in METHODS])
def test_every_method_in_micro_batches(tmp_path, method):
    cases = variants("ast", {**case("ast", DEEP_AST, method), "fields": UNEVEN}, ONE, TWO, AGAIN, BOTH)
    if not METHODS.card(method).needs_patches:
        cases |= variants("random", random_case("residuals", method, fields=UNEVEN), ONE, TWO, AGAIN, BOTH)
        cases |= variants("windows", random_case("windows", method), TWO)
    assert differing(tmp_path, cases) == {}


@pytest.mark.slow
def test_batch_norms_are_recomputed_without_moving_twice(tmp_path):
    cases = variants("resnet", {**case(*BATCH_NORM, "scl"), "fields": UNEVEN}, AGAIN)
    cases |= variants("efficientnet", case("timm:test_efficientnet", {}, "ce"), AGAIN)
    cases |= variants("cnn6", case("cnn6", {}, "ce"), AGAIN)
    assert differing(tmp_path, cases) == {}
