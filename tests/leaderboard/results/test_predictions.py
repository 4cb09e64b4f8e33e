from __future__ import annotations

import numpy as np
import pytest
from board_runs import cycle_set

from bench.core.errors import ResultError, StoreError
from leaderboard.results.predictions import (
    CycleSet,
    align,
    read_cycles,
    read_predictions,
    write_cycles,
    write_predictions,
)

HEAD = "recording,cycle,normal,crackle,wheeze,both\n"


def write(tmp_path, text):
    path = tmp_path / "p.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_scores_come_back_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((50, 4)) * 10.0 ** rng.integers(-300, 300, (50, 4))
    keys = [('a, "quoted" Lärm', i) for i in range(50)]
    write_predictions(tmp_path / "p.csv", keys, scores)
    found = read_predictions(tmp_path / "p.csv")
    assert np.array_equal(found.scores, scores)
    assert list(found.keys) == keys
    assert found.predicted.tolist() == scores.argmax(1).tolist()


def test_classes_may_be_given_as_number_or_name(tmp_path):
    path = write(tmp_path, "recording,cycle,predicted\na,0,2\na,1,Both\nb,0, normal \n")
    found = read_predictions(path)
    assert found.scores is None
    assert found.predicted.tolist() == [2, 3, 0]


def test_columns_may_stand_in_any_order_and_a_byte_order_mark_is_fine(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbfboth,normal,crackle,wheeze,cycle,recording\r\n4,1,2,3,7,a\r\n")
    found = read_predictions(path)
    assert found.keys == (("a", 7),)
    assert found.scores.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("recording,cycle,normal,crackle,wheeze\na,0,1,2,3\n", "p.csv:1: the header is"),
        ("", "p.csv:1: the header is ''"),
        (HEAD, "no cycle"),
        (HEAD + "a,0,1,2,3,4\na,0,1,2,3,4\n", "p.csv:3: a cycle 0 stands twice, first in line 2"),
        (HEAD + "a,0,1,2,nan,4\n", "p.csv:2: wheeze is nan"),
        (HEAD + "a,0,1,2,3,-inf\n", "p.csv:2: both is -inf"),
        (HEAD + "a,0,1,2,x,4\n", "p.csv:2: wheeze is 'x'"),
        (HEAD + "a,-1,1,2,3,4\n", "p.csv:2: cycle is '-1'"),
        (HEAD + "a,1.0,1,2,3,4\n", "p.csv:2: cycle is '1.0'"),
        (HEAD + ",0,1,2,3,4\n", "p.csv:2: the recording is empty"),
        (HEAD + "a,0,1,2,3\n", "p.csv:2: 5 columns instead of 6"),
        ("recording,cycle,predicted\na,0,4\n", "p.csv:2: the class is '4'"),
        ("recording,cycle,predicted\na,0,rhonchus\n", "p.csv:2: the class is 'rhonchus'"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, word):
    with pytest.raises(ResultError, match=word):
        read_predictions(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"Cannot read .*p\.csv: No such file"):
        read_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize(("rows", "bad", "word"), [(1, np.nan, "not finite"), (2, 0.0, "1 cycles but 2 rows")])
def test_what_cannot_be_read_is_not_written(tmp_path, rows, bad, word):
    with pytest.raises(ResultError, match=word):
        write_predictions(tmp_path / "p.csv", [("a", 0)], np.full((rows, 4), bad))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot write"):
        write_predictions(tmp_path / "file" / "p.csv", [("a", 0)], np.ones((1, 4)))


def test_cycles_come_back_and_their_hash_does_not_depend_on_the_order(tmp_path):
    cycles = cycle_set()
    write_cycles(tmp_path / "c.csv", cycles)
    assert read_cycles(tmp_path / "c.csv") == cycles
    back = [tuple(reversed(column)) for column in (cycles.keys, cycles.labels, cycles.patients, cycles.devices)]
    assert CycleSet(*back).hash == cycles.hash
    other = CycleSet(cycles.keys, (3, *cycles.labels[1:]), cycles.patients, cycles.devices)
    assert other.hash != cycles.hash


def test_alignment_sorts_and_names_the_difference(tmp_path):
    cycles = cycle_set(8)
    path = tmp_path / "p.csv"
    scores = np.arange(32.0).reshape(8, 4)
    write_predictions(path, cycles.keys[::-1], scores[::-1])
    assert np.array_equal(align(read_predictions(path), cycles, path).scores, scores)
    write_predictions(path, [*cycles.keys[2:], ("other", 1)], scores[1:])
    with pytest.raises(
        ResultError, match=r"lacks 2 cycles \(101_.*\) and holds other 1 cycle \(other cycle 1\).*the 8 test"
    ):
        align(read_predictions(path), cycles, path)
