"""Four steps of the authors' train(), repeated with this project's model, methods, optimiser and averaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden_models import ast_tiny, load_rule
from golden_rules import rng, spectrograms
from torch import nn

import methods
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.step_average import StepAverage
from methods.base import Batch
from methods.mixing import PatchMix, column_tokens

pytestmark = [pytest.mark.golden, pytest.mark.slow]

RUNS = (
    "ce",
    "patchmix",
    "patchmix_time",
    "patchmixcl",
    "patchmixcl_time",
    "patchmixcl_grad_flow",
    "patchmixcl_project_block",
    "patchmixcl_project_flow",
)
IN_FLOAT32 = ("patchmixcl",)
IN_FLOAT64 = ("patchmixcl",)
"""Runs that go all their four steps, to the parameters at the end. The variants differ from them in one term: float64
tells that in the losses and norms of one step."""

TARGETS = {"grad_block": "stop-z", "grad_flow": "z", "project_block": "stop-hz", "project_flow": "hz"}
NEGATIVES = {"all": "all", "diff_label": "different-label"}
LOSSES = {"loss_ce": "ce", "loss_cl": "contrastive", "loss_total": "loss", "loss_patchmix": "loss"}


@dataclass(frozen=True)
class Tolerance:
    """README of the golden sets, section 3."""

    loss: float
    value: float
    change: float
    statistics: float
    norm: float


FLOAT64 = Tolerance(loss=1e-6, value=1e-8, change=1e-5, statistics=1e-6, norm=1e-7)
FLOAT32 = Tolerance(loss=2e-4, value=1e-6, change=2e-2, statistics=1e-4, norm=1e-4)


@dataclass(frozen=True)
class Trajectory:
    """What our code did with a golden run's inputs."""

    losses: list[dict[str, float]]
    gradient_norms: list[float]
    parameter_norms: list[float]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]


def build_method(config: dict, grid: tuple[int, int]) -> nn.Module:
    task = {"feature_dim": 192, "class_counts": [int(n) for n in config["class_nums"]], "patch_grid": grid}
    if config["method"] == "ce":
        return methods.create("ce", weighted=config["weighted_loss"], **task)
    if config["method"] == "patchmix":
        id_ = "tpatchmix-ce" if config["time_domain"] else "patchmix-ce"
        return methods.create(id_, beta=config["mix_beta"], **task)
    return methods.create(
        "patchmix-cl",
        alpha=config["alpha"],
        tau=config["temperature"],
        beta=config["mix_beta"],
        mix="t-patch" if config["time_domain"] else "patch",
        negatives=NEGATIVES[config["negative_pair"]],
        target=TARGETS[config["target_type"]],
        projector_dim=config["proj_dim"],
        **task,
    )


def recorded_draw(step: dict, time_domain: bool, grid: tuple[int, int]) -> PatchMix | None:
    if "lam" not in step:
        return None
    mask = np.array(step["mask"], dtype=np.int64)
    return PatchMix(step["lam"], np.array(step["index"]), column_tokens(mask, grid) if time_domain else mask)


