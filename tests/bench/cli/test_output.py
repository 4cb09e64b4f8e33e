"""What commands print and write: every encoding, closed and full streams, hostile words, secrets, ``--out``."""

import ast
import io
import json
import os
import signal
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pytest
from board_runs import write_run
from cli_runs import SMALL_AST

from bench.cli import main
from bench.core.messages import LONGEST_MESSAGE, message_text, sentence_text
from bench.core.streams import transliterated
from leaderboard.store.store import Store

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "[/]x\\[/] :smile: \x1b]0;title\x07\x1b[2J\x9b2J\u202etxt [bold]b[/bold]"


@pytest.fixture(autouse=True)
def place(tmp_path, small_cache, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(*words):
    """Run a command in this process; gives its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def enter(place, **fields):
    """Put a run on the board."""
    Store.open(place / "home").import_run(write_run(place / "home", **fields))


def shell(command, **more):
    """Run a command line with redirections; ``bench`` is this checkout's."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    line = command.replace("bench ", f"{sys.executable} -m bench ")
    return subprocess.run(
        ["bash", "-c", line],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# --- encodings ----------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """Streams of an encoding that refuse what it lacks, as those of a terminal do; gives what was written to stdout."""

    def make(encoding):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)

        def written(name="stdout"):
            streams[name].flush()
            return streams[name].buffer.getvalue().decode(encoding)

        return written

    return make


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "euc_jp", "gbk", "utf-16"])
@pytest.mark.parametrize("words", ["report published", "report table3", "methods show patchmix-cl", "--help"])
def test_no_encoding_of_a_terminal_ends_a_command(terminal, encoding, words):
    written = terminal(encoding)
    assert finish(*words.split()) == 0
    assert len(written()) > 100


@pytest.mark.slow
def test_a_run_and_what_follows_it_on_such_a_terminal(terminal, small_data):
    run = ["run", *SMALL_AST, "--epochs", "1", "--data", small_data, "--seeds", "1-2"]
    for words in (run, ["board", "list"], ["report"], ["data", "info", "--data", small_data]):
        written = terminal("iso-8859-1")
        assert finish(*words) == 0, written("stderr")
    assert finish("data", "verify", "--data", small_data) in (0, 3)


def test_signs_are_spelt_out():
    assert transliterated("λ ± 1 … → – é 表 ┏━┓│█") == "lambda +- 1 ... -> - e ? +-+|#"
    assert all(transliterated(chr(code)).isascii() for code in range(0x80, 0x3000))


@pytest.mark.parametrize("form", ["json", "csv", "markdown", "latex"])
def test_what_programs_read_is_utf_8_in_every_encoding(terminal, place, form):
    enter(place, model="β – “quoted” é 表 \U0001f600")
    documents = []
    for encoding in ("utf-8", "ascii", "iso-8859-1"):
        terminal(encoding)
        assert finish("report", "--format", form) == 0
        sys.stdout.flush()
        documents.append(sys.stdout.buffer.getvalue())
    assert documents[0] == documents[1] == documents[2]
    assert not documents[0].decode("utf-8").isascii()  # there was something to lose
    assert form != "json" or json.loads(documents[0])


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "latex", "table"])
def test_files_are_utf_8_whatever_the_terminal_is(terminal, place, form):
    enter(place, model="β – 表")
    for encoding in ("utf-8", "ascii"):
        terminal(encoding)
        assert finish("report", "--format", form, "--out", place / encoding) == 0
    assert (place / "utf-8").read_bytes() == (place / "ascii").read_bytes()
    assert not (place / "ascii").read_text(encoding="utf-8").isascii()


def test_a_name_that_is_not_utf_8_is_shown(terminal):
    written = terminal("utf-8")
    assert finish("run", "--spec", os.fsdecode(b"b\xff")) == 2
    assert "Cannot read the spec b?" in written("stderr")


# --- streams that are closed, full or broken ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>/dev/full", 0),
        ("| true; exit ${PIPESTATUS[0]}", 0),
        ("2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}", 0),
        (">/dev/full", 4),
    ],
)
def test_a_stream_that_takes_nothing(redirection, code):
    done = shell(f"bench report published --format json {redirection}")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert ("No space left on device" in done.stderr) == (code == 4)


@pytest.mark.parametrize("redirection", ["| true; exit ${PIPESTATUS[0]}", ">&- 2>/dev/full"])
def test_the_exit_code_stays_that_of_the_command(redirection):
    assert shell(f"bench board show nothing {redirection}").returncode == 2


def test_the_board_is_never_opened_as_a_standard_stream():
    code = (
        "import os\nfrom bench.core.streams import prepare_streams\nprepare_streams()\n"
        "found = os.open('/dev/zero', 0)\n"
        "assert found > 2, found\nprint('lost')\nassert os.fstat(1).st_rdev == os.stat(os.devnull).st_rdev\n"
    )
    done = shell(f'{sys.executable} -c "{code}" <&- >&-')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("columns", ["0", "1", "20", "-5", "abc", "²", "99999999999", ""])
