"""Statistics of any task against loops over single cycles: classes that are neither, the challenge's Score, parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from task_boards import PAIR, many_cycles
from task_runs import FIVE, THREE, scores_of

from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import ResultError
from leaderboard.metrics import confusion_matrix, metrics_of, predicted_classes, score_of
from leaderboard.statistics.breakdown import CycleCounter, all_normal, breakdown, view_of
from leaderboard.statistics.intervals import paired_difference, system_estimate
from leaderboard.statistics.operating_points import FOLDS, operating_points
from leaderboard.statistics.patient_hits import PatientHits, count_hits, validated_counts
from leaderboard.statistics.rank_intervals import rank_intervals, score_slopes

TASKS = pytest.mark.parametrize("task", [FIVE, PAIR, THREE, FOUR_CLASSES], ids=lambda task: task.id)


def judged(task, seed=1, skill=1.0, part="inter"):
    """Cycles of one part with the scores of a run."""
    whole = many_cycles(task) if task.other_parts else many_cycles(FIVE).of_part(part)
    labels = tuple(label % len(task.classes) for label in whole.labels)
    whole = type(whole)(whole.keys, labels, whole.patients, whole.devices, whole.parts)
    cycles = whole.of_part(part)
    return cycles, scores_of(cycles, len(task.classes), seed, skill)


def counted(task, *seeds, skill=1.0):
    runs = [judged(task, seed, skill) for seed in seeds]
    chosen = [predicted_classes(scores, None) for _, scores in runs]
    return CycleCounter(runs[0][0], task).count(chosen), runs[0][0], chosen


@TASKS
def test_hits_are_those_of_single_cycles(task):
    counts, cycles, (chosen,) = counted(task, 1)
    for sensitivity in task.sensitivities:
        normal = abnormal = 0
        for label, guess in zip(cycles.labels, chosen, strict=True):
            normal += label == guess == 0
            exact = sensitivity != "2class"
            abnormal += label in task.abnormal and (label == guess if exact else guess in task.abnormal)
        found = count_hits(counts.by_patient[0].sum(axis=0), sensitivity, task)
        assert [int(hits) for hits in found] == [normal, abnormal]


@TASKS
def test_rates_of_seeds_are_the_metrics_of_their_confusion(task):
    counts, cycles, chosen = counted(task, 1, 2)
    view = view_of(counts)
    for sensitivity in task.sensitivities:
        values = view if sensitivity == task.strict else view["two_class"]
        matrices = [confusion_matrix(cycles.labels, run, len(task.classes)) for run in chosen]
        metrics = [metrics_of(matrix, sensitivity, task=task) for matrix in matrices]
        hits = PatientHits.of(counts.by_patient, sensitivity, task)
        assert hits.by_seed[:, 2] == pytest.approx([one["score"] for one in metrics])
        for name in ("sp", "se", "score", *(("as", "hs") if task.score == "challenge" else ())):
            assert values[name] == pytest.approx(np.mean([one[name] for one in metrics]))
    assert (view["two_class"] is None) == (len(task.sensitivities) == 1)
    assert list(breakdown(counts, None)["classes"]) == list(task.classes)


@pytest.mark.parametrize("task", [FIVE, PAIR], ids=lambda task: task.id)
def test_an_interval_is_the_jackknife_of_the_challenges_score(task):
    counts, cycles, (chosen,) = counted(task, 3)
    patients = sorted(set(cycles.patients))

    def score(left_out):
        kept = [i for i, patient in enumerate(cycles.patients) if patient != left_out]
        matrix = confusion_matrix(np.array(cycles.labels)[kept], chosen[kept], len(task.classes))
        return metrics_of(matrix, task.strict, task=task)["score"]

    without = np.array([score(patient) for patient in patients])
    wanted = math.sqrt((len(patients) - 1) / len(patients) * np.sum((without - without.mean()) ** 2))
    found = system_estimate(counts.by_patient, judged=task.strict, task=task).score
    assert found.value == pytest.approx(score(None))
    assert found.error == pytest.approx(wanted)
    other = counted(task, 4)[0]
    same = paired_difference(counts.by_patient, counts.by_patient, judged=task.strict, task=task).score
    apart = paired_difference(counts.by_patient, other.by_patient, judged=task.strict, task=task).score
    assert (same.value, same.error) == (0.0, 0.0)
    assert apart.error > 0


def test_a_matrix_of_another_task_is_refused():
    counts = counted(PAIR, 1)[0].by_patient
    with pytest.raises(ResultError, match=r"must have the shape \(seeds, patients, 5, 5\)"):
        validated_counts(counts, FIVE)
    with pytest.raises(ResultError, match="judged as 2class, not as '4class'"):
        count_hits(counts, "4class", PAIR)


def test_slopes_are_the_derivatives_of_the_score():
    rates = np.array([[80.0, 40.0], [55.0, 90.0], [100.0, 0.0]])
    step = 1e-4
    for law in ("mean", "challenge"):
        for (sp, se), (of_sp, of_se) in zip(rates, score_slopes(rates, law), strict=True):
            here = score_of(sp, se, law)
            assert of_sp == pytest.approx((here - score_of(sp - step, se, law)) / step, abs=1e-4)
            assert of_se == pytest.approx((score_of(sp, se + step, law) - here) / step, abs=1e-4)
    assert score_slopes(np.zeros((1, 2)), "challenge").tolist() == [[0.25, 0.25]]


def test_ranks_by_the_challenges_score_tell_far_systems_apart_and_copies_not():
    systems = [
        PatientHits.of(counted(FIVE, *seeds, skill=skill)[0].by_patient, FIVE.strict, FIVE)
        for skill, seeds in ((3.0, (1, 2)), (0.5, (3, 4)), (0.5, (3, 4)))
    ]
    assert rank_intervals(systems, None) == [(1, 1), (2, 3), (2, 3)]


@pytest.mark.parametrize("task", [FOUR_CLASSES, FIVE, PAIR], ids=lambda task: task.id)
def test_calling_everything_normal_is_judged_by_the_task(task):
    classes = len(task.classes)
    matrix = [[7, *[0] * (classes - 1)] for _ in range(classes)]
    for sensitivity in task.sensitivities:
        metrics = metrics_of(matrix, sensitivity, task=task)
        found = all_normal(task)
        assert {name: found[name] for name in found if not name.endswith("_std")} == {
            name: metrics[name] for name in metrics if name not in ("confusion", "n")
        }


@pytest.mark.parametrize("task", [FIVE, PAIR], ids=lambda task: task.id)
def test_tuned_thresholds_are_those_of_the_other_folds(task):
    cycles, scores = judged(task)
    scores = scores.astype(np.float64)
    names = sorted(set(cycles.patients))
    folds = [names.index(patient) % FOLDS for patient in cycles.patients]
    margins = scores[:, 1:].max(axis=1) - scores[:, 0]
    labels = np.array(cycles.labels)

    def answers(threshold):
        return np.where(margins <= threshold, 0, scores[:, 1:].argmax(axis=1) + 1)

    def rates(guess, rows, sensitivity):
        matrix = confusion_matrix(labels[rows], guess[rows], len(task.classes))
        found = metrics_of(matrix, sensitivity, task=task)
        return found["sp"], found["se"], found["score"]

    found = operating_points(cycles.labels, scores, cycles.patients, task)
    for sensitivity in task.sensitivities:
        final = np.zeros(len(labels), dtype=np.int64)
        for fold in range(FOLDS):
            others = np.array([one != fold for one in folds])
            candidates = [-np.inf, *sorted(set(margins[others]))]
            best = max(candidates, key=lambda threshold: rates(answers(threshold), others, sensitivity)[2])
            final[~others] = answers(best)[~others]
        assert found.tuned[sensitivity] == pytest.approx(rates(final, np.full(len(labels), True), sensitivity)[:2])
