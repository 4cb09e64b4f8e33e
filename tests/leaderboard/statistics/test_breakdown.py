from __future__ import annotations

import statistics
from types import SimpleNamespace

import numpy as np
import pytest
from board_runs import cycle_set, write_run

from bench.core.datasets import DATASETS, FOUR_CLASSES
from bench.core.errors import ResultError
from leaderboard.metrics import CLASSES, confusion_matrix, metrics_of
from leaderboard.results.predictions import CycleSet
from leaderboard.statistics.breakdown import (
    CycleCounter,
    all_normal,
    breakdown,
    mean_of_known,
    optimism,
    optimism_of_val,
    patients_on_both_sides,
    read_system_counts,
    system_counts,
    view_of,
)
from leaderboard.store.store import Store
from leaderboard.tasks import JudgedTask

SHARED_PATIENTS = DATASETS.card("icbhi").shared_patients
DEVICES = ("AKGC417L", "Litt3200", "Meditron")


def cycles_of(n=200, seed=0):
    """Cycles of nine patients and three devices, some patients recorded by two; two patients are 156 and 218."""
    rng = np.random.default_rng(seed)
    patients = rng.choice(["101", "102", "104", "109", "113", "118", "156", "218", "226"], n)
    devices = [DEVICES[(int(patient) + (rng.random() < 0.2)) % 3] for patient in patients]
    keys = tuple((f"{patients[i]}_1b1_Al_sc_{devices[i]}", i) for i in range(n))
    return CycleSet(keys, tuple(rng.integers(0, 4, n).tolist()), tuple(map(str, patients)), tuple(devices))


@pytest.fixture
def judged():
    cycles = cycles_of()
    rng = np.random.default_rng(1)
    chosen = [np.where(rng.random(200) < 0.6, cycles.labels, rng.integers(0, 4, 200)) for _ in range(3)]
    return cycles, chosen, system_counts(cycles, chosen)


def by_hand(cycles, chosen, keep):
    """Metrics of each run over some of the cycles, computed from the cycles themselves."""
    rows = [i for i in range(len(cycles)) if keep(i)]
    labels = np.array(cycles.labels)[rows]
    return [confusion_matrix(labels, run[rows]) for run in chosen]


def check_view(view, confusions):
    for judged_as, values in (("4class", view), ("2class", view["two_class"])):
        runs = [metrics_of(confusion, judged_as) for confusion in confusions]
        for name in ("sp", "se", "score"):
            numbers = [run[name] for run in runs]
            assert values[name] == pytest.approx(statistics.fmean(numbers), abs=1e-10)
            assert values[f"{name}_std"] == pytest.approx(statistics.stdev(numbers), abs=1e-10)
    assert view["cycles"] == np.sum(confusions[0])


def test_official_and_patient_disjoint_are_those_of_their_cycles(judged):
    cycles, chosen, counts = judged
    views = breakdown(counts, SHARED_PATIENTS)["views"]
    check_view(views["official"], by_hand(cycles, chosen, lambda i: True))
    check_view(views["patient-disjoint"], by_hand(cycles, chosen, lambda i: cycles.patients[i] not in ("156", "218")))
    assert (views["official"]["patients"], views["patient-disjoint"]["patients"]) == (9, 7)
    assert breakdown(counts, frozenset())["views"]["patient-disjoint"] == views["official"]
    assert breakdown(counts, None)["views"]["patient-disjoint"] is None


def test_each_device_is_judged_on_its_cycles(judged):
    cycles, chosen, counts = judged
    devices = breakdown(counts, None)["devices"]
    assert tuple(devices) == DEVICES
    for name, view in devices.items():
        rows = [i for i, device in enumerate(cycles.devices) if device == name]
        check_view(view, by_hand(cycles, chosen, lambda i: cycles.devices[i] == name))  # noqa: B023
        assert view["patients"] == len({cycles.patients[i] for i in rows})
    assert sum(view["cycles"] for view in devices.values()) == 200
    assert sum(view["patients"] for view in devices.values()) > 9  # some patients were recorded by two


