"""Every method on a small AST, in each of its stages: losses, gradients, processes, recipes, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from stage_plans import make_stage
from torch import Tensor, nn

import baselines
import methods
from bench.core.errors import RegistryError, SpecError
from bench.core.options import build_options
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.spec import check_field
from methods import METHODS
from methods.base import Batch, Stage, StagedMethod
from methods.losses import class_weights, patch_mix_contrastive_loss

TASK = {"feature_dim": 64, "class_counts": [30, 20, 10, 5], "patch_grid": (3, 4)}
ALL = [entry.id for entry in METHODS]
PATCH_METHODS = [entry.id for entry in METHODS if entry.card.needs_patches]
TWO_VIEWS = [entry.id for entry in METHODS if entry.card.views == 2]
FIRST = make_stage(epochs=7, lr=3e-4, weight_decay=1e-5, schedule="wave", lr_period=5, lr_floor=1e-6)


def small_ast() -> nn.Module:
    torch.manual_seed(0)
    model = baselines.create("ast-tiny", embed_dim=64, depth=2, heads=2, stride=16, frames=64, mels=48)
    assert model.patch_grid == TASK["patch_grid"]
    return model


def small_batch(rows: int = 4, stage: int = 0) -> Batch:
    """A whole batch of noise with both views; methods with one view do not look at the second."""
    x, second = torch.randn(2, rows, 1, 64, 48, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 1, 0])[:rows]
    return Batch(features=x, second=second, labels=labels, local=slice(0, rows), stage=stage)


def build(id_: str, **options) -> nn.Module:
    torch.manual_seed(2)
    return methods.create(id_, **{**TASK, **options})


def stages_of(method: nn.Module) -> tuple[Stage, ...]:
    return method.stages(FIRST) if isinstance(method, StagedMethod) else (FIRST,)


def in_stage(id_: str, stage: int) -> tuple[nn.Module, nn.Module]:
    """The small AST and a method, with the parameters of the stage's parts to be trained and all others frozen."""
    model, method = small_ast(), build(id_)
    trains = stages_of(method)[stage].trains
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(("classifier" if name.startswith("classifier.") else "encoder") in trains)
    method.requires_grad_("method" in trains)
    return model, method


EVERY_STAGE = [
    pytest.param(id_, stage, id=f"{id_}-{stage}") for id_ in ALL for stage in range(len(stages_of(build(id_))))
]


@pytest.mark.parametrize("id_", ALL)
def test_cards_are_complete(id_):
    card = METHODS.card(id_)
    assert card.id == id_
    for text in (card.title, card.summary, card.source, card.formula):
        assert text.strip()
    assert card.views in (1, 2)
    if id_ == "linear-probe":
        assert card.fidelity == "original", "no code of others is followed"
    else:
        assert card.fidelity == ("reconstruction" if "reconstruction" in card.summary else "authors' code")


@pytest.mark.parametrize("id_", ALL)
def test_citations_are_bibtex(id_):
    citation = METHODS.card(id_).citation
    entry = re.fullmatch(r"@(inproceedings|article)\{(\w+),\n(.+)\n\}", citation, re.DOTALL)
    assert entry, citation
    assert citation.count("{") == citation.count("}")
    fields = dict(re.findall(r"^  (\w+) *= \{(.+?)\},$", entry[3], re.DOTALL | re.MULTILINE))
    assert {"title", "author", "year"} <= set(fields)
    assert {"booktitle", "journal"} & set(fields)
    assert " and " in fields["author"]
    assert re.fullmatch(r"\d{4}", fields["year"])


PROFILES = {f"{profile}{start}" for profile in ("paper", "demo") for start in ("", ":scratch", ":pretrained")}


