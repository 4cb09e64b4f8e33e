"""The engine's parts: gathering, batch statistics, held-out patients, selection, evaluation, checkpoints."""

import multiprocessing
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from bench.core.errors import RunError, SpecError
from bench.data.bank import FeatureBank
from bench.data.datasets.icbhi.card import CARD as ICBHI
from bench.data.frontends import SCLFrontEndOptions
from bench.data.frontends.scl import build, normalise
from bench.engine.data import RunData
from bench.engine.distributed import STORE_VARIABLE, GlobalBatchNorm, gather_rows, join_group, leave_group
from bench.engine.evaluate import class_probabilities
from bench.engine.normalisation import BatchExtremes
from bench.engine.sampling import hold_out_patients
from bench.engine.selection import Selection
from bench.experiment.spec import RunSpec
from leaderboard.metrics import SMALLEST_SE

BATCH, PROCESSES = 6, 3


def pictures():
    return torch.randn(BATCH, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def norm():
    layer = nn.BatchNorm2d(2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.5, -0.5]))
        layer.bias.copy_(torch.tensor([0.1, 0.2]))
    return layer


def global_loss(features):
    """A loss that couples all rows of the batch, as a contrastive one does."""
    flat = features.flatten(1)
    return (flat @ flat.T).exp().log1p().mean() + flat[0].square().sum()


def one_process():
    layer, x = norm(), pictures().requires_grad_()
    loss = global_loss(layer(x))
    loss.backward()
    return loss.item(), x.grad, layer.weight.grad, layer.running_mean, layer.running_var


def one_rank(rank, store, answers):
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(PROCESSES), GLOO_SOCKET_IFNAME="lo")
    os.environ[STORE_VARIABLE] = store
    torch.set_num_threads(1)
    assert join_group("cpu") == (rank, PROCESSES)
    layer = GlobalBatchNorm(norm())
    share = BATCH // PROCESSES
    x = pictures()[rank * share : (rank + 1) * share].clone().requires_grad_()
    loss = global_loss(gather_rows(layer(x)))
    loss.backward()
    # Arrays: a tensor is sent as a name of shared memory, which is gone where its sender has ended before it is read.
    tensors = (x.grad, layer.weight.grad, layer.running_mean, layer.running_var)
    answers.put((rank, loss.item(), *(tensor.numpy() for tensor in tensors)))
    answers.close()
    answers.join_thread()
    leave_group()


@pytest.mark.slow
def test_gathering_and_batch_statistics_have_the_gradient_of_one_process():
    loss, x_grad, weight_grad, mean, variance = one_process()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        ranks = [context.Process(target=one_rank, args=(r, f"{folder}/store", answers)) for r in range(PROCESSES)]
        for rank in ranks:
            rank.start()
        arrived = sorted((answers.get(timeout=120) for _ in ranks), key=lambda answer: answer[0])
        for rank in ranks:
            rank.join(30)
    found = [(rank, loss, *map(torch.from_numpy, arrays)) for rank, loss, *arrays in arrived]
    for answer in found:
        assert answer[1] == pytest.approx(loss, abs=1e-12)
        torch.testing.assert_close(answer[4], mean, atol=1e-12, rtol=0)
        torch.testing.assert_close(answer[5], variance, atol=1e-12, rtol=0)
    # Each process's loss is the global one: the mean over processes (which DDP takes) is the gradient of one.
    gathered = torch.cat([answer[2] for answer in found]) / PROCESSES
    torch.testing.assert_close(gathered, x_grad, atol=1e-12, rtol=0)
    torch.testing.assert_close(sum(a[3] for a in found) / PROCESSES, weight_grad, atol=1e-12, rtol=0)


def test_gathering_in_one_process_is_the_identity():
    x = pictures()
    assert gather_rows(x) is x


def test_global_batch_norm_equals_torch_in_one_process():
    plain, ours = norm(), GlobalBatchNorm(norm())
    x = pictures()
    torch.testing.assert_close(ours(x), plain(x), atol=1e-12, rtol=0)
    torch.testing.assert_close(ours.running_var, plain.running_var, atol=1e-12, rtol=0)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(ours.eval()(x), plain.eval()(x), atol=1e-12, rtol=0)


# --- held-out patients ------------------------------------------------------------------------------------------------


def cohort(seed=0, patients=60):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(5, 60, patients)
    names = [f"{i:03d}" for i, size in enumerate(sizes) for _ in range(size)]
    return names, rng.choice(4, len(names), p=[0.5, 0.29, 0.12, 0.09])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.4])
def test_held_out_patients_are_disjoint_and_stratified(fraction):
    names, labels = cohort()
    held = hold_out_patients(names, labels, fraction)
    is_held = np.isin(names, sorted(held))
    assert 0 < len(held) < len(set(names))
    assert is_held.mean() == pytest.approx(fraction, abs=0.03)
    for label in range(4):
        assert is_held[labels == label].mean() == pytest.approx(fraction, abs=0.06)
    assert not set(np.array(names)[~is_held]) & held


def test_the_choice_depends_on_the_data_alone():
    names, labels = cohort()
    assert hold_out_patients(names, labels, 0.2) == hold_out_patients(names, labels, 0.2)


def test_one_patient_cannot_be_held_out():
    with pytest.raises(
        SpecError, match=r"A share of 0\.2 of the training part is to be held out, but it has 1 patient"
    ):
        hold_out_patients(["101"] * 5, np.zeros(5, dtype=int), 0.2)


# --- selection --------------------------------------------------------------------------------------------------------


