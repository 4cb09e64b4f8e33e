"""The journal file: what was appended is read, by Optuna's own backend too, whatever a writer left half done."""

import json
import os
import threading

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bench.core.errors import StoreError
from bench.search.journal import Journal, open_journal


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


# --- reading on -------------------------------------------------------------------------------------------------


def test_a_journal_that_is_read_on_gives_what_it_would_give_at_once(path):
    """A reader that goes on from where it stopped, with others writing in between, misses and repeats nothing."""
    writer, reader, read = Journal(path), Journal(path), []
    for number in range(20):
        writer.append_logs([{"n": 3 * number + k} for k in range(number % 4)])
        read += reader.read_logs(len(read))
    read += reader.read_logs(len(read))
    assert read == list(Journal(path).read_logs(0)) == list(JournalFileBackend(str(path)).read_logs(0))


@pytest.mark.parametrize("skipped", range(5))
def test_a_journal_is_read_from_any_number_in_any_order(path, skipped):
    journal = Journal(path)
    journal.append_logs([{"n": number} for number in range(4)])
    for number in (0, skipped, 4, skipped, 0):
        assert [log["n"] for log in journal.read_logs(number)] == list(range(number, 4))


def test_text_of_any_kind_is_one_line(path):
    texts = ["a\nb", "\u2028\u2029\x85", "\x00", '"}\\', "α", "\ud83d\ude00", "x" * 100_000]
    Journal(path).append_logs([{"text": text} for text in texts])
    assert path.read_bytes().count(b"\n") == len(texts)
    assert [log["text"] for log in Journal(path).read_logs(0)] == [
        text.encode("utf-16", "surrogatepass").decode("utf-16") for text in texts
    ]


@pytest.mark.parametrize("cut", [0, 1, 4095, 4096, 4097, 8192, 20_000])
def test_a_line_of_any_length_that_was_cut_short_goes(path, cut):
    Journal(path).append_logs([{"n": 0}])
    with path.open("ab") as stream:
        stream.write(b"x" * cut)
    Journal(path).append_logs([{"n": 1}])
    assert path.read_text() == '{"n":0}\n{"n":1}\n'


def test_a_line_is_whole_at_whatever_place_a_writer_was_killed(path):
    journal = Journal(path)
    journal.append_logs([{"n": 0}])
    whole = path.read_bytes()
    line = b'{"n":1,"text":"\\u03b1"}\n'
    for length in range(len(line)):
        path.write_bytes(whole + line[:length])
        assert list(Journal(path).read_logs(0)) == [{"n": 0}]
    path.write_bytes(whole + line)
    assert list(Journal(path).read_logs(0)) == [{"n": 0}, {"n": 1, "text": "α"}]


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("line", [b"", b"{", b"3", b"}{", b"{}{}", b"\xff", b"null", b"{},{}", b"],["])
def test_a_damaged_line_is_named_whether_it_is_read_at_once_or_later(path, number, line):
    journal = Journal(path)
    lines = [b'{"n":%d}' % count for count in range(1, 6)]
    path.write_bytes(b"\n".join(lines[: number - 1]) + b"\n" * bool(number - 1))
    read = len(list(journal.read_logs(0)))
    assert read == number - 1
    path.write_bytes(b"\n".join([*lines[: number - 1], line, *lines[number:]]) + b"\n")
    for reader, first in ((journal, read), (Journal(path), 0)):
        with pytest.raises(StoreError, match=f"Line {number} of {path} is damaged") as caught:
            list(reader.read_logs(first))
        assert "its runs stay" in caught.value.hint


def test_nothing_is_appended_that_is_no_document(path):
    journal = Journal(path)
    journal.append_logs([{"n": 0}])
    with pytest.raises(TypeError):
        journal.append_logs([{"n": 1}, {"n": object()}])
    assert path.read_text() == '{"n":0}\n'


def test_many_that_append_at_once_lose_nothing_and_keep_their_order(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)

    def append(writer):
        journal = Journal(path)
        for number in range(25):
            journal.append_logs([{"writer": writer, "n": number, "part": part} for part in range(2)])

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs = list(Journal(path).read_logs(0))
    assert len(logs) == 200
    for writer in range(4):
        mine = [(log["n"], log["part"]) for log in logs if log["writer"] == writer]
        assert mine == [(number, part) for number in range(25) for part in range(2)]
    # What is appended together stands together.
    assert all(one["writer"] == other["writer"] for one, other in zip(logs[::2], logs[1::2], strict=True))


# --- as Optuna's storage ----------------------------------------------------------------------------------------


def test_a_study_is_the_same_in_optunas_own_file_and_in_this_one(tmp_path):
    """Other programs may go on with a study, and this one with theirs."""
    studies = []
    for name, storage in (
        ("ours", open_journal(tmp_path / "ours")),
        ("theirs", JournalStorage(JournalFileBackend(str(tmp_path / "theirs")))),
    ):
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", sampler=RandomSampler(0))
        for _ in range(3):
            trial = study.ask()
            trial.report(trial.suggest_float("x", 0.0, 1.0), 1)
            study.tell(trial, trial.params["x"])
        studies.append(study)
    swapped = [
        optuna.load_study(study_name="theirs", storage=open_journal(tmp_path / "theirs")),
        optuna.load_study(study_name="ours", storage=JournalStorage(JournalFileBackend(str(tmp_path / "ours")))),
    ]
    found = [[(trial.number, trial.params, trial.value) for trial in study.trials] for study in [*studies, *swapped]]
    assert found[0] == found[1] == found[2] == found[3]


def test_a_journal_in_a_folder_that_is_not_there_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "s.journal"
    assert open_journal(path).get_all_studies() == []
    assert path.read_bytes() == b""


def test_a_line_that_tells_what_cannot_be_is_named_by_its_number(tmp_path):
    path = tmp_path / "s.journal"
    optuna.create_study(storage=open_journal(path), study_name="s")
    with path.open("a") as stream:
        stream.write('{"op_code":99}\n' * 2)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"Line 2 of {path} is damaged"):
        open_journal(path)
    assert path.read_bytes() == before
