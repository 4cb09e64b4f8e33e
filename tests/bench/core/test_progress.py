"""Progress on stderr: plain lines in a log, a bar on a terminal, nothing where nothing is to be said."""

from __future__ import annotations

import io
import logging
import sys
import time

import pytest

from bench.core import progress
from bench.core.log import show_log
from bench.core.progress import PLAIN_SECONDS, counted, tracked, waiting


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    show_log()
    return made


def lines(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_log_has_a_line_now_and_then_and_one_in_the_end(clock, capsys):
    with counted("files") as update:
        for done in range(1, 101):
            clock.now += 1.0
            update("sound", done, 100)
    shown = lines(capsys)
    assert shown[0] == f"sound: {1 + int(PLAIN_SECONDS)} of 100 files, 0:01:{99 - int(PLAIN_SECONDS) - 60} left"
    assert shown[-1] == "sound: 100 of 100 files"
    assert len(shown) == 10


def test_the_end_is_told_however_soon_it_comes(clock, capsys):
    with counted("files") as update:
        update("a", 1, 2)
        update("a", 2, 2)
    assert lines(capsys) == ["a: 2 of 2 files"]


def test_the_end_of_what_is_over_at_once_is_told_where_it_matters_alone(clock, capsys):
    for seconds in (1.0, 2 * PLAIN_SECONDS):
        with counted("files", least=PLAIN_SECONDS) as update:
            update("a", 1, 2)
            clock.now += seconds
            update("a", 2, 2)
    assert lines(capsys) == ["a: 2 of 2 files"]
    assert list(tracked(range(3), "reading", "files")) == [0, 1, 2]
    assert lines(capsys) == []


def test_each_name_has_lines_of_its_own(clock, capsys):
    with counted("bytes") as update:
        for name in ("a", "b", "a", "b"):
            update(name, 1_000_000, None)
            clock.now += PLAIN_SECONDS / 2
    assert lines(capsys) == ["a: 1,000,000 bytes", "b: 1,000,000 bytes"]


def test_a_name_is_shown_and_never_obeyed(clock, capsys):
    with counted("files") as update:
        update("[bold]\x1b[2J\n:smile:", 1, 1)
    assert lines(capsys) == ["[bold]?[2J?:smile:: 1 of 1 files"]


@pytest.mark.parametrize("verbosity", [-1, -2])
def test_who_wants_no_messages_sees_no_progress(clock, capsys, verbosity):
    show_log(verbosity)
    with counted("files") as update:
        update("a", 1, 1)
    assert lines(capsys) == []


@pytest.mark.parametrize("verbosity", [0, 1])
def test_who_wants_messages_sees_progress(clock, capsys, verbosity):
    show_log(verbosity)
    with counted("files") as update:
        update("a", 1, 1)
    assert lines(capsys) == ["a: 1 of 1 files"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_terminal(monkeypatch):
    """Called in the test itself, since pytest has another stderr there than in a fixture."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return made


@pytest.mark.parametrize(("unit", "amount"), [("files", "3/7"), ("bytes", "3/7 bytes")])
def test_a_terminal_has_a_bar_that_is_taken_away_in_the_end(monkeypatch, unit, amount):
    terminal = on_terminal(monkeypatch)
    with counted(unit) as update:
        update("[red]a\x1b[2J", 1, 7)
        update("[red]a\x1b[2J", 3, 7)
    text = terminal.getvalue()
    assert "[red]a?[2J" in text
    assert amount in text
    assert "━" in text
    assert "\x1b[2J" not in text
    assert text.endswith("\x1b[2K")


def test_what_ends_the_block_ends_the_bar_too(monkeypatch):
    terminal = on_terminal(monkeypatch)

    def interrupt():
        with counted("files") as update:
            update("a", 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert terminal.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"


def test_a_bar_whose_end_nobody_knows_is_drawn(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with counted("files") as update:
        update("a", 1, None)
        update("a", 5, 5)
    assert "5/5" in terminal.getvalue()


def test_messages_and_progress_share_the_terminal(monkeypatch):
    terminal = on_terminal(monkeypatch)
    show_log()
    with counted("files") as update:
        update("a", 1, 2)
        logging.getLogger("bench.core.test").info("a message")
        update("a", 2, 2)
    assert "a message\n" in terminal.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("TERM", "unknown")])
def test_a_terminal_that_can_only_print_has_lines(monkeypatch, variable, value):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv(variable, value)
    show_log()
    with counted("files") as update:
        update("a", 2, 2)
    assert terminal.getvalue() == "a: 2 of 2 files\n"


def test_colours_that_are_forced_bring_no_bar_into_a_log(clock, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with counted("files") as update:
        update("a", 2, 2)
    assert lines(capsys) == ["a: 2 of 2 files"]


def test_something_with_a_bar_of_its_own_may_follow_in_the_block(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with counted("recordings") as update:
        update("features", 1, 2)
        update("features", 2, 2)
        assert terminal.getvalue().endswith("\x1b[2K"), "the bar is taken away when all is counted"
        with counted("steps") as steps:
            steps("training", 1, 2)
    assert "training" in terminal.getvalue()


def test_a_wait_without_a_count_has_a_line_with_the_time_that_is_taken_away(monkeypatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(progress, "SPINNER_SECONDS", 0.0)
    with waiting("computing [bold]intervals"):
        until = time.monotonic() + 5
        while "intervals" not in terminal.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    text = terminal.getvalue()
    assert "computing [bold]intervals" in text
    assert "0:00:0" in text
    assert text.endswith("\x1b[2K")


def test_a_short_wait_is_not_shown(monkeypatch, capsys):
    terminal = on_terminal(monkeypatch)
    with waiting("computing"):
        pass
    assert terminal.getvalue().strip() == ""


def test_a_long_wait_has_a_line_in_a_log(monkeypatch, capsys):
    show_log()
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with waiting("computing"):
        time.sleep(0.05)
    assert lines(capsys) == ["computing …"]
    show_log(-1)
    with waiting("computing"):
        time.sleep(0.05)
    assert lines(capsys) == []
