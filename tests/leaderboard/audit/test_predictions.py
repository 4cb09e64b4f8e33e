"""Faults of predictions, each in a made-up file, and the ways in which a claim about sound ones arises."""

import csv

import numpy as np
import pytest

from bench.core.errors import ResultError
from leaderboard.audit import audit_file
from leaderboard.audit.official import registered_split
from leaderboard.audit.printed import Printed, printed_cell
from leaderboard.metrics import CLASSES
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet

TEST = registered_split().test
DEVICES = ("AKGC417L", "Litt3200", "Meditron")
PATIENTS = [str(number) for number in range(101, 150)]


@pytest.fixture(scope="module")
def part():
    """A test part with the official numbers of cycles, one patient of it trained on too."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(range(4), TEST))
    patients = rng.choice(PATIENTS, len(labels))
    keys = [(f"{patient}_1b1_Al_sc_{DEVICES[int(patient) % 3]}", row) for row, patient in enumerate(patients)]
    devices = tuple(DEVICES[int(patient) % 3] for patient in patients)
    cycles = CycleSet(tuple(keys), tuple(labels.tolist()), tuple(patients.tolist()), devices)
    return OfficialPart("icbhi", None, cycles, frozenset({"101", "201", "202"}), "made-up cycles")


@pytest.fixture(scope="module")
def predicted(part):
    """Answers that hit normal cycles at 80 % and abnormal ones by class at 30 to 60 %."""
    rng = np.random.default_rng(1)
    labels = np.asarray(part.cycles.labels)
    right = rng.random(len(labels)) < np.asarray([0.8, 0.5, 0.3, 0.6])[labels]
    return np.where(right, labels, rng.choice(4, len(labels), p=[0.5, 0.2, 0.2, 0.1]))


def write(path, part, predicted, *, keys=None, extra=()):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["recording", "cycle", "predicted"])
        writer.writerows([*key, value] for key, value in zip(keys or part.cycles.keys, predicted, strict=True))
        writer.writerows(extra)
    return path


def audited(path, part, judged="4class", **claimed):
    claim = {rate: printed_cell(text)[0] for rate, text in claimed.items()}
    return audit_file(path, lambda: part, claim, judged)


def kinds(audit):
    return [finding.kind for finding in audit.findings]


def counted(part, predicted):
    """Sp, and Se of both kinds, by counting."""
    labels = np.asarray(part.cycles.labels)
    normal = labels == 0
    sp = 100 * (predicted[normal] == 0).mean()
    return sp, 100 * (predicted == labels)[~normal].mean(), 100 * (predicted > 0)[~normal].mean()


def test_sound_predictions_have_their_numbers_and_no_fault(tmp_path, part, predicted):
    found = audited(write(tmp_path / "p.csv", part, predicted), part)
    assert found.findings == []
    sp, strict, binary = counted(part, predicted)
    assert found.numbers["cycles"] == 2756
    assert found.numbers["4class"] == pytest.approx({"sp": sp, "se": strict, "score": (sp + strict) / 2})
    assert found.numbers["2class"] == pytest.approx({"sp": sp, "se": binary, "score": (sp + binary) / 2})
    assert f"Sp {sp:.2f}, Se {strict:.2f}" in " ".join(found.facts)
    assert "epoch" in " ".join(found.unchecked)


def test_a_true_claim_has_no_fault(tmp_path, part, predicted):
    path = write(tmp_path / "p.csv", part, predicted)
    sp, strict, binary = counted(part, predicted)
    claim = {"sp": f"{sp:.2f}", "se": f"{strict:.2f}", "score": f"{(sp + strict) / 2:.2f}"}
    assert kinds(audited(path, part, **claim)) == []
    assert kinds(audited(path, part, "2class", se=f"{binary:.1f}")) == []


# --- cycles -----------------------------------------------------------------------------------------------------


def test_missing_cycles_are_counted_and_the_others_judged(tmp_path, part, predicted):
    path = write(tmp_path / "p.csv", part, predicted[:-5], keys=part.cycles.keys[:-5])
    found = audited(path, part)
    assert kinds(found) == ["missing-cycles"]
    assert "Of 2,756 test cycles without an answer: 5 (" in found.findings[0].sentence
    assert found.numbers["cycles"] == 2751


def test_training_patients_beside_all_test_cycles(tmp_path, part, predicted):
    found = audited(write(tmp_path / "p.csv", part, predicted, extra=[("201_1b1_Al_sc_Meditron", 0, 0)]), part)
    assert kinds(found) == ["training-cycles"]
    assert "201_1b1_Al_sc_Meditron cycle 0" in found.findings[0].sentence


def test_a_random_split_is_named(tmp_path, part, predicted):
    extra = [("201_1b1_Al_sc_Meditron", cycle, 0) for cycle in range(40)]
    path = write(tmp_path / "p.csv", part, predicted[:2000], keys=part.cycles.keys[:2000], extra=extra)
    found = audited(path, part)
    assert kinds(found) == ["random-split"]
    assert found.findings[0].numbers == {"training": 40, "missing": 756}
    path = write(tmp_path / "q.csv", part, predicted[:1340], keys=part.cycles.keys[:1340], extra=extra)
    assert "an 80-20 split" in audited(path, part).findings[0].sentence


def test_cycles_of_nobody(tmp_path, part, predicted):
    found = audited(write(tmp_path / "p.csv", part, predicted, extra=[("999_1b1_Al_sc_Meditron", 0, 0)]), part)
    assert kinds(found) == ["unknown-cycles"]


def test_cycles_counted_from_1_are_one_fault_and_are_judged(tmp_path, part, predicted):
    keys = [(recording, cycle + 1) for recording, cycle in part.cycles.keys]
    found = audited(write(tmp_path / "p.csv", part, predicted, keys=keys), part)
    assert kinds(found) == ["counted-from-1"]
    assert found.numbers["4class"]["sp"] == pytest.approx(counted(part, predicted)[0])


def test_duplicates_and_unknown_classes(tmp_path, part, predicted):
    path = write(tmp_path / "p.csv", part, [*predicted[:-1], "rhonchus"], extra=[(*part.cycles.keys[0], 1)])
    found = audited(path, part)
    assert kinds(found) == ["duplicate-cycles", "unknown-class"]
    assert "'rhonchus'" in found.findings[1].sentence
    assert found.numbers["cycles"] == 2754


def scores_file(path, part, scores):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["recording", "cycle", *CLASSES])
        writer.writerows([*key, *row] for key, row in zip(part.cycles.keys, scores, strict=True))
    return path


def test_scores_that_are_not_finite(tmp_path, part, predicted):
    scores = np.eye(4)[predicted]
    scores[3, 2] = np.nan
    found = audited(scores_file(tmp_path / "p.csv", part, scores.tolist()), part)
    assert kinds(found) == ["not-finite"]


def test_ties(tmp_path, part, predicted):
    scores = np.eye(4)[predicted]
    scores[:100] = 0.25
    found = audited(scores_file(tmp_path / "p.csv", part, scores.tolist()), part)
    assert kinds(found) == ["ties"]
    assert found.findings[0].numbers == {"cycles": 100}
    scores[1:100] = np.eye(4)[predicted[1:100]]
    assert kinds(audited(scores_file(tmp_path / "p.csv", part, scores.tolist()), part)) == []


def test_the_labels_themselves_and_one_class_for_all(tmp_path, part):
    assert kinds(audited(write(tmp_path / "p.csv", part, part.cycles.labels), part)) == ["labels"]
    assert kinds(audited(write(tmp_path / "q.csv", part, [0] * 2756), part)) == ["one-class"]


def test_answers_without_an_abnormal_cycle_are_not_judged(tmp_path, part, predicted):
    normal = [row for row, label in enumerate(part.cycles.labels) if label == 0]
    path = write(tmp_path / "p.csv", part, predicted[normal], keys=[part.cycles.keys[row] for row in normal])
    found = audited(path, part)
    assert kinds(found) == ["missing-cycles"]
    assert found.numbers == {}
    assert any("no abnormal cycle" in reason for reason in found.unchecked)


# --- claims -----------------------------------------------------------------------------------------------------


def recalls(part, predicted):
    labels = np.asarray(part.cycles.labels)
    return [100 * (predicted[labels == label] == label).mean() for label in range(4)]


def specificities(part, predicted):
    labels = np.asarray(part.cycles.labels)
    return [100 * (predicted[labels != label] != label).mean() for label in range(4)]


def by_device(part, predicted):
    devices = np.asarray(part.cycles.devices)
    parts = []
    for device in DEVICES:
        labels, chosen = np.asarray(part.cycles.labels)[devices == device], predicted[devices == device]
        normal = labels == 0
        parts.append((100 * (chosen[normal] == 0).mean(), 100 * (chosen == labels)[~normal].mean()))
    return np.mean(parts, axis=0)


def other_readings(part, predicted):
    sp, strict, binary = counted(part, predicted)
    recall, specificity = np.asarray(recalls(part, predicted)), np.asarray(specificities(part, predicted))
    accuracy = 100 * (predicted == np.asarray(part.cycles.labels)).mean()
    device_sp, device_se = by_device(part, predicted)
    disjoint = np.asarray(part.cycles.patients) != "101"
    labels = np.asarray(part.cycles.labels)
    disjoint_sp = 100 * (predicted[disjoint & (labels == 0)] == 0).mean()
    return {
        "binary-hits": {"sp": sp, "se": binary, "score": (sp + binary) / 2},
        "class-mean": {"se": recall[1:].mean()},
        "one-vs-rest": {"sp": specificity.mean(), "se": recall.mean()},
        "swapped": {"sp": strict, "se": sp},
        "accuracy": {"score": accuracy},
        "other-mean": {"score": 2 * sp * strict / (sp + strict)},
        "mean-over-devices": {"sp": device_sp, "se": device_se},
        "patient-disjoint": {"sp": disjoint_sp},
    }


FOLLOWS = {
    "binary-hits": {"sp", "score"},  # Sp is the same in both, and the Score follows from Se.
    "class-mean": set(),
    "one-vs-rest": set(),
    "swapped": set(),
    "accuracy": set(),
    "other-mean": set(),
    "mean-over-devices": set(),
    "patient-disjoint": set(),
}
"""The rates of each reading that are no fault of their own."""


@pytest.mark.parametrize("kind", FOLLOWS)
def test_how_a_claim_arises_is_said(tmp_path, part, predicted, kind):
    values = other_readings(part, predicted)[kind]
    path = write(tmp_path / "p.csv", part, predicted)
    found = audited(path, part, **{rate: f"{value:.3f}" for rate, value in values.items()})
    assert set(kinds(found)) == {kind}
    assert all(finding.numbers["reading"] in finding.sentence for finding in found.findings)
    assert {finding.numbers["rate"] for finding in found.findings} == set(values) - FOLLOWS[kind]


def test_a_score_that_follows_from_a_wrong_sensitivity_is_no_second_fault(tmp_path, part, predicted):
    sp, _, binary = counted(part, predicted)
    claim = {"sp": f"{sp:.2f}", "se": f"{binary:.2f}", "score": f"{(sp + binary) / 2:.2f}"}
    found = audited(write(tmp_path / "p.csv", part, predicted), part, **claim)
    assert [finding.numbers["rate"] for finding in found.findings] == ["se"]


def test_a_claim_that_nothing_explains_is_of_other_cycles(tmp_path, part, predicted):
    path = write(tmp_path / "p.csv", part, predicted)
    found = audited(path, part, sp="12.345")
    assert kinds(found) == ["unexplained-claim"]
    assert "no number of the 1,579 normal cycles does" in found.findings[0].sentence


def test_a_claim_that_contradicts_itself(tmp_path, part, predicted):
    sp, strict, _ = counted(part, predicted)
    path = write(tmp_path / "p.csv", part, predicted)
    found = audited(path, part, sp=f"{sp:.2f}", se=f"{strict:.2f}", score=f"{sp + 1:.2f}")
    assert kinds(found) == ["score-outside", "unexplained-claim"]


def test_a_claim_needs_something_to_be_compared_with(tmp_path, part):
    (tmp_path / "t.csv").write_text("system,sp,se,score\nA,80.00,40.00,60.00\n")
    with pytest.raises(ResultError, match="neither predictions nor"):
        audit_file(tmp_path / "t.csv", lambda: part, {"sp": Printed(80.0, 2)})