def test_recall_of_each_class(judged):
    cycles, chosen, counts = judged
    labels = np.array(cycles.labels)
    for row, (name, found) in enumerate(breakdown(counts, None)["classes"].items()):
        recalls = [100.0 * (run[labels == row] == row).mean() for run in chosen]
        assert name == CLASSES[row]
        assert found["cycles"] == (labels == row).sum()
        assert found["recall"] == pytest.approx(statistics.fmean(recalls), abs=1e-10)
        assert found["recall_std"] == pytest.approx(statistics.stdev(recalls), abs=1e-10)


def test_counts_by_patient_are_those_of_the_cycles(judged):
    cycles, chosen, counts = judged
    assert counts.patients == tuple(sorted(set(cycles.patients)))
    for row, patient in enumerate(counts.patients):
        wanted = by_hand(cycles, chosen, lambda i: cycles.patients[i] == patient)  # noqa: B023
        assert counts.by_patient[:, row].tolist() == wanted


def test_a_rate_without_a_cycle_is_none():
    cycles = CycleSet((("a", 0), ("b", 0)), (0, 0), ("1", "2"), ("Meditron", "Meditron"))
    counts = system_counts(cycles, [np.array([0, 1])])
    view = view_of(counts)
    assert (view["sp"], view["se"], view["score"]) == (50.0, None, None)
    assert breakdown(counts, None)["classes"]["wheeze"] == {"cycles": 0, "recall": None, "recall_std": None}
    assert not counts.has_interval


def test_calling_everything_normal_is_the_reference(judged):
    cycles, _, _ = judged
    view = view_of(system_counts(cycles, [np.zeros(200, dtype=np.int64)]))
    for values in (view, view["two_class"]):
        assert {name: values[name] for name in all_normal(FOUR_CLASSES)} == all_normal(FOUR_CLASSES)


# --- patients on both sides, optimism ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "partial", "result", "expected"),
    [
        ({"dataset": "icbhi", "split": "official"}, None, {}, {"156", "218"}),
        ({"dataset": "icbhi", "split": "official"}, "partial (198 of 920)", {}, None),
        ({"dataset": "icbhi", "split": "random"}, None, {}, None),
        ({"dataset": "demo", "split": "official"}, None, {}, None),
        ({"dataset": "demo", "split": "official"}, None, {"patients_on_both_sides": []}, set()),
        ({"dataset": "icbhi", "split": "official"}, "half", {"patients_on_both_sides": ["156"]}, {"156"}),
    ],
)
def test_patients_on_both_sides_are_what_the_run_says_or_icbhis(spec, partial, result, expected):
    found = patients_on_both_sides(spec, partial, result)
    assert found == (None if expected is None else frozenset(expected))


def test_icbhis_patients_on_both_sides_are_those_of_the_pinned_split():
    from bench.data.datasets.icbhi.pinned import BY_PATIENT

    sides = {side: {patient for part, patient in BY_PATIENT if part == side} for side in ("train", "test")}
    assert sides["train"] & sides["test"] == SHARED_PATIENTS
    assert sum(BY_PATIENT["test", patient].cycles for patient in SHARED_PATIENTS) == 120


def test_a_run_writes_down_the_patients_on_both_sides():
    from bench.engine.result import patients_on_both_sides as on_both_sides

    names = ["a", "b", "c", "d"]
    data = SimpleNamespace(
        task=FOUR_CLASSES,
        train=np.array([0]),
        val=np.array([1]),
        recordings={name: SimpleNamespace(patient=patient) for name, patient in zip(names, "1231", strict=True)},
        keys=lambda rows: [(names[row], 0) for row in rows],
    )
    keys = tuple((name, 0) for name in names)
    cycles = CycleSet(keys, (0, 1, 0, 1), ("3", "2", "1", "1"), ("AKGC417L",) * 4)
    assert on_both_sides(data, cycles) == ["1", "2"]


def run_with(**scores):
    return SimpleNamespace(
        judged_task=JudgedTask("a-set", "A set", FOUR_CLASSES),
        metrics={rule.replace("_", "-"): {"4class": {"score": score}} for rule, score in scores.items()},
    )


