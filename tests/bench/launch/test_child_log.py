"""The log of a child: what it wrote, without the bar, and never too large."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.progress import BarColumn, Progress, TextColumn

from bench.core.errors import StoreError
from bench.core.terminal import PlainConsole
from bench.launch.child_log import ChildLog


def logged(path, *parts, **options):
    log = ChildLog(path, **options)
    for part in parts:
        log.write(part)
    log.close()
    return path.read_bytes()


def test_lines_are_logged_however_they_come(tmp_path):
    assert logged(tmp_path / "a" / "log", b"one\ntw", b"o\n", b"three") == b"one\ntwo\nthree\n"


def test_a_later_process_goes_on_in_the_same_file(tmp_path):
    logged(tmp_path / "log", b"first\n")
    assert logged(tmp_path / "log", b"second\n") == b"first\nsecond\n"


def test_ends_of_lines_of_a_terminal_and_colours_are_left_out(tmp_path):
    assert logged(tmp_path / "log", b"\x1b[33mwarning: \x1b[0mlow\r\nnext\r\n") == b"warning: low\nnext\n"


def test_a_bar_is_logged_as_it_was_last_and_lines_above_it_are(tmp_path):
    drawn = io.StringIO()
    console = PlainConsole(drawn, force_terminal=True, width=60)
    columns = (TextColumn("{task.description}", markup=False), BarColumn())
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("training", total=3)
        for epoch in (1, 2, 3):
            bar.update(task, completed=epoch)
            bar.refresh()
            console.print(f"epoch {epoch}/3")
    assert "training" in drawn.getvalue()
    data = drawn.getvalue().encode()
    parts = [data[i : i + 7] for i in range(0, len(data), 7)]
    lines = logged(tmp_path / "log", *parts).splitlines()
    assert [line for line in lines if b"training" not in line] == [b"epoch 1/3", b"epoch 2/3", b"epoch 3/3"]
    assert len(lines) == 4, "the last state of the bar alone"


def test_a_file_stays_small_over_resumes_and_keeps_the_latest_lines(tmp_path):
    for start in range(20):
        text = logged(tmp_path / "log", *(b"start %d line %d\n" % (start, line) for line in range(50)), most=4000)
        assert len(text) <= 4000
    assert text.endswith(b"start 19 line 49\n")
    assert text.startswith(b"start ")
    assert text.count(b"\n") > 50, "the newer half stays"


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(StoreError, match=r"Cannot write .*log: Is a directory"):
        ChildLog(tmp_path / "log")


def test_a_full_disk_ends_no_run():
    log = ChildLog.__new__(ChildLog)
    log._rest, log._most = b"", 1000
    with Path("/dev/full").open("ab", buffering=0) as log._stream:
        log.write(b"lost\n")
