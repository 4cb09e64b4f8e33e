"""What a forger submits is marked wherever its row is shown; what honest systems submit is not."""

from __future__ import annotations

import csv
import dataclasses
import json
import time

import numpy as np
import pytest
from board_runs import write_run
from official_sets import official_like
from speeds import limit

from bench.core.errors import ResultError
from leaderboard.history.changes import review
from leaderboard.history.keys import make_key
from leaderboard.metrics import CLASSES
from leaderboard.published.systems import published_systems
from leaderboard.render.formats import FORMATS, render
from leaderboard.results.inputs import INPUT_NAMES, Inputs, inputs_of, notable
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.submissions import Statement, submit
from leaderboard.site.data import read_site_data
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table
from leaderboard.tables.copies import CORRELATED, RunPredictions, find_copies
from leaderboard.tables.marks import MARGIN, MARKS

CYCLES = official_like()
PART = OfficialPart("icbhi", None, CYCLES, frozenset({"156", "218"}), "the test")
LABELS = np.asarray(CYCLES.labels)
DECLARED = Inputs(metadata=False, ensemble=1, tta=False, thresholds="none", pretrained_on_icbhi=False)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits(seed, skill=0.9):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(LABELS), 4)) + skill * np.eye(4)[LABELS]


BASE = logits(1)


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