def test_odd_widths(monkeypatch, capsys, columns):
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        monkeypatch.setenv(name, columns)
    assert finish("report", "published") == 0
    assert finish("run", "--help") == 0
    assert len(capsys.readouterr().out) < 10_000_000


# --- words of a user and names of others ------------------------------------------------------------------------------


def harmless(text):
    """Whether a terminal shows text without obeying any of it."""
    return not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in text.replace("\n", ""))


@pytest.mark.parametrize(
    "words",
    [
        ["board", "show", HOSTILE],
        ["board", "compare", HOSTILE, HOSTILE],
        ["board", HOSTILE],
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["report", HOSTILE],
        ["report", "--protocol", HOSTILE],
        ["report", "--format", HOSTILE],
        ["report", "--out", f"no/{HOSTILE}/\0"],
        ["models", "show", HOSTILE],
        ["methods", "list", "--plugin", f"{HOSTILE}.py"],
        ["run", "--model", "ast", "--method", "ce", "--set", f"{HOSTILE}=1"],
        ["run", "--seed", HOSTILE],
        ["run", "--spec", HOSTILE],
        ["search", "show", HOSTILE],
        ["data", "info", "--data", HOSTILE],
        ["data", "features", HOSTILE, "--out", "x"],
        ["board", "import", HOSTILE],
    ],
    ids=lambda words: " ".join(words)[:20].replace(HOSTILE[:3], "…"),
)
def test_words_are_shown_and_never_obeyed(capsys, words):
    code = finish(*words)
    printed = capsys.readouterr()
    assert code in (2, 3, 4), printed.err
    assert "Traceback" not in printed.err
    assert harmless(printed.err)
    assert harmless(printed.out)


def test_what_looks_like_markup_is_shown_as_it_is(capsys):
    assert finish("board", "show", "[bold]x[/bold] \\[/] :smile:") == 2
    assert "[bold]x[/bold] \\[/] :smile:" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "latex"])
def test_names_on_the_board_are_shown_and_never_obeyed(place, capsys, form):
    enter(place, model=HOSTILE, method="=cmd|'/C calc'!A0")
    for words in (["report"], ["board", "list"]):
        if form == "latex" and words == ["board", "list"]:
            continue
        assert finish(*words, "--format", form) == 0
        text = capsys.readouterr().out
        assert "[bold]b[/bold]" in text.replace("\\[", "[").replace("{[}", "[").replace("{]}", "]").replace("\\]", "]")
        assert harmless(text)


@pytest.mark.parametrize("word", ["x" * 50_000, "--" + "x" * 50_000, "/".join(["x" * 200] * 200)])
@pytest.mark.parametrize("words", [["board", "show"], ["run", "--seed"], ["run", "--spec"], ["models", "show"], []])
def test_messages_stay_short(capsys, words, word):
    assert finish(*words, word) == 2
    assert len(capsys.readouterr().err) < 2 * LONGEST_MESSAGE


def test_a_long_message_keeps_both_its_ends():
    text = sentence_text("Cannot write the file: " + "one of many words " * 500 + "/data/out.csv")
    assert len(text) <= LONGEST_MESSAGE
    assert text.startswith("Cannot write")
    assert text.endswith("/data/out.csv")
    command = "Go on with: bench run " + "--set a=b " * 300
    assert message_text(command) == command


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_no_message_tells_a_password(capsys, debug):
    word = "postgresql://me:s3cret@host/db?password=s3cret"
    for words in (["board", "show", word], ["run", "--seed", word], ["run", "--spec", word]):
        assert finish(*words, *debug) == 2
        assert "s3cret" not in capsys.readouterr().err


# --- --debug and signals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["board", "show", "x"], 2),
        (["run", "--sed", "1"], 2),
        (["report", "published", "--out", "."], 4),
        (["run", "--model", "ast", "--method", "ce", "--data", "none", "--profile", "paper"], 3),
        (["report", "published"], 0),
    ],
)
def test_debug_keeps_the_exit_code_wherever_it_stands(capsys, words, code):
    for with_debug in (["--debug", *words], [*words, "--debug"]):
        assert finish(*with_debug) == code
        printed = capsys.readouterr().err
        assert ("Traceback" in printed) == (code != 0)
        assert ("error:" in printed) == (code != 0)


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("[/]\x1b[2J"), 1)])
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_what_ends_a_command_from_within(monkeypatch, capsys, raised, code, debug):
    def fail(*_args, **_options):
        raise raised

    monkeypatch.setattr("bench.api.boards.published_table", fail)
    assert finish("report", "published", *debug) == code
    printed = capsys.readouterr().err
    assert ("Traceback" in printed) == bool(debug)
    assert harmless(printed)
    assert ("interrupted" in printed) == (code == 130)


