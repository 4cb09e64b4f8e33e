"""Micro-batches and recomputed activations give the losses and parameters of a whole batch in one process (1e-5)."""

from __future__ import annotations

import pytest
import torch
from plugin_files import fresh_registries
from step_cases import BATCH_NORM, SMALL_AST, case, largest_difference, random_case, train
from torch import nn

from bench.core.errors import SpecError
from bench.engine.global_draws import GlobalDraws, drawing
from bench.engine.micro_batches import LearningModel, MicroBatchedModel, row_weights, rows_alone
from bench.engine.random_layers import learn_divisions
from bench.engine.recomputation import recomputed
from methods import METHODS
from methods.base import Batch
from methods.views import rows_everywhere, views_in_a_row

DEEP_AST = {**SMALL_AST, "depth": 3}
UNEVEN = {"batch": 8, "drop_last": False}
"""30 rows: neither the batches of 8 nor the last one of 6 divide among all processes and micro-batches."""


def variants(name: str, base: dict, *changes: dict, processes: tuple[int, ...] = (1, 2, 3)) -> dict:
    """A case in one process, and the same in several with other fields of execution, named by the one it must equal."""
    fields = base.get("fields", {})
    return {name: {**base, "processes": [1]}} | {
        f"{name}@{'-'.join(f'{k}{v}' for k, v in change.items())}": {
            **base,
            "fields": {**fields, **change},
            "processes": processes,
        }
        for change in changes
    }


def differing(folder, cases: dict) -> dict:
    train(folder, cases)
    found = {
        (name, n): largest_difference(folder, name, n, name.split("@")[0])
        for name, case in cases.items()
        for n in case["processes"]
        if "@" in name
    }
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
    # One row at a time and computed again are tried together here, and two processes left out; the small cases have
    # each by itself.
    some = (1, 3)
    cases = variants("ast", {**case("ast", DEEP_AST, method), "fields": UNEVEN}, TWO, BOTH, processes=some)
    if not METHODS.card(method).needs_patches:
        cases |= variants("random", random_case("residuals", method, fields=UNEVEN), TWO, BOTH, processes=some)
        # Of one row, the windows lie otherwise in memory than those of several.
        cases |= variants("windows", random_case("windows", method), ONE, TWO, processes=some)
    assert differing(tmp_path, cases) == {}


@pytest.mark.slow
def test_batch_norms_are_recomputed_without_moving_twice(tmp_path):
    cases = variants("resnet", {**case(*BATCH_NORM, "scl"), "fields": UNEVEN}, AGAIN)
    cases |= variants("efficientnet", case("timm:test_efficientnet", {}, "ce"), AGAIN)
    cases |= variants("cnn6", case("cnn6", {}, "ce"), AGAIN)
    assert differing(tmp_path, cases) == {}


# --- in one process, against a pass over all rows ---------------------------------------------------------------------


class Wide(nn.Module):
    """A model with dropout of values and of channels, which writes down how many rows it was given at a time."""

    def __init__(self):
        super().__init__()
        self.layer, self.classifier = nn.Linear(5, 6), nn.Linear(6, 4)
        self.dropout = nn.Dropout(0.4)
        self.seen = []

    def features(self, x):
        self.seen.append(len(x))
        x = self.dropout(self.layer(x)).relu()
        return x * (0.5 + torch.rand(len(x), 1))

    def forward(self, x):
        return self.classifier(self.features(x))


def gradients(model, call, x):
    """Output of a call and gradients of its squares, from one seed."""
    torch.manual_seed(5)
    model.zero_grad()
    output = call(x)
    output.square().sum().backward()
    # What is drawn afterwards must not depend on micro-batches either.
    return output.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None], torch.rand(3)


def assert_same(found, expected):
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(found[2], expected[2])


def draws_of(call, rows, views=1):
    """The draws of a call, begun for all of its rows."""

    def forward(count):
        with views_in_a_row(views):
            call(torch.zeros(views * count, 5))

    draws = GlobalDraws(learn_divisions(lambda: forward(6), lambda: forward(3), 3, 2))
    draws.begin(slice(0, rows), rows)
    return draws


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("views", [1, 2])
def test_micro_batches_draw_and_differentiate_as_the_whole_batch(size, views):
    model, x = Wide(), torch.randn(7 * views, 5)
    expected = gradients(model, model.features, x)
    draws = draws_of(model.features, 7, views)
    model.seen.clear()
    small = MicroBatchedModel(model, size)

    def call(x):
        with views_in_a_row(views), drawing(draws):
            return small.features(x)

    assert_same(gradients(model, call, x), expected)
    assert max(model.seen) == size
    if size < 7:
        # Each micro-batch twice: forward, and again for its gradients.
        assert sum(model.seen) == 2 * len(x)