def epoch(score, se=50.0):
    return {"score": score, "se": se}


def test_selection_rules():
    selection = Selection(min_se=5.0)
    tests = [epoch(90.0, se=4.0), epoch(60.0), epoch(70.0), epoch(70.0), epoch(65.0)]
    vals = [epoch(10.0), epoch(50.0), epoch(40.0), epoch(50.0), epoch(20.0)]
    for number, (test, val) in enumerate(zip(tests, vals, strict=True), start=1):
        selection.update(number, np.full((1, 4), number), test, val)
    assert {rule: choice.epoch for rule, choice in selection.choices.items()} == {
        "last": 5,
        "best-test": 3,
        "best-val": 2,
    }
    assert selection.choices["best-test"].scores[0, 0] == 3
    assert selection.choices["best-test"].eligible


def test_an_epoch_below_the_threshold_is_best_only_for_want_of_another():
    selection = Selection(min_se=5.0)
    selection.update(1, np.zeros((1, 4)), epoch(50.0, se=0.0), None)
    assert not selection.choices["best-test"].eligible
    selection.update(2, np.zeros((1, 4)), epoch(30.0, se=6.0), None)
    assert selection.choices["best-test"].epoch == 2
    assert "best-val" not in selection.choices


@pytest.mark.golden
def test_the_official_code_takes_the_same_epochs_as_best(golden):
    """By the bound that a spec has where nothing else is asked for, which is the one that audits go by."""
    least = RunSpec.__dataclass_fields__["best_min_se"].default
    assert least == SMALLEST_SE
    for case in golden.json("losses.json")["scores"]:
        selection, official = Selection(min_se=least), case["plain"]
        selection.update(1, np.zeros((1, case["n_cls"])), official, None)
        assert selection.choices["best-test"].eligible == official["taken_as_best"]


# --- evaluation -------------------------------------------------------------------------------------------------------


class Sum(nn.Module):
    def forward(self, x):
        total = x.sum((1, 2, 3))
        return torch.stack([total, -total, torch.zeros_like(total), torch.ones_like(total)], 1)


def run_data(features, extremes=None):
    rows = np.arange(len(features))
    bank = FeatureBank(features, (), np.zeros(len(features), dtype=np.int64), Path("features.npy"))
    return RunData(
        bank=bank,
        train=rows,
        val=rows[:0],
        test=rows,
        recordings={},
        task=ICBHI.tasks[0],
        card=ICBHI,
        extremes=extremes,
    )


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_every_row_is_evaluated_once_and_in_order(batch):
    features = np.random.default_rng(0).standard_normal((10, 3, 2)).astype(np.float32)
    rows = np.array([9, 2, 4, 0, 7, 1, 3])
    scores = class_probabilities(Sum(), run_data(features), rows, Accelerator(cpu=True), batch)
    expected = Sum()(torch.from_numpy(features[rows])[:, None]).double().softmax(-1).numpy()
    assert scores.shape == (7, 4)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_outputs_that_are_not_finite_stop_the_run():
    features = np.full((2, 3, 2), np.nan, dtype=np.float32)
    with pytest.raises(RunError, match="not finite"):
        class_probabilities(Sum(), run_data(features), np.arange(2), Accelerator(cpu=True), 2)


def test_the_cached_features_cannot_be_written(small_data, small_cache):
    """SpecAugment of the official code writes into its cache (SYSTEMS D18); ours is read-only."""
    from icbhi_sets import load_dataset

    from bench.data.bank import prepare_bank

    dataset = load_dataset(Path(small_data), cache=small_cache)
    bank = prepare_bank(dataset, "ast", {"seconds": 1.0}, small_cache)
    before = bank.features[0]
    bank.features[0][:] = 1.0
    np.testing.assert_array_equal(bank.features[0], before)
    with pytest.raises(TypeError, match="item assignment"):
        bank.features[0] = 1.0


class TestBatchExtremes:
    """The SCL authors' quirk: features depend on the clips beside them, yet never on processes or batch sizes."""

    features = np.random.default_rng(1).uniform(-90, 10, (7, 5, 3)).astype(np.float32)
    frontend = build(SCLFrontEndOptions(normalise="batch", evaluation_batch=3))

    def extremes(self):
        return BatchExtremes.of(self.frontend, self.features)

    def test_a_training_batch_is_normalised_by_all_of_its_rows(self):
        rows, local = np.array([4, 0, 6, 2]), slice(1, 3)
        whole = torch.from_numpy(self.features[rows])
        expected = normalise(whole, whole.min().repeat(4), whole.max().repeat(4))
        found = self.extremes().in_training(whole[local, None], rows)
        torch.testing.assert_close(found[:, 0], expected[local])
        assert expected.max().item() == pytest.approx((1 - 0.3690) / 0.0255)

    @pytest.mark.parametrize("batch", [1, 2, 7])
    def test_an_evaluation_has_groups_of_its_own(self, batch):
        rows = np.array([1, 2, 3, 4, 5, 6, 0])
        expected = []
        for start in (0, 3, 6):
            group = torch.from_numpy(self.features[rows[start : start + 3]])
            expected.append(normalise(group, group.min().repeat(len(group)), group.max().repeat(len(group))))
        data = run_data(self.features, self.extremes())
        found = class_probabilities(Sum(), data, rows, Accelerator(cpu=True), batch)
        logits = Sum()(torch.cat(expected)[:, None]).double().softmax(-1).numpy()
        np.testing.assert_allclose(found, logits, atol=1e-6)
