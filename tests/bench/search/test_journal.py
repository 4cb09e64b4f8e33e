"""The journal file: what was appended is read, by Optuna's own backend too, whatever a writer left half done."""

import json

import pytest
from optuna.storages.journal import JournalFileBackend

from bench.search.journal import Journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.journal"


def test_two_readers_see_what_either_appends(path):
    one, other = Journal(path), Journal(path)
    one.append_logs([{"n": 0}, {"n": 1}])
    assert list(other.read_logs(0)) == [{"n": 0}, {"n": 1}]
    other.append_logs([{"n": 2}])
    assert list(one.read_logs(0)) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert list(other.read_logs(2)) == [{"n": 2}]
    assert list(other.read_logs(3)) == []
    assert list(other.read_logs(1)) == [{"n": 1}, {"n": 2}]
    assert list(other.read_logs(3)) == []


def test_optunas_backend_reads_it(path):
    Journal(path).append_logs([{"n": 0}, {"text": "α, β"}])
    assert list(JournalFileBackend(str(path)).read_logs(0)) == [{"n": 0}, {"text": "α, β"}]


@pytest.mark.parametrize("left", ['{"n": 1', '{"n": ' + "1" * 10000, '{"n": 1}'])
def test_a_line_cut_short_is_not_read_and_goes_with_the_next_one(path, left):
    journal = Journal(path)
    journal.append_logs([{"n": 0}])
    with path.open("a") as stream:
        stream.write(left)
    assert list(journal.read_logs(0)) == [{"n": 0}]
    Journal(path).append_logs([{"n": 2}])
    assert list(journal.read_logs(1)) == [{"n": 2}]
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"n": 0}, {"n": 2}]


def test_a_file_with_half_a_line_alone_begins_anew(path):
    path.write_text('{"op')
    Journal(path).append_logs([{"n": 0}])
    assert path.read_text() == '{"n":0}\n'
