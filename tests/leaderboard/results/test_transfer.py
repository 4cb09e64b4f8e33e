"""Transfers: the classes that tasks share, the numbers over them, and documents that do not agree with themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_transfers import TASK, cycles_of_parts, made_transfer, write_transfer

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.errors import BenchError, ResultError
from leaderboard.audit import audit_file
from leaderboard.results.predictions import read_predictions, write_predictions
from leaderboard.results.transfer import (
    SHARED_CLASSES,
    TransferFolder,
    judged_cycles,
    read_transfers,
    shared_probabilities,
    shared_task,
    transfer_id,
    transfer_metrics,
)


def test_the_probability_of_abnormal_is_the_sum_over_the_abnormal_classes():
    scores = np.array([[0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]])
    assert shared_probabilities(scores, FOUR_CLASSES) == pytest.approx(np.array([[0.4, 0.6], [0.7, 0.3]]))


def test_a_class_that_is_neither_is_left_out_and_the_others_divided_by_their_sum():
    scores = np.array([[0.2, 0.1, 0.5, 0.2]])
    assert shared_probabilities(scores, TASK) == pytest.approx(np.array([[0.4, 0.6]]))


def test_a_cycle_without_any_probability_is_refused():
    with pytest.raises(ResultError, match="gives 1 cycle no probability of normal or abnormal"):
        shared_probabilities(np.array([[0.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.0, 0.0]]), TASK)


def test_the_numbers_of_a_part_are_those_of_its_cycles_alone():
    transfer = made_transfer()
    found = transfer_metrics(transfer.cycles, transfer.probabilities, TASK)
    assert list(found) == ["new", "known"]
    columns = (transfer.cycles.labels, transfer.cycles.parts, transfer.probabilities.tolist())
    rows = list(zip(*columns, strict=True))
    for part, metrics in found.items():
        normal = [row for row in rows if row[1] == part and row[0] == 0]
        abnormal = [row for row in rows if row[1] == part and row[0] in (1, 3)]
        sp = 100 * sum(p >= q for *_, (p, q) in normal) / len(normal)
        se = 100 * sum(q > p for *_, (p, q) in abnormal) / len(abnormal)
        harmonic = 2 * sp * se / (sp + se)
        assert metrics["n"] == len(normal) + len(abnormal) < sum(row[1] == part for row in rows)
        for name, value in {"sp": sp, "se": se, "as": (sp + se) / 2, "hs": harmonic}.items():
            assert metrics[name] == pytest.approx(value, abs=1e-12)
        assert metrics["score"] == pytest.approx(((sp + se) / 2 + harmonic) / 2, abs=1e-12)
    assert transfer.left_out == sum(row[0] == 2 for row in rows) > 0


def test_the_score_follows_the_law_of_the_judged_task():
    task = TaskCard(id="two", title="two", classes=("no", "yes"))
    assert shared_task(task).score == "mean"
    metrics = made_transfer(task=TaskCard(id="t", title="t", classes=tuple("abcd"))).document["metrics"]["test"]
    assert "as" not in metrics
    assert metrics["score"] == pytest.approx((metrics["sp"] + metrics["se"]) / 2)


def test_a_part_without_normal_or_abnormal_cycles_is_named():
    cycles = cycles_of_parts()
    some = cycles.subset([i for i in range(len(cycles)) if cycles.parts[i] == "new" or cycles.labels[i] in (1, 2)])
    with pytest.raises(ResultError, match="known ones holds no normal cycle"):
        transfer_metrics(some, np.full((len(some), 2), 0.5), TASK)


def test_the_judged_cycles_are_labelled_normal_and_abnormal():
    transfer = made_transfer()
    found = judged_cycles(transfer, TASK.main)
    truth = dict(zip(transfer.cycles.keys, transfer.cycles.labels, strict=True))
    assert set(transfer.cycles.labels) == {0, 1, 2, 3}
    assert found.parts == ()
    assert [label > 0 for label in found.labels] == [truth[key] in (1, 3) for key in found.keys]
    assert all(truth[key] != 2 for key in found.keys)


def test_what_was_written_is_read_back(tmp_path):
    made = made_transfer()
    folder = write_transfer(tmp_path)
    found = folder.read()
    assert found.document == made.document
    assert found.cycles == made.cycles
    assert np.array_equal(found.probabilities, made.probabilities)
    assert [one.id for one in read_transfers(tmp_path)] == [made.id]
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "predictions.csv",
        "test-cycles.csv",
        "transfer.json",
    ]


def test_a_folder_that_was_left_half_written_is_no_transfer(tmp_path):
    write_transfer(tmp_path).document.unlink()
    assert read_transfers(tmp_path) == []


def test_an_id_is_of_run_rule_data_and_task():
    base = ("0" * 16, "last", "set", "task", "f" * 64)
    ids = {transfer_id(*base)}
    for place in range(len(base)):
        ids.add(transfer_id(*(f"{part}x" if place == i else part for i, part in enumerate(base))))
    assert len(ids) == 6


def edit(folder: TransferFolder, change) -> None:
    document = json.loads(folder.document.read_text())
    change(document)
    folder.document.write_text(json.dumps(document))


EDITS = {
    "a rate": (lambda d: d["metrics"]["new"].update(se=99.0), "metrics.new.se is 99.0"),
    "AS": (lambda d: d["metrics"]["known"].update({"as": 1.0}), "metrics.known.as is 1.0"),
    "the other law": (
        lambda d: d["metrics"]["new"].update(score=(d["metrics"]["new"]["sp"] + d["metrics"]["new"]["se"]) / 2),
        "metrics.new.score",
    ),
    "a part": (lambda d: d["metrics"].pop("known"), "the parts of the metrics"),
    "parts swapped": (
        lambda d: d["metrics"].update(new=d["metrics"]["known"], known=d["metrics"]["new"]),
        "metrics.new.sp",
    ),
    "the run": (lambda d: d.update(run_id="0" * 16), "run_id is"),
    "the seed": (lambda d: d["spec"].update(seed=7), "run_id is"),
    "the rule": (lambda d: d.update(rule="best-test"), "transfer_id is"),
    "the data": (lambda d: d["judged_on"].update(data_fingerprint="a" * 64), "transfer_id is"),
    "the cycles": (lambda d: d["judged_on"].update(judged_set="a" * 64), "judged_on.judged_set"),
    "what counts": (lambda d: d["judged_on"]["task"].update(shared=["normal"] + ["abnormal"] * 3), "metrics.new"),
    "its kind": (lambda d: d.update(kind="run"), "kind is 'run'"),
    "a registered task": (
        lambda d: d["trained_on"].update(classes=["normal", "wheeze", "crackle", "both"]),
        "trained_on.classes",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_document_is_refused_and_the_audit_says_so(tmp_path, name):
    change, said = EDITS[name]
    folder = write_transfer(tmp_path)
    edit(folder, change)
    with pytest.raises(BenchError) as caught:
        folder.read()
    assert said in caught.value.message
    if name != "its kind":
        audit = audit_file(folder.path, lambda: pytest.fail("no test cycles are needed"), {})
        assert [finding.kind for finding in audit.findings] == ["transfer-disagrees"]
        assert said in audit.findings[0].sentence


def test_other_probabilities_are_found(tmp_path):
    folder = write_transfer(tmp_path)
    found = read_predictions(folder.predictions, SHARED_CLASSES)
    write_predictions(folder.predictions, found.keys, found.scores[:, ::-1], SHARED_CLASSES)
    with pytest.raises(ResultError, match=r"metrics\.new"):
        folder.read()


def test_the_audit_of_a_sound_transfer_says_what_its_numbers_are(tmp_path):
    folder = write_transfer(tmp_path)
    for path in (folder.path, folder.document):
        audit = audit_file(path, lambda: pytest.fail("no test cycles are needed"), {})
        assert audit.holds == "transfer"
        assert audit.findings == []
        assert f"Se {made_transfer().document['metrics']['new']['se']:.2f}" in audit.facts[0]
        assert "neither normal nor abnormal" in audit.facts[-1]


def test_nothing_that_would_be_refused_is_written(tmp_path):
    made = made_transfer()
    made.document["metrics"]["new"]["se"] = 99.0
    folder = TransferFolder.of(tmp_path, made.id)
    with pytest.raises(ResultError):
        folder.write(made)
    assert not folder.path.exists()