@pytest.mark.parametrize("id_", ALL)
def test_recipes_can_be_set(id_):
    card = METHODS.card(id_)
    assert set(card.recipes) <= PROFILES
    for recipe in card.recipes.values():
        options = {name: value for name, value in recipe.items() if name.startswith("method.")}
        build_options(card.options, {name.partition(".")[2]: value for name, value in options.items()}, id_)
        for name in recipe.keys() - options.keys():
            check_field(name, recipe[name])


@pytest.mark.parametrize("id_", ["scl", "scl-hybrid"])
@pytest.mark.parametrize(("pretrain", "lr"), [("none", 1e-3), ("audioset", 1e-4)])
def test_the_recipe_of_moummad_and_farrugia(id_, pretrain, lr):
    assert METHODS.card(id_).recipe("paper", pretrain) == {
        "lr": lr,
        "batch": 128,
        "drop_last": False,
        "epochs": 400,
        "weight_decay": 1e-4,
        "step_average": 0.0,
        "schedule": "wave",
        "lr_period": 40,
        "lr_floor": 1e-6,
    }


@pytest.mark.parametrize("id_", ["scl", "scl-hybrid"])
def test_the_recipe_of_a_method_wins_over_that_of_the_model(tmp_path, id_):
    chosen = recipe_fields(Request(model="resnet18", method=id_, cache=tmp_path, settings=["tau=0.1"]), "paper")
    assert (chosen["schedule"], chosen["lr"], chosen["epochs"]) == ("wave", 1e-3, 400)
    assert (chosen["batch"], chosen["step_average"], chosen["method_options"]["tau"]) == (128, 0.0, 0.1)


def test_importing_the_package_imports_no_torch():
    code = "import sys, methods; [e.card for e in methods.METHODS]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("id_", "stage"), EVERY_STAGE)
def test_every_trained_parameter_learns_and_no_other(id_, stage):
    model, method = in_stage(id_, stage)
    assert isinstance(method, nn.Module)
    draw = method.draw(4, np.random.default_rng(0))
    losses = method(model, small_batch(stage=stage), draw)
    losses["loss"].backward()
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    for name, parameter in [*model.named_parameters(), *method.named_parameters()]:
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name


@pytest.mark.parametrize(("id_", "stage"), EVERY_STAGE)
def test_losses_under_bfloat16_are_near_those_in_float32(id_, stage):
    model, method = in_stage(id_, stage)
    draw = method.draw(4, np.random.default_rng(4))
    exact = method(model, small_batch(stage=stage), draw)["loss"].item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(model, small_batch(stage=stage), draw)["loss"]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=0.05)


class Gathering:
    """What processes gather, played by threads: the sum of their losses has the gradient of the real exchange."""

    def __init__(self, processes: int) -> None:
        self.rows: list[Tensor] = [torch.empty(0)] * processes
        self.barrier = threading.Barrier(processes, timeout=30)

    def __call__(self, rank: int, rows: Tensor) -> Tensor:
        self.rows[rank] = rows
        self.barrier.wait()
        whole = torch.cat(self.rows)
        self.barrier.wait()
        return whole


def split(batch: Batch, rank: int, rows: int, gathering: Gathering) -> Batch:
    local = slice(rank * rows, (rank + 1) * rows)
    return replace(
        batch,
        features=batch.features[local],
        second=batch.second[local],
        local=local,
        gather=lambda tensor: gathering(rank, tensor),
    )


