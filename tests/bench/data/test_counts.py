"""Counts of recordings and cycles, against sums by hand."""

from __future__ import annotations

from pathlib import Path

from bench.core.datasets import TaskCard, TestPart
from bench.data.counts import count_recordings, count_table
from bench.data.dataset import Cycle, Recording

TASK = TaskCard(
    id="t",
    title="T",
    classes=("normal", "a", "b"),
    parts=(TestPart(id="new", title="new"), TestPart(id="old", title="old", patients_seen=True)),
)


def recording(name, patient, device, split, labels):
    cycles = tuple(Cycle(name, n, float(n), n + 1.0, label) for n, label in enumerate(labels))
    return Recording(name, patient, "", "Al", "", device, split, None, Path(name), cycles)


RECORDINGS = [
    recording("r1", "p1", "X", "train", [0, 0, 2]),
    recording("r2", "p1", "Y", "train", [1]),
    recording("r3", "p2", "X", "new", [0]),
    recording("r4", "p1", "X", "old", []),
]


def test_recordings_and_cycles_are_counted_by_split_device_and_patient():
    found = count_recordings(RECORDINGS, TASK)
    assert found.by_split == {"new": (1, 1, 0, 0), "old": (1, 0, 0, 0), "train": (2, 2, 1, 1)}
    assert found.by_device["train", "X"] == (1, 2, 0, 1)
    assert found.by_patient["train", "p1"] == (2, 2, 1, 1)
    assert (found.patients, found.cycles) == (2, 5)


def test_the_document_holds_every_part_of_the_task():
    document = count_recordings(RECORDINGS[:3], TASK).to_json()
    assert list(document)[:3] == ["train", "new", "old"]
    assert document["old"]["recordings"] == 0
    assert document["train"]["classes"] == {"normal": 2, "a": 1, "b": 1}
    assert document["train"]["devices"]["Y"] == {"recordings": 1, "cycles": 1, "classes": {"normal": 0, "a": 1, "b": 0}}
    assert document["locations"] == {"Al": 3}


def test_a_table_has_a_block_for_each_part_and_first_what_stands_in_none():
    whole = count_recordings([*RECORDINGS, recording("r5", "p3", "Z", "unlisted", [0])], TASK)
    some = count_recordings(RECORDINGS[1:3], TASK)
    table = count_table({"all": whole, "some": some})
    assert table.headings == ("split", "device", "all", "some")
    assert table.title == "recordings · normal/a/b"
    assert [block[-1][0] for block in table.blocks] == ["unlisted", "train", "new", "old"]
    assert table.blocks[1] == (
        ("train", "X", "1 · 2/0/1", "–"),
        ("train", "Y", "1 · 0/1/0", "1 · 0/1/0"),
        ("train", "all", "2 · 2/1/1", "1 · 0/1/0"),
    )
