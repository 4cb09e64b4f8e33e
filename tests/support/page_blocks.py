"""Blocks of code on the pages of the project, and the command lines that a shell makes of them.

A shell block is given to a real shell in which every program is a stand-in that writes down the words of its call: so
quotes, variables, loops and lines that go on are read as a reader's shell reads them, and nothing is run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = ("README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md")
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"<!-- file: (\S+) -->\n$")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Path of its page within the project.
        number: Which block of the page it is, from 1.
        language: The word behind the fence.
        text: What stands between the fences.
        file: Name of the file that the page says it is; empty where it is none.
    """

    page: str
    number: int
    language: str
    text: str
    file: str


def pages() -> dict[str, str]:
    """The pages that are kept in files, by their path."""
    found = [ROOT / name for name in TOP_LEVEL] + sorted((ROOT / "docs").rglob("*.md"))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}


def blocks_of(page: str, text: str) -> list[Block]:
    """The blocks of a page in their order."""
    return [
        Block(page, number, found[2].strip(), _dedented(found[3], found[1]), _file_of(text[: found.start()]))
        for number, found in enumerate(FENCE.finditer(text), start=1)
    ]


def _dedented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def _file_of(before: str) -> str:
    found = FILE.search(before)
    return found[1] if found else ""


@cache
def all_blocks() -> tuple[Block, ...]:
    """The blocks of all pages that are kept in files."""
    return tuple(block for page, text in pages().items() for block in blocks_of(page, text))


def command_lines(texts: Sequence[str], programs: Iterable[str], folder: Path) -> list[list[list[str]]]:
    """What a shell calls for each of some texts: the words of each command, the program's name first.

    Args:
        texts: Texts of shell.
        programs: Programs that may be called; another one is an error of the shell.
        folder: A folder for the stand-ins, and for what the text writes by ``>``.

    Raises:
        AssertionError: If a text calls another program, or the shell does not understand it.
    """
    stand_ins, work, record = folder / "programs", folder / "work", folder / "record"
    work.mkdir(parents=True)
    _write_stand_ins(stand_ins, programs, record)
    return [_commands(text, stand_ins, work, record) for text in texts]


def _write_stand_ins(folder: Path, programs: Iterable[str], record: Path) -> None:
    folder.mkdir(parents=True)
    script = folder / ".stand-in"
    # Words are ended by an escape of their own, commands by another one: both are no part of any page.
    script.write_text(f"printf '%s\\037' \"${{0##*/}}\" \"$@\" >> {record}; printf '\\036' >> {record}\n")
    for name in programs:
        (folder / name).write_text(f"#!{shutil.which('bash')}\n{script.read_text()}")
        (folder / name).chmod(0o755)


def _commands(text: str, stand_ins: Path, work: Path, record: Path) -> list[list[str]]:
    record.write_text("")
    shell = shutil.which("bash")
    assert shell is not None, "the pages' blocks are read by bash"
    done = subprocess.run(
        [shell, "-eu", "-c", text],
        cwd=work,
        env={"PATH": str(stand_ins), "HOME": str(work), "PWD": str(work), "SLURM_PROCID": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"bash does not take this block:\n{text}\n{done.stderr}"
    calls = record.read_text().split("\036")[:-1]
    return [call.split("\037")[:-1] for call in calls]


def written_files(page: str, folder: Path) -> Mapping[str, str]:
    """Write the files of a page into a folder; gives their texts by name."""
    files = {block.file: block.text for block in all_blocks() if block.page == page and block.file}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return files


def bench_words(words: Sequence[str]) -> list[str] | None:
    """The words behind ``bench`` in a call of it, or of a launcher that starts it; None where it is another program's.

    Args:
        words: A command line, the program's name first.
    """
    for place, word in enumerate(words):
        if Path(word).name == "bench" and (place == 0 or words[0] in LAUNCHERS):
            return list(words[place + 1 :])
        if word == "run" and words[0] == "apptainer" and place > 1:
            return list(words[place:])
    return None


LAUNCHERS = frozenset({"torchrun", "accelerate", "srun", "mpirun", "docker", "apptainer", "python"})
"""Programs that start ``bench`` as one of their words."""
