"""Audits of results, predictions and tables of other tasks than the four classes: attacks on each, and honest ones."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from board_runs import document, spec
from task_runs import FIVE, official_part, scores_of, write_task_run

from bench.core.datasets import DATASETS
from bench.core.errors import ResultError, SpecError
from leaderboard.audit import audit_file
from leaderboard.audit.official import registered_split
from leaderboard.audit.printed import printed_cell
from leaderboard.tasks import task_document

SET = "sprsound"
"""A registered data set with several tasks and two tested parts."""


def never():
    raise AssertionError("the result of a run asks for no test cycles")


def rates(labels, chosen, abnormal, judged):
    """Sp, Se, AS, HS and Score of the challenge, by counting single cycles."""
    labels, chosen = np.asarray(labels), np.asarray(chosen)
    ill = np.isin(labels, abnormal)
    sp = 100 * np.mean(chosen[labels == 0] == 0)
    hit = np.isin(chosen, abnormal) if judged == "2class" else chosen == labels
    se = 100 * np.mean(hit[ill])
    mean, harmonic = (sp + se) / 2, 2 * sp * se / (sp + se)
    return {"sp": sp, "se": se, "as": mean, "hs": harmonic, "score": (mean + harmonic) / 2}


def made_metrics(task, part, seed=0, wrong=0.4):
    """Metrics of made answers on as many cycles of each class as the card says."""
    rng, classes = np.random.default_rng(seed), len(task.classes)
    labels = np.repeat(range(classes), task.counts[part])
    chosen = np.where(rng.random(len(labels)) < wrong, rng.integers(0, classes, len(labels)), labels)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, chosen), 1)
    return {
        judged: {
            **rates(labels, chosen, task.abnormal, judged),
            "confusion": confusion.tolist(),
            "n": len(labels),
            "epoch": 2,
        }
        for judged in task.sensitivities
    }


def made_result(name, **fields):
    """The result of a run on a whole registered set, with made answers."""
    card = DATASETS.card(SET)
    task = card.task(name)
    others = {part.id: {"last": made_metrics(task, part.id, 1)} for part in task.other_parts}
    told = {"task": task_document(card, task), "other_parts": others, "partial": None, **fields}
    result = document(spec(dataset=SET, task=name, split="official", partial=None), **told)
    return {**result, "metrics": {"last": made_metrics(task, task.main.id)}}


def audited(tmp_path, document, claim=None, judged=None, **options):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    claim = {rate: printed_cell(text)[0] for rate, text in (claim or {}).items()}
    return audit_file(path, never, claim, judged, **options)


def kinds(audit):
    return [finding.kind for finding in audit.findings]


# --- results of runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["event-7", "event-2", "record-3", "record-5"])
def test_an_honest_result_of_any_task_has_no_fault_and_numbers_of_each_part(tmp_path, task):
    result = made_result(task)
    found = audited(tmp_path, result)
    assert kinds(found) == []
    main, other = (fact for fact in found.facts if ": Sp" in fact)
    strict = result["metrics"]["last"][DATASETS.card(SET).task(task).strict]
    assert f"AS {strict['as']:.2f}, HS {strict['hs']:.2f}, Score {strict['score']:.2f}" in main
    assert ", intra: Sp" in other
    assert ("2-class" in main) == (task != "event-2")


def test_wrong_numbers_of_cycles_are_found_in_each_part(tmp_path):
    result = made_result("event-7")
    for metrics in (result["metrics"], result["other_parts"]["intra"]):
        for judged in metrics["last"].values():
            judged["confusion"][3][3] += 5
            judged["n"] += 5
    found = [one for one in audited(tmp_path, result).findings if one.kind == "class-counts"]
    assert len(found) == 2
    card = DATASETS.card(SET).task("event-7")
    for one, part in zip(found, ("inter", "intra"), strict=True):
        assert f"the part {part} has" in one.sentence
        assert ", ".join(card.classes) in one.sentence
        assert ", ".join(f"{count:,}" for count in card.counts[part]) in one.sentence


def test_swapped_classes_are_found_by_their_numbers(tmp_path):
    result = made_result("event-7")
    for judged in result["metrics"]["last"].values():
        rows = np.asarray(judged["confusion"])[[0, 2, 1, 3, 4, 5, 6]][:, [0, 2, 1, 3, 4, 5, 6]]
        judged["confusion"] = rows.tolist()
    assert "class-counts" in kinds(audited(tmp_path, result))


def test_a_score_by_the_other_law_is_found(tmp_path):
    result = made_result("record-5")
    for judged in result["metrics"]["last"].values():
        judged["score"] = judged["as"]
    found = audited(tmp_path, result)
    assert kinds(found) == ["confusion-disagrees", "confusion-disagrees"]
    assert all(" score is " in one.sentence for one in found.findings)


def test_metrics_of_a_part_that_are_those_of_other_cycles_are_found(tmp_path):
    result = made_result("event-2")
    result["other_parts"]["intra"] = result["metrics"]
    (found,) = audited(tmp_path, result).findings
    assert found.kind == "class-counts"
    assert "the part intra" in found.sentence


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("simulated", True),
        ("score", "mean"),
        ("ranking", "se"),
        ("classes", ["normal", "wheeze", "rhonchi", "stridor", "coarse-crackle", "fine-crackle", "wheeze+crackle"]),
        ("parts", [{"id": "inter", "title": "inter-patient test", "patients_seen": False}]),
        ("shared", ["normal", "abnormal", None, "abnormal", "abnormal", "abnormal", "abnormal"]),
    ],
)
def test_a_task_that_differs_from_the_card_is_found(tmp_path, field, value):
    result = made_result("event-7")
    result["task"][field] = value
    (found,) = audited(tmp_path, result).findings
    assert found.kind == "task-disagrees"
    assert f"task.{field}" in found.sentence


def test_the_innermost_difference_of_a_task_is_told(tmp_path):
    result = made_result("event-7")
    result["task"]["parts"][1]["patients_seen"] = False
    (found,) = audited(tmp_path, result).findings
    assert "task.parts[1].patients_seen is False, but that of SPRSound 2022 is True" in found.sentence


def test_a_result_of_a_registered_set_that_does_not_describe_its_task_is_found(tmp_path):
    result = made_result("event-7")
    del result["task"]
    (found,) = audited(tmp_path, result).findings
    assert "spec.task is 'event-7', but the result lacks 'task'" in found.sentence


@pytest.mark.parametrize(("field", "value"), [("classes", ["a"]), ("score", "best"), ("parts", 3), ("shared", [None])])
def test_a_task_that_cannot_be_one_is_refused_in_a_sentence(tmp_path, field, value):
    result = made_result("event-7")
    result["spec"]["dataset"] = "nobodys"
    result["task"][field] = value
    with pytest.raises(ResultError, match="task"):
        audited(tmp_path, result)


def test_parts_without_numbers_and_numbers_of_no_part_are_found(tmp_path):
    result = made_result("event-2")
    intra = result["other_parts"].pop("intra")
    assert kinds(audited(tmp_path, result)) == ["parts-missing"]
    result["other_parts"] = {"intra": intra, "outer": intra}
    found = [one.sentence for one in audited(tmp_path, result).findings if one.kind == "parts-missing"]
    assert len(found) == 1
    assert "outer" in found[0]


def test_numbers_of_cycles_that_differ_between_rules_are_found_where_none_are_official(tmp_path):
    result = json.loads((write_task_run(tmp_path) / "result.json").read_text())
    assert "class-counts" not in kinds(audited(tmp_path, result))
    for judged in result["other_parts"]["intra"]["best-test"].values():
        judged["confusion"][1][1] += 3
        judged["n"] += 3
    (found,) = [one for one in audited(tmp_path, result).findings if one.kind == "class-counts"]
    assert "under another rule the same part has" in found.sentence


def test_the_folder_of_a_run_of_an_unregistered_set_is_computed_again(tmp_path):
    folder = write_task_run(tmp_path)
    assert "The numbers are those of the predictions in the run folder." in audit_file(folder, never, {}).facts
    told = json.loads((folder / "result.json").read_text())
    told["other_parts"]["intra"] = told["metrics"]
    (folder / "result.json").write_text(json.dumps(told))
    assert "predictions-disagree" in kinds(audit_file(folder, never, {}))


@pytest.mark.parametrize(("part", "other"), [(None, "intra"), ("intra", "inter")])
def test_a_claim_of_runs_is_of_the_part_that_is_named(tmp_path, part, other):
    result = made_result("event-7")
    by_part = {"inter": result["metrics"]["last"], "intra": result["other_parts"]["intra"]["last"]}
    claim = {rate: f"{by_part[part or 'inter']['7class'][rate]:.2f}" for rate in ("sp", "se", "as", "hs", "score")}
    assert kinds(audited(tmp_path, result, claim, part and "7class", tested=part)) == []
    claim = {"score": f"{by_part[other]['7class']['score']:.4f}"}
    assert kinds(audited(tmp_path, result, claim, tested=part)) == ["other-part"]


def test_a_claim_by_the_other_law_is_explained(tmp_path):
    result = made_result("event-7")
    strict = result["metrics"]["last"]["7class"]
    claim = {"sp": f"{strict['sp']:.4f}", "se": f"{strict['se']:.4f}", "score": f"{strict['as']:.4f}"}
    found = audited(tmp_path, result, claim)
    assert kinds(found) == ["does-not-add-up", "other-mean"]
    assert all("the arithmetic mean of Sp and Se" in one.sentence for one in found.findings)


def test_a_claim_of_the_strict_score_that_is_the_binary_one_is_explained(tmp_path):
    result = made_result("record-5")
    binary = result["metrics"]["last"]["2class"]
    found = audited(tmp_path, result, {"se": f"{binary['se']:.4f}"})
    assert kinds(found) == ["binary-hits"]
    assert "the 5-class Se" in found.findings[0].sentence


def test_rates_and_ways_of_judging_that_a_task_has_not_are_refused(tmp_path):
    four = {**made_result("event-2"), "spec": {"dataset": "demo", "split": "official"}, "other_parts": {}}
    four.pop("task")
    four["metrics"] = {}
    with pytest.raises(ResultError, match="AS"):
        audited(tmp_path, four, {"as": "50.00"})
    with pytest.raises(SpecError, match="7class"):
        audited(tmp_path, made_result("event-2"), judged="7class")
    with pytest.raises(SpecError, match="outer"):
        audited(tmp_path, made_result("event-2"), {"sp": "1.0"}, tested="outer")


def test_a_claim_about_runs_of_two_tasks_is_refused(tmp_path):
    with pytest.raises(ResultError, match="different tasks"):
        audited(tmp_path, [made_result("event-2"), made_result("event-7")], {"sp": "50.0"})


# --- predictions ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def part():
    return official_part()


@pytest.fixture(scope="module")
def chosen(part):
    return scores_of(part.cycles, len(FIVE.classes), seed=3).argmax(axis=1)


def write(path, part, chosen):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["recording", "cycle", "predicted"])
        writer.writerows([*key, value] for key, value in zip(part.cycles.keys, chosen, strict=True))
    return path


def claimed(path, part, judged=None, tested=None, **claim):
    claim = {rate: printed_cell(f"{value:.4f}")[0] for rate, value in claim.items()}
    return audit_file(path, lambda: part, claim, judged, tested=tested)


def of_part(part, chosen, name, judged):
    places = part.cycles.places_of(name) if name else range(len(chosen))
    labels = [part.cycles.labels[place] for place in places]
    return rates(labels, [chosen[place] for place in places], FIVE.abnormal, judged)


@pytest.mark.parametrize("judged", ["5class", "2class"])
@pytest.mark.parametrize("tested", ["inter", "intra"])
def test_numbers_of_each_part_are_those_of_single_cycles(tmp_path, part, chosen, judged, tested):
    truth = of_part(part, chosen, tested, judged)
    found = claimed(write(tmp_path / "p.csv", part, chosen), part, judged, tested, **truth)
    assert kinds(found) == []
    numbers = found.numbers if tested == "inter" else found.numbers["other_parts"]["intra"]
    assert numbers[judged] == pytest.approx(truth)


def test_a_part_whose_patients_were_trained_on_is_said_to_be(tmp_path, part, chosen):
    (fact,) = [
        fact for fact in claimed(write(tmp_path / "p.csv", part, chosen), part).facts if "known patients" in fact
    ]
    assert "whose patients were seen in training" in fact


@pytest.mark.parametrize(("taken", "kind"), [("intra", "other-part"), (None, "pooled-parts")])
def test_a_claim_that_is_that_of_other_cycles_is_explained(tmp_path, part, chosen, taken, kind):
    claim = {rate: of_part(part, chosen, taken, "5class")[rate] for rate in ("sp", "se")}
    assert set(kinds(claimed(write(tmp_path / "p.csv", part, chosen), part, **claim))) == {kind}


def test_answers_of_another_task_are_named(tmp_path, part, chosen):
    found = claimed(write(tmp_path / "p.csv", part, ["crackle", 5, *chosen[2:]]), part)
    (finding,) = found.findings
    assert finding.kind == "unknown-class"
    assert "none of 0 to 4 or Normal, Rhonchi, Wheeze, Stridor, Poor Quality but 'crackle', '5'" in finding.sentence


def test_scores_with_columns_of_other_classes_are_refused(tmp_path, part):
    (tmp_path / "p.csv").write_text("recording,cycle,normal,crackle,wheeze,both\n1_a,0,1,0,0,0\n")
    with pytest.raises(ResultError, match="must be recording,cycle,Normal,Rhonchi"):
        claimed(tmp_path / "p.csv", part)


def test_a_task_without_a_tested_abnormal_cycle_has_no_numbers(tmp_path, part, chosen):
    """Cycles of a class that is neither normal nor abnormal are none of either."""
    dull = [0 if label else 4 for label in part.cycles.labels]
    none = replace(part, cycles=replace(part.cycles, labels=tuple(dull)))
    assert "no abnormal cycle" in claimed(write(tmp_path / "p.csv", none, chosen), none).unchecked[0]


# --- tables -----------------------------------------------------------------------------------------------------


def table(tmp_path, task, *rows):
    (tmp_path / "t.json").write_text(json.dumps(list(rows)))
    return audit_file(tmp_path / "t.json", never, {}, split=lambda: registered_split(SET, task))


def test_a_row_that_adds_up_by_the_challenges_law_is_sound(tmp_path):
    metrics = made_metrics(registered_split(SET, "event-7").task, "inter")["7class"]
    row = {name: round(metrics[name], 2) for name in ("sp", "se", "as", "hs", "score")}
    full = {**row, "seed": "1", "part": "inter", "confusion": metrics["confusion"]}
    assert kinds(table(tmp_path, "event-7", full)) == []
    found = table(tmp_path, "event-7", {**full, "score": row["as"]})
    assert "does-not-add-up" in kinds(found)
    assert "(AS + HS)/2" in found.findings[0].sentence
    assert "does-not-add-up" in kinds(table(tmp_path, "event-7", {**full, "hs": row["as"]}))


def test_a_confusion_matrix_of_another_part_or_of_two_classes_is_held_to_the_counts(tmp_path):
    task = registered_split(SET, "event-7").task
    of_intra = {**made_metrics(task, "intra")["7class"], "part": "inter"}
    row = {name: of_intra[name] for name in ("sp", "se", "part", "confusion")}
    (found,) = table(tmp_path, "event-7", row).findings
    assert found.kind == "class-counts"
    assert f"{task.counts['inter'][0]:,} normal" in found.sentence
    normal, *ill = task.counts["inter"]
    two = {"sp": 100.0, "se": 100.0, "judged": "2class", "part": "inter", "confusion": [[normal, 0], [0, sum(ill)]]}
    assert kinds(table(tmp_path, "event-7", two)) == []


def test_a_rate_that_no_number_of_the_parts_cycles_gives_is_found_only_where_the_part_is_told(tmp_path):
    split = registered_split(SET, "event-2")
    normal, _ = split.divisors(split.test)
    value = round(100 * 700.5 / normal, 3)
    told = table(tmp_path, "event-2", {"sp": value, "se": 50.0, "seed": "1", "part": "inter"})
    assert "no-such-count" in kinds(told)
    untold = table(tmp_path, "event-2", {"sp": value, "se": 50.0, "seed": "1"})
    assert "no-such-count" not in kinds(untold)
    assert any("which part it is of (inter or intra" in reason for reason in untold.unchecked)


def test_a_split_is_held_to_the_tasks_numbers(tmp_path):
    split = registered_split(SET, "event-2")
    train, tests = sum(split.train), split.tests
    for test in (*tests.values(), sum(tests.values())):
        assert "split" not in kinds(table(tmp_path, "event-2", {"sp": 50.0, "train": train, "test": test}))
    (found,) = table(tmp_path, "event-2", {"sp": 50.0, "train": 4142, "test": 2756}).findings
    assert found.kind == "split"
    assert split.ratio in found.sentence
