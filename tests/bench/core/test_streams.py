"""Standard streams take every character, survive readers that go, and stay as they are where somebody made them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import StoreError
from bench.core.streams import (
    _SPELT,
    TRANSLITERATED,
    _Descriptor,
    _prepared_stream,
    prepare_helper_streams,
    prepare_streams,
    print_traceback,
    transliterated,
    write_as_utf_8,
)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "shift_jis", "utf-8"])
def test_text_in_an_encoding_keeps_what_the_encoding_has(encoding):
    text = "λ = 1.5 ± 0.2 → Röntgen … 肺 \U0001f468"
    written = text.encode(encoding, TRANSLITERATED).decode(encoding)
    assert written.startswith(("λ = 1.5", "lambda = 1.5"))
    for character in text:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            assert character not in written
        else:
            assert character in written
    assert text.encode("utf-8", TRANSLITERATED) == text.encode()


@pytest.mark.parametrize("sign", sorted(_SPELT))
def test_every_sign_of_this_program_is_spelt(sign):
    assert transliterated(sign) == _SPELT[sign]
    assert _SPELT[sign].isascii()
    assert _SPELT[sign].strip()


def test_ascii_and_letters_without_accents():
    text = "".join(map(chr, range(128)))
    assert transliterated(text) == text
    assert transliterated("ÀéîõüçÑ½ﬁ") == "AeioucN12fi"
    assert transliterated("\ud800\u200d肺") == "???"


def test_only_writing_is_mended_and_not_reading():
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", TRANSLITERATED)


@pytest.fixture
def pipe():
    """The two ends of a pipe; whoever closes one puts None in its place."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end is not None:
            os.close(end)


@pytest.fixture
def full():
    with Path("/dev/full").open("wb") as stream:
        yield stream.fileno()


def test_what_nobody_reads_is_left_out(pipe):
    stream = _Descriptor(pipe[1], told=True)
    assert stream.write(b"first") == 5
    assert os.read(pipe[0], 10) == b"first"
    os.close(pipe[0])
    pipe[0] = None
    for _ in range(3):
        assert stream.write(b"second") == 6


def test_a_full_disk_is_told_once(full):
    stream = _Descriptor(full, told=True)
    with pytest.raises(StoreError, match=r"^Cannot write to the standard output: No space left on device\.$") as caught:
        stream.write(b"x")
    assert "Free space" in caught.value.hint
    assert caught.value.exit_code == 4
    assert stream.write(memoryview(b"more")) == 4


def test_a_full_disk_under_stderr_is_told_nobody(full):
    stream = _Descriptor(full, told=False)
    assert stream.write(b"x") == 1
    assert stream.write(b"xy") == 2


def test_the_end_of_a_stream_leaves_the_descriptor_open(pipe):
    _Descriptor(pipe[1], told=True).close()
    assert os.write(pipe[1], b"still open") == 10


def test_a_stream_of_a_notebook_or_a_test_stays_as_it_is():
    own = io.StringIO()
    assert _prepared_stream(own, None, 1, told=True) is own
    wrapped = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert _prepared_stream(wrapped, None, 1, told=True) is wrapped
    wrapped.write("λ")
    wrapped.flush()
    assert wrapped.buffer.getvalue() == b"lambda"


def test_a_stream_that_is_prepared_twice_is_the_same():
    first = io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.dup(1), "w")), encoding="ascii", line_buffering=True)
    prepared = _prepared_stream(first, first, 1, told=True)
    assert prepared is not first
    assert (prepared.encoding, prepared.errors, prepared.line_buffering) == ("ascii", TRANSLITERATED, True)
    assert _prepared_stream(prepared, prepared, 1, told=True) is prepared
    # Taken apart rather than closed: their end must not close the descriptors that the tests write to.
    prepared.detach().detach()


def test_a_closed_stream_becomes_one_that_takes_everything():
    stream = _prepared_stream(None, None, 1, told=True)
    assert stream.write("anything λ") == 10
    stream.close()


@pytest.mark.parametrize("prepare", [prepare_streams, prepare_helper_streams])
def test_no_file_that_is_opened_later_is_a_standard_stream(prepare, monkeypatch):
    """Also where they are open already: no descriptor is left over by the preparation."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = sorted(Path("/proc/self/fd").iterdir())
    prepare()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_traceback_on_stderr_is_plain_and_without_secrets(capsys):
    print_traceback(OSError("no way to postgresql://me:s3cret@host/db \x1b[2J"))
    captured = capsys.readouterr()
    assert captured.err == "OSError: no way to postgresql://***@host/db ?[2J\n"
    assert captured.out == ""


def test_what_programs_read_is_utf_8_and_a_notebook_takes_the_text():
    stream, notebook = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), io.StringIO()
    for each in (stream, notebook):
        each.write("before ")
        write_as_utf_8(each, "é 表 \ud800\n")
    assert stream.buffer.getvalue() == "before é 表 ?\n".encode()
    assert notebook.getvalue() == "before é 表 \ud800\n"


HELPER = """
import sys
from bench.core.streams import prepare_helper_streams
prepare_helper_streams()
sys.stdout.write("a line for the command\\n")
raise RuntimeError("λ token=s3cret \\x1b[2J")
"""


def test_a_helper_tells_its_own_end_on_stderr_and_keeps_stdout_for_its_line():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", HELPER], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == b"a line for the command\n"
    assert done.stderr.endswith(b"RuntimeError: lambda token=*** ?[2J\n")
