"""Tested cycles of any data set: through readers that know them without audio, through others, and from the board."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sprsound_sets import write_set
from task_runs import cycles_of, write_task_run

from bench.core.datasets import DATASETS
from bench.core.errors import DataError
from bench.data import answers
from bench.data.answers import NotOfficialError, answers_in, answers_of_board, differing_cycles, known_answers
from bench.data.sources import AnswerReader, reader_of
from leaderboard.results.predictions import CycleSet
from leaderboard.store.store import Store
from leaderboard.tasks import task_document

SPRSOUND = DATASETS.card("sprsound")
EVENTS = SPRSOUND.task("event-7")


def events_of(n=90):
    """Made-up events of all classes in both parts."""
    return replace(cycles_of(EVENTS, n), labels=tuple(i // 2 % len(EVENTS.classes) for i in range(n)))


class PlainReader:
    """A reader that does what it must and nothing more."""

    def __init__(self, card):
        self.inner = reader_of(card.id)

    def holds(self, folder):
        return self.inner.holds(folder)

    def load(self, folder, task, *, allow_partial=False, cache=None):
        return self.inner.load(folder, task, allow_partial=allow_partial, cache=cache)


@pytest.fixture
def official_events():
    """Made-up cycles that are the official ones of a task for the time of a test."""
    cycles, pinned = events_of(), EVENTS.judged_sets
    object.__setattr__(EVENTS, "judged_sets", pinned | {cycles.hash})
    yield cycles
    object.__setattr__(EVENTS, "judged_sets", pinned)


def write_run(home, **fields):
    document = {"task": task_document(SPRSOUND, EVENTS), **fields.pop("result", {})}
    cycles = fields.pop("cycles", events_of())
    return write_task_run(home, task=EVENTS, dataset="sprsound", result=document, cycles=cycles, **fields)


@pytest.mark.parametrize("dataset", ["demo", "sprsound"])
def test_a_reader_that_needs_audio_gives_the_same_cycles(tmp_path, small_data, monkeypatch, dataset):
    folder = small_data if dataset == "demo" else write_set(tmp_path / "data")
    card = DATASETS.card(dataset)
    told = answers_in(folder, card, card.tasks[0], allow_partial=True)
    assert not isinstance(PlainReader(card), AnswerReader)
    monkeypatch.setattr(answers, "reader_of", lambda name: PlainReader(DATASETS.card(name)))
    assert answers_in(folder, card, card.tasks[0], allow_partial=True) == told


def test_the_board_knows_the_cycles_of_a_task_of_its_full_runs(tmp_path, official_events):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path, seed=1, cycles=events_of(60)))
    store.import_run(write_run(tmp_path, seed=2, partial="partial (9 of 2683)"))
    assert answers_of_board(SPRSOUND, EVENTS, store) is None
    folder = write_run(tmp_path, seed=3)
    store.import_run(folder)
    part = answers_of_board(SPRSOUND, EVENTS, store)
    assert part.cycles.hash == official_events.hash
    assert (part.dataset, part.partial, part.task) == ("sprsound", None, EVENTS)
    assert part.source == f"run {folder.name} on the board"
    assert answers_of_board(SPRSOUND, SPRSOUND.task("event-2"), store) is None
    assert known_answers(SPRSOUND, EVENTS, tmp_path / "none", store, named=False) == part


def test_an_error_names_the_events_that_differ_where_the_board_knows_them(tmp_path, official_events, monkeypatch):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path, seed=3))
    labels = [*official_events.labels[:-1], (official_events.labels[-1] + 1) % 7]
    other = CycleSet(
        official_events.keys, tuple(labels), official_events.patients, official_events.devices, official_events.parts
    )

    def refuse(*_, **__):
        raise answers.not_official_error(tmp_path, EVENTS, other, "something differs", "Fetch it again.")

    monkeypatch.setattr(answers, "entries_in", lambda folder: ["one"])
    monkeypatch.setattr(answers, "answers_in", refuse)
    with pytest.raises(NotOfficialError, match=r"90 test events, .*; 1 cycle differs: ") as caught:
        known_answers(SPRSOUND, EVENTS, tmp_path, store, named=True)
    recording, cycle = official_events.keys[-1]
    assert f"{recording} cycle {cycle} is " in caught.value.message
    assert caught.value.hint == "Fetch it again."


def test_the_sentence_says_which_data_are_not_there_and_how_to_get_them(tmp_path):
    store = Store.open(tmp_path)
    with pytest.raises(DataError, match="No SPRSound annotations below"):
        known_answers(SPRSOUND, EVENTS, tmp_path / "none", store, named=True)
    with pytest.raises(DataError, match="The official test events are not known here") as caught:
        known_answers(SPRSOUND, EVENTS, tmp_path / "none", store, named=False)
    assert "bench data fetch --dataset sprsound" in caught.value.hint


def test_cycles_that_only_one_set_has_are_absent_in_the_other():
    cycles = events_of(4)
    told = differing_cycles(cycles.subset([0, 1, 2]), cycles, EVENTS.classes)
    recording, cycle = cycles.keys[3]
    assert told == f"1 cycle differs: {recording} cycle {cycle} is absent, not {EVENTS.classes[cycles.labels[3]]}"
    assert differing_cycles(cycles, cycles, EVENTS.classes) == "patients or devices differ"


def test_parts_are_judged_apart_by_what_a_reader_tells(tmp_path):
    part = answers_in(write_set(tmp_path / "data"), SPRSOUND, SPRSOUND.task("event-2"), allow_partial=True)
    assert part.cycles.of_part("inter").labels == (0, 1, 0)
    assert part.cycles.of_part("intra").labels == (1, 1)
    assert part.train_patients == {"100", "101"}
    assert part.shared_patients == set()