@pytest.mark.parametrize(("id_", "stage"), EVERY_STAGE)
def test_a_part_of_the_global_batch_gives_loss_and_gradient_of_the_whole(id_, stage):
    """Each of two processes must compute the loss of one; the mean of their gradients must be the gradient of one."""
    whole = small_batch(6, stage)
    model, method = in_stage(id_, stage)
    draw = method.draw(6, np.random.default_rng(0))
    copies, gathering = [deepcopy((model, method)) for _ in range(2)], Gathering(2)
    alone = method(model, whole, draw)
    alone["loss"].backward()

    def process(rank: int) -> dict[str, Tensor]:
        own_model, own_method = copies[rank]
        return own_method(own_model, split(whole, rank, 3, gathering), draw)

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(process, range(2)))
    for losses in parts:
        for name, loss in losses.items():
            assert loss.item() == pytest.approx(alone[name].item(), abs=1e-5), name
    sum(losses["loss"] for losses in parts).backward()
    for kind, module in enumerate((model, method)):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                mean = sum(copy[kind].get_parameter(name).grad for copy in copies) / 2
                torch.testing.assert_close(mean, parameter.grad, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("id_", [id_ for id_ in ALL if id_ not in PATCH_METHODS])
def test_methods_without_patches_train_a_cnn(id_):
    torch.manual_seed(0)
    model = baselines.create("cnn6")
    method = build(id_, feature_dim=model.feature_dim, patch_grid=None)
    for stage in range(len(stages_of(method))):
        losses = method(model, small_batch(stage=stage), method.draw(4, np.random.default_rng(0)))
        losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in [*model.parameters(), *method.parameters()])


WEIGHTED = {("ce", 0), ("scl", 1), ("scl-hybrid", 0), ("linear-probe", 0)}


@pytest.mark.parametrize(("id_", "stage"), EVERY_STAGE)
def test_classes_are_weighted_where_paper_and_code_weight_them(id_, stage):
    """Mixing methods, Patch-Mix CL's clean cross-entropy and the contrastive stage know no class weights."""

    def loss(**options) -> float:
        method = build(id_, **options)
        return method(small_ast(), small_batch(stage=stage), method.draw(4, np.random.default_rng(0)))["loss"].item()

    weighted = (id_, stage) in WEIGHTED
    assert (loss() != loss(class_counts=[1, 1, 1, 1])) is weighted
    if weighted:
        assert loss(weighted=False) == pytest.approx(loss(class_counts=[1, 1, 1, 1]), rel=1e-6)


def test_weighted_cross_entropy_uses_the_class_counts():
    model, batch = small_ast(), small_batch()
    weights = class_weights(TASK["class_counts"])
    expected = nn.functional.cross_entropy(model(batch.features), batch.labels, weight=weights)
    assert torch.equal(build("ce")(model, batch, None)["loss"], expected)
    plain = nn.functional.cross_entropy(model(batch.features), batch.labels)
    assert torch.equal(build("ce", weighted=False)(model, batch, None)["loss"], plain)


@pytest.mark.parametrize("id_", ["ce", "scl", "scl-hybrid"])
def test_class_weights_are_no_state(id_):
    assert not [name for name in build(id_).state_dict() if "weights" in name]


@pytest.mark.parametrize("target", ["stop-z", "stop-hz", "z", "hz"])
@pytest.mark.parametrize("negatives", ["all", "different-label"])
def test_patchmix_cl_is_its_parts(target, negatives):
    """The loss written out with two forward passes, one for the clean and one for the mixed clips."""
    model, batch = small_ast(), small_batch()
    method = build("patchmix-cl", target=target, negatives=negatives, alpha=0.5, tau=0.1)
    other = build("patchmix-cl", target=target, negatives=negatives, alpha=0.5, tau=0.1)
    draw = method.draw(4, np.random.default_rng(1))
    losses = method(model, batch, draw)
    clean = model.features(batch.features)
    tokens = model.embed_patches(batch.features).clone()
    partners = tokens[torch.from_numpy(draw.permutation)]
    tokens[:, draw.mask] = partners[:, draw.mask]
    mixed = model.encode(tokens)
    targets = other.projector(clean) if target.endswith("hz") else clean
    contrastive = patch_mix_contrastive_loss(
        other.projector(mixed),
        targets,
        torch.from_numpy(draw.permutation),
        draw.lam,
        0.1,
        batch.labels,
        negatives,
    )
    ce = nn.functional.cross_entropy(model.classifier(clean), batch.labels)
    torch.testing.assert_close(losses["ce"], ce)
    torch.testing.assert_close(losses["contrastive"], contrastive)
    torch.testing.assert_close(losses["loss"], ce + 0.5 * contrastive)
    for ours, theirs in zip(method.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("target", "stopped"), [("stop-z", True), ("stop-hz", True), ("z", False), ("hz", False)])