def test_optimism_is_best_test_minus_last():
    assert optimism(run_with(last=59.5, best_test=61.25)) == 1.75
    assert optimism(run_with(last=59.5)) is None
    assert mean_of_known([1.0, None, 2.0]) == 1.5
    assert mean_of_known([None]) is None


# --- from the store ---------------------------------------------------------------------------------------------


def test_counts_come_from_stored_predictions(tmp_path):
    store = Store.open(tmp_path)
    for seed in (1, 2):
        store.import_run(write_run(tmp_path, seed=seed))
    runs = store.runs()
    for rule in ("last", "best-test"):
        counts = read_system_counts(store, runs, rule)
        for number, run in enumerate(runs):
            stored = store.run(run.run_id)["metrics"][rule]["4class"]["confusion"]
            assert counts.counts[number].sum(axis=0).tolist() == stored
    with pytest.raises(ResultError, match="has no predictions under the rule 'best-val'"):
        read_system_counts(store, runs, "best-val")


def test_seeds_of_a_system_on_other_cycles_are_refused(tmp_path):
    store = Store.open(tmp_path)
    for seed, n in ((1, 60), (2, 48)):
        store.import_run(write_run(tmp_path, seed=seed, cycles=cycle_set(n)))
    with pytest.raises(ResultError, match="of one system were judged on different cycles"):
        read_system_counts(store, store.runs(), "last")


# --- parts of counts --------------------------------------------------------------------------------------------


def test_leaving_out_patients_one_by_one_or_together_is_the_same(judged):
    _, _, counts = judged
    together = counts.without({"101", "102"})
    apart = counts.without({"102"}).without({"101"})
    assert together.groups == apart.groups
    assert together.counts.tolist() == apart.counts.tolist()
    assert counts.without({"nobody"}).counts.tolist() == counts.counts.tolist()
    assert set(together.patients) == set(counts.patients) - {"101", "102"}


def test_devices_split_the_counts_and_put_together_they_are_whole(judged):
    _, _, counts = judged
    assert counts.devices == DEVICES
    parts = [counts.of_device(name).counts.sum(axis=1) for name in DEVICES]
    assert sum(parts).tolist() == counts.counts.sum(axis=1).tolist()
    assert counts.of_device("none").patients == ()


def test_one_counter_counts_each_system_as_a_counter_of_its_own_would(judged):
    cycles, chosen, counts = judged
    counter = CycleCounter(cycles)
    assert counter.count(chosen).counts.tolist() == counts.counts.tolist()
    for run, of_run in zip(chosen, counts.counts, strict=True):
        assert counter.count([run]).counts.tolist() == [of_run.tolist()]


@pytest.mark.parametrize(
    ("labels", "patients", "enough"),
    [
        ((0, 1, 0, 1), "aabb", True),
        ((0, 0, 1, 1), "aabb", False),
        ((0, 1, 0, 0), "aabb", False),
        ((1, 1, 0, 1), "aabb", False),
        ((0, 0, 2, 3), "abcd", True),
    ],
)
def test_an_interval_takes_two_patients_of_each_kind(labels, patients, enough):
    cycles = CycleSet(tuple((p, i) for i, p in enumerate(patients)), labels, tuple(patients), ("Meditron",) * 4)
    assert system_counts(cycles, [np.zeros(4, dtype=np.int64)]).has_interval is enough


def test_optimism_of_held_out_patients_is_best_test_minus_best_val():
    assert optimism_of_val(run_with(best_val=58.0, best_test=61.25, last=57.0)) == 3.25
    assert optimism_of_val(run_with(last=59.5, best_test=61.25)) is None
    assert optimism_of_val(run_with(best_val=58.0)) is None


@pytest.mark.parametrize(("values", "mean"), [([], None), ([2.0], 2.0), ([None, 0.0], 0.0), ([1.0, 2.0, 6.0], 3.0)])
def test_the_mean_of_what_is_known(values, mean):
    assert mean_of_known(values) == mean