def official_names(model: nn.Module, method: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters of the training, by the names that the golden set reports them under."""
    named = {name.replace("trunk.", "model.v."): value for name, value in model.named_parameters()}
    named |= {name.replace(".norm.", ".bn."): value for name, value in method.named_parameters()}
    return named


def total_norm(tensors: list[torch.Tensor]) -> float:
    return float(torch.stack([tensor.detach().double().square().sum() for tensor in tensors]).sum().sqrt())


def repeat(run: dict, dtype: torch.dtype, steps: int = 4) -> tuple[Trajectory, nn.Module]:
    """Train the first steps on the run's inputs with what it drew."""
    seed, config = run["seed"], run["config"]
    model = ast_tiny(seed)
    method = build_method(config, model.patch_grid)
    if config["method"] == "patchmix_cl":
        names = {"linear1.": "projector.0.", "norm.": "projector.1.", "linear2.": "projector.3."}
        load_rule(seed, method.projector, names)
    whole = nn.ModuleDict({"model": model, "method": method}).to(dtype)
    average = StepAverage(whole, config["ma_beta"])
    rate = average.effective_lr(config["learning_rate"])
    optimizer = build_optimizer(
        [(one, 1.0) for one in whole.parameters()], OptimOptions(lr=rate, weight_decay=config["weight_decay"])
    )
    named = official_names(model, method)
    before = {name: value.detach().clone() for name, value in named.items()}
    inputs = torch.from_numpy(spectrograms(seed, "input:train", 4 * run["batch"])).to(dtype)
    labels = torch.from_numpy(rng(seed, "train:labels").integers(0, 4, len(inputs)))
    trajectory = Trajectory([], [], [], before, named)
    for number, step in enumerate(run["steps_f32"][:steps]):
        rows = slice(number * run["batch"], (number + 1) * run["batch"])
        assert labels[rows].tolist() == step["labels"]
        batch = Batch(features=inputs[rows], labels=labels[rows], local=slice(0, run["batch"]))
        average.before_step()
        optimizer.zero_grad()
        losses = method(model, batch, recorded_draw(step, config["time_domain"], model.patch_grid))
        losses["loss"].backward()
        trajectory.gradient_norms.append(total_norm([p.grad for p in whole.parameters()]))
        optimizer.step()
        average.after_step()
        trajectory.losses.append({name: value.item() for name, value in losses.items()})
        trajectory.parameter_norms.append(total_norm(list(whole.parameters())))
    return trajectory, method


def test_every_trajectory_of_the_set_is_checked(golden):
    present = {path.stem.removeprefix("train_") for path in golden.folder.glob("train_*.json")}
    assert present <= set(RUNS)


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_trajectory_in_float32(golden, name):
    check(golden.json(f"train_{name}.json"), torch.float32, "_f32", "_f32", FLOAT32)


@pytest.mark.parametrize("name", IN_FLOAT64)
def test_trajectory_in_float64(golden, name):
    check(golden.json(f"train_{name}.json"), torch.float64, "_f64", "", FLOAT64)


@pytest.mark.parametrize("name", [name for name in RUNS if name not in IN_FLOAT64])
def test_the_first_step_of_a_variant_in_float64(golden, name):
    run = golden.json(f"train_{name}.json")
    ours, _ = repeat(run, torch.float64, steps=1)
    check_steps(run, ours, run["steps_f64"][:1], FLOAT64)


def check(run: dict, dtype: torch.dtype, steps: str, suffix: str, tolerance: Tolerance) -> None:
    ours, method = repeat(run, dtype)
    assert len(ours.losses) == 4
    check_steps(run, ours, run[f"steps{steps}"], tolerance)
    check_parameters(run, ours, suffix, tolerance)
    check_statistics(run[f"extra{steps}"], method, tolerance)


def check_steps(run: dict, ours: Trajectory, steps: list[dict], tolerance: Tolerance) -> None:
    for step, losses, gradient, norm in zip(steps, ours.losses, ours.gradient_norms, ours.parameter_norms, strict=True):
        found = {name: value for name, value in step.items() if name in LOSSES}
        assert found
        for name, value in found.items():
            ours_name = "loss" if run["config"]["method"] != "patchmix_cl" else LOSSES[name]
            assert losses[ours_name] == pytest.approx(value, rel=0, abs=tolerance.loss), name
        assert gradient == pytest.approx(step["grad_norm_total"], rel=tolerance.change)
        assert norm == pytest.approx(step["param_norm_after"], rel=0, abs=tolerance.norm)


def is_rounding(run: dict, name: str, index: int, size: int) -> bool:
    """Whether the true gradient of an entry is zero, so that Adam turns float32's rounding noise into full-size steps.

    README of the sets, section 2: tensors listed as such, and the key part of every qkv.bias.
    """
    is_key = name.endswith("attn.qkv.bias") and size // 3 <= index < 2 * size // 3
    return is_key or name in run["rounding_dominated"]


def check_parameters(run: dict, ours: Trajectory, suffix: str, tolerance: Tolerance) -> None:
    still = set(run["parameters_without_gradient"])
    expected = {name: entry for name, entry in run["parameters"].items() if name not in still}
    assert expected.keys() == ours.after.keys()
    for value in run["values"]:
        tensor = ours.after[value["param"]].detach().flatten()
        assert ours.before[value["param"]].flatten()[value["flat_index"]].item() == value["initial"]
        if suffix == "_f32" and is_rounding(run, value["param"], value["flat_index"], tensor.numel()):
            continue
        moved = tensor[value["flat_index"]].item()
        assert moved == pytest.approx(value[f"after{suffix}"], rel=0, abs=tolerance.value), value
    for name, entry in expected.items():
        after = ours.after[name].detach()
        assert total_norm([after]) == pytest.approx(entry[f"norm{suffix}"], rel=0, abs=tolerance.norm), name
        if name not in run["rounding_dominated"]:
            change = total_norm([after - ours.before[name]])
            assert change == pytest.approx(entry[f"change_norm{suffix}"], rel=tolerance.change, abs=0), name


def check_statistics(extra: dict, method: nn.Module, tolerance: Tolerance) -> None:
    if not extra:
        return
    norm = method.projector.norm
    assert norm.num_batches_tracked.item() == extra["projector_bn_num_batches_tracked"]
    for ours, name in ((norm.running_mean, "running_mean"), (norm.running_var, "running_var")):
        head = extra[f"projector_bn_{name}_head"]
        np.testing.assert_allclose(ours[: len(head)].numpy(), head, rtol=0, atol=tolerance.statistics)
        # The tolerance is per entry; the sum of n independent errors is larger by sqrt(n).
        allowed = tolerance.statistics * np.sqrt(len(ours))
        assert ours.double().sum().item() == pytest.approx(extra[f"projector_bn_{name}_sum"], rel=0, abs=allowed)