def test_targets_are_stopped_or_not(target, stopped):
    clean = torch.randn(4, 64, requires_grad=True)
    assert build("patchmix-cl", target=target).targets(clean).requires_grad is not stopped


def test_alpha_0_trains_with_cross_entropy_alone():
    model, batch = small_ast(), small_batch()
    method = build("patchmix-cl", alpha=0)
    losses = method(model, batch, method.draw(4, np.random.default_rng(0)))
    assert losses["loss"].item() == losses["ce"].item()
    losses["loss"].backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    build("ce", weighted=False)(model, batch, None)["loss"].backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_projector_dim_widens_the_output_of_projected_targets():
    assert build("patchmix-cl", target="hz", projector_dim=16).projector.linear2.out_features == 16
    with pytest.raises(SpecError, match="projector's width is 16, but target z has width 64"):
        build("patchmix-cl", target="z", projector_dim=16)


def test_a_model_with_batch_statistics_sees_clean_and_mixed_clips_apart():
    """One double pass would give the batch norm the statistics of both halves together."""

    class Normed(nn.Module):
        classifier = nn.Linear(64, 4)

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(64)
            self.sizes: list[int] = []

        def embed_patches(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, : 12 * 64].unflatten(1, (12, 64))

        def encode(self, tokens: Tensor) -> Tensor:
            self.sizes.append(len(tokens))
            return self.norm(tokens.mean(1))

    method, model = build("patchmix-cl"), Normed()
    method(model, small_batch(), method.draw(4, np.random.default_rng(0)))
    assert model.sizes == [4, 4]
    assert model.norm.num_batches_tracked == 2


def test_an_ast_encodes_clean_and_mixed_clips_in_one_pass(monkeypatch):
    model, sizes = small_ast(), []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda tokens: sizes.append(len(tokens)) or encode(tokens))
    method = build("patchmix-cl")
    method(model, small_batch(), method.draw(4, np.random.default_rng(0)))
    assert sizes == [8]


@pytest.mark.parametrize("id_", TWO_VIEWS)
def test_a_method_of_two_views_refuses_one(id_):
    with pytest.raises(SpecError, match=f"Method {id_} compares two views of each clip, but the batch has one"):
        build(id_)(small_ast(), replace(small_batch(), second=None), None)


@pytest.mark.parametrize("id_", PATCH_METHODS)
def test_a_patch_method_without_patches_is_refused(id_):
    with pytest.raises(SpecError, match=f"{id_} mixes patch tokens") as error:
        methods.create(id_, feature_dim=64, class_counts=[1, 1, 1, 1])
    assert "e.g. ast" in (error.value.hint or "")
    method = build(id_)
    with pytest.raises(SpecError, match="the model Linear has none"):
        method(nn.Linear(2, 2), small_batch(), method.draw(4, np.random.default_rng(0)))


def test_an_unknown_method_suggests():
    with pytest.raises(RegistryError, match="did you mean 'patchmix-cl'"):
        methods.create("patchmix-cll", **TASK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tua": 0.1}, "Unknown option 'tua' for method patchmix-cl: did you mean 'tau'"),
        ({"tau": 0}, "tau is 0.0, but must be at least 0.0001"),
        ({"alpha": -1}, "alpha is -1.0, but must be at least 0.0"),
        ({"negatives": "some"}, "negatives is 'some', but must be one of all, different-label"),
        ({"target": "y"}, "target is 'y', but must be one of stop-z, stop-hz, z, hz"),
        ({"mix": "rows"}, "mix is 'rows', but must be one of patch, t-patch"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(SpecError, match=message):
        methods.create("patchmix-cl", **TASK, **options)