class Board:
    """A board, with a key and honest declarations, onto which systems come by name."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        self.store = Store.open(self.home)
        self.key = make_key(folder / "key.pem")

    def enter(self, name, scores, *, key=True, inputs=DECLARED, seed=1, columns=CLASSES):
        path = self.folder / "p.csv"
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["recording", "cycle", *columns])
            writer.writerows([*k, *row] for k, row in zip(CYCLES.keys, np.asarray(scores).tolist(), strict=True))
        stated = Statement(system=name, selection="last", inputs=inputs, seed=seed)
        return submit(path, PART, stated, self.home, self.store, {}, self.key if key else None).document["run_id"]

    def rows(self):
        return {row["name"]: row for section in leaderboard_table(self.store).sections for row in section.rows}

    def words(self, name):
        return [mark["mark"] for mark in self.rows()[name]["marks"]]


def test_honest_systems_have_no_mark(board):
    board.enter("one", softmax(BASE))
    board.enter("other", softmax(logits(2)))
    board.enter("other", softmax(logits(3)), seed=2)
    board.enter("classes", softmax(logits(4)).argmax(axis=1)[:, None], columns=("predicted",))
    assert {name: row["marks"] for name, row in board.rows().items()} == {"one": [], "other": [], "classes": []}


def changed(scores, count):
    copied = scores.copy()
    places = np.random.default_rng(0).permutation(len(copied))[:count]
    copied[places] = np.roll(copied[places], 1, axis=1)
    return copied


PATIENTS = np.unique(CYCLES.patients, return_inverse=True)[1]
COPIES = {
    "exact": softmax(BASE),
    "a few cycles": changed(softmax(BASE), 12),
    "rescaled": 3.0 * BASE - 7.0,
    "temperature": softmax(BASE / 2.5),
    "biases": softmax(BASE + np.asarray([0.0, 0.8, 0.5, 1.1])),
    "biases of patients": softmax(BASE + np.random.default_rng(5).normal(0, 1, (49, 4))[PATIENTS]),
    "rounded": np.round(softmax(BASE), 4),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_marked_and_name_what_they_copy(board, kind):
    first = board.enter("one", softmax(BASE))
    board.enter("unlike", softmax(logits(2)))
    board.enter("copied", COPIES[kind])
    assert board.words("one") == board.words("unlike") == []
    (mark,) = [mark for mark in board.rows()["copied"]["marks"] if mark["mark"] == "copy"]
    assert f"as 'one' ({first})" in mark["sentence"]


def test_a_copied_seed_and_a_copy_of_a_run_are_marked(board):
    run = write_run(board.home, cycles=CYCLES, skill=0.9)
    board.store.import_run(run)
    _, scores = board.store.predictions(run.name, "last")
    board.enter("copied", scores)
    board.enter("copied", scores * 2, seed=2)
    rows = board.rows()
    assert rows[None]["marks"] == []
    copies = [mark for mark in rows["copied"]["marks"] if mark["mark"] == "copy"]
    assert [run.name in mark["sentence"] for mark in copies] == [True, True]


def test_the_same_class_everywhere_is_no_copy(board):
    for name in ("one", "other"):
        board.enter(name, np.zeros((len(LABELS), 1), dtype=int), columns=("predicted",))
    assert board.words("one") == board.words("other") == ["degenerate"]


@pytest.mark.parametrize("wrong", [0, 9])
def test_labels_as_predictions_are_marked(board, wrong):
    board.enter("labels", changed(np.eye(4)[LABELS] * 0.9 + 0.025, wrong))
    assert "labels" in board.words("labels")


def test_a_score_beyond_print_is_marked(board):
    highest = max(one.score for one in published_systems() if one.comparable and one.table == "4class")
    row = next(s for s in np.arange(1.0, 4.0, 0.1) if score(logits(1, s)) > highest + MARGIN + 1)
    board.enter("best", softmax(logits(1, row)))
    board.enter("good", softmax(logits(2, 1.2)))
    assert score(logits(2, 1.2)) < highest
    assert (board.words("best"), board.words("good")) == (["beyond print"], [])


def score(values):
    chosen = values.argmax(axis=1)
    return 50 * ((chosen[LABELS == 0] == 0).mean() + (chosen == LABELS)[LABELS > 0].mean())


def test_equal_scores_and_ties_are_marked(board):
    tied = softmax(BASE)
    tied[:7] = [0.4, 0.4, 0.1, 0.1]
    board.enter("tied", tied)
    board.enter("flat", np.full((len(LABELS), 4), 0.25))
    assert board.words("tied") == ["ties"]
    assert board.words("flat") == ["equal scores", "degenerate"]
    assert "7 of 2,756 cycles" in board.rows()["tied"]["marks"][0]["sentence"]


def test_what_is_undeclared_unsigned_or_tuned_on_test_is_marked(board):
    board.enter("open", softmax(BASE), key=False, inputs=Inputs())
    board.enter("half", softmax(logits(2)), inputs=Inputs(metadata=True, ensemble=5))
    board.enter("tuned", softmax(logits(3)), inputs=dataclasses.replace(DECLARED, thresholds="test"))
    assert board.words("open") == ["undeclared", "unsigned"]
    assert board.words("half") == ["undeclared"]
    assert board.words("tuned") == ["tuned on test"]
    rows = board.rows()
    assert set(rows["open"]["inputs"].values()) == {"undeclared"}
    assert rows["half"]["inputs"] == {
        "metadata": True,
        "ensemble": 5,
        "tta": "undeclared",
        "thresholds": "undeclared",
        "pretrained_on_icbhi": "undeclared",
    }
    assert notable(rows["half"]["inputs"])[:2] == ["metadata", "ensemble of 5"]


def test_runs_made_here_declare_their_inputs():
    assert inputs_of("run", {"pretrain": "imagenet"}, {}) == DECLARED.declared()
    assert inputs_of("run", {"pretrain": "weights.pth"}, {})["pretrained_on_icbhi"] == "undeclared"
    assert set(inputs_of("submission", {}, {})) == set(INPUT_NAMES)


def test_marks_are_shown_in_every_form_and_hide_nothing(board):
    board.enter("one", softmax(BASE))
    board.enter("copied", softmax(BASE))
    table = leaderboard_table(board.store)
    for form in FORMATS:
        text = render(table, form, width=140)
        assert "copied" in text
        assert "copy" in text
        if form != "csv":
            assert "as 'one'" in text or "as &#39;one&#39;" in text or "as 'one" in text.replace("\\", "")
    (section,) = table.sections
    assert all(row["rank"] is not None for row in section.rows)
    page = {system.row["name"]: system.row["marks"] for system in read_site_data(board.store).systems}
    assert [mark["mark"] for mark in page["copied"]] == ["copy"]


def test_a_review_stands_beside_the_mark_and_in_the_log(board):
    board.enter("one", softmax(BASE))
    run_id = board.enter("copied", softmax(BASE))
    review(board.home, board.store, run_id[:8], "copy", "rejected", "two checkpoints of one group", board.key)
    (mark,) = board.rows()["copied"]["marks"]
    assert mark["review"] == {"verdict": "rejected", "reason": "two checkpoints of one group"}
    assert "copy (rejected)" in render(leaderboard_table(board.store), width=140)
    review(board.home, board.store, run_id, "copy", "accepted", "they are not", board.key)
    assert board.rows()["copied"]["marks"][0]["review"]["verdict"] == "accepted"
    assert [entry.action for entry in board.store.history().entries] == ["submit", "submit", "review", "review"]
    for words, message in (
        (("copy", "maybe", "x"), "is no verdict"),
        (("odd", "accepted", "x"), "is no mark"),
        (("copy", "accepted", " "), "--reason"),
    ):
        with pytest.raises(ResultError, match=message):
            review(board.home, board.store, run_id, *words, None)


def test_the_words_of_marks_are_the_ones_that_a_review_takes():
    assert all(json.dumps(word) and meaning for word, meaning in MARKS.items())
    assert 0.99 < CORRELATED < 1


def test_five_hundred_systems_are_compared_in_little_time():
    rng = np.random.default_rng(0)
    given = [
        RunPredictions(f"{number:016x}", CYCLES, softmax(BASE + 1.2 * rng.standard_normal(BASE.shape)).astype("<f4"))
        for number in range(500)
    ]
    given[321] = RunPredictions(
        given[321].run_id, CYCLES, softmax(np.log(given[17].scores) + np.asarray([0.0, 0.5, 0.2, 0.1]))
    )
    start = time.process_time()
    pairs = list(find_copies(given))
    assert time.process_time() - start < limit(5)
    assert [(pair.earlier, pair.later) for pair in pairs] == [(given[17].run_id, given[321].run_id)]
