"""Text is shown as it is, and nothing in it is obeyed, whatever it stands in."""

import io
import re

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from bench.core.terminal import PlainConsole

NASTY = "[bold red]x[/] \\[/] :smile: \x1b]52;c;YQ==\x07\x1b[2J\x9bJ\x08\u202e\udcff[link=javascript:x]y"
SHOWN = "[bold red]x[/] \\[/] :smile: ?]52;c;YQ==??[2J?J???[link=javascript:x]y"

SHORTER = "[bold red]x[/] \\[/] :smile: ?]52;c;YQ==?[2J?J??[link=javascript:x]y"
"""The same where rich has left out the bell and the backspace itself."""


def table(text):
    made = Table(text, title=text, caption=text)
    made.add_row(text, style="bold")
    made.add_row(Text(text))
    return made


@pytest.mark.parametrize("make", [str, Text, table], ids=["text", "rich text", "table"])
@pytest.mark.parametrize("colour", [False, True])
def test_text_is_shown_as_it_is(make, colour):
    console = PlainConsole(io.StringIO(), width=200, force_terminal=colour, color_system="standard" if colour else None)
    console.print(make(NASTY))
    text = console.file.getvalue()
    assert (SHOWN if make is not Text else SHORTER) in text
    assert not set("\x07\x08\x9b\u202e\udcff") & set(text)
    # The program's own styles are the only sequences.
    styles = re.findall(r"\x1b\[[0-9;]*m", text)
    assert text.count("\x1b") == len(styles)
    assert bool(styles) == (colour and make is table)


def test_columns_keep_their_widths():
    console = PlainConsole(io.StringIO(), width=80)
    made = Table("name", "number")
    for name in ("\x1b\x1b\x1b", "abc"):
        made.add_row(name, "1")
    console.print(made)
    assert len({len(line) for line in console.file.getvalue().splitlines()}) == 1


def test_lines_stay_lines_and_tabs_become_spaces():
    console = PlainConsole(io.StringIO(), width=80)
    console.print("one\r\ntwo\tthree\n\nfour")
    assert console.file.getvalue() == "one\ntwo     three\n\nfour\n"


def test_what_a_bar_is_called_is_not_obeyed():
    console = PlainConsole(io.StringIO(), width=200, force_terminal=True, color_system=None)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bars:
        bars.add_task(NASTY)
    assert SHORTER[:40] in console.file.getvalue()
    assert "\x1b]52" not in console.file.getvalue()


def test_a_broken_pipe_is_not_the_end_of_the_process():
    class Broken(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        PlainConsole(Broken()).print("x")