SLOW = """
import os, signal, sys, time
from bench.cli import main
from bench.data.datasets.simulated import demo

def slow(*_args, **_options):
    os.write(1, b"at it\\n")
    time.sleep(20)

demo.write_demo = slow
main(["data", "demo", sys.argv[1]])
"""


@pytest.mark.parametrize(("before", "code"), [(signal.SIG_DFL, 130), (signal.SIG_IGN, -signal.SIGKILL)])
def test_a_closed_terminal_ends_a_command_well_unless_it_is_ignored(place, before, code):
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(place / "new")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, before),
    ) as process:
        assert process.stdout.readline() == "at it\n"
        process.send_signal(signal.SIGHUP)
        if code < 0:  # as under nohup
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
        told = process.stderr.read()
    assert process.returncode == code
    assert "Traceback" not in told


# --- --out ------------------------------------------------------------------------------------------------------------

REPORT = ["report", "published", "--format", "csv", "--out"]


def test_a_link_stays_and_its_file_is_replaced(place):
    (place / "folder").mkdir()
    (place / "folder" / "real.csv").write_text("old")
    (place / "link.csv").symlink_to("folder/real.csv")
    (place / "dangling.csv").symlink_to("folder/new.csv")
    for link, real in (("link.csv", "real.csv"), ("dangling.csv", "new.csv")):
        assert finish(*REPORT, place / link) == 0
        assert (place / link).is_symlink()
        assert (place / "folder" / real).read_text().startswith("table,")


def test_a_pipe_is_written_through(place):
    os.mkfifo(place / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((place / "pipe").read_text(encoding="utf-8")))
    reader.start()
    assert finish(*REPORT, place / "pipe") == 0
    reader.join(30)
    assert read[0].startswith("table,")
    assert (place / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/proc/self/fd/1"])
def test_stdout_by_its_names(name):
    done = shell(f"bench report published --format csv --out {name} | head -c 6")
    assert done.stdout == "table,"
    assert "error" not in done.stderr


def test_stdout_that_is_a_file_is_not_replaced(place):
    done = shell("{ echo before; bench report published --format csv --out /dev/stdout; echo after; } > all")
    assert done.returncode == 0, done.stderr
    lines = (place / "all").read_text().splitlines()
    assert (lines[0], lines[1][:6], lines[-1]) == ("before", "table,", "after")


def test_a_home_folder(place, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(place))
    assert finish(*REPORT, "~/x.csv") == 0
    assert (place / "x.csv").is_file()
    assert finish(*REPORT, "~nobody-of-that-name/x.csv") == 4
    assert "no home folder" in capsys.readouterr().err
    assert not list(place.glob("~*"))


def test_the_bundle_and_features_go_to_stdout(place, small_data):
    enter(place)
    name = sorted(small_data.rglob("*.wav"))[0]
    for command in ("board export -", f"data features {name} --out -"):
        done = shell(f"bench {command} > out.zip && {sys.executable} -m zipfile -t out.zip")
        assert done.returncode == 0, done.stderr
        assert "Done testing" in done.stdout


# --- one printing layer ---------------------------------------------------------------------------------------------

MAY = {
    "bench/core/terminal.py": {"Console"},
    "leaderboard/render/csv.py": {"csv.DictWriter"},
    "leaderboard/results/predictions.py": {"csv.writer"},  # recordings and numbers, read again by the program
    "bench/cli/output.py": {"sys.stdout.write"},
    "bench/core/streams.py": {"sys.stderr.write"},
    "bench/core/log.py": {"sys.stderr.write"},  # what a console has made plain
    "bench/api/scores.py": {"csv.writer"},  # recordings and numbers, read again by the program
    "baselines/downloads.py": {"sys.stderr.write"},  # sentences of its own, secrets masked
    "bench/launch/child_stderr.py": {"sys.stderr.write"},  # what a child has written there
}
RAW = {
    *("print", "Console", "from_markup", "Text.from_markup", "typer.echo", "typer.secho", "click.echo"),
    *("sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write", "sys.stderr.buffer.write"),
    *("traceback.print_exc", "traceback.print_exception", "csv.writer", "csv.DictWriter"),
}


def raw_prints(source):
    """Names of calls that print past the one layer, and of columns that read markup."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name in RAW or keywords.get("markup") == "True":
                yield name
            if name == "TextColumn" and keywords.get("markup") != "False":
                yield name


def test_nothing_prints_past_the_one_layer():
    found = {}
    for package in ("bench", "baselines", "methods", "leaderboard"):
        for path in (ROOT / package).rglob("*.py"):
            names = set(raw_prints(path.read_text(encoding="utf-8")))
            if names:
                found[path.relative_to(ROOT).as_posix()] = names
    assert {path: names - MAY.get(path, set()) for path, names in found.items() if names - MAY.get(path, set())} == {}


@pytest.mark.parametrize(
    "line", ["print(1)", "Console()", "typer.echo(x)", "TextColumn('{x}')", "c.print(x, markup=True)", "csv.writer(f)"]
)
def test_the_scan_finds_them(line):
    assert list(raw_prints(line))