def test_draws_of_micro_batches_of_one_process_of_two():
    model, x = Wide(), torch.randn(6, 5)
    torch.manual_seed(5)
    whole = model.features(x)
    draws = draws_of(model.features, 6)
    draws.begin(slice(3, 6), 6)
    torch.manual_seed(5)
    with drawing(draws):
        found = MicroBatchedModel(model, 2).features(x[3:])
    torch.testing.assert_close(found, whole[3:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("process", [slice(0, 7), slice(4, 7)], ids=["alone", "of-two"])
def test_rows_that_every_process_computes_are_drawn_for_in_micro_batches(size, process):
    model, x, mixes = Wide(), torch.randn(7, 5), torch.randn(9, 5)

    def step(encode, own):
        clean = encode(x[own])
        with rows_everywhere():
            return clean, encode(mixes)

    def learnt(rows):
        step(LearningModel(model, rows).features, slice(0, rows))

    draws = GlobalDraws(learn_divisions(lambda: learnt(6), lambda: learnt(3), 3, 2))
    draws.begin(process, 7)
    torch.manual_seed(5)
    clean, mixed = step(model.features, slice(0, 7))
    expected = gradients(model, lambda _: step(model.features, slice(0, 7))[1], x)
    model.seen.clear()

    def call(_):
        draws.begin(process, 7)
        with drawing(draws):
            return step(MicroBatchedModel(model, size).features, process)[1]

    assert_same(gradients(model, call, x), expected)
    assert max(model.seen) == min(size, 9)
    torch.manual_seed(5)
    with drawing(draws):
        draws.begin(process, 7)
        found = step(MicroBatchedModel(model, size).features, process)
    torch.testing.assert_close(found, (clean[process], mixed), rtol=0, atol=1e-6)


def test_other_draws_would_be_seen():
    model, x = Wide(), torch.randn(7, 5)
    expected = gradients(model, model.features, x)
    found = gradients(model, MicroBatchedModel(model, 2).features, x)
    assert (found[0] - expected[0]).abs().max() > 0.01


def test_a_micro_batched_model_is_the_model_in_everything_else():
    model = Wide()
    small = MicroBatchedModel(model, 2)
    assert small.classifier is model.classifier
    assert not hasattr(small, "embed_patches")
    assert [name for name, _ in small.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_inputs_with_names_are_divided_by_rows():
    class Branches(nn.Module):
        def forward(self, x):
            return x["one"] * 2 + x["other"].sum(1, keepdim=True)

    x = {"one": torch.randn(5, 3), "other": torch.randn(5, 2)}
    assert torch.equal(MicroBatchedModel(Branches(), 2)(x), Branches()(x))


def test_rows_alone_keep_what_belongs_to_them():
    batch = Batch(
        features=torch.arange(3.0)[:, None],
        labels=torch.tensor([0, 1, 2, 3, 0]),
        local=slice(2, 5),
        devices=("a", "b", "c", "d", "e"),
        patients=("1", "2", "3", "4", "5"),
        stage=1,
    )
    alone = rows_alone(batch, slice(1, 3))
    assert alone.features.tolist() == [[1.0], [2.0]]
    assert (alone.labels.tolist(), alone.devices, alone.patients) == ([3, 0], ("d", "e"), ("4", "5"))
    assert (alone.local, alone.stage) == (slice(0, 2), 1)
    gathered = alone.gather(alone.features)
    assert gathered is alone.features


@pytest.mark.parametrize("weighted", [False, True])
def test_row_weights_say_what_the_loss_of_cross_entropy_is(weighted):
    from methods import create
    from methods.base import RowwiseMethod

    method = create("ce", feature_dim=4, class_counts=[9, 5, 3, 2], weighted=weighted)
    labels, logits = torch.tensor([0, 1, 2, 3, 0, 2]), torch.randn(6, 4)

    def loss(rows):
        return method(lambda x: x, Batch(features=logits[rows], labels=labels[rows], local=slice(0, 6)), None)["loss"]

    assert isinstance(method, RowwiseMethod)
    weights = method.row_weights(labels, 0)
    parts = [loss([row]) * weights[row] for row in range(6)]
    torch.testing.assert_close(sum(parts) / weights.sum(), loss(slice(None)))


@pytest.mark.parametrize(("weights", "found"), [(torch.ones(3), r"of shape \(3,\)"), ([1.0] * 4, "a list")])
def test_row_weights_that_are_not_one_for_each_row_are_refused(weights, found):
    method = type("Method", (), {"row_weights": lambda self, labels, stage: weights})()
    batch = Batch(features=torch.zeros(4, 1, 2, 2), labels=torch.zeros(4, dtype=torch.int64), local=slice(0, 4))
    with pytest.raises(SpecError, match=f"row weights are {found}, but must be a tensor of shape"):
        row_weights(method, batch)


def test_the_probe_alone_of_scl_is_a_mean_over_rows():
    from methods import create

    method = create("scl", feature_dim=4, class_counts=[9, 5, 3, 2])
    assert method.row_weights(torch.tensor([0, 1]), 0) is None
    assert len(method.row_weights(torch.tensor([0, 1]), 1)) == 2


# --- recomputation ----------------------------------------------------------------------------------------------------


class Stateful(nn.Module):
    """Layers whose buffers move in a pass, one of which uses what it remembers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 6))
        self.norm, self.dropout = nn.BatchNorm1d(6, momentum=None), nn.Dropout(0.4)

    def forward(self, x):
        return self.dropout(self.norm(self.layer(x))).relu()


def test_a_second_run_leaves_running_statistics_and_draws_as_they_were():
    torch.manual_seed(0)
    plain, again, x = Stateful(), Stateful(), torch.randn(8, 5)
    again.load_state_dict(plain.state_dict())
    for _ in range(2):
        expected = gradients(plain, plain, x)
        found = gradients(again, lambda x: recomputed(again, again, x), x)
        assert torch.equal(found[0], expected[0])
        assert all(map(torch.equal, found[1], expected[1]))
        assert torch.equal(found[2], expected[2])
        assert all(torch.equal(value, plain.state_dict()[name]) for name, value in again.state_dict().items())
    assert int(again.norm.num_batches_tracked) == 2


def test_a_recomputed_call_keeps_no_activations():
    kept = []
    model, x = Stateful(), torch.randn(8, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        recomputed(model, model, x)
        assert [tensor is x for tensor in kept] == [True]
        model(x)
        assert len(kept) > 4


# --- refusals ---------------------------------------------------------------------------------------------------------


def small_spec(model, method="ce", options=None, **fields):
    from five_steps import spec_of

    case = {"model": model, "model_options": options or {}, "method": method, "method_options": {}, "fields": fields}
    return spec_of(case).changed(frontend_options={"seconds": 1.0})


TINY = {**SMALL_AST, "frames": 98, "mels": 128}


@pytest.mark.parametrize(
    ("model", "method", "stage"),
    [("timm:test_resnet", "ce", "training"), ("cnn6", "mixup", "training"), ("cnn6", "scl", "supervised contrastive")],
)
def test_micro_batches_of_a_model_with_batch_norm_are_refused_at_the_start(model, method, stage):
    from bench.engine.preflight import check_model

    with pytest.raises(SpecError, match=f"micro_batch cannot be used in stage '{stage}': .* batch normalisation") as no:
        check_model(small_spec(model, method, micro_batch=2))
    assert "checkpointing=true" in no.value.hint
    check_model(small_spec(model, method, checkpointing=True))


def test_what_can_be_computed_in_micro_batches_starts():
    from bench.engine.preflight import check_model

    before = torch.get_rng_state()
    check_model(small_spec("ast", "patchmix-cl", TINY, micro_batch=2, checkpointing=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_checkpointing_of_a_model_that_names_no_blocks_is_refused_at_the_start():
    from bench.engine.preflight import check_model

    with pytest.raises(SpecError, match="checkpointing cannot be used with timm:vgg11"):
        check_model(small_spec("timm:vgg11", checkpointing=True))


def test_a_model_that_counts_its_passes_is_refused(tmp_path):
    from five_steps import run_data, spec_of

    from bench.engine.trainer import Trainer

    with fresh_registries():
        spec = spec_of(random_case("counting", fields={"micro_batch": 2}))
        with pytest.raises(SpecError, match="the model changes its calls in each forward pass"):
            Trainer(spec, run_data(), tmp_path).fit()
